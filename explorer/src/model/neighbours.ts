// The page's side of the neighbours' thread.
import type { Collection } from "../data/collection";
import type { Answer, Neighbourhood, Request } from "./neighbours.worker";
import NeighboursWorker from "./neighbours.worker?worker&inline";

export type { Neighbourhood };

export class Neighbours {
  private readonly worker = new NeighboursWorker();
  private readonly open = new Map<number, { resolve: (result: never) => void; report?: (done: number) => void }>();
  private next = 0;

  constructor(collection: Collection) {
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      const waiting = this.open.get(data.id);
      if ("progress" in data) return waiting?.report?.(data.progress);
      this.open.delete(data.id);
      waiting?.resolve(data.result as never);
    };
    collection.runs.forEach((run, number) => {
      const embeddings = run.embedding.all();
      this.send({ kind: "load", run: number, width: run.info.embeddingDim, embeddings, labels: collection.label }, [embeddings.buffer]);
    });
  }

  /** Neighbours of an image of the collection, without itself, and its hardest positive and negative. */
  ofImage(run: number, index: number, k: number): Promise<Neighbourhood> {
    return this.ask((id) => ({ kind: "near", id, run, index, k }));
  }

  /** Neighbours of any embedding. */
  ofVector(run: number, vector: Float32Array, k: number): Promise<Neighbourhood> {
    return this.ask((id) => ({ kind: "near", id, run, vector, k }));
  }

  /** The share of changed neighbours between both runs, for each image. */
  changed(k: number, gallery: number, report: (done: number) => void): Promise<Float32Array> {
    return this.ask((id) => ({ kind: "changed", id, k, gallery }), report);
  }

  private ask<T>(request: (id: number) => Request, report?: (done: number) => void): Promise<T> {
    const id = this.next++;
    return new Promise((resolve) => {
      this.open.set(id, { resolve, report });
      this.send(request(id), []);
    });
  }

  private send(request: Request, transfer: Transferable[]): void {
    this.worker.postMessage(request, transfer);
  }
}
