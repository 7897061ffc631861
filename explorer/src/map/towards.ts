// Walking over the map: the next point in a direction.
import type { Places } from "../data/collection";
import { HIDDEN } from "./painter";

/** The nearest shown point that lies more ahead than aside; -1 where there is none. */
export function nearestTowards({ x, y }: Places, shown: Uint8Array, from: number, right: number, down: number): number {
  let [best, lowest] = [-1, Infinity];
  for (let i = 0; i < x.length; i++) {
    if (i === from || shown[i] === HIDDEN) continue;
    const [dx, dy] = [x[i] - x[from], y[i] - y[from]];
    const ahead = dx * right + dy * down;
    const aside = Math.abs(dx * down) + Math.abs(dy * right);
    if (ahead <= 0 || ahead < aside) continue;
    const cost = ahead + 2 * aside;
    if (cost < lowest) [best, lowest] = [i, cost];
  }
  return best;
}
