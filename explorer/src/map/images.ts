// Images on the map: once the view is near enough, each free place shows the image that lies there.
import type { Layout } from "../data/collection";
import type { ThumbnailSheets } from "../data/thumbnails";
import type { Grid } from "./grid";
import { FADED, HIDDEN } from "./painter";
import type { View } from "./view";

const MAX_IN_VIEW = 6000;
const SMALLEST = 20;
const LARGEST = 96;
/** The share of the points in view that must be seen as images. */
const SHARE = 0.4;
/** The zoom from which images are shown wherever they lie. */
const NEAR = 6;

export interface ImagesInView {
  /** Side of the images in CSS pixels; 0 where points are shown. */
  size: number;
  points: number[];
}

/** Chooses the images that are painted: none where too many points are in view, one for each free place otherwise. */
export function imagesInView(layout: Layout, grid: Grid, shown: Uint8Array, view: View, width: number, height: number): ImagesInView {
  const none = { size: 0, points: [] };
  const reach = LARGEST;
  const left = (-reach - view.left) / view.scale;
  const right = (width + reach - view.left) / view.scale;
  const top = (-reach - view.top) / view.scale;
  const bottom = (height + reach - view.top) / view.scale;
  if (grid.countInBox(left, top, right, bottom, MAX_IN_VIEW) >= MAX_IN_VIEW) return none;
  const points: number[] = [];
  grid.inBox(left, top, right, bottom, (point) => {
    if (shown[point] !== HIDDEN) points.push(point);
  });
  const room = Math.sqrt((width * height) / Math.max(1, points.length));
  if (room < SMALLEST + 4) return none;
  points.sort((a, b) => a - b);
  // Where clusters are tight, images are smaller, and points stay points; far inside nothing else can be shown.
  const wanted = view.scale > (NEAR * Math.min(width, height)) / 2 ? 0 : SHARE * points.length;
  for (let size = Math.round(Math.min(LARGEST, Math.max(SMALLEST, room * 0.9))); ; size = Math.max(SMALLEST, Math.round(size * 0.7))) {
    const free = freePlaces(points, layout, shown, size, view);
    if (free.length >= wanted) return { size, points: free };
    if (size === SMALLEST) return none;
  }
}

/** One point for each free place of images of a size. */
function freePlaces(points: number[], layout: Layout, shown: Uint8Array, size: number, view: View): number[] {
  // Places are tied to the layout, so that an image does not flicker while the view moves.
  const cell = (size * 0.8) / 2 ** Math.floor(Math.log2(view.scale));
  const taken = new Map<number, number>();
  for (const point of points) {
    const key = Math.round(layout.x[point] / cell) * 2097152 + Math.round(layout.y[point] / cell);
    const before = taken.get(key);
    if (before === undefined || (shown[before] === FADED && shown[point] !== FADED)) taken.set(key, point);
  }
  return [...taken.values()];
}

/** Width and height of an image whose longer side is `size`. */
export const within = (size: number, aspect: number): [number, number] =>
  aspect >= 1 ? [size, size / aspect] : [size * aspect, size];

/** Paints images, each framed in its point's colour; points of which the sheet is not ready stay points. */
export function paintImages(
  context: CanvasRenderingContext2D,
  { size, points }: ImagesInView,
  layout: Layout,
  shown: Uint8Array,
  colours: string[],
  thumbnails: ThumbnailSheets,
  view: View,
): void {
  const [width, height] = within(size, thumbnails.width / thumbnails.height);
  context.imageSmoothingEnabled = thumbnails.isSmooth || width < thumbnails.width;
  for (let k = 0; k < points.length; k++) {
    const point = points[k];
    const x = Math.round(layout.x[point] * view.scale + view.left - width / 2);
    const y = Math.round(layout.y[point] * view.scale + view.top - height / 2);
    context.globalAlpha = shown[point] === FADED ? 0.25 : 1;
    context.fillStyle = colours[k];
    context.fillRect(x - 2, y - 2, width + 4, height + 4);
    if (!thumbnails.draw(context, point, x, y, width, height)) context.clearRect(x, y, width, height);
  }
  context.globalAlpha = 1;
}
