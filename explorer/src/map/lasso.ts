// The lasso: which points lie inside a closed line.
import type { Layout } from "../data/collection";
import { HIDDEN } from "./painter";
import type { View } from "./view";

/** Points inside a polygon of canvas coordinates [x, y, x, y, …], hidden ones left out. */
export function inLasso(polygon: number[], layout: Layout, shown: Uint8Array, view: View): Uint32Array {
  const line = polygon.map((value, k) => (value - (k % 2 ? view.top : view.left)) / view.scale);
  const corners = line.length / 2;
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let k = 0; k < corners; k++) {
    [left, right] = [Math.min(left, line[2 * k]), Math.max(right, line[2 * k])];
    [top, bottom] = [Math.min(top, line[2 * k + 1]), Math.max(bottom, line[2 * k + 1])];
  }
  const found: number[] = [];
  for (let i = 0; i < layout.x.length; i++) {
    const [x, y] = [layout.x[i], layout.y[i]];
    if (shown[i] === HIDDEN || x < left || x > right || y < top || y > bottom) continue;
    let inside = false;
    for (let k = 0, before = corners - 1; k < corners; before = k++) {
      const [ax, ay, bx, by] = [line[2 * k], line[2 * k + 1], line[2 * before], line[2 * before + 1]];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
    }
    if (inside) found.push(i);
  }
  return Uint32Array.from(found);
}
