// A map on the page: pointer, touch, wheel and keys of one controller, and the card of the image under the pointer.
import { useEffect, useRef, useState } from "preact/hooks";
import { useStore } from "../state";
import { percent } from "../ui/Bars";
import { Name } from "../ui/Name";
import { Thumbnail } from "../ui/Thumbnail";
import { MapController } from "./controller";
import { inLasso } from "./lasso";

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEY_ZOOM = 1.5;
const KEY_PAN = 80;

export function MapView({ run, attach }: { run: number; attach?: (map: MapController | null) => void }) {
  const store = useStore();
  const box = useRef<HTMLDivElement>(null);
  const base = useRef<HTMLCanvasElement>(null);
  const top = useRef<HTMLCanvasElement>(null);
  const [map, setMap] = useState<MapController | null>(null);
  const [, setPainted] = useState(0);

  useEffect(() => {
    const controller = new MapController(store, run, base.current!, top.current!, () => {
      if (store.hovered.peek() >= 0) setPainted((count) => count + 1);
    });
    const observer = new ResizeObserver(() => controller.resize(box.current!.clientWidth, box.current!.clientHeight));
    observer.observe(box.current!);
    setMap(controller);
    attach?.(controller);
    return () => {
      observer.disconnect();
      controller.dispose();
      attach?.(null);
    };
  }, [store, run]);

  useEffect(() => {
    if (!map) return undefined;
    window.triptych.ready = true;
    return listen(map, top.current!);
  }, [map]);

  const { manifest, runs } = store.collection;
  const name = runs[run].info.name;
  return (
    <div class="map" ref={box} data-testid={`map-${run}`} data-tool={store.tool.value}>
      <canvas ref={base} aria-hidden="true" />
      <canvas
        ref={top}
        tabIndex={0}
        role="application"
        aria-label={`Map of ${manifest.count.toLocaleString("en")} embeddings of ${name}`}
        aria-describedby="map-help"
      />
      {runs.length > 1 && <div class="map-name">{`${run === 0 ? "First" : "Second"} run: ${name}`}</div>}
      {map && <HoverCard map={map} run={run} />}
    </div>
  );
}

function HoverCard({ map, run }: { map: MapController; run: number }) {
  const store = useStore();
  const point = store.hovered.value;
  if (point < 0 || store.hoveredRun.value !== run) return null;
  const [x, y] = map.place(point);
  if (x < 0 || y < 0 || x > map.width || y > map.height) return null;
  const { predicted, confidence } = store.collection.runs[run];
  const label = store.collection.label[point];
  const [width, height, apart] = [218, 80, 18 + map.imageSize / 2];
  const isBeside = map.width > 2 * width;
  const left = !isBeside ? x - width / 2 : x > map.width / 2 ? x - width - apart : x + apart;
  const top = isBeside ? y - height / 2 : y > map.height / 2 ? y - height - apart : y + apart;
  const style = { left: `${clamp(left, map.width - width)}px`, top: `${clamp(top, map.height - height)}px` };
  return (
    <div class="card" style={style} aria-hidden="true">
      <Thumbnail point={point} size={64} />
      <div>
        <strong><Name text={store.classOf(label)} /></strong>
        <span class={label < 0 || label === predicted[point] ? "predicted" : "predicted wrong"}>
          Predicted <Name text={store.classOf(predicted[point])} />
        </span>
        {confidence && <span class="quiet">{`Confidence ${percent(confidence[point])}`}</span>}
        <span class="quiet"><Name text={store.collection.paths[point]} tail={12} /></span>
      </div>
    </div>
  );
}

const clamp = (value: number, high: number): number => Math.max(4, Math.min(high - 4, value));

/** Connects the events of a canvas with its map; returns what disconnects them. */
function listen(map: MapController, canvas: HTMLCanvasElement): () => void {
  const { store } = map;
  const fingers = new Map<number, [number, number]>();
  let travelled = 0;
  const abort = new AbortController();
  const on = <K extends keyof HTMLElementEventMap>(type: K, handle: (event: HTMLElementEventMap[K]) => void, options = {}) =>
    canvas.addEventListener(type, handle, { signal: abort.signal, ...options });

  function hover(point: number): void {
    store.hoveredRun.value = map.run;
    store.hovered.value = point;
  }
  const isLasso = (event: PointerEvent) => (store.tool.value === "lasso") !== event.shiftKey;

  on("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (fingers.size > 1) map.lasso = [];
    else {
      travelled = 0;
      map.lasso = isLasso(event) ? [event.offsetX, event.offsetY] : [];
    }
  });
  on("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    const [x, y] = [event.offsetX, event.offsetY];
    if (!before) return void hover(map.under(x, y));
    fingers.set(event.pointerId, [x, y]);
    const [dx, dy] = [x - before[0], y - before[1]];
    travelled += Math.hypot(dx, dy);
    if (fingers.size === 1 && map.lasso.length) {
      map.lasso.push(x, y);
      map.render(false);
    } else if (fingers.size === 1) {
      if (travelled > 4) store.hovered.value = -1;
      map.pan(dx, dy);
    } else {
      const [, still] = [...fingers].find(([id]) => id !== event.pointerId)!;
      const apart = (place: [number, number]) => Math.max(1, Math.hypot(place[0] - still[0], place[1] - still[1]));
      map.pan(dx / 2, dy / 2);
      map.zoom(apart([x, y]) / apart(before), (x + still[0]) / 2, (y + still[1]) / 2);
    }
  });
  const lift = (event: PointerEvent) => {
    const wasAlone = fingers.delete(event.pointerId) && fingers.size === 0;
    if (!wasAlone) return;
    const polygon = map.lasso;
    map.lasso = [];
    if (event.type === "pointerup" && travelled < 5) store.pin(map.under(event.offsetX, event.offsetY));
    else if (polygon.length > 6) {
      const points = inLasso(polygon, map.layout, store.passes.value, map.view);
      store.select(points.length ? points : null, "Lasso");
    }
    map.render(false);
  };
  on("pointerup", lift);
  on("pointercancel", lift);
  on("pointerleave", () => hover(-1));
  on("dblclick", (event) => map.zoom(2, event.offsetX, event.offsetY));
  on("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1);
    const factor = Math.exp(-Math.max(-120, Math.min(120, pixels)) * (event.ctrlKey ? 0.01 : 0.0025));
    map.zoom(factor, event.offsetX, event.offsetY);
  }, { passive: false });
  on("keydown", (event) => {
    if (event.altKey || event.metaKey || event.ctrlKey) return;
    const arrow = ARROWS[event.key];
    const at = store.pinned.value;
    if (arrow && event.shiftKey) map.pan(-arrow[0] * KEY_PAN, -arrow[1] * KEY_PAN);
    else if (arrow) {
      const next = at < 0 ? map.under(map.width / 2, map.height / 2) : map.towards(at, ...arrow);
      store.pin(next >= 0 ? next : Math.max(at, 0), false);
    } else if (event.key === "+" || event.key === "=") map.zoom(KEY_ZOOM, ...middle(map));
    else if (event.key === "-") map.zoom(1 / KEY_ZOOM, ...middle(map));
    else if (event.key === "0") map.showAll();
    else if (event.key === "Enter" && at >= 0) store.pin(at);
    else if (event.key === "Escape") {
      if (store.selection.value) store.select(null);
      else store.pin(-1, false);
    } else return;
    event.preventDefault();
  });
  return () => abort.abort();
}

function middle(map: MapController): [number, number] {
  const { value } = map.store.pinned;
  return value >= 0 ? map.place(value) : [map.width / 2, map.height / 2];
}
