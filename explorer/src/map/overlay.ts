// What lies over the points: rings of chosen images, lines to neighbours, the lasso, the user's own image.
import type { Yours } from "../state";
import type { MapController } from "./controller";
import { within } from "./images";

/** Paints the upper canvas. */
export function paintOverlay(context: CanvasRenderingContext2D, map: MapController): void {
  const { store } = map;
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink");
  const accent = style.getPropertyValue("--accent");
  const ground = style.getPropertyValue("--map-background");
  const pinned = store.pinned.value;
  const near = store.neighbourhood.value;
  if (pinned >= 0 && near?.index === pinned) lines(context, map, map.place(pinned), near.nearest, accent);
  const yours = store.yours.value[map.run];
  const own = yours && placeOfYours(yours, map);
  if (own) lines(context, map, own, yours.near.nearest, accent);
  const [first, second] = store.tab.value === "latent" || store.tab.value === "image" ? store.pair.value : [-1, -1];
  if (first >= 0 && second >= 0) {
    context.setLineDash([6, 4]);
    stroke(context, [map.place(first), map.place(second)], ink, 1.5);
    context.setLineDash([]);
  }
  [first, second].forEach((point, k) => {
    if (point < 0) return;
    ring(context, map, point, ground, ink, 2);
    letter(context, map.place(point), "AB"[k], ink, ground, half(map));
  });
  if (pinned >= 0) ring(context, map, pinned, ground, accent, 3);
  const hovered = store.hovered.value;
  if (hovered >= 0 && hovered !== pinned) ring(context, map, hovered, ground, ink, 2);
  if (own) paintYours(context, own, yours.canvas, accent, ground);
  if (map.lasso.length > 2) paintLasso(context, map.lasso, accent);
}

/** Where the user's image lies: on its principal axes, or at the mean of its neighbours' places, weighted by similarity. */
export function placeOfYours({ embedding, near }: Yours, map: MapController): [number, number] {
  const { info, layouts } = map.store.collection.runs[map.run];
  const { layout } = map;
  if (info.pca && layout === layouts.get("pca")) {
    const { mean, axes } = info.pca;
    const along = (axis: number) => axes[axis].reduce((sum, weight, k) => sum + weight * (embedding[k] - mean[k]), 0);
    const [x, y] = layout.scaled([along(0), along(1)]);
    return [x * map.view.scale + map.view.left, y * map.view.scale + map.view.top];
  }
  const { nearest, similarities } = near;
  let [x, y, total] = [0, 0, 0];
  nearest.forEach((point, k) => {
    const weight = Math.exp((similarities[k] - similarities[0]) * 20);
    const [px, py] = map.place(point);
    [x, y, total] = [x + weight * px, y + weight * py, total + weight];
  });
  return [x / total, y / total];
}

const half = (map: MapController): number => (map.imageSize ? map.imageSize / 2 + 3 : 8);

function ring(context: CanvasRenderingContext2D, map: MapController, point: number, under: string, over: string, thickness: number): void {
  const [x, y] = map.place(point);
  const reach = half(map);
  const { thumbnails } = map.store;
  const [width, height] = within(map.imageSize, thumbnails.width / thumbnails.height);
  for (const [colour, line] of [[under, thickness + 3], [over, thickness]] as const) {
    context.beginPath();
    if (map.imageSize) context.rect(x - width / 2 - 2, y - height / 2 - 2, width + 4, height + 4);
    else context.arc(x, y, reach, 0, 2 * Math.PI);
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.stroke();
  }
  // The image itself, also where another one lies over its place.
  if (!map.imageSize) return;
  context.imageSmoothingEnabled = thumbnails.isSmooth || width < thumbnails.width;
  thumbnails.draw(context, point, x - width / 2, y - height / 2, width, height);
}

function lines(context: CanvasRenderingContext2D, map: MapController, from: [number, number], points: number[], colour: string): void {
  context.globalAlpha = 0.55;
  for (const point of points) stroke(context, [from, map.place(point)], colour, 1.25);
  context.globalAlpha = 1;
  for (const point of points) {
    const [x, y] = map.place(point);
    context.beginPath();
    context.arc(x, y, 3.5, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
  }
}

function stroke(context: CanvasRenderingContext2D, places: [number, number][], colour: string, width: number): void {
  context.beginPath();
  places.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

function letter(context: CanvasRenderingContext2D, [x, y]: [number, number], text: string, ink: string, ground: string, reach: number): void {
  context.font = "600 12px system-ui, sans-serif";
  context.lineWidth = 4;
  context.strokeStyle = ground;
  context.fillStyle = ink;
  context.strokeText(text, x + reach + 3, y - reach + 2);
  context.fillText(text, x + reach + 3, y - reach + 2);
}

function paintYours(context: CanvasRenderingContext2D, [x, y]: [number, number], image: HTMLCanvasElement, colour: string, ground: string): void {
  const [width, height] = within(48, image.width / image.height);
  const [left, top] = [x - width / 2, y - height / 2];
  context.fillStyle = ground;
  context.fillRect(left - 5, top - 5, width + 10, height + 10);
  context.fillStyle = colour;
  context.fillRect(left - 3, top - 3, width + 6, height + 6);
  context.imageSmoothingEnabled = image.width > 32;
  context.drawImage(image, left, top, width, height);
}

function paintLasso(context: CanvasRenderingContext2D, polygon: number[], colour: string): void {
  context.beginPath();
  for (let k = 0; k < polygon.length; k += 2) context.lineTo(polygon[k], polygon[k + 1]);
  context.closePath();
  context.globalAlpha = 0.12;
  context.fillStyle = colour;
  context.fill();
  context.globalAlpha = 1;
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.stroke();
}
