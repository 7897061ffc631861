// One map: two canvases, its view, and the frame in which both are painted.
import { effect, untracked } from "@preact/signals";
import type { Layout } from "../data/collection";
import type { Store } from "../state";
import { record } from "../timings";
import { css, packed } from "./colours";
import { DecodedGrid } from "./decodedGrid";
import { imagesInView, paintImages, type ImagesInView } from "./images";
import { paintOverlay, placeOfYours } from "./overlay";
import { FADED, HIDDEN, MANY, pointRadius } from "./painter";
import { Painters } from "./painters";
import { nearestTowards } from "./towards";
import { SortedPoints } from "./sorted";
import { centred, framed, MARGIN, panned, wholeView, zoomed, type View } from "./view";

const REACH = 16;
const TWEEN = 260;

export class MapController {
  view: View = wholeView(100, 100);
  width = 100;
  height = 100;
  lasso: number[] = [];
  private readonly painters = new Painters(() => this.render());
  private readonly grid: DecodedGrid;
  private images: ImagesInView = { size: 0, points: [] };
  private shownLayout: Layout | undefined;
  private readonly sorted = new Map<Layout, SortedPoints>();
  private frame = 0;
  private isBaseStale = true;
  private isFitted = true;
  private isSized = false;
  private tween = 0;
  private readonly stops: (() => void)[];

  constructor(
    readonly store: Store,
    readonly run: number,
    private readonly base: HTMLCanvasElement,
    private readonly top: HTMLCanvasElement,
    private readonly onPainted: () => void,
  ) {
    this.grid = new DecodedGrid(store, run, () => this.render(false));
    const { theme, shown, hovered, pinned, yours, pair, showsGrid, focus, neighbourhood, tab } = store;
    this.stops = [
      effect(() => {
        void [theme.value, shown.value, store.colourings[run].value];
        this.render();
      }),
      effect(() => {
        const layout = store.layoutOf(run);
        if (layout === this.shownLayout) return;
        this.shownLayout = layout;
        this.showAll();
      }),
      effect(() => {
        void [hovered.value, pinned.value, yours.value, pair.value, showsGrid.value, neighbourhood.value, tab.value];
        this.render(false);
      }),
      effect(() => {
        if (focus.value) this.show(focus.value.points);
      }),
      effect(() => {
        const own = yours.value[run];
        if (own && this.isSized) untracked(() => this.bringIntoView(...placeOfYours(own, this)));
      }),
      store.thumbnails.onReady(() => this.render()),
    ];
  }

  get layout(): Layout {
    return this.store.layoutOf(this.run);
  }

  /** Side of the images that are shown, or 0 where points are. */
  get imageSize(): number {
    return this.images.size;
  }

  dispose(): void {
    for (const stop of this.stops) stop();
    this.painters.dispose();
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.tween);
  }

  resize(width: number, height: number): void {
    const ratio = devicePixelRatio || 1;
    this.isSized = true;
    if (this.isFitted) cancelAnimationFrame(this.tween);
    for (const canvas of [this.base, this.top]) {
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.max(1, Math.round(height * ratio));
    }
    const [dx, dy] = [(width - this.width) / 2, (height - this.height) / 2];
    [this.width, this.height] = [width, height];
    this.isBaseStale = true;
    this.view = this.isFitted ? wholeView(width, height) : panned(this.view, dx, dy);
    this.paint();
  }

  pan(dx: number, dy: number): void {
    this.set(panned(this.view, dx, dy));
  }

  zoom(factor: number, x = this.width / 2, y = this.height / 2): void {
    this.set(zoomed(this.view, factor, x, y, wholeView(this.width, this.height)));
  }

  showAll(): void {
    this.animate(wholeView(this.width, this.height));
  }

  /** Where a point lies on the canvas. */
  place(point: number): [number, number] {
    const { scale, left, top } = this.view;
    return [this.layout.x[point] * scale + left, this.layout.y[point] * scale + top];
  }

  /** The point or image under the pointer; -1 where there is none. */
  under(x: number, y: number): number {
    const { scale, left, top } = this.view;
    const shown = this.store.shown.value;
    if (this.images.size) {
      const half = this.images.size / 2;
      const hit = this.images.points.findLast((point) => {
        const [px, py] = this.place(point);
        return Math.abs(px - x) <= half && Math.abs(py - y) <= half;
      });
      if (hit !== undefined) return hit;
    }
    const grid = this.store.gridOf(this.layout);
    return grid.nearest((x - left) / scale, (y - top) / scale, REACH / scale, (point) => shown[point] !== HIDDEN);
  }

  /** The nearest shown point of a direction, for the arrow keys; -1 where there is none. */
  towards(from: number, right: number, down: number): number {
    return nearestTowards(this.layout, this.store.shown.value, from, right, down);
  }

  /** Paints in the next frame: both canvases, or only the upper one. */
  render(base = true): void {
    this.isBaseStale ||= base;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => this.paint());
  }

  private show(points: ArrayLike<number>): void {
    // What is pinned while the page opens is seen on the whole map.
    if (!this.isSized) return;
    const { x, y } = this.layout;
    if (points.length === 1) {
      this.bringIntoView(...this.place(points[0]));
      return;
    }
    const [low, high]: [[number, number], [number, number]] = [[Infinity, Infinity], [-Infinity, -Infinity]];
    for (let k = 0; k < points.length; k++) {
      const [px, py] = [x[points[k]], y[points[k]]];
      [low[0], low[1]] = [Math.min(low[0], px), Math.min(low[1], py)];
      [high[0], high[1]] = [Math.max(high[0], px), Math.max(high[1], py)];
    }
    if (points.length) this.animate(framed(low, high, this.width, this.height));
  }

  /** Moves a place of the canvas into the middle, unless it is seen already. */
  private bringIntoView(px: number, py: number): void {
    const margin = MARGIN - 4; // of the whole map every point is seen, the outermost ones too
    if (px > margin && py > margin && px < this.width - margin && py < this.height - margin) return;
    const { scale, left, top } = this.view;
    this.animate(centred(this.view, (px - left) / scale, (py - top) / scale, this.width, this.height));
  }

  private set(view: View): void {
    cancelAnimationFrame(this.tween);
    this.view = view;
    this.isFitted = false;
    this.render();
  }

  private animate(to: View): void {
    cancelAnimationFrame(this.tween);
    const whole = wholeView(this.width, this.height);
    this.isFitted = to.scale === whole.scale && to.left === whole.left && to.top === whole.top;
    const from = this.view;
    const start = performance.now();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches || this.store.collection.count > 100_000;
    const step = () => {
      const share = still ? 1 : Math.min(1, (performance.now() - start) / TWEEN);
      const eased = 1 - (1 - share) ** 3;
      const mix = (a: number, b: number) => a + (b - a) * eased;
      const scale = from.scale * (to.scale / from.scale) ** eased;
      // The middle of the canvas moves straight through the layout.
      const middle = (view: View, side: number, edge: "left" | "top") => (side / 2 - view[edge]) / view.scale;
      const x = mix(middle(from, this.width, "left"), middle(to, this.width, "left"));
      const y = mix(middle(from, this.height, "top"), middle(to, this.height, "top"));
      this.view = share === 1 ? to : centred({ ...from, scale }, x, y, this.width, this.height);
      this.render();
      if (share < 1) this.tween = requestAnimationFrame(step);
    };
    step();
  }

  private paint(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const ratio = devicePixelRatio || 1;
    const started = performance.now();
    if (this.isBaseStale) {
      this.paintBase(ratio);
      record(`paint-${this.run}`, performance.now() - started);
    }
    this.isBaseStale = false;
    const context = this.top.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    this.grid.paint(context, this.layout, this.view, this.width, this.height);
    paintOverlay(context, this);
    record(`frame-${this.run}`, performance.now() - started);
    this.onPainted();
  }

  private inOrder(layout: Layout, colours: Uint32Array, shown: Uint8Array) {
    if (shown.length <= MANY) return { layout, colours, shown, revision: 0 };
    if (!this.sorted.has(layout)) this.sorted.set(layout, new SortedPoints(layout, this.store.gridOf(layout)));
    return this.sorted.get(layout)!.sorted(colours, shown);
  }

  private paintBase(ratio: number): void {
    const { store, layout, view } = this;
    const style = getComputedStyle(document.documentElement);
    const shown = store.shown.value;
    const colouring = store.colourings[this.run].value;
    const context = this.base.getContext("2d", { alpha: false })!;
    const points = {
      ...this.inOrder(layout, colouring.colours, shown),
      opacity: shown.length > MANY ? 1 : 0.86,
      faded: packed(style.getPropertyValue("--map-faded")),
      hasStrong: store.selection.value !== null,
    };
    const zoom = view.scale / wholeView(this.width, this.height).scale;
    const radius = pointRadius(store.collection.count, zoom);
    this.painters.paint(context, points, view, ratio, radius, packed(style.getPropertyValue("--map-background")));
    this.images = imagesInView(layout, store.gridOf(layout), shown, view, this.width, this.height);
    if (!this.images.size) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const faded = css(points.faded);
    const colours = this.images.points.map((point) => (shown[point] === FADED ? faded : css(colouring.colours[point])));
    paintImages(context, this.images, layout, shown, colours, store.thumbnails, view);
    context.setTransform(1, 0, 0, 1, 0, 0);
  }
}
