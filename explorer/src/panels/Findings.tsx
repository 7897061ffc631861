// What the audit has found beside doubtful labels: pairs of duplicates, and outliers; and how many of each.
import { useState } from "preact/hooks";
import type { Collection } from "../data/collection";
import { short } from "../map/colouring";
import { Name } from "../ui/Name";
import { useStore, type Store } from "../state";
import { Original, Reconstruction } from "./ImagePanel";
import { counted } from "../ui/counted";

const PAGE = 20;
const SIZE = 84;

/** How many images need a look, and of how many. */
export function Tally() {
  const { findings } = useStore().collection;
  if (!findings) return null;
  const { labels, duplicates, outliers, reliable, images } = findings;
  const entries: [string, string, string][] = [
    [reliable ? labels.length.toLocaleString("en") : "not judged", "suspected labels", "queue"],
    [duplicates.first.length.toLocaleString("en"), "pairs of duplicates", "duplicates"],
    [outliers.row.length.toLocaleString("en"), "outliers", "outliers"],
  ];
  return (
    <section class="tally" aria-label={`Findings of the audit among ${images.toLocaleString("en")} images`}>
      {entries.map(([count, name, place]) => (
        <button key={name} type="button" title={`Show the ${name}`} onClick={() => reveal(place)}>
          <b>{count}</b>
          <span>{name}</span>
        </button>
      ))}
    </section>
  );
}

function reveal(name: string): void {
  const place = document.querySelector<HTMLElement>(`[data-testid="${name}"]`);
  if (place instanceof HTMLDetailsElement) place.open = true;
  place?.scrollIntoView({ block: "start" });
}

/** Pairs of images with the same or almost the same pixels. */
export function Duplicates() {
  const store = useStore();
  const { collection, corrections } = store;
  const [shown, setShown] = useState(0);
  const found = collection.findings?.duplicates;
  if (!found) return null;
  corrections.version.value;
  const { first, second, similarity, exact } = found;
  return (
    <details class="list" data-testid="duplicates" onToggle={(event) => shown || (event.currentTarget.open && setShown(PAGE))}>
      <summary>{`Duplicates: ${counted(first.length, "pair")}`}</summary>
      <p class="quiet">
        {first.length
          ? "Exact duplicates first. A pair with one image in the test set inflates the test score. A pair with different labels holds a label error."
          : "No duplicates."}
      </p>
      {first.length > 0 && (
        <button type="button" class="small" onClick={() => store.select(Uint32Array.from(new Set([...first, ...second])), "Duplicates", false)}>Select on the map</button>
      )}
      <ol class="findings">
        {first.slice(0, shown).map((one, place) => (
          <li key={`${one}-${second[place]}`}>
            <div class="two">
              {[one, second[place]].map((point) => <Found key={point} point={point} />)}
            </div>
            <p class="tags">
              <span>{exact[place] ? "same pixels" : `correlation ${similarity[place].toFixed(3)}`}</span>
              {remarks(collection, one, second[place]).map((remark) => <b key={remark} class="wrong">{remark}</b>)}
            </p>
          </li>
        ))}
      </ol>
      <More shown={shown} count={first.length} onMore={() => setShown(shown + PAGE)} />
    </details>
  );
}

function remarks({ manifest, split, label }: Collection, one: number, other: number): string[] {
  const splits = [manifest.splits[split[one]], manifest.splits[split[other]]];
  const found: string[] = [];
  if (splits[0] !== splits[1]) found.push(splits.includes("test") ? "in the test set and outside it" : "in train and val");
  if (label[one] !== label[other]) found.push("different labels");
  return found;
}

/** Images that are far from all others. */
export function Outliers() {
  const store = useStore();
  const { collection, corrections } = store;
  const [shown, setShown] = useState(0);
  const found = collection.findings?.outliers;
  if (!found) return null;
  corrections.version.value;
  const { row, distance, entropy } = found;
  const { reconstructionError } = collection.runs[0];
  return (
    <details class="list" data-testid="outliers" onToggle={(event) => shown || (event.currentTarget.open && setShown(PAGE))}>
      <summary>{`Outliers: ${counted(row.length, "image")}`}</summary>
      <p class="quiet">{row.length ? `Far from their neighbours, with an uncertain class${reconstructionError ? " and a large reconstruction error" : ""}.` : "No outliers."}</p>
      {row.length > 0 && <button type="button" class="small" onClick={() => store.select(Uint32Array.from(row), "Outliers", false)}>Select on the map</button>}
      <ol class="findings">
        {row.slice(0, shown).map((point, place) => (
          <li key={point}>
            <div class="two">
              <Found point={point} />
              {store.pictureOf.has(point) && (
                <figure>
                  <Reconstruction point={point} size={SIZE} />
                  <figcaption>reconstruction</figcaption>
                </figure>
              )}
            </div>
            <p class="tags">
              <span title="Mean Euclidean distance to the five nearest, in the latent space">{`distance ${short(distance[place])}`}</span>
              <span title="Entropy of the predicted probabilities">{`entropy ${entropy[place].toFixed(2)} nats`}</span>
              {reconstructionError && <span>{`MSE ${short(reconstructionError[point])}`}</span>}
            </p>
          </li>
        ))}
      </ol>
      <More shown={shown} count={row.length} onMore={() => setShown(shown + PAGE)} />
    </details>
  );
}

/** One image of a finding: it can be shown, and dropped. */
function Found({ point }: { point: number }) {
  const store = useStore();
  const { collection, corrections } = store;
  return (
    <figure>
      <button type="button" class="image" title={collection.paths[point]} aria-label={`Show ${collection.paths[point]}`} onClick={() => store.pin(point)}>
        <Original point={point} size={SIZE} />
      </button>
      <figcaption>
        <b><Name text={store.classOf(collection.label[point])} /></b>
        <span class="quiet"><Name text={collection.paths[point]} tail={12} /></span>
        <button type="button" class="small" aria-pressed={isDropped(store, point)} onClick={() => (isDropped(store, point) ? corrections.remove(point) : corrections.set(point, { action: "drop", label: -1 }))}>Drop</button>
      </figcaption>
    </figure>
  );
}

const isDropped = (store: Store, point: number): boolean => store.corrections.get(point)?.action === "drop";

function More({ shown, count, onMore }: { shown: number; count: number; onMore: () => void }) {
  if (!shown || shown >= count) return null;
  return <button type="button" onClick={onMore}>{`Show more (${(count - shown).toLocaleString("en")} left)`}</button>;
}
