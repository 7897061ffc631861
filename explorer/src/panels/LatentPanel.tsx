// The latent space: between two images, along active dimensions, samples, and decoded images over the map.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ModelInfo } from "../data/manifest";
import { classSamples, interpolated, latest, priorSamples } from "../model/latents";
import { useStore } from "../state";
import { imageData } from "../model/pixels";
import { record } from "../timings";
import { Thumbnail } from "../ui/Thumbnail";

const DIMENSIONS = 6;
const REACH = 3;
const SAMPLES = 24;

export function LatentPanel() {
  const store = useStore();
  const { latent, info } = store.collection.runs[0];
  if (!latent || info.decoder !== "page") {
    return (
      <div class="empty">
        <p>This model has no decoder, so its latent space cannot be shown as images.</p>
      </div>
    );
  }
  return (
    <div class="stack" data-testid="latent-panel">
      <Between />
      <Along />
      <Samples />
      <section>
        <h3>Decoded images over the map</h3>
        <label class="check">
          <input type="checkbox" data-testid="decoded-grid" checked={store.showsGrid.value} onChange={(event) => (store.showsGrid.value = event.currentTarget.checked)} />
          Show what the decoder makes of the mean latent around each place
        </label>
      </section>
    </div>
  );
}

/** A canvas that shows the newest of many requested latents. */
function useDecoded(): [(latent: Float32Array) => void, preact.RefObject<HTMLCanvasElement | null>] {
  const store = useStore();
  const canvas = useRef<HTMLCanvasElement>(null);
  const { info } = store.collection.runs[0];
  const show = useMemo(
    () =>
      latest(async (latent: Float32Array) => {
        const started = performance.now();
        const pixels = await store.models.decode(latent);
        canvas.current?.getContext("2d")?.putImageData(imageData(pixels, info), 0, 0);
        record("latent step", performance.now() - started);
      }),
    [],
  );
  return [show, canvas];
}

function Decoded({ canvas, info, label }: { canvas: preact.RefObject<HTMLCanvasElement | null>; info: ModelInfo; label: string }) {
  return <canvas ref={canvas} class={info.width > 32 ? "thumbnail decoded" : "thumbnail pixelated decoded"} width={info.width} height={info.height} role="img" aria-label={label} />;
}

function Between() {
  const store = useStore();
  const { latent, info } = store.collection.runs[0];
  const [first, second] = store.pair.value;
  const [share, setShare] = useState(0.5);
  const [show, canvas] = useDecoded();
  const isReady = first >= 0 && second >= 0;
  useEffect(() => {
    if (isReady) show(interpolated(latent!.row(first), latent!.row(second), share));
  }, [first, second, share]);
  return (
    <section>
      <h3>Between two images</h3>
      {isReady ? (
        <>
          <div class="between">
            <figure><Thumbnail point={first} size={84} label="Image A" /><figcaption>A</figcaption></figure>
            <figure><Decoded canvas={canvas} info={info} label={`Decoded image, ${Math.round(share * 100)} % of the way from A to B`} /><figcaption>{share.toFixed(2)}</figcaption></figure>
            <figure><Thumbnail point={second} size={84} label="Image B" /><figcaption>B</figcaption></figure>
          </div>
          <input type="range" data-testid="between" min={0} max={1} step={0.01} value={share} aria-label="From A to B" onInput={(event) => setShare(Number(event.currentTarget.value))} />
        </>
      ) : (
        <p class="quiet">Open an image and choose “Set as A”, then another and “Set as B”.</p>
      )}
      <div class="row">
        <button type="button" onClick={() => (store.pair.value = randomPair(store.collection.count))}>Two random images</button>
        {isReady && <button type="button" onClick={() => (store.pair.value = [second, first])}>Swap</button>}
      </div>
    </section>
  );
}

const randomPair = (count: number): [number, number] => [Math.floor(Math.random() * count), Math.floor(Math.random() * count)];

function Along() {
  const store = useStore();
  const { latent, info } = store.collection.runs[0];
  const point = store.pinned.value;
  const dimensions = info.activeDimensions.slice(0, DIMENSIONS);
  const [values, setValues] = useState<number[]>([]);
  const [show, canvas] = useDecoded();
  const origin = useMemo(() => (point >= 0 ? latent!.row(point) : null), [point]);
  const reset = () => origin && setValues(dimensions.map((dimension) => origin[dimension]));
  useEffect(() => void reset(), [origin]);
  useEffect(() => {
    if (!origin || values.length !== dimensions.length) return;
    const moved = origin.slice();
    dimensions.forEach((dimension, k) => (moved[dimension] = values[k]));
    show(moved);
  }, [values]);
  return (
    <section>
      <h3>Along the most active dimensions</h3>
      {origin ? (
        <div class="along">
          <div>
            <Decoded canvas={canvas} info={info} label="Decoded image after moving along latent dimensions" />
            <button type="button" class="small" onClick={reset}>Reset</button>
          </div>
          <div class="sliders">
            {dimensions.map((dimension, k) => (
              <label key={dimension}>
                <span>{`z${dimension}`}</span>
                <input
                  type="range"
                  data-testid="dimension"
                  min={-REACH}
                  max={REACH}
                  step={0.05}
                  value={values[k] ?? 0}
                  onInput={(event) => setValues(values.map((old, at) => (at === k ? Number(event.currentTarget.value) : old)))}
                />
                <span class="number">{(values[k] ?? 0).toFixed(2)}</span>
              </label>
            ))}
          </div>
        </div>
      ) : (
        <p class="quiet">Select an image on the map; the sliders start at its latent.</p>
      )}
    </section>
  );
}

function Samples() {
  const store = useStore();
  const { info } = store.collection.runs[0];
  const [source, setSource] = useState("prior");
  const [seed, setSeed] = useState(0);
  const canvas = useRef<HTMLCanvasElement>(null);
  const columns = 8;
  const hasClasses = info.classLatents.mean.length === info.classes.length;
  useEffect(() => {
    const latents = source === "prior" ? priorSamples(SAMPLES, info.latentDim) : classSamples(SAMPLES, info, Number(source));
    let isCurrent = true;
    void store.models.decode(latents).then((pixels) => {
      const context = isCurrent && canvas.current?.getContext("2d");
      if (!context) return;
      const size = info.channels * info.width * info.height;
      for (let k = 0; k < SAMPLES; k++) {
        context.putImageData(imageData(pixels, info, k * size), (k % columns) * info.width, Math.floor(k / columns) * info.height);
      }
    }, () => undefined);
    return () => {
      isCurrent = false;
    };
  }, [source, seed]);
  return (
    <section>
      <h3>Samples</h3>
      <div class="row">
        <label class="field inline">
          <span>From</span>
          <select data-testid="sample-source" value={source} onChange={(event) => setSource(event.currentTarget.value)}>
            <option value="prior">the prior</option>
            {hasClasses && info.classes.map((name, number) => <option key={number} value={String(number)}>{`class ${name}`}</option>)}
          </select>
        </label>
        <button type="button" data-testid="sample" onClick={() => setSeed(seed + 1)}>Sample again</button>
      </div>
      <canvas ref={canvas} class={info.width > 32 ? "thumbnail samples" : "thumbnail pixelated samples"} width={columns * info.width} height={(SAMPLES / columns) * info.height} role="img" aria-label={`${SAMPLES} decoded samples from ${source === "prior" ? "the prior" : `class ${info.classes[Number(source)]}`}`} />
    </section>
  );
}
