// The confusion matrix: each cell selects its images. Many classes: the most frequent confusions as a list.
import { useMemo, useState } from "preact/hooks";
import { confusion, inCell } from "../labels/queue";
import { useStore } from "../state";
import { Name } from "../ui/Name";
import { counted } from "../ui/counted";

const MOST_CLASSES = 20;
const LISTED = 15;

export function Confusion({ run = 0 }: { run?: number }) {
  const store = useStore();
  const { collection } = store;
  const { classes } = collection.runs[run].info;
  const counts = useMemo(() => confusion(collection, run), [run]);
  const [focused, setFocused] = useState(0);
  const size = classes.length;
  const hasLabels = useMemo(() => collection.label.some((label) => label >= 0), []);

  function choose(given: number, predicted: number): void {
    const points = inCell(collection, given, predicted, run);
    if (points.length) store.select(points, `Label ${classes[given]}, predicted ${classes[predicted]}`);
  }
  const frequent = useMemo(() => {
    const wrong = Array.from(counts.keys()).filter((cell) => counts[cell] > 0 && Math.floor(cell / size) !== cell % size);
    return wrong.sort((a, b) => counts[b] - counts[a]).slice(0, LISTED);
  }, [counts]);

  function move(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -size, ArrowDown: size }[event.key];
    const next = step === undefined ? -1 : focused + step;
    if (next < 0 || next >= size * size) return;
    event.preventDefault();
    setFocused(next);
    (event.currentTarget as HTMLElement).querySelector<HTMLElement>(`[data-cell="${next}"]`)?.focus();
  }

  const heat = (cell: number): string => {
    if (!counts[cell]) return "transparent";
    const given = Math.floor(cell / size);
    const isRight = given === cell % size;
    let row = 0;
    for (let k = 0; k < size; k++) row += counts[given * size + k];
    const share = Math.sqrt(counts[cell] / row);
    return `color-mix(in srgb, var(${isRight ? "--bar" : "--bad"}) ${Math.round((isRight ? 45 : 70) * Math.max(0.15, share))}%, transparent)`;
  };

  return (
    <section>
      <h3>Confusion matrix</h3>
      {size > MOST_CLASSES && <p class="quiet">{`The matrix is shown for up to ${MOST_CLASSES} classes. This model has ${size.toLocaleString("en")}.`}</p>}
      {size <= MOST_CLASSES && hasLabels && (
        <div class="matrix-box">
          <table class="matrix" data-testid="confusion" style={{ minWidth: `${72 + 24 * size}px` }} onKeyDown={move}>
            <caption class="quiet">Rows: labels. Columns: predicted classes. A cell selects its images.</caption>
            <thead>
              <tr>
                <td />
                {classes.map((name) => <th key={name} scope="col" ><span><Name text={name} tail={5} /></span></th>)}
              </tr>
            </thead>
            <tbody>
              {classes.map((name, given) => (
                <tr key={name}>
                  <th scope="row"><Name text={name} tail={5} /></th>
                  {classes.map((other, predicted) => {
                    const cell = given * size + predicted;
                    return (
                      <td key={other}>
                        <button
                          type="button"
                          data-cell={cell}
                          tabIndex={cell === focused ? 0 : -1}
                          style={{ background: heat(cell) }}
                          aria-label={`Label ${name}, predicted ${other}: ${counted(counts[cell], "image")}`}
                          onFocus={() => setFocused(cell)}
                          onClick={() => choose(given, predicted)}
                        >
                          {counts[cell] || ""}
                        </button>
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <h3 class="after">Most frequent confusions</h3>
      <ul class="plain">
        {frequent.map((cell) => (
          <li key={cell}>
            <button type="button" onClick={() => choose(Math.floor(cell / size), cell % size)}>
              <span class="arrow"><Name text={classes[Math.floor(cell / size)]} /> → <Name text={classes[cell % size]} /></span>
              <span class="number">{counts[cell].toLocaleString("en")}</span>
            </button>
          </li>
        ))}
        {!frequent.length && <li class="quiet">{hasLabels ? "No image is misclassified." : "No image has a label."}</li>}
      </ul>
    </section>
  );
}
