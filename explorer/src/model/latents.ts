// Points of the latent space: between two, from the prior, from one class.
import type { ModelInfo } from "../data/manifest";

/** The latent at a share of the way from one to another. */
export const interpolated = (from: Float32Array, to: Float32Array, share: number): Float32Array =>
  from.map((value, k) => value + (to[k] - value) * share);

/** Samples (count, L) from the standard normal prior. */
export const priorSamples = (count: number, latentDim: number): Float32Array =>
  Float32Array.from({ length: count * latentDim }, normal);

/** Samples (count, L) from a normal distribution with the mean and deviation of one class. */
export function classSamples(count: number, info: ModelInfo, label: number): Float32Array {
  const [mean, std] = [info.classLatents.mean[label], info.classLatents.std[label]];
  return Float32Array.from({ length: count * info.latentDim }, (_, i) => {
    const k = i % info.latentDim;
    return mean[k] + std[k] * normal();
  });
}

/** A standard normal number, by Box and Muller. */
function normal(): number {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

/** A function that runs one call at a time, and of those that came meanwhile only the newest. */
export function latest<T>(act: (value: T) => Promise<void>): (value: T) => void {
  let next: { value: T } | null = null;
  let isRunning = false;
  return (value) => {
    next = { value };
    if (isRunning) return;
    isRunning = true;
    void (async () => {
      while (next) {
        const { value: newest } = next;
        next = null;
        await act(newest).catch(() => undefined);
      }
      isRunning = false;
    })();
  };
}
