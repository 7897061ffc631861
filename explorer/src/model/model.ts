// The models of the page: the decoder is loaded first, the encoder when it is first needed.
import { readBlob } from "../data/blobs";
import type { Collection } from "../data/collection";
import type { ModelAnswer, ModelRequest } from "./model.worker";
import ModelWorker from "./model.worker?worker&inline";
import { record } from "../timings";

export interface Encoded {
  embedding: Float32Array;
  probabilities: Float32Array;
  latent: Float32Array | null;
}

type Part = "encoder" | "decoder";
const BATCH = 32;

export class Models {
  private worker: Worker | undefined;
  private started: Promise<unknown> | undefined;
  private readonly loaded = new Map<string, Promise<unknown>>();
  private readonly open = new Map<number, { resolve: (answer: Record<string, Float32Array>) => void; reject: (error: Error) => void; name: string }>();
  private next = 0;

  constructor(private readonly collection: Collection) {}

  /** Loads a model before it is needed. */
  warm(part: Part, run = 0): Promise<unknown> {
    const name = `${this.collection.runs[run].prefix}${part}.onnx`;
    let loading = this.loaded.get(name);
    if (!loading) {
      loading = this.load(name).then(() => this.runOnce(name, part, run));
      this.loaded.set(name, loading);
    }
    return loading;
  }

  /** Images (B, C, H, W) in [0, 1] of latents (B, L). */
  async decode(latents: Float32Array, run = 0): Promise<Float32Array> {
    await this.warm("decoder", run);
    const { info, prefix } = this.collection.runs[run];
    const count = latents.length / info.latentDim;
    const size = info.channels * info.height * info.width;
    const images = new Float32Array(count * size);
    for (let start = 0; start < count; start += BATCH) {
      const part = latents.slice(start * info.latentDim, (start + BATCH) * info.latentDim);
      const shape = [part.length / info.latentDim, info.latentDim];
      const outputs = await this.ask((id) => ({ kind: "run", id, name: `${prefix}decoder.onnx`, values: part, shape }), "decode");
      images.set(Object.values(outputs)[0], start * size);
    }
    return images;
  }

  /** The outputs of a model for one image (C, H, W) with pixels in [0, 1]. */
  async encode(pixels: Float32Array, run = 0): Promise<Encoded> {
    await this.warm("encoder", run);
    const { info, prefix } = this.collection.runs[run];
    const shape = [1, info.channels, info.height, info.width];
    const outputs = await this.ask((id) => ({ kind: "run", id, name: `${prefix}encoder.onnx`, values: pixels, shape }), "encode");
    return { embedding: unit(outputs.embedding), probabilities: softmax(outputs.logits), latent: outputs.latent ?? null };
  }

  /** The first call allocates memory: it is made before someone waits for it. */
  private runOnce(name: string, part: Part, run: number): Promise<unknown> {
    const { channels, height, width, latentDim } = this.collection.runs[run].info;
    const shape = part === "encoder" ? [1, channels, height, width] : [1, latentDim];
    const values = new Float32Array(shape.reduce((product, length) => product * length, 1));
    return this.ask((id) => ({ kind: "run", id, name, values, shape }), `first ${part} call`);
  }

  private async load(name: string): Promise<unknown> {
    this.started ??= this.start();
    await this.started;
    const bytes = await readBlob(name);
    return this.ask((id) => ({ kind: "load", id, name, bytes }), `load ${name}`, [bytes.buffer]);
  }

  private async start(): Promise<unknown> {
    const worker = new ModelWorker();
    this.worker = worker;
    worker.onmessage = ({ data }: MessageEvent<ModelAnswer>) => {
      const waiting = this.open.get(data.id);
      this.open.delete(data.id);
      if ("error" in data) return waiting?.reject(new Error(data.error));
      record(waiting!.name, data.milliseconds);
      waiting?.resolve(data.outputs);
    };
    const wasm = (await readBlob("ort.wasm")).buffer;
    return this.ask((id) => ({ kind: "start", id, wasm }), "start", [wasm]);
  }

  private ask(request: (id: number) => ModelRequest, name: string, transfer: Transferable[] = []): Promise<Record<string, Float32Array>> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.open.set(id, { resolve, reject, name });
      this.worker!.postMessage(request(id), transfer);
    });
  }
}

function softmax(logits: Float32Array): Float32Array {
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}
