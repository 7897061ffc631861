// ONNX Runtime's WebAssembly in a thread of its own, so that loading and running a model never block the page.
import * as ort from "onnxruntime-web/wasm";

export type ModelRequest =
  | { kind: "start"; id: number; wasm: ArrayBuffer }
  | { kind: "load"; id: number; name: string; bytes: Uint8Array }
  | { kind: "run"; id: number; name: string; values: Float32Array; shape: number[] };

export type ModelAnswer =
  | { id: number; outputs: Record<string, Float32Array>; milliseconds: number }
  | { id: number; error: string };

const sessions = new Map<string, ort.InferenceSession>();
let queue: Promise<void> = Promise.resolve();

onmessage = ({ data }: MessageEvent<ModelRequest>) => {
  // Calls of ONNX Runtime must not overlap.
  queue = queue.then(() => handle(data).catch((error: unknown) => postMessage({ id: data.id, error: String(error) })));
};

async function handle(request: ModelRequest): Promise<void> {
  const started = performance.now();
  let outputs: Record<string, Float32Array> = {};
  if (request.kind === "start") {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = request.wasm;
    ort.env.logLevel = "error";
  } else if (request.kind === "load") {
    sessions.set(request.name, await ort.InferenceSession.create(request.bytes, { graphOptimizationLevel: "all" }));
  } else outputs = await run(sessions.get(request.name)!, request.values, request.shape);
  const answer: ModelAnswer = { id: request.id, outputs, milliseconds: performance.now() - started };
  postMessage(answer, { transfer: Object.values(outputs).map((values) => values.buffer) });
}

async function run(session: ort.InferenceSession, values: Float32Array, shape: number[]): Promise<Record<string, Float32Array>> {
  const input = session.inputMetadata[0];
  const isBytes = input.isTensor && input.type === "uint8";
  const tensor = isBytes
    ? new ort.Tensor("uint8", Uint8Array.from(values, (value) => Math.round(value * 255)), shape)
    : new ort.Tensor("float32", values, shape);
  const results = await session.run({ [input.name]: tensor });
  return Object.fromEntries(Object.entries(results).map(([name, result]) => [name, Float32Array.from(result.data as Float32Array)]));
}
