// Times of paints and model calls in milliseconds: the handle of tests and benchmarks, `window.triptych.timings`.

const KEPT = 500;
const timings: Record<string, number[]> = {};

/** Keeps a time under a name. */
export function record(name: string, milliseconds: number): void {
  const times = (timings[name] ??= []);
  times.push(milliseconds);
  if (times.length > KEPT) times.shift();
}

/** For tests, `?painter=webgl` or `?painter=canvas`: one painter for any number of points and any renderer. */
export const forcedPainter = new URLSearchParams(location.search).get("painter");

declare global {
  interface Window {
    triptych: { timings: Record<string, number[]>; ready: boolean; painter?: "canvas" | "webgl" };
  }
}

window.triptych = { timings, ready: false };
