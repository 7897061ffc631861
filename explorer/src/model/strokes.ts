// Drawings are centred and scaled as the images of the data set are.
import type { ModelInfo } from "../data/manifest";
import type { Store } from "../state";
import { backgroundOf } from "./pixels";

/** The middle and the longer side of what differs from the background, as shares of an image. */
export interface Box {
  x: number;
  y: number;
  side: number;
}

const SAMPLED = 64;
const CONTRAST = 60;

/** The median box of the strokes of some images of the collection. */
export async function strokeBox(store: Store): Promise<Box | null> {
  const { thumbnails, collection } = store;
  await thumbnails.ready(0);
  const { width, height } = thumbnails;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  const boxes: Box[] = [];
  for (let point = 0; point < Math.min(SAMPLED, collection.count); point++) {
    if (!thumbnails.draw(context, point, 0, 0, width, height)) continue;
    const box = boxOf(context.getImageData(0, 0, width, height), collection.runs[0].info);
    if (box) boxes.push(box);
  }
  if (!boxes.length) return null;
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1];
  return { x: median(boxes.map((box) => box.x)), y: median(boxes.map((box) => box.y)), side: median(boxes.map((box) => box.side)) };
}

/** A drawing, moved and scaled so that its strokes fill `box`. */
export function centredStrokes(source: HTMLCanvasElement, info: ModelInfo, box: Box): HTMLCanvasElement {
  const { width, height } = source;
  const strokes = boxOf(source.getContext("2d")!.getImageData(0, 0, width, height), info);
  if (!strokes) return source;
  const scale = box.side / strokes.side;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.fillStyle = backgroundOf(info);
  context.fillRect(0, 0, width, height);
  context.drawImage(source, (box.x - strokes.x * scale) * width, (box.y - strokes.y * scale) * height, width * scale, height * scale);
  return canvas;
}

function boxOf({ data, width, height }: ImageData, info: ModelInfo): Box | null {
  const ground = 255 * (info.background[0] ?? 0);
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let i = 0; i < width * height; i++) {
    if (Math.abs(data[4 * i] - ground) < CONTRAST) continue;
    const [x, y] = [i % width, Math.floor(i / width)];
    [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
  }
  if (right < 0) return null;
  return { x: (left + right) / 2 / width, y: (top + bottom) / 2 / height, side: Math.max((right - left) / width, (bottom - top) / height) };
}
