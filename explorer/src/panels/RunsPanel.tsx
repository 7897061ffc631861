// Two runs on the same images: their metrics, and the images that changed class or neighbours.
import { useMemo, useState } from "preact/hooks";
import { useStore } from "../state";

const NEIGHBOURS = 10;
const GALLERY = 10_000;
const MUCH = 0.8;

export function RunsPanel() {
  const store = useStore();
  const { runs, label, count } = store.collection;
  const [first, second] = runs;
  const [progress, setProgress] = useState(-1);
  const groups = useMemo(() => {
    const changes: Record<string, number[]> = { "Corrected by the second run": [], "Newly misclassified": [], "Other changes of class": [] };
    const [corrected, broken, other] = Object.values(changes);
    for (let i = 0; i < count; i++) {
      const [a, b] = [first.predicted[i], second.predicted[i]];
      if (a === b) continue;
      (b === label[i] ? corrected : a === label[i] ? broken : other).push(i);
    }
    return changes;
  }, []);
  const names = [...new Set([...Object.keys(first.info.metrics), ...Object.keys(second.info.metrics)])];

  async function compute(): Promise<void> {
    setProgress(0);
    store.changed.value = await store.neighbours.changed(NEIGHBOURS, GALLERY, setProgress);
    setProgress(-1);
    store.colouring.value = "changed_neighbours";
  }
  const changed = store.changed.value;

  return (
    <div class="stack" data-testid="runs-panel">
      <table class="metrics-table">
        <caption>Metrics</caption>
        <thead>
          <tr>
            <td />
            <th scope="col">First run<br />{first.info.name}</th>
            <th scope="col">Second run<br />{second.info.name}</th>
          </tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <tr key={name}>
              <th scope="row">{name.replaceAll("_", " ")}</th>
              {runs.map((run, k) => <td key={k} class="number">{shown(run.info.metrics[name])}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
      <section>
        <h3>Images that changed class</h3>
        <ul class="plain">
          {Object.entries(groups).map(([name, points]) => (
            <li key={name}>
              <button type="button" disabled={!points.length} onClick={() => store.select(Uint32Array.from(points), name)}>
                <span>{name}</span>
                <span class="number">{points.length.toLocaleString("en")}</span>
              </button>
            </li>
          ))}
        </ul>
        <div class="row after">
          <button type="button" aria-pressed={store.colouring.value === "changed_class"} onClick={() => (store.colouring.value = "changed_class")}>Colour by changed class</button>
        </div>
      </section>
      <section>
        <h3>Images that changed neighbours</h3>
        <p class="quiet">
          {`The share of an image's ${NEIGHBOURS} nearest neighbours that are no neighbours in the other run${count > GALLERY ? `, among ${GALLERY.toLocaleString("en")} evenly chosen images` : ""}.`}
        </p>
        {progress >= 0 ? (
          <progress max={1} value={progress} aria-label="Comparing neighbours" />
        ) : changed ? (
          <div class="row after">
            <button type="button" aria-pressed={store.colouring.value === "changed_neighbours"} onClick={() => (store.colouring.value = "changed_neighbours")}>Colour by changed neighbours</button>
            <button type="button" onClick={() => store.select(Uint32Array.from([...changed.keys()].filter((i) => changed[i] >= MUCH)), `At least ${MUCH * 100} % of neighbours changed`)}>
              {`Select those with ${MUCH * 100} % or more`}
            </button>
          </div>
        ) : (
          <button type="button" class="after" data-testid="compare-neighbours" onClick={() => void compute()}>Compare neighbours</button>
        )}
      </section>
    </div>
  );
}

function shown(value: number | undefined): string {
  if (value === undefined) return "";
  return Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(4);
}
