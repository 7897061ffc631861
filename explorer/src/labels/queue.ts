// The audit's queue: images of which the label is probably wrong, the most suspicious first.
import type { Collection } from "../data/collection";

const LEAST = 0.5;

/** Points in the order of review: those that the audit lists, or without an audit by columns and predictions. */
export function auditQueue({ runs, label, count, findings }: Collection): number[] {
  if (findings) return findings.labels;
  const { suspicion, suggestion, likely, prediction, confidence } = runs[0];
  const points: number[] = [];
  for (let i = 0; i < count; i++) {
    if (label[i] < 0 || (likely ? !likely[i] : suspicion && suspicion[i] < LEAST)) continue;
    const proposal = suggestion && suggestion[i] >= 0 ? suggestion[i] : prediction[i];
    if (proposal !== label[i]) points.push(i);
  }
  const score = suspicion ?? confidence ?? new Float32Array(prediction.length);
  return points.sort((a, b) => score[b] - score[a] || a - b);
}

/** The class that the audit proposes for an image. */
export function suggested(run: Collection["runs"][number], point: number): number {
  const proposal = run.suggestion?.[point] ?? -1;
  return proposal >= 0 ? proposal : run.prediction[point];
}

/** Rows of the confusion matrix: `counts[label * K + prediction]`. */
export function confusion({ runs, label, count }: Collection, number: number): Uint32Array {
  const { prediction, info } = runs[number];
  const counts = new Uint32Array(info.classes.length ** 2);
  const size = info.classes.length;
  for (let i = 0; i < count; i++) if (label[i] >= 0) counts[label[i] * size + prediction[i]]++;
  return counts;
}

/** The images of one cell of the confusion matrix. */
export function inCell({ runs, label, count }: Collection, given: number, predicted: number, number: number): Uint32Array {
  const points: number[] = [];
  const { prediction } = runs[number];
  for (let i = 0; i < count; i++) if (label[i] === given && prediction[i] === predicted) points.push(i);
  return Uint32Array.from(points);
}
