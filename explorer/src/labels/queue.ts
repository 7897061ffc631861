// The audit's queue: images of which the label is probably wrong, the most suspicious first.
import type { Collection } from "../data/collection";

/** Points in the order of review, from the columns `suspicion` and `suggestion`, or without them from predictions. */
export function auditQueue({ runs, label, count }: Collection): number[] {
  const { suspicion, prediction, confidence } = runs[0];
  const points: number[] = [];
  for (let i = 0; i < count; i++) {
    if (label[i] >= 0 && suggested(runs[0], i) !== label[i] && (!suspicion || suspicion[i] >= 0.5)) points.push(i);
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
  for (let i = 0; i < count; i++) if (label[i] >= 0) counts[label[i] * info.classes.length + prediction[i]]++;
  return counts;
}

/** The images of one cell of the confusion matrix. */
export function inCell({ runs, label, count }: Collection, given: number, predicted: number, number: number): Uint32Array {
  const points: number[] = [];
  for (let i = 0; i < count; i++) if (label[i] === given && runs[number].prediction[i] === predicted) points.push(i);
  return Uint32Array.from(points);
}
