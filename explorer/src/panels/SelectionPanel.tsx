// The selection: counts, a gallery, and its export.
import { useEffect, useState } from "preact/hooks";
import { download } from "../labels/csv";
import { selectionCsv, selectionParquet } from "../labels/export";
import { useStore, type Selection, type Store } from "../state";
import { percent } from "../ui/Bars";
import { Icon } from "../ui/Icon";
import { Name } from "../ui/Name";
import { ImageList } from "../ui/Neighbour";

const PAGE = 120;
const ROWS = 8;

export function SelectionPanel() {
  const store = useStore();
  const selection = store.selection.value;
  if (!selection) {
    return (
      <div class="empty">
        <p>Draw around points with the lasso to select them. A gallery with counts appears here.</p>
        <p class="quiet">Hold Shift while dragging, or choose the lasso above the map. Find and the confusion matrix select images too.</p>
        <div class="row">
          <button type="button" onClick={() => (store.tool.value = "lasso")}>Use the lasso</button>
          <button type="button" onClick={() => selectShown(store)}>Select all shown images</button>
        </div>
      </div>
    );
  }
  return <Chosen selection={selection} />;
}

function Chosen({ selection }: { selection: Selection }) {
  const store = useStore();
  const { collection } = store;
  const { points, name } = selection;
  const [shown, setShown] = useState(PAGE);
  useEffect(() => setShown(PAGE), [selection]);
  const { prediction, info } = collection.runs[0];
  const byLabel = counted(points, collection.label, info.classes);
  const byPrediction = counted(points, prediction, info.classes);
  let [right, labelled] = [0, 0];
  for (const point of points) {
    if (collection.label[point] < 0) continue;
    labelled++;
    if (collection.label[point] === prediction[point]) right++;
  }
  return (
    <article data-testid="selection-panel">
      <h2>{name}</h2>
      <p class="figures">
        <b data-testid="selection-count">{points.length.toLocaleString("en")}</b> images
        {labelled > 0 && <>, <b>{percent(right / labelled)}</b> classified correctly</>}
      </p>
      <div class="row">
        <button type="button" data-testid="export-csv" onClick={() => download("selection.csv", selectionCsv(store, points))}><Icon name="download" /> CSV</button>
        <button type="button" data-testid="export-parquet" onClick={() => download("selection.parquet", selectionParquet(store, points))}><Icon name="download" /> Parquet</button>
        <button type="button" onClick={() => (store.focus.value = { points })}>Zoom to selection</button>
        <button type="button" onClick={() => store.select(null)}>Clear</button>
      </div>
      <p class="quiet">Both files hold paths, labels and predictions; the Parquet file holds the embeddings too.</p>
      <div class="pair counts">
        <Counts title="Label" rows={byLabel} total={points.length} />
        <Counts title="Predicted class" rows={byPrediction} total={points.length} />
      </div>
      <ImageList
        points={points.subarray(0, shown)}
        size={48}
        label="Selected images"
        agrees={(point) => collection.label[point] < 0 || collection.label[point] === prediction[point]}
      />
      {shown < points.length && (
        <button type="button" onClick={() => setShown(shown + PAGE)}>
          {`Show more (${(points.length - shown).toLocaleString("en")} left)`}
        </button>
      )}
    </article>
  );
}

function Counts({ title, rows, total }: { title: string; rows: [string, number][]; total: number }) {
  return (
    <table class="bars">
      <caption>{title}</caption>
      <tbody>
        {rows.slice(0, ROWS).map(([name, count]) => (
          <tr key={name}>
            <th scope="row"><Name text={name} /></th>
            <td class="bar" aria-hidden="true"><span style={{ width: `${(count / total) * 100}%` }} /></td>
            <td class="number">{count.toLocaleString("en")}</td>
          </tr>
        ))}
        {rows.length > ROWS && (
          <tr>
            <th scope="row" colSpan={3} class="quiet">{`and ${rows.length - ROWS} more`}</th>
          </tr>
        )}
      </tbody>
    </table>
  );
}

function counted(points: Uint32Array, values: Int32Array, names: string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const point of points) {
    const name = values[point] < 0 ? "no label" : names[values[point]];
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}

/** Selects what the filters show. */
function selectShown(store: Store): void {
  const points: number[] = [];
  store.passes.value.forEach((passes, point) => passes && points.push(point));
  store.select(Uint32Array.from(points), "Shown images");
}
