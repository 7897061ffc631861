// The manifest: what a payload holds. Its checks give one clear message where a payload is invalid.

export const BYTES = { float32: 4, float16: 2, uint8: 1, uint16: 2, int32: 4 } as const;
export type Dtype = keyof typeof BYTES;

export interface Column {
  name: string;
  dtype: Dtype;
  shape: number[];
  /** Of a column of uint8 levels, by place in a row: the value is offset + scale x level. */
  levels?: { scale: number[]; offset: number[] };
}

export interface ModelInfo {
  name: string;
  fingerprint: string;
  classes: string[];
  channels: number;
  height: number;
  width: number;
  embeddingDim: number;
  latentDim: number;
  activeDimensions: number[];
  /** The projection of the layout `pca`: both axes (2, E) applied to an embedding minus the mean (E). */
  pca?: { mean: number[]; axes: number[][] };
  encoder: "page" | "server" | "none";
  decoder: "page" | "none";
  strokes: boolean;
  background: number[];
  classLatents: { mean: number[][]; std: number[][] };
  metrics: Record<string, number>;
  resize: "stretch" | "pad" | "crop";
}

export interface Thumbnails {
  size: [number, number];
  columns: number;
  rows: number;
  sheets: string[];
}

export interface Manifest {
  version: 1;
  title: string;
  live: boolean;
  model: ModelInfo;
  other?: ModelInfo;
  splits: string[];
  /** A colour for each class: those of the first model, then those that only the second one has. */
  colours: string[];
  count: number;
  corrections: "path" | "index";
  columns: Column[];
  thumbnails: Thumbnails;
  /** Whether there is a blob `findings`: what an audit lists. */
  findings?: boolean;
  /** The panel with which the page opens. */
  opens?: "image" | "labels";
  /** The number of images of which the page has some. */
  whole?: number;
  /** Pictures of reconstructions for a page without networks; the blob `reconstructed` names their images. */
  reconstructions?: Thumbnails;
}

/** What an audit lists, by point, the most urgent first. */
export interface Findings {
  images: number;
  reliable: boolean;
  verdict: string;
  labels: number[];
  duplicates: { first: number[]; second: number[]; similarity: number[]; exact: boolean[] };
  outliers: { row: number[]; distance: number[]; entropy: number[] };
}

/** A payload that the page cannot show; the message goes to the user. */
export class PayloadError extends Error {}

const REQUIRED = ["label", "prediction", "split", "row", "embedding", "pca"];
const OF_OTHER = ["prediction", "embedding", "pca"];

/** Checks a parsed manifest: version, sizes of all columns against the number of images, thumbnails, models. */
export function validManifest(value: unknown): Manifest {
  const manifest = value as Manifest;
  expect(typeof value === "object" && value !== null, "a JSON object", typeof value);
  expect(manifest.version === 1, "version 1", `version ${String(manifest.version)}`);
  const { count } = manifest;
  expect(Number.isInteger(count) && count > 0, "a positive number of images", String(count));
  expect(Array.isArray(manifest.columns), "a list of columns", typeof manifest.columns);
  expect(Array.isArray(manifest.splits) && manifest.splits.length > 0, "the names of the splits", "none");
  expect(Array.isArray(manifest.colours), "the colours of the classes", "none");
  const columns = new Map(manifest.columns.map((column) => [column.name, column]));
  for (const { name, dtype, shape } of manifest.columns) {
    expect(dtype in BYTES, `a known type for column ${name}`, String(dtype));
    expect(shape[0] === count, `${count} rows in column ${name}`, `shape (${String(shape)})`);
  }
  for (const name of REQUIRED) expect(columns.has(name), `a column ${name}`, "none");
  checkModel(manifest.model, columns, "");
  if (manifest.other) {
    for (const name of OF_OTHER) expect(columns.has(`other/${name}`), `a column other/${name}`, "none");
    checkModel(manifest.other, columns, "other/");
  }
  const { thumbnails } = manifest;
  const cells = thumbnails.columns * thumbnails.rows * thumbnails.sheets.length;
  expect(cells >= count, `thumbnails of ${count} images`, `${cells} cells`);
  return manifest;
}

function checkModel(model: ModelInfo, columns: Map<string, Column>, prefix: string): void {
  expect(Array.isArray(model?.classes), `the classes of the model ${prefix}`, "none");
  const wide = (name: string, width: number) => {
    const shape = columns.get(prefix + name)?.shape;
    if (shape) expect(shape[1] === width, `${width} values a row in column ${prefix}${name}`, `shape (${String(shape)})`);
  };
  wide("embedding", model.embeddingDim);
  wide("latent", model.latentDim);
  wide("probabilities", model.classes.length);
  wide("pca", 2);
  wide("tsne", 2);
}

function expect(holds: boolean, expected: string, received: string): asserts holds {
  if (!holds) {
    throw new PayloadError(`Expected ${expected}; received ${received}. Create the page again with \`triptych explore\`.`);
  }
}
