// One image: beside its reconstruction, with class probabilities, neighbours, and why its label is suspected.
import { useEffect, useState } from "preact/hooks";
import { useStore, type Store } from "../state";
import { short } from "../map/colouring";
import { Bars, percent } from "../ui/Bars";
import { ImageList } from "../ui/Neighbour";
import { Name } from "../ui/Name";
import { Pixels } from "../ui/Pixels";
import { Thumbnail } from "../ui/Thumbnail";
import { Correct } from "./Correct";

const SIZE = 132;

export function ImagePanel() {
  const store = useStore();
  const point = store.pinned.value;
  if (point < 0) {
    return (
      <div class="empty">
        <p>Select an image on the map to see its reconstruction, class probabilities and nearest neighbours.</p>
        <p class="quiet">Zoom in until points become images. Arrow keys on the map move from image to image.</p>
        <button type="button" onClick={() => store.pin(0)}>Show the first image</button>
      </div>
    );
  }
  return <OneImage key={point} point={point} />;
}

function OneImage({ point }: { point: number }) {
  const store = useStore();
  const { collection } = store;
  const { info, prediction, confidence, probabilities, reconstructionError, suspicion } = collection.runs[0];
  const label = collection.label[point];
  const [pixels, error] = useReconstruction(store, point);
  const near = store.neighbourhood.value?.index === point ? store.neighbourhood.value : null;
  const isWrong = label >= 0 && label !== prediction[point];
  const predicted = (name: string, share: number | undefined) => <span class="arrow"><Name text={name} />{share !== undefined && <span class="number">{percent(share)}</span>}</span>;
  const facts: [string, preact.ComponentChild, string?][] = [
    ["Label", <Name text={store.classOf(label)} />],
    ["Predicted class", predicted(store.classOf(prediction[point]), confidence?.[point]), isWrong ? "wrong" : ""],
    ["Split, row", `${collection.manifest.splits[collection.split[point]]}, ${collection.row[point]}`],
  ];
  if (reconstructionError) facts.push(["Reconstruction error", `${short(reconstructionError[point])} (MSE)`]);
  const second = collection.runs[1];
  if (second) {
    const isOther = second.predicted[point] !== prediction[point];
    facts.push(["Second run", predicted(store.classOf(second.predicted[point]), second.confidence?.[point]), isOther ? "wrong" : ""]);
  }
  if (suspicion) facts.push(["Suspicion", suspicion[point].toFixed(2)]);
  return (
    <article data-testid="image-panel" data-point={point}>
      <h2><Name text={collection.paths[point]} tail={16} /></h2>
      <div class="pair">
        <figure>
          <Original point={point} />
          <figcaption>Image</figcaption>
        </figure>
        {info.decoder === "page" ? (
          <figure>
            {error ? <p class="note">{error}</p> : <Pixels pixels={pixels} info={info} size={SIZE} label="Reconstruction of the image" />}
            <figcaption>Reconstruction</figcaption>
          </figure>
        ) : store.pictureOf.has(point) && (
          <figure>
            <Reconstruction point={point} />
            <figcaption>Reconstruction</figcaption>
          </figure>
        )}
      </div>
      <dl class="facts">
        {facts.map(([name, value, kind]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class={kind}>{value}</dd>
          </div>
        ))}
      </dl>
      <Correct point={point} />
      {probabilities && (
        <section>
          <h3>Class probabilities</h3>
          <Bars values={probabilities.row(point)} names={info.classes} label={label} />
        </section>
      )}
      <section>
        <h3>Nearest neighbours</h3>
        {near && (
          <ImageList
            points={near.nearest}
            size={56}
            label="Ten nearest neighbours"
            agrees={(other) => collection.label[other] === label}
            caption={(_, place) => near.similarities[place].toFixed(3)}
          />
        )}
      </section>
      {near && <Hardest point={point} />}
      {near && suspicion && <Why point={point} />}
    </article>
  );
}

/** The image itself: the server's file where one runs, else its thumbnail. */
export function Original({ point, size = SIZE }: { point: number; size?: number }) {
  const { collection, thumbnails } = useStore();
  const [isMissing, setMissing] = useState(false);
  const label = `Image ${collection.paths[point]}`;
  if (!collection.manifest.live || isMissing) return <Thumbnail point={point} size={size} label={label} />;
  return <img class={thumbnails.isSmooth ? "thumbnail" : "thumbnail pixelated"} src={`image/${point}`} width={size} height={size} alt={label} onError={() => setMissing(true)} />;
}

/** The reconstruction that a page without a decoder has as a picture; nothing for other images. */
export function Reconstruction({ point, size = SIZE }: { point: number; size?: number }) {
  const { collection, pictures, pictureOf } = useStore();
  const place = pictureOf.get(point);
  if (!pictures || place === undefined) return null;
  return <Thumbnail point={place} size={size} sheets={pictures} label={`Reconstruction of ${collection.paths[point]}`} />;
}

function Hardest({ point }: { point: number }) {
  const store = useStore();
  const near = store.neighbourhood.value!;
  const pairs = [
    ["Hardest negative", "most similar, other label", near.hardestNegative, near.negativeSimilarity],
    ["Hardest positive", "least similar, same label", near.hardestPositive, near.positiveSimilarity],
  ] as const;
  if (store.collection.label[point] < 0) return null;
  return (
    <section class="pair hardest">
      {pairs.map(([title, meaning, other, similarity]) => (
        <div key={title}>
          <h3>{title}</h3>
          {other >= 0 ? (
            <ImageList
              points={[other]}
              size={56}
              label={title}
              caption={() => similarity.toFixed(3)}
            />
          ) : (
            <p class="quiet">None</p>
          )}
          <p class="quiet">{meaning}</p>
        </div>
      ))}
    </section>
  );
}

function Why({ point }: { point: number }) {
  const store = useStore();
  const { collection } = store;
  const { suspicion, suggestion, agreement, likely, prediction, confidence } = collection.runs[0];
  const near = store.neighbourhood.value!;
  const label = collection.label[point];
  const others = near.nearest.filter((other) => collection.label[other] !== label).length;
  const proposed = suggestion?.[point] ?? -1;
  if (label < 0 || !(likely?.[point] || suspicion![point] >= 0.5)) return null;
  return (
    <section class="note" data-testid="why">
      <h3>Why this label is suspected</h3>
      <p>
        {`${others} of ${near.nearest.length} nearest neighbours have another label. `}
        {agreement && `The weighted vote of the neighbours for the label is ${percent(agreement[point])}. `}
        {prediction[point] === label
          ? "The model predicts the given label."
          : `The model predicts ${store.classOf(prediction[point])}${confidence ? ` with confidence ${percent(confidence[point])}` : ""}.`}
        {proposed >= 0 && proposed !== label && ` Suggested label: ${store.classOf(proposed)}.`}
      </p>
    </section>
  );
}

/** The decoded latent of an image, or why there is none. */
export function useReconstruction(store: Store, point: number): [Float32Array | null, string] {
  const [state, setState] = useState<[Float32Array | null, string]>([null, ""]);
  useEffect(() => {
    const { latent, info } = store.collection.runs[0];
    if (!latent || info.decoder !== "page" || point < 0) return;
    let isCurrent = true;
    store.models.decode(latent.row(point)).then(
      (pixels) => isCurrent && setState([pixels, ""]),
      (error: unknown) => isCurrent && setState([null, `The decoder cannot be run in this browser. ${String(error).slice(0, 120)}`]),
    );
    return () => {
      isCurrent = false;
    };
  }, [point]);
  return state;
}
