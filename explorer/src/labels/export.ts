// A selection as a file: CSV for spreadsheets, and Parquet, which has the embeddings too.
import { parquetWriteBuffer } from "hyparquet-writer";
import type { Store } from "../state";
import { csvText } from "./csv";

interface Columns {
  path: string[];
  split: string[];
  index: Int32Array;
  label: (string | null)[];
  prediction: string[];
  numbers: [string, Float32Array][];
}

/** What both files have of each image. */
function columns({ collection, classOf }: Store, points: Uint32Array): Columns {
  const { prediction, confidence, reconstructionError, suspicion } = collection.runs[0];
  const rows = Array.from(points);
  const known = { confidence, reconstruction_error: reconstructionError, suspicion };
  return {
    path: rows.map((point) => collection.paths[point]),
    split: rows.map((point) => collection.manifest.splits[collection.split[point]]),
    index: Int32Array.from(rows, (point) => collection.row[point]),
    label: rows.map((point) => (collection.label[point] < 0 ? null : classOf(collection.label[point]))),
    prediction: rows.map((point) => classOf(prediction[point])),
    numbers: Object.entries(known).flatMap(([name, values]) => (values ? [[name, Float32Array.from(rows, (point) => values[point])]] : [])),
  };
}

/** The selection as CSV; an image without a label has an empty cell. */
export function selectionCsv(store: Store, points: Uint32Array): string {
  const { path, split, index, label, prediction, numbers } = columns(store, points);
  const header = ["path", "split", "index", "label", "prediction", ...numbers.map(([name]) => name)];
  const body = path.map((name, k) => [name, split[k], String(index[k]), label[k] ?? "", prediction[k], ...numbers.map(([, values]) => values[k].toPrecision(6))]);
  return csvText([header, ...body]);
}

/** The selection as a Parquet file, with the embeddings as lists of float32. */
export function selectionParquet(store: Store, points: Uint32Array): ArrayBuffer {
  const { path, split, index, label, prediction, numbers } = columns(store, points);
  const { embedding } = store.collection.runs[0];
  // Types are in the schema alone: the writer accepts them in one place only.
  return parquetWriteBuffer({
    columnData: [
      { name: "path", data: path },
      { name: "split", data: split },
      { name: "index", data: index },
      { name: "label", data: label },
      { name: "prediction", data: prediction },
      ...numbers.map(([name, data]) => ({ name, data })),
      { name: "embedding", data: Array.from(points, (point) => Array.from(embedding.row(point))) },
    ],
    schema: [
      { name: "root", num_children: 6 + numbers.length },
      ...["path", "split"].map((name) => ({ name, type: "BYTE_ARRAY" as const, converted_type: "UTF8" as const, repetition_type: "REQUIRED" as const })),
      { name: "index", type: "INT32", repetition_type: "REQUIRED" },
      { name: "label", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
      { name: "prediction", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" },
      ...numbers.map(([name]) => ({ name, type: "FLOAT" as const, repetition_type: "REQUIRED" as const })),
      { name: "embedding", converted_type: "LIST", repetition_type: "REQUIRED", num_children: 1 },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
    ],
  });
}
