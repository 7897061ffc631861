// A pad to draw strokes on; each stroke is embedded at once.
import { useEffect, useRef, useState } from "preact/hooks";
import { centredStrokes, strokeBox, type Box } from "../model/strokes";
import { backgroundOf, isDark } from "../model/pixels";
import { useStore } from "../state";

const SIDE = 224;

export function DrawPad({ onDrawn }: { onDrawn: (canvas: HTMLCanvasElement) => void }) {
  const store = useStore();
  const { info } = store.collection.runs[0];
  const pad = useRef<HTMLCanvasElement>(null);
  const [fits, setFits] = useState(true);
  const [width, setWidth] = useState(7);
  const [box, setBox] = useState<Box | null>(null);
  const ground = backgroundOf(info);

  function clear(): void {
    const context = pad.current!.getContext("2d", { willReadFrequently: true })!;
    context.fillStyle = ground;
    context.fillRect(0, 0, SIDE, SIDE);
  }
  useEffect(clear, []);
  useEffect(() => {
    void strokeBox(store).then(setBox);
  }, []);

  useEffect(() => {
    const canvas = pad.current!;
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    const abort = new AbortController();
    let last: [number, number] | null = null;
    const at = (event: PointerEvent): [number, number] => [
      (event.offsetX * SIDE) / canvas.clientWidth,
      (event.offsetY * SIDE) / canvas.clientHeight,
    ];
    const draw = (event: PointerEvent) => {
      if (!last) return;
      const next = at(event);
      context.strokeStyle = isDark(info) ? "#fff" : "#000";
      context.lineWidth = (SIDE * width) / 100;
      context.lineCap = context.lineJoin = "round";
      context.beginPath();
      context.moveTo(...last);
      context.lineTo(...next);
      context.stroke();
      last = next;
    };
    const end = () => {
      if (!last) return;
      last = null;
      onDrawn(fits && box ? centredStrokes(canvas, info, box) : canvas);
    };
    const options = { signal: abort.signal };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      last = at(event);
      draw(event);
    }, options);
    canvas.addEventListener("pointermove", draw, options);
    canvas.addEventListener("pointerup", end, options);
    canvas.addEventListener("pointercancel", end, options);
    return () => abort.abort();
  }, [fits, width, box, onDrawn]);

  return (
    <section class="draw">
      <h3>Draw</h3>
      <canvas ref={pad} width={SIDE} height={SIDE} data-testid="draw" role="img" aria-label="Drawing pad. Without a pointer, choose or paste an image instead." />
      <div class="controls">
        <label class="field">
          <span>Stroke width</span>
          <input type="range" min={3} max={16} value={width} onInput={(event) => setWidth(Number(event.currentTarget.value))} />
        </label>
        <label class="check">
          <input type="checkbox" checked={fits} onChange={(event) => setFits(event.currentTarget.checked)} />
          Centre and scale as in the data set
        </label>
        <button
          type="button"
          onClick={() => {
            clear();
            store.yours.value = [];
          }}
        >
          Clear
        </button>
      </div>
    </section>
  );
}
