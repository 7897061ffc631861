// Nearest neighbours by cosine similarity, exhaustive, in a thread of its own.

export interface Neighbourhood {
  nearest: number[];
  similarities: number[];
  hardestNegative: number;
  hardestPositive: number;
  negativeSimilarity: number;
  positiveSimilarity: number;
}

export type Request =
  | { kind: "load"; run: number; width: number; embeddings: Float32Array; labels: Int32Array }
  | { kind: "near"; id: number; run: number; vector?: Float32Array; index?: number; k: number }
  | { kind: "changed"; id: number; k: number; gallery: number };

export type Answer =
  | { id: number; result: Neighbourhood | Float32Array }
  | { id: number; progress: number };

interface Matrix {
  width: number;
  embeddings: Float32Array;
}

const runs: Matrix[] = [];
let labels = new Int32Array(0);

onmessage = ({ data }: MessageEvent<Request>) => {
  if (data.kind === "load") {
    runs[data.run] = data;
    labels = data.labels as Int32Array<ArrayBuffer>;
  } else if (data.kind === "near") answer({ id: data.id, result: near(data) });
  else void changed(data);
};

const answer = (message: Answer) => postMessage(message);

function similarities({ width, embeddings }: Matrix, vector: Float32Array): Float32Array {
  const count = embeddings.length / width;
  const out = new Float32Array(count);
  for (let i = 0, at = 0; i < count; i++) {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += vector[k] * embeddings[at++];
    out[i] = sum;
  }
  return out;
}

function near({ run, vector, index = -1, k }: Request & { kind: "near" }): Neighbourhood {
  const matrix = runs[run];
  const query = vector ?? matrix.embeddings.subarray(index * matrix.width, (index + 1) * matrix.width);
  const scores = similarities(matrix, query);
  const nearest = top(scores, k, index);
  let [negative, positive] = [-1, -1];
  const label = index >= 0 ? labels[index] : -1;
  for (let i = 0; label >= 0 && i < scores.length; i++) {
    if (i === index || labels[i] < 0) continue;
    if (labels[i] !== label && (negative < 0 || scores[i] > scores[negative])) negative = i;
    if (labels[i] === label && (positive < 0 || scores[i] < scores[positive])) positive = i;
  }
  return {
    nearest,
    similarities: nearest.map((i) => scores[i]),
    hardestNegative: negative,
    hardestPositive: positive,
    negativeSimilarity: scores[negative] ?? 0,
    positiveSimilarity: scores[positive] ?? 0,
  };
}

/** The k highest scores in descending order, without `index`; equal scores by index. */
function top(scores: Float32Array, k: number, index: number): number[] {
  const best: number[] = [];
  let lowest = -Infinity;
  for (let i = 0; i < scores.length; i++) {
    if (i === index || (best.length === k && scores[i] <= lowest)) continue;
    let place = best.length;
    while (place > 0 && scores[best[place - 1]] < scores[i]) place--;
    best.splice(place, 0, i);
    if (best.length > k) best.pop();
    lowest = scores[best[best.length - 1]];
  }
  return best;
}

/** For each image the share of its k neighbours that differ between both runs, among at most `gallery` images. */
async function changed({ id, k, gallery }: Request & { kind: "changed" }): Promise<void> {
  const count = labels.length;
  const step = Math.max(1, Math.ceil(count / gallery));
  const members = Int32Array.from({ length: Math.ceil(count / step) }, (_, place) => place * step);
  const parts = [0, 1].map((run) => gathered(runs[run], members));
  const result = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const [a, b] = [0, 1].map((run) => {
      const { width, embeddings } = runs[run];
      const scores = similarities(parts[run], embeddings.subarray(i * width, (i + 1) * width));
      return top(scores, k, i % step === 0 ? i / step : -1);
    });
    result[i] = 1 - a.filter((member) => b.includes(member)).length / Math.max(1, a.length);
    if (i % 200 === 199) {
      answer({ id, progress: i / count });
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  answer({ id, result });
}

function gathered({ width, embeddings }: Matrix, members: Int32Array): Matrix {
  const part = new Float32Array(members.length * width);
  members.forEach((member, place) => part.set(embeddings.subarray(member * width, (member + 1) * width), place * width));
  return { width, embeddings: part };
}
