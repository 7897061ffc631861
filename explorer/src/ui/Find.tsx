// Find: images by class, file name or row.
import { useEffect, useState } from "preact/hooks";
import { useStore, type Store } from "../state";
import { Name } from "./Name";
import { Thumbnail } from "./Thumbnail";

const LISTED = 6;
const PAUSE = 120;

/** Images of which class, file name or row matches; a number alone also means a row of a split. */
export function found(store: Store, text: string): Uint32Array {
  const { label, paths, row, count, runs } = store.collection;
  const wanted = text.trim().toLowerCase();
  const classes = runs[0].info.classes.map((name) => name.toLowerCase() === wanted);
  const number = /^\d+$/.test(wanted) ? Number(wanted) : -1;
  const points: number[] = [];
  for (let i = 0; i < count; i++) {
    if ((label[i] >= 0 && classes[label[i]]) || row[i] === number || (number < 0 && paths[i].toLowerCase().includes(wanted))) points.push(i);
  }
  return Uint32Array.from(points);
}

export function Find() {
  const store = useStore();
  const [text, setText] = useState("");
  const [points, setPoints] = useState<Uint32Array | null>(null);
  useEffect(() => {
    if (!text.trim()) return setPoints(null);
    const timer = setTimeout(() => setPoints(found(store, text)), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);

  function selectAll(): void {
    const all = found(store, text);
    if (all.length === 1) store.pin(all[0]);
    else if (all.length) {
      store.select(all, `Find: ${text.trim()}`);
      store.focus.value = { points: all };
    }
  }

  return (
    <form
      class="find"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        selectAll();
      }}
    >
      <label class="field">
        <span>Find</span>
        <input
          type="search"
          data-testid="find"
          placeholder="Class, file or row"
          value={text}
          autocomplete="off"
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      {points && (
        <div class="results">
          {Array.from(points.subarray(0, LISTED), (point) => (
            <button key={point} type="button" onClick={() => store.pin(point)}>
              <Thumbnail point={point} size={24} />
              <span class="name"><Name text={store.collection.paths[point]} tail={12} /></span>
              <span class="quiet of"><Name text={store.classOf(store.collection.label[point])} /></span>
            </button>
          ))}
          {points.length > 1 ? (
            <button type="submit" class="all">{`Select all ${points.length.toLocaleString("en")} images`}</button>
          ) : (
            points.length === 0 && <p class="quiet">No class, file or row matches.</p>
          )}
        </div>
      )}
    </form>
  );
}
