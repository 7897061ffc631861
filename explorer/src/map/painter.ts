// The painter: points as small discs, written straight into the pixels of a canvas.
import type { Places } from "../data/collection";
import type { View } from "./view";

/** How a point is shown. */
export const HIDDEN = 0;
export const FADED = 1;
export const NORMAL = 2;
export const STRONG = 3;

export interface Points {
  layout: Places;
  /** One packed colour (ABGR, opaque) a point. */
  colours: Uint32Array;
  faded: number;
  shown: Uint8Array;
  /** How much a point covers of what lies under it. */
  opacity: number;
  /** Counts changes of `colours` and `shown` that keep their arrays. */
  revision: number;
  /** Whether any point is STRONG, so that the others step back. */
  hasStrong: boolean;
}

/** From here on points are opaque, and painted in the order of their places: neighbours in memory lie near each other. */
export const MANY = 100_000;

/** A disc: where its pixels lie from the centre, and how much of each it covers, up to 256. */
interface Stamp {
  offsets: Int32Array;
  cover: Int32Array;
}

export class Painter {
  private image: ImageData | undefined;
  private pixels = new Uint32Array(0);
  private stride = 0;
  private pad = 0;

  /** Paints all points; `ratio` is the number of device pixels of a CSS pixel. */
  paint(context: CanvasRenderingContext2D, points: Points, view: View, ratio: number, radius: number, background: number): void {
    const { width, height } = context.canvas;
    const size = radius * ratio;
    const pad = Math.ceil(size) + 2;
    this.prepare(width, height, pad);
    this.pixels.fill(background);
    const stamp = disc(size, this.stride, points.opacity);
    if (points.hasStrong) {
      this.pass(points, FADED, view, ratio, stamp, width, height);
      this.pass(points, STRONG, view, ratio, disc(size * 1.15, this.stride, 1), width, height);
    } else this.pass(points, NORMAL, view, ratio, stamp, width, height);
    context.putImageData(this.image!, -this.pad, -this.pad, this.pad, this.pad, width, height);
  }

  private prepare(width: number, height: number, pad: number): void {
    if (this.image && this.pad >= pad && this.stride === width + 2 * this.pad && this.image.height === height + 2 * this.pad) return;
    this.pad = Math.max(pad, 8);
    this.stride = width + 2 * this.pad;
    this.image = new ImageData(this.stride, height + 2 * this.pad);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  private pass(points: Points, kind: number, view: View, ratio: number, stamp: Stamp, width: number, height: number): void {
    const { layout, colours, shown, faded } = points;
    const { x, y } = layout;
    const { pixels, stride, pad } = this;
    const { offsets, cover } = stamp;
    const [scale, left, top] = [view.scale * ratio, view.left * ratio + pad, view.top * ratio + pad];
    const [lowX, lowY, highX, highY] = [1, 1, width + 2 * pad - 2, height + 2 * pad - 2];
    const reach = Math.min(pad - 1, Math.ceil(Math.abs(offsets[offsets.length - 1]) / stride));
    const parts = offsets.length;
    if (parts === 4 && cover[0] === 256) {
      // Squares of two by two pixels, the quick way for very many points.
      for (let i = 0; i < x.length; i++) {
        if (shown[i] !== kind) continue;
        const px = (x[i] * scale + left) | 0;
        const py = (y[i] * scale + top) | 0;
        if (px < lowX || py < lowY || px > highX || py > highY) continue;
        const at = py * stride + px;
        const colour = kind === FADED ? faded : colours[i];
        pixels[at] = colour;
        pixels[at + 1] = colour;
        pixels[at + stride] = colour;
        pixels[at + stride + 1] = colour;
      }
      return;
    }
    for (let i = 0; i < x.length; i++) {
      if (shown[i] !== kind) continue;
      const px = (x[i] * scale + left + 0.5) | 0;
      const py = (y[i] * scale + top + 0.5) | 0;
      if (px - reach < lowX || py - reach < lowY || px + reach > highX || py + reach > highY) continue;
      const colour = kind === FADED ? faded : colours[i];
      const centre = py * stride + px;
      const [redBlue, green] = [colour & 0xff00ff, colour & 0x00ff00];
      for (let k = 0; k < parts; k++) {
        const place = centre + offsets[k];
        const share = cover[k];
        if (share === 256) {
          pixels[place] = colour;
          continue;
        }
        const below = pixels[place];
        const rest = 256 - share;
        // Divided by 256 without a carry from one channel into the next.
        pixels[place] =
          0xff000000 |
          ((((redBlue * share + (below & 0xff00ff) * rest) / 256) & 0xff00ff) >>> 0) |
          (((green * share + (below & 0x00ff00) * rest) >>> 8) & 0x00ff00);
      }
    }
  }
}

function disc(radius: number, stride: number, opacity: number): Stamp {
  if (radius < 1.2) {
    const share = opacity === 1 ? 256 : Math.round(256 * opacity);
    return { offsets: Int32Array.of(0, 1, stride, stride + 1), cover: new Int32Array(4).fill(share) };
  }
  const [offsets, cover]: [number[], number[]] = [[], []];
  const reach = Math.ceil(radius);
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const inside = Math.max(0, Math.min(1, radius + 0.5 - Math.hypot(dx, dy)));
      if (inside <= 0.02) continue;
      offsets.push(dy * stride + dx);
      cover.push(Math.round(256 * inside * opacity));
    }
  }
  return { offsets: Int32Array.from(offsets), cover: Int32Array.from(cover) };
}

/** The radius of points in CSS pixels: smaller for many, growing slowly with the zoom. */
export function pointRadius(count: number, zoom: number): number {
  const base = Math.max(0.8, Math.min(4, 4 * (2000 / count) ** 0.25));
  return Math.min(7, base * Math.max(1, zoom) ** 0.3);
}
