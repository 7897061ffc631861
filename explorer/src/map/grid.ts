// A grid of buckets over a layout: quick answers to "which points lie in this box" and "which point is nearest".
import type { Layout } from "../data/collection";

const PER_CELL = 4;

export class Grid {
  private readonly side: number;
  private readonly starts: Uint32Array;
  /** All points, bucket after bucket. */
  readonly points: Uint32Array;

  constructor(private readonly layout: Layout) {
    const count = layout.x.length;
    this.side = Math.max(1, Math.min(1024, Math.ceil(Math.sqrt(count / PER_CELL))));
    const cells = new Uint32Array(count);
    this.starts = new Uint32Array(this.side * this.side + 1);
    for (let i = 0; i < count; i++) {
      cells[i] = this.axis(layout.y[i]) * this.side + this.axis(layout.x[i]);
      this.starts[cells[i] + 1]++;
    }
    for (let cell = 0; cell < this.side * this.side; cell++) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.points = new Uint32Array(count);
    for (let i = 0; i < count; i++) this.points[next[cells[i]]++] = i;
  }

  /** Calls `visit` with every point of a box, unordered; stops where it returns false. */
  inBox(left: number, top: number, right: number, bottom: number, visit: (point: number) => boolean | void): void {
    const { x, y } = this.layout;
    const [first, last] = [this.axis(left), this.axis(right)];
    for (let row = this.axis(top); row <= this.axis(bottom); row++) {
      const end = this.starts[row * this.side + last + 1];
      for (let k = this.starts[row * this.side + first]; k < end; k++) {
        const point = this.points[k];
        if (x[point] < left || x[point] > right || y[point] < top || y[point] > bottom) continue;
        if (visit(point) === false) return;
      }
    }
  }

  /** The number of points in a box, up to a limit. */
  countInBox(left: number, top: number, right: number, bottom: number, limit: number): number {
    let count = 0;
    this.inBox(left, top, right, bottom, () => ++count < limit);
    return count;
  }

  /** The nearest point within `reach` that `accepts` takes; -1 where there is none. */
  nearest(x: number, y: number, reach: number, accepts: (point: number) => boolean): number {
    let best = -1;
    let bestDistance = reach * reach;
    this.inBox(x - reach, y - reach, x + reach, y + reach, (point) => {
      const [dx, dy] = [this.layout.x[point] - x, this.layout.y[point] - y];
      const distance = dx * dx + dy * dy;
      if (distance <= bestDistance && accepts(point)) [best, bestDistance] = [point, distance];
    });
    return best;
  }

  private axis(value: number): number {
    return Math.max(0, Math.min(this.side - 1, Math.floor(((value + 1) / 2) * this.side)));
  }
}
