// Layouts that a server is still computing: requested until they are ready.
import { readBlob } from "./blobs";
import { scaled, typed, type Collection } from "./collection";

const PAUSE = 4000;

/** Waits for t-SNE of every run; calls `onReady` with each that arrives. */
export async function awaitLayouts(collection: Collection, onReady: () => void): Promise<void> {
  if (!collection.manifest.live) return;
  for (const run of collection.runs) {
    const name = `${run.prefix}tsne`;
    while (!run.layouts.has("tsne")) {
      const response = await fetch(`blob/${name}`).catch(() => null);
      if (response?.status === 200) {
        const column = { name, dtype: "float32", shape: [collection.count, 2] } as const;
        run.layouts.set("tsne", scaled(typed({ ...column, shape: [...column.shape] }, await readBlob(name)) as Float32Array));
        onReady();
      } else if (response?.status !== 202) return;
      else await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}
