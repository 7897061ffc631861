// Images between the page and a model: canvases on one side, planes of floats in [0, 1] on the other.
import type { ModelInfo } from "../data/manifest";

/** One image (C, H, W) with pixels in [0, 1], as ImageData. */
export function imageData(pixels: Float32Array, info: ModelInfo, start = 0): ImageData {
  const { channels, height, width } = info;
  const image = new ImageData(width, height);
  const size = height * width;
  for (let i = 0; i < size; i++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * i + channel] = Math.round(255 * pixels[start + (channels < 3 ? 0 : channel) * size + i]);
    }
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/** An image as planes of the model's channels. */
export function planes({ data }: ImageData, info: ModelInfo): Float32Array {
  const size = info.height * info.width;
  const out = new Float32Array(info.channels * size);
  for (let i = 0; i < size; i++) {
    const [red, green, blue] = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
    // The luma of ITU-R 601, as Pillow computes it.
    if (info.channels === 1) out[i] = (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
    else [out[i], out[size + i], out[2 * size + i]] = [red / 255, green / 255, blue / 255];
  }
  return out;
}

/** The model's background as CSS. */
export function backgroundOf(info: ModelInfo): string {
  const [red, green = red, blue = red] = info.background.map((value) => Math.round(255 * value));
  return `rgb(${red ?? 0} ${green ?? 0} ${blue ?? 0})`;
}

/** Whether light strokes lie on a dark background. */
export function isDark(info: ModelInfo): boolean {
  return info.background.reduce((sum, value) => sum + value, 0) / Math.max(1, info.background.length) < 0.5;
}

/** Scales an image to the model's size, by its rule: stretch, pad or crop. */
export function fitted(source: CanvasImageSource, width: number, height: number, info: ModelInfo): HTMLCanvasElement {
  const canvas = Object.assign(document.createElement("canvas"), { width: info.width, height: info.height });
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.fillStyle = backgroundOf(info);
  context.fillRect(0, 0, info.width, info.height);
  context.imageSmoothingQuality = "high";
  const [x, y] = [info.width / width, info.height / height];
  const scale = info.resize === "pad" ? Math.min(x, y) : Math.max(x, y);
  const [wide, high] = info.resize === "stretch" ? [info.width, info.height] : [width * scale, height * scale];
  const { image, w, h } = halved(source, width, height, wide, high);
  context.drawImage(image, 0, 0, w, h, (info.width - wide) / 2, (info.height - high) / 2, wide, high);
  return canvas;
}

/** Halves an image until it is at most twice as large as wanted: browsers sample too few pixels in one large step. */
function halved(source: CanvasImageSource, width: number, height: number, wide: number, high: number) {
  let [image, w, h] = [source, width, height];
  while (w > 2 * wide && h > 2 * high) {
    const [nextW, nextH] = [Math.ceil(w / 2), Math.ceil(h / 2)];
    const canvas = Object.assign(document.createElement("canvas"), { width: nextW, height: nextH });
    const context = canvas.getContext("2d")!;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, w, h, 0, 0, nextW, nextH);
    [image, w, h] = [canvas, nextW, nextH];
  }
  return { image, w, h };
}
