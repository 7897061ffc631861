// Your image: dropped, pasted, chosen or drawn; embedded in the page, placed on the map, with its neighbours.
import { useEffect, useState } from "preact/hooks";
import { canEmbed, embeddedByAll, readImage } from "../model/yours";
import { useStore, type Store, type Yours } from "../state";
import { Bars, percent } from "../ui/Bars";
import { ImageList } from "../ui/Neighbour";
import { Pixels } from "../ui/Pixels";
import { DrawPad } from "./DrawPad";

export function YoursPanel() {
  const store = useStore();
  const { strokes, channels } = store.collection.runs[0].info;
  const embedding = [...store.collection.runs.keys()].filter((run) => canEmbed(store, run));
  const [message, setMessage] = useState("");
  const [isOver, setOver] = useState(false);

  async function show(file: Blob | null | undefined): Promise<void> {
    if (!file) return setMessage("Expected an image; received something else. Use a PNG, JPEG or WebP file.");
    setMessage("");
    try {
      await place(store, await readImage(file), file);
    } catch (error) {
      setMessage(error instanceof Error ? error.message : String(error));
    }
  }

  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
      if (file) void show(file);
    };
    addEventListener("paste", paste);
    for (const run of embedding) {
      if (store.collection.runs[run].info.encoder === "page") void store.models.warm("encoder", run).catch((error: unknown) => setMessage(String(error)));
    }
    return () => removeEventListener("paste", paste);
  }, []);

  if (channels !== 1 && channels !== 3) {
    return (
      <div class="empty">
        <p>{`This model reads images of ${channels} channels. The page can embed only grey and RGB images.`}</p>
      </div>
    );
  }
  if (!embedding.length) {
    return (
      <div class="empty">
        <p>This model's encoder is too large for a page. To embed your own images, run <code>triptych explore</code> on the model and use its local address.</p>
      </div>
    );
  }
  return (
    <div class="stack" data-testid="yours-panel">
      <div
        class={isOver ? "drop over" : "drop"}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void show(event.dataTransfer?.files[0]);
        }}
      >
        <p>Drop an image here, paste one, or</p>
        <label class="button">
          Choose a file
          <input type="file" accept="image/*" class="visually-hidden" data-testid="file" onChange={(event) => void show(event.currentTarget.files?.[0])} />
        </label>
      </div>
      {strokes && <DrawPad onDrawn={(canvas) => void place(store, canvas).catch((error: unknown) => setMessage(String(error)))} />}
      {message && <p class="note" role="alert">{message}</p>}
      {store.yours.value.map((yours, run) => yours && <Result key={run} yours={yours} run={run} />)}
    </div>
  );
}

async function place(store: Store, canvas: HTMLCanvasElement, file?: Blob): Promise<void> {
  const found = await embeddedByAll(store, canvas, file);
  store.yours.value = found;
  const names = found.map((yours, run) => yours && store.classOf(best(yours.probabilities), run)).filter(Boolean);
  store.announced.value = `Your image is on the map, predicted ${names.join(" and ")}`;
}

const best = (values: ArrayLike<number>): number => Array.from(values).reduce((top, value, k) => (value > values[top] ? k : top), 0);

function Result({ yours, run }: { yours: Yours; run: number }) {
  const store = useStore();
  const { runs, label } = store.collection;
  const { info } = runs[run];
  const [pixels, setPixels] = useState<Float32Array | null>(null);
  useEffect(() => {
    setPixels(null);
    if (yours.latent?.length && info.decoder === "page") void store.models.decode(yours.latent, run).then(setPixels);
  }, [yours]);
  const predicted = best(yours.probabilities);
  return (
    <article data-testid={run ? `yours-result-${run}` : "yours-result"} data-milliseconds={yours.milliseconds.toFixed(1)}>
      {runs.length > 1 && <h2>{`${run ? "Second" : "First"} run: ${info.name}`}</h2>}
      <p class="figures" data-testid={run ? `yours-prediction-${run}` : "yours-prediction"}>
        Predicted <b>{store.classOf(predicted, run)}</b>, confidence <b>{percent(yours.probabilities[predicted])}</b>
        <span class="quiet">{` · ${yours.milliseconds.toFixed(0)} ms`}</span>
      </p>
      <div class="pair">
        <figure>
          <Input canvas={yours.canvas} />
          <figcaption>As the model reads it</figcaption>
        </figure>
        {info.decoder === "page" && (
          <figure>
            <Pixels pixels={pixels} info={info} size={132} label="Reconstruction of your image" />
            <figcaption>Reconstruction</figcaption>
          </figure>
        )}
      </div>
      <section>
        <h3>Class probabilities</h3>
        <Bars values={yours.probabilities} names={info.classes} />
      </section>
      <section>
        <h3>Nearest neighbours</h3>
        <ImageList
          points={yours.near.nearest}
          size={56}
          label="Nearest neighbours of your image"
          agrees={(point) => store.classOf(label[point]) === store.classOf(predicted, run)}
          caption={(_, at) => yours.near.similarities[at].toFixed(3)}
        />
      </section>
      <div class="row">
        <button type="button" onClick={() => (store.focus.value = { points: yours.near.nearest })}>Zoom to your image</button>
        <button type="button" onClick={() => (store.yours.value = [])}>Remove</button>
      </div>
    </article>
  );
}

function Input({ canvas }: { canvas: HTMLCanvasElement }) {
  return (
    <canvas
      class="thumbnail pixelated"
      ref={(own) => own?.getContext("2d")?.drawImage(canvas, 0, 0)}
      key={`${canvas.width}x${canvas.height}`}
      width={canvas.width}
      height={canvas.height}
      role="img"
      aria-label="Your image, scaled to the model's input"
    />
  );
}
