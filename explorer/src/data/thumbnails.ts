// Thumbnails: cells of sheets, decoded when first shown; the least recently used sheets are released.
import { readBlob } from "./blobs";
import type { Thumbnails } from "./manifest";

const MAX_PIXELS = 100e6;
const TINY = 32; // pixels of a side
const PNG = 0x89; // the first byte of a PNG file

export class ThumbnailSheets {
  readonly width: number;
  readonly height: number;
  private readonly sheets = new Map<number, ImageBitmap>();
  private readonly loading = new Set<number>();
  private readonly listeners = new Set<() => void>();
  private readonly perSheet: number;
  /** Whether enlarged images are smoothed; the pixels of very small images are shown as they are. */
  readonly isSmooth: boolean;

  constructor(private readonly format: Thumbnails) {
    [this.height, this.width] = format.size;
    this.perSheet = format.columns * format.rows;
    this.isSmooth = Math.max(this.width, this.height) > TINY;
  }

  /** Calls `listener` whenever a sheet is ready; returns what stops that. */
  onReady(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Draws one image; returns false, and starts loading, where its sheet is not ready. */
  draw(context: CanvasRenderingContext2D, index: number, x: number, y: number, width: number, height: number): boolean {
    const number = Math.floor(index / this.perSheet);
    const sheet = this.sheets.get(number);
    if (!sheet) {
      void this.load(number);
      return false;
    }
    const cell = index % this.perSheet;
    const left = (cell % this.format.columns) * this.width;
    const top = Math.floor(cell / this.format.columns) * this.height;
    context.drawImage(sheet, left, top, this.width, this.height, x, y, width, height);
    return true;
  }

  /** Waits for the sheet of an image. */
  async ready(index: number): Promise<void> {
    await this.load(Math.floor(index / this.perSheet));
  }

  private async load(number: number): Promise<void> {
    const known = this.sheets.get(number);
    if (known || this.loading.has(number)) return;
    this.loading.add(number);
    try {
      const bytes = await readBlob(this.format.sheets[number]);
      const type = bytes[0] === PNG ? "image/png" : "image/webp";
      const bitmap = await createImageBitmap(new Blob([bytes], { type }));
      this.sheets.set(number, bitmap);
      this.release(bitmap.width * bitmap.height);
      for (const listener of this.listeners) listener();
    } finally {
      this.loading.delete(number);
    }
  }

  private release(pixels: number): void {
    while (this.sheets.size > 1 && this.sheets.size * pixels > MAX_PIXELS) {
      const [oldest, bitmap] = this.sheets.entries().next().value!;
      bitmap.close();
      this.sheets.delete(oldest);
    }
  }
}
