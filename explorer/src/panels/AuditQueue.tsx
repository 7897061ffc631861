// The audit's queue, one image at a time: keep, relabel or drop by key, with undo.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Run } from "../data/collection";
import { auditQueue, suggested } from "../labels/queue";
import type { Action } from "../labels/corrections";
import { useStore } from "../state";
import { short } from "../map/colouring";
import { percent } from "../ui/Bars";
import { Name } from "../ui/Name";
import { ImageList } from "../ui/Neighbour";
import { Original } from "./ImagePanel";
import { QueueList } from "./QueueList";

const SHOWN = 8; // neighbours

/** What speaks for and against the label of an image. */
function facts(run: Run, point: number, label: number): [string, string][] {
  const { probabilities, agreement, reconstructionError, suspicion } = run;
  const known: [string, string | undefined][] = [
    ["Classifier, for the label", probabilities && percent(probabilities.row(point)[label])],
    ["Neighbours, for the label", agreement && percent(agreement[point])],
    ["Reconstruction, MSE", reconstructionError && short(reconstructionError[point])],
    ["Suspicion", suspicion?.[point].toFixed(2)],
  ];
  return known.filter((fact): fact is [string, string] => fact[1] !== undefined);
}

export function AuditQueue() {
  const store = useStore();
  const { collection, corrections } = store;
  const run = collection.runs[0];
  const queue = useMemo(() => auditQueue(collection), []);
  corrections.version.value;
  // A signal, so that keys pressed faster than the page is drawn each act on their own image.
  const place = useSignal(Math.max(0, queue.findIndex((point) => !corrections.get(point))));
  const at = place.value;
  const point = queue[at] ?? -1;
  const proposal = point < 0 ? -1 : suggested(run, point);
  const label = collection.label[point];
  const done = queue.filter((one) => corrections.get(one)).length;

  useEffect(() => {
    if (point >= 0) store.pin(point, false);
  }, [point]);

  function step(by: number): void {
    place.value = Math.max(0, Math.min(queue.length - 1, place.value + by));
  }
  function correct(action: Action, chosen?: number): void {
    const current = queue[place.value];
    const wanted = { keep: collection.label[current], relabel: chosen ?? suggested(run, current), drop: -1 }[action];
    corrections.set(current, { action, label: wanted });
    const next = queue.findIndex((one, later) => later > place.value && !corrections.get(one));
    place.value = next >= 0 ? next : Math.min(queue.length - 1, place.value + 1);
  }
  function undo(): void {
    const undone = queue.indexOf(corrections.undo());
    if (undone >= 0) place.value = undone;
  }

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
      const key = event.key.toLowerCase();
      if (point >= 0 && key === "k") correct("keep");
      else if (point >= 0 && key === "r") correct("relabel");
      else if (point >= 0 && key === "d") correct("drop");
      else if (key === "u") undo();
      else if (key === "n") step(1);
      else if (key === "p") step(-1);
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });

  const undoing = <button type="button" data-testid="undo" disabled={!corrections.canUndo} onClick={undo}>Undo <kbd>U</kbd></button>;

  if (point < 0) {
    const { findings } = collection;
    const hasLabels = collection.label.some((one) => one >= 0);
    return (
      <section>
        <h3>Audit of suspected labels</h3>
        <p class={findings && !findings.reliable ? "note" : "quiet"} data-testid="verdict">
          {findings && !findings.reliable ? `Labels: ${findings.verdict}.` : hasLabels ? "No label is probably wrong." : "No image has a label that the model knows."}
        </p>
        {/* Labels are corrected beside one image too. */}
        {corrections.canUndo && <div class="row">{undoing}</div>}
      </section>
    );
  }
  const made = corrections.get(point);
  const near = store.neighbourhood.value?.index === point ? store.neighbourhood.value : null;
  return (
    <section class="queue" data-testid="queue" data-point={point}>
      <div class="heading">
        <h3>Audit of suspected labels</h3>
        <span class="quiet number" data-testid="queue-place">{`${at + 1} of ${queue.length}, ${done} reviewed`}</span>
      </div>
      <progress max={queue.length} value={done} aria-label="Reviewed" />
      <div class="suspect">
        <Original key={point} point={point} size={116} />
        <dl>
          <dt>Label</dt>
          <dd class="wrong"><Name text={store.classOf(label)} /></dd>
          <dt>Suggestion</dt>
          <dd><b><Name text={store.classOf(proposal)} /></b></dd>
          <dt>Predicted class</dt>
          <dd class="arrow"><Name text={store.classOf(run.prediction[point])} />{run.confidence && <span class="number">{percent(run.confidence[point])}</span>}</dd>
          {facts(run, point, label).map(([name, value]) => [<dt key={`${name}, name`}>{name}</dt>, <dd key={name} class="figures">{value}</dd>])}
        </dl>
      </div>
      <p class="path quiet" title={collection.paths[point]}>
        {collection.paths[point]}
        {made && <b data-testid="made">{` · ${made.action === "keep" ? "kept" : made.action === "drop" ? "dropped" : `relabelled ${store.classOf(made.label)}`}`}</b>}
      </p>
      <div class="row">
        <button type="button" class="primary" data-testid="accept" onClick={() => correct("relabel")}><span class="arrow">Relabel <Name text={store.classOf(proposal)} /></span> <kbd>R</kbd></button>
        <button type="button" data-testid="keep" onClick={() => correct("keep")}>Keep <kbd>K</kbd></button>
        <button type="button" data-testid="drop" onClick={() => correct("drop")}>Drop <kbd>D</kbd></button>
        {undoing}
      </div>
      <div class="row">
        <label class="field inline">
          <span>Other class</span>
          <select value="" onChange={(event) => event.currentTarget.value !== "" && correct("relabel", Number(event.currentTarget.value))}>
            <option value="">choose</option>
            {run.info.classes.map((name, number) => number !== label && <option key={number} value={String(number)}>{name}</option>)}
          </select>
        </label>
        <button type="button" class="small" disabled={at === 0} onClick={() => step(-1)}>Previous <kbd>P</kbd></button>
        <button type="button" class="small" disabled={at >= queue.length - 1} onClick={() => step(1)}>Next <kbd>N</kbd></button>
      </div>
      {near && (
        <ImageList
          points={near.nearest.slice(0, SHOWN)}
          size={40}
          label="Nearest neighbours of the suspected image"
          agrees={(other) => collection.label[other] === label}
        />
      )}
      <QueueList queue={queue} at={at} onChoose={(chosen) => (place.value = chosen)} />
    </section>
  );
}
