// Matrices of float16 numbers, or of levels in a byte: stored as they came, decoded row by row.
import type { Column } from "./manifest";

let table: Float32Array | undefined;

/** The value of every float16, by its 16 bits. */
export function halfTable(): Float32Array {
  if (table) return table;
  table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) table[bits] = fraction ? NaN : sign * Infinity;
    else if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}

/** A matrix of rows that are read one at a time. */
export class Matrix {
  constructor(
    private readonly values: Uint16Array | Float32Array | Uint8Array,
    readonly width: number,
    private readonly levels?: Column["levels"],
  ) {}

  /** Returns one row, decoded. */
  row(index: number): Float32Array {
    const part = this.values.subarray(index * this.width, (index + 1) * this.width);
    if (part instanceof Float32Array) return part.slice();
    if (part instanceof Uint8Array) return Float32Array.from(part, (level, k) => this.ofLevel(level, k));
    const decode = halfTable();
    return Float32Array.from(part, (bits) => decode[bits]);
  }

  /** The whole matrix as float32, a copy of its own. */
  all(): Float32Array<ArrayBuffer> {
    if (this.values instanceof Float32Array) return Float32Array.from(this.values);
    const out = new Float32Array(this.values.length);
    if (this.values instanceof Uint8Array) {
      for (let i = 0; i < out.length; i++) out[i] = this.ofLevel(this.values[i], i % this.width);
      return out;
    }
    const decode = halfTable();
    for (let i = 0; i < out.length; i++) out[i] = decode[this.values[i]];
    return out;
  }

  private ofLevel(level: number, place: number): number {
    return this.levels!.offset[place] + this.levels!.scale[place] * level;
  }
}
