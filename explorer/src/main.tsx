// Starts the page: reads the collection, then shows the map; or one message where the payload is invalid.
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/panels.css";
import { render } from "preact";
import { App } from "./App";
import { readCollection } from "./data/collection";
import { createStore, StoreContext } from "./state";
import "./timings";

function Loading({ share }: { share: number }) {
  return (
    <div class="start" role="status">
      <p>Loading embeddings</p>
      <progress max={1} value={share} aria-label="Loading" />
    </div>
  );
}

function Failed({ message }: { message: string }) {
  return (
    <div class="start" role="alert" data-testid="invalid">
      <h1>The page cannot be shown</h1>
      <p>{message}</p>
    </div>
  );
}

async function start(): Promise<void> {
  const root = document.getElementById("app")!;
  const title = document.title;
  render(<Loading share={0} />, root);
  try {
    const collection = await readCollection((share) => render(<Loading share={share} />, root));
    document.title = `${collection.manifest.title} · ${title}`;
    const store = createStore(collection);
    render(
      <StoreContext.Provider value={store}>
        <App />
      </StoreContext.Provider>,
      root,
    );
    const { decoder, latentDim } = collection.manifest.model;
    if (decoder === "page" && latentDim > 0) void store.models.warm("decoder").catch(() => undefined);
  } catch (error) {
    render(<Failed message={error instanceof Error ? error.message : String(error)} />, root);
  }
}

if (document.readyState === "loading") addEventListener("DOMContentLoaded", () => void start());
else void start();
