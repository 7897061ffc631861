// From the user's image to its embedding: in the page, or by the server for encoders that are too large.
import type { Store, Yours } from "../state";
import { reason, tokenHeader } from "../server";
import { record } from "../timings";
import { fitted, isDark, planes } from "./pixels";

const NEIGHBOURS = 10;
const MAX_BYTES = 64e6;

/** Decodes an image file, upright. */
export async function readImage(file: Blob): Promise<HTMLCanvasElement> {
  if (file.size > MAX_BYTES) throw new Error(`Expected a file of at most 64 MB; received ${(file.size / 1e6).toFixed(0)} MB.`);
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) throw new Error("Expected an image that the browser can decode; received another file. Use PNG, JPEG or WebP.");
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d", { willReadFrequently: true })!.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

/** Embeds an image with every run that can, and finds its neighbours there. */
export async function embeddedByAll(store: Store, source: HTMLCanvasElement, file?: Blob): Promise<(Yours | null)[]> {
  const found: (Yours | null)[] = [];
  for (const run of store.collection.runs.keys()) {
    found.push(canEmbed(store, run) ? await embedded(store, source, file, run) : null);
  }
  return found;
}

/** Whether a run embeds images here: in the page, or by a server that runs. */
export function canEmbed({ collection }: Store, run: number): boolean {
  const { encoder, channels } = collection.runs[run].info;
  return (channels === 1 || channels === 3) && (encoder === "page" || (encoder === "server" && collection.manifest.live));
}

async function embedded(store: Store, source: HTMLCanvasElement, file: Blob | undefined, run: number): Promise<Yours> {
  const { info } = store.collection.runs[run];
  if (info.encoder === "page") await store.models.warm("encoder", run);
  const started = performance.now();
  const canvas = fitted(source, source.width, source.height, info);
  if (file && info.strokes) matchBackground(canvas, isDark(info));
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  const result =
    info.encoder === "page"
      ? await store.models.encode(planes(context.getImageData(0, 0, info.width, info.height), info), run)
      : await fromServer(file ?? (await blobOf(canvas)), run);
  const near = await store.neighbours.ofVector(run, result.embedding, NEIGHBOURS);
  const milliseconds = performance.now() - started;
  record("your image", milliseconds);
  return { ...result, canvas, near, milliseconds };
}

/** Inverts strokes on a background that is the opposite of the model's: a photo of ink, for a model of light strokes. */
function matchBackground(canvas: HTMLCanvasElement, wantsDark: boolean): void {
  const { width, height } = canvas;
  const context = canvas.getContext("2d")!;
  const image = context.getImageData(0, 0, width, height);
  let [sum, count] = [0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (x > 0 && y > 0 && x < width - 1 && y < height - 1) continue;
      sum += image.data[4 * (y * width + x) + 1];
      count++;
    }
  }
  if (sum / count < 128 === wantsDark) return;
  for (let i = 0; i < image.data.length; i++) if (i % 4 < 3) image.data[i] = 255 - image.data[i];
  context.putImageData(image, 0, 0);
}

const blobOf = (canvas: HTMLCanvasElement): Promise<Blob> =>
  new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The image is empty."))), "image/png"));

async function fromServer(file: Blob, run: number): Promise<{ embedding: Float32Array; probabilities: Float32Array; latent: Float32Array | null }> {
  const response = await fetch(run ? "embed/other" : "embed", { method: "POST", headers: tokenHeader(), body: file }).catch(() => null);
  if (!response) throw new Error("The server does not answer. Start `triptych explore` again.");
  if (!response.ok) throw new Error(await reason(response));
  const { embedding, probabilities, latent } = (await response.json()) as Record<string, number[]>;
  return {
    embedding: Float32Array.from(embedding),
    probabilities: Float32Array.from(probabilities),
    latent: latent?.length ? Float32Array.from(latent) : null,
  };
}
