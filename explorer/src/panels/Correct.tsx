// Keep, relabel or drop one image; and use it as an end of an interpolation.
import { useStore } from "../state";

export function Correct({ point }: { point: number }) {
  const store = useStore();
  const { corrections, collection } = store;
  corrections.version.value;
  const made = corrections.get(point);
  const { classes, latentDim, decoder } = collection.runs[0].info;
  const label = collection.label[point];
  const [first, second] = store.pair.value;
  return (
    <div class="correct">
      <div class="row">
        <label class="field inline">
          <span>Relabel</span>
          <select
            data-testid="relabel"
            value={made?.action === "relabel" ? String(made.label) : ""}
            onChange={(event) => {
              const chosen = event.currentTarget.value;
              if (chosen !== "") corrections.set(point, { action: Number(chosen) === label ? "keep" : "relabel", label: Number(chosen) });
            }}
          >
            <option value="">as labelled</option>
            {classes.map((name, number) => (
              <option key={number} value={String(number)}>{name}</option>
            ))}
          </select>
        </label>
        <button type="button" aria-pressed={made?.action === "keep"} disabled={label < 0} onClick={() => corrections.set(point, { action: "keep", label })}>Keep</button>
        <button type="button" aria-pressed={made?.action === "drop"} onClick={() => corrections.set(point, { action: "drop", label: -1 })}>Drop</button>
      </div>
      {decoder === "page" && latentDim > 0 && (
        <div class="row">
          <button type="button" aria-pressed={first === point} onClick={() => (store.pair.value = [point, second])}>Set as A</button>
          <button type="button" aria-pressed={second === point} onClick={() => (store.pair.value = [first, point])}>Set as B</button>
          <button type="button" onClick={() => (store.tab.value = "latent")}>Latent space</button>
        </div>
      )}
    </div>
  );
}
