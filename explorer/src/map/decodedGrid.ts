// Decoded images over the map: what the decoder makes of the mean latent of the images around each place.
import type { Layout } from "../data/collection";
import { imageData } from "../model/pixels";
import type { Store } from "../state";
import { within } from "./images";
import type { View } from "./view";

const STEP = 58;
const SIDE = 50;
const MAX_NEAR = 40;
const PAUSE = 120;

interface Cell {
  x: number;
  y: number;
  image: HTMLCanvasElement;
}

export class DecodedGrid {
  private cells: Cell[] = [];
  private key = "";
  private timer = 0;

  constructor(
    private readonly store: Store,
    private readonly run: number,
    private readonly onReady: () => void,
  ) {}

  /** Paints what is ready, and starts decoding where the view has changed. */
  paint(context: CanvasRenderingContext2D, layout: Layout, view: View, width: number, height: number): void {
    if (!this.store.showsGrid.value) return;
    const key = [view.scale, view.left, view.top, width, height, this.store.layoutName.value].join();
    if (key !== this.key) {
      this.key = key;
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => void this.decode(layout, view, width, height), PAUSE);
    }
    context.imageSmoothingEnabled = true;
    for (const { x, y, image } of this.cells) {
      const side = SIDE * Math.min(1.4, Math.max(0.5, view.scale / this.scale));
      const [wide, high] = within(side, image.width / image.height);
      context.drawImage(image, x * view.scale + view.left - wide / 2, y * view.scale + view.top - high / 2, wide, high);
    }
  }

  private scale = 1;

  private async decode(layout: Layout, view: View, width: number, height: number): Promise<void> {
    const { info, latent } = this.store.collection.runs[this.run];
    if (!latent || info.decoder !== "page") return;
    const key = this.key;
    const step = STEP / view.scale;
    const places: [number, number][] = [];
    const latents: number[] = [];
    const grid = this.store.gridOf(layout);
    for (let row = Math.ceil(-view.top / STEP); row * STEP + view.top < height; row++) {
      for (let column = Math.ceil(-view.left / STEP); column * STEP + view.left < width; column++) {
        const [x, y] = [column * step, row * step];
        const mean = meanLatent(x, y, step * 0.6);
        if (!mean) continue;
        places.push([x, y]);
        latents.push(...mean);
      }
    }
    const images = await this.store.models.decode(Float32Array.from(latents), this.run);
    if (key !== this.key) return;
    const size = info.channels * info.height * info.width;
    this.scale = view.scale;
    this.cells = places.map(([x, y], k) => {
      const image = Object.assign(document.createElement("canvas"), { width: info.width, height: info.height });
      image.getContext("2d")!.putImageData(imageData(images, info, k * size), 0, 0);
      return { x, y, image };
    });
    this.onReady();

    function meanLatent(x: number, y: number, reach: number): Float32Array | null {
      const near: number[] = [];
      grid.inBox(x - reach, y - reach, x + reach, y + reach, (point) => near.push(point) < MAX_NEAR);
      if (!near.length) return null;
      const sum = new Float32Array(info.latentDim);
      let total = 0;
      for (const point of near) {
        const [dx, dy] = [(layout.x[point] - x) / reach, (layout.y[point] - y) / reach];
        const weight = Math.exp(-3 * (dx * dx + dy * dy));
        latent!.row(point).forEach((value, k) => (sum[k] += weight * value));
        total += weight;
      }
      return sum.map((value) => value / total);
    }
  }
}
