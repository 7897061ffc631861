// Colourings: how a column of the collection becomes groups of a legend and a colour for each point.
import type { Collection, Run } from "../data/collection";
import type { Corrections } from "../labels/corrections";
import { onMap, packed, sequential, sequentialTable, SPLITS, STATUS, type Theme } from "./colours";

export interface Group {
  name: string;
  colour: string;
  count: number;
}

export interface Colouring {
  groups: Group[];
  groupOf: Uint16Array;
  colours: Uint32Array;
  /** Lowest and highest number of a scale; absent where groups are names. */
  range?: [number, number];
}

export interface Choice {
  key: string;
  title: string;
}

const BINS = 6;
const SAMPLED = 20_000;

/** The colourings that the columns of a collection allow. */
export function choices(collection: Collection, hasChanged: boolean): Choice[] {
  const run = collection.runs[0];
  const all: [string, string, unknown][] = [
    ["label", "Label", true],
    ["prediction", "Predicted class", true],
    ["error", "Classification error", true],
    ["confidence", "Confidence", run.confidence],
    ["reconstruction_error", "Reconstruction error", run.reconstructionError],
    ["suspicion", "Suspicion of a label error", run.suspicion],
    ["split", "Split", collection.manifest.splits.length > 1],
    ["review", "Label review", true],
    ["changed_class", "Changed class", collection.runs.length > 1],
    ["changed_neighbours", "Changed neighbours", hasChanged],
  ];
  return all.filter(([, , exists]) => exists).map(([key, title]) => ({ key, title }));
}

/** The colouring of all points by one key. */
export function colouringBy(
  key: string,
  collection: Collection,
  run: Run,
  corrections: Corrections,
  changed: Float32Array | null,
  theme: Theme,
): Colouring {
  const { label, count, classes, manifest } = collection;
  const status = STATUS[theme];
  switch (key) {
    case "prediction":
      return named(run.predicted, classes, manifest.colours, theme);
    case "split":
      return named(collection.split, manifest.splits, SPLITS, theme);
    case "error":
      return grouped(count, ["Correct", "Misclassified", "No label"], [status.right, status.wrong, status.unknown], (i) =>
        label[i] < 0 ? 2 : label[i] === run.predicted[i] ? 0 : 1,
      );
    case "review": {
      const names = ["Not reviewed", "Kept", "Relabelled", "Dropped"];
      const colours = [status.right, status.kept, status.relabelled, status.dropped];
      const places = { keep: 1, relabel: 2, drop: 3 };
      return grouped(count, names, colours, (i) => places[corrections.get(i)?.action as "keep"] ?? 0);
    }
    case "changed_class": {
      const [first, second] = collection.runs;
      return grouped(count, ["Same class", "Changed class"], [status.right, status.wrong], (i) =>
        first.predicted[i] === second.predicted[i] ? 0 : 1,
      );
    }
    case "confidence":
      return scaled(run.confidence!, [0, 1], theme);
    case "suspicion":
      return scaled(run.suspicion!, [0, 1], theme);
    case "changed_neighbours":
      return scaled(changed!, [0, 1], theme);
    case "reconstruction_error":
      return scaled(run.reconstructionError!, quantiles(run.reconstructionError!), theme);
    default:
      return named(label, classes, manifest.colours, theme);
  }
}

function named(values: ArrayLike<number>, names: string[], palette: string[], theme: Theme): Colouring {
  let hasUnknown = false;
  for (let i = 0; i < values.length && !hasUnknown; i++) hasUnknown = values[i] < 0;
  const colours = onMap(names.map((_, k) => palette[k % palette.length]), theme);
  const all = hasUnknown ? [...names, "No label"] : names;
  return grouped(values.length, all, hasUnknown ? [...colours, STATUS[theme].unknown] : colours, (i) =>
    values[i] < 0 ? names.length : values[i],
  );
}

function grouped(count: number, names: string[], colours: string[], groupAt: (point: number) => number): Colouring {
  const counts = new Uint32Array(names.length);
  const groupOf = new Uint16Array(count);
  const pixels = colours.map(packed);
  const packedColours = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const group = groupAt(i);
    groupOf[i] = group;
    counts[group]++;
    packedColours[i] = pixels[group];
  }
  const groups = names.map((name, k) => ({ name, colour: colours[k], count: counts[k] }));
  return { groups, groupOf, colours: packedColours };
}

function scaled(values: Float32Array, [low, high]: [number, number], theme: Theme): Colouring {
  const table = sequentialTable(theme);
  const counts = new Uint32Array(BINS);
  const groupOf = new Uint16Array(values.length);
  const colours = new Uint32Array(values.length);
  const factor = 1 / Math.max(1e-12, high - low);
  for (let i = 0; i < values.length; i++) {
    const share = Math.max(0, Math.min(1, (values[i] - low) * factor));
    const bin = Math.min(BINS - 1, Math.floor(share * BINS));
    groupOf[i] = bin;
    counts[bin]++;
    colours[i] = table[Math.round(share * 255)];
  }
  const edge = (bin: number) => short(low + ((high - low) * bin) / BINS);
  const groups = Array.from({ length: BINS }, (_, bin) => ({
    name: `${edge(bin)} to ${edge(bin + 1)}`,
    colour: sequential((bin + 0.5) / BINS, theme),
    count: counts[bin],
  }));
  return { groups, groupOf, colours, range: [low, high] };
}

function quantiles(values: Float32Array): [number, number] {
  const step = Math.max(1, Math.floor(values.length / SAMPLED));
  const sorted = Float32Array.from({ length: Math.ceil(values.length / step) }, (_, k) => values[k * step]).sort();
  return [sorted[Math.floor(sorted.length * 0.01)], sorted[Math.floor(sorted.length * 0.99)]];
}

/** A number in few digits. */
export const short = (value: number): string => (value === 0 ? "0" : Math.abs(value) >= 0.1 ? value.toFixed(2) : value.toPrecision(2));
