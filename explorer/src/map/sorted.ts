// Very many points, in the order of their places: painting them touches the canvas from top to bottom, in the cache.
import type { Places } from "../data/collection";
import type { Grid } from "./grid";

export class SortedPoints {
  readonly layout: Places;
  private readonly order: Uint32Array;
  private readonly colours: Uint32Array;
  private readonly shown: Uint8Array;
  private ofColours: Uint32Array | undefined;
  private ofShown: Uint8Array | undefined;
  private revision = 0;

  constructor(layout: Places, grid: Grid) {
    this.order = grid.points;
    this.layout = { x: gathered(layout.x, this.order), y: gathered(layout.y, this.order) };
    this.colours = new Uint32Array(this.order.length);
    this.shown = new Uint8Array(this.order.length);
  }

  /** Colours and states in the same order; computed again only where they are new. */
  sorted(colours: Uint32Array, shown: Uint8Array): { layout: Places; colours: Uint32Array; shown: Uint8Array; revision: number } {
    const { order } = this;
    if (this.ofColours !== colours || this.ofShown !== shown) this.revision++;
    if (this.ofColours !== colours) for (let k = 0; k < order.length; k++) this.colours[k] = colours[order[k]];
    if (this.ofShown !== shown) for (let k = 0; k < order.length; k++) this.shown[k] = shown[order[k]];
    [this.ofColours, this.ofShown] = [colours, shown];
    return { layout: this.layout, colours: this.colours, shown: this.shown, revision: this.revision };
  }
}

function gathered(values: Float32Array, order: Uint32Array): Float32Array {
  const out = new Float32Array(order.length);
  for (let k = 0; k < order.length; k++) out[k] = values[order[k]];
  return out;
}
