// The collection: all images with the outputs of one or two models, as typed arrays.
import { nextTask, readBlob, readJson } from "./blobs";
import { Matrix } from "./half";
import { BYTES, PayloadError, validManifest, type Column, type Findings, type Manifest, type ModelInfo } from "./manifest";

/** Positions of all images in the plane, scaled into [-1, 1]. */
export interface Places {
  x: Float32Array;
  y: Float32Array;
}

export interface Layout extends Places {
  /** The scaled position of any position of the column. */
  scaled: (position: [number, number]) => [number, number];
}

export interface Run {
  info: ModelInfo;
  prefix: "" | "other/";
  /** Predicted classes by their places in the model's own list. */
  prediction: Int32Array;
  /** Predicted classes by their places in the collection's list: they can be compared with labels. */
  predicted: Int32Array;
  confidence?: Float32Array;
  probabilities?: Matrix;
  reconstructionError?: Float32Array;
  suspicion?: Float32Array;
  suggestion?: Int32Array;
  /** The vote of the nearest neighbours for the label, 0 to 1. */
  agreement?: Float32Array;
  /** 1 where the audit lists the label as a probable error. */
  likely?: Uint8Array;
  latent?: Matrix;
  embedding: Matrix;
  layouts: Map<string, Layout>;
}

export interface Collection {
  manifest: Manifest;
  count: number;
  /** The classes of the first model, then those that only the second one has. */
  classes: string[];
  label: Int32Array;
  split: Uint8Array;
  row: Int32Array;
  paths: string[];
  runs: Run[];
  findings: Findings | null;
  /** The images whose reconstructions the page has as pictures. */
  reconstructed: number[];
}

type Values = Float32Array | Uint16Array | Uint8Array | Int32Array;

/** Reads the manifest and its columns; `report` gets the share that is done. */
export async function readCollection(report: (done: number) => void): Promise<Collection> {
  const manifest = validManifest(await readJson("manifest"));
  const values = new Map<string, Values>();
  let done = 0;
  for (const column of manifest.columns) {
    values.set(column.name, typed(column, await readBlob(column.name)));
    report(++done / (manifest.columns.length + 1));
    await nextTask();
  }
  const paths = (await readJson("paths")) as string[];
  if (!Array.isArray(paths) || paths.length !== manifest.count) {
    throw new PayloadError(`Expected ${manifest.count} paths; received ${Array.isArray(paths) ? paths.length : "none"}.`);
  }
  const classes = [...new Set([...manifest.model.classes, ...(manifest.other?.classes ?? [])])];
  const runs = [run(manifest.model, "", values, manifest.columns, classes)];
  if (manifest.other) runs.push(run(manifest.other, "other/", values, manifest.columns, classes));
  return {
    manifest,
    count: manifest.count,
    classes,
    label: values.get("label") as Int32Array,
    split: values.get("split") as Uint8Array,
    row: values.get("row") as Int32Array,
    paths,
    runs,
    findings: manifest.findings ? ((await readJson("findings")) as Findings) : null,
    reconstructed: manifest.reconstructions ? ((await readJson("reconstructed")) as number[]) : [],
  };
}

function run(info: ModelInfo, prefix: Run["prefix"], values: Map<string, Values>, columns: Column[], classes: string[]): Run {
  const get = <T extends Values>(name: string) => values.get(prefix + name) as T | undefined;
  const matrix = (name: string, width: number) => {
    const found = get<Uint16Array | Float32Array | Uint8Array>(name);
    return found && width > 0 ? new Matrix(found, width, columns.find((column) => column.name === prefix + name)?.levels) : undefined;
  };
  const layouts = new Map<string, Layout>();
  for (const name of ["tsne", "pca"]) {
    const positions = get<Float32Array>(name);
    if (positions) layouts.set(name, scaled(positions));
  }
  const prediction = get<Int32Array>("prediction")!;
  const places = info.classes.map((name) => classes.indexOf(name));
  return {
    info,
    prefix,
    prediction,
    predicted: places.every((place, number) => place === number) ? prediction : prediction.map((number) => places[number] ?? -1),
    confidence: get<Float32Array>("confidence"),
    probabilities: matrix("probabilities", info.classes.length),
    reconstructionError: get<Float32Array>("reconstruction_error"),
    suspicion: get<Float32Array>("suspicion"),
    suggestion: get<Int32Array>("suggestion"),
    agreement: get<Float32Array>("agreement"),
    likely: get<Uint8Array>("likely"),
    latent: matrix("latent", info.latentDim),
    embedding: matrix("embedding", info.embeddingDim)!,
    layouts,
  };
}

/** The values of a column, after a check of their number. */
export function typed(column: Column, bytes: Uint8Array<ArrayBuffer>): Values {
  const expected = column.shape.reduce((product, length) => product * length, 1);
  if (bytes.byteLength !== expected * BYTES[column.dtype]) {
    throw new PayloadError(
      `Expected ${expected * BYTES[column.dtype]} bytes in column ${column.name}; received ${bytes.byteLength}. ` +
        "The page is damaged: create it again with `triptych explore`.",
    );
  }
  const { buffer } = bytes;
  if (column.dtype === "float32") return new Float32Array(buffer);
  if (column.dtype === "int32") return new Int32Array(buffer);
  return column.dtype === "uint8" ? new Uint8Array(buffer) : new Uint16Array(buffer);
}

/** Positions (N, 2) as a layout: centred, the longer side from -1 to 1, y upwards. */
export function scaled(positions: Float32Array): Layout {
  const count = positions.length / 2;
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (let i = 0; i < positions.length; i++) {
    const axis = i & 1;
    if (positions[i] < low[axis]) low[axis] = positions[i];
    if (positions[i] > high[axis]) high[axis] = positions[i];
  }
  const half = Math.max(high[0] - low[0], high[1] - low[1], 1e-9) / 2;
  const [x, y] = [new Float32Array(count), new Float32Array(count)];
  const scaled = ([right, up]: [number, number]): [number, number] => [(right - (low[0] + high[0]) / 2) / half, -(up - (low[1] + high[1]) / 2) / half];
  for (let i = 0; i < count; i++) [x[i], y[i]] = scaled([positions[2 * i], positions[2 * i + 1]]);
  return { x, y, scaled };
}
