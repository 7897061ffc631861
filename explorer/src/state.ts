// The state of the page: signals over the collection, and the few actions that change several of them.
import { computed, effect, signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Collection, Layout } from "./data/collection";
import { awaitLayouts } from "./data/pending";
import { ThumbnailSheets } from "./data/thumbnails";
import { Corrections } from "./labels/corrections";
import { colouringBy, type Colouring } from "./map/colouring";
import type { Theme } from "./map/colours";
import { Grid } from "./map/grid";
import { FADED, HIDDEN, NORMAL, STRONG } from "./map/painter";
import { Models, type Encoded } from "./model/model";
import { Neighbours, type Neighbourhood } from "./model/neighbours";
import { counted } from "./ui/counted";

export type Tab = "image" | "selection" | "yours" | "latent" | "labels" | "runs";

export interface Selection {
  points: Uint32Array;
  name: string;
}

/** An image of the user, as the model sees it. */
export interface Yours extends Encoded {
  canvas: HTMLCanvasElement;
  near: Neighbourhood;
  milliseconds: number;
}

const NEIGHBOURS = 10;
const THEME_KEY = "triptych:theme";

export function createStore(collection: Collection) {
  const thumbnails = new ThumbnailSheets(collection.manifest.thumbnails);
  const { reconstructions } = collection.manifest;
  const pictures = reconstructions && new ThumbnailSheets(reconstructions);
  const pictureOf = new Map(collection.reconstructed.map((point, place) => [point, place]));
  const corrections = new Corrections(collection);
  const neighbours = new Neighbours(collection);
  const models = new Models(collection);

  const layoutName = signal(collection.runs[0].layouts.has("tsne") ? "tsne" : "pca");
  const colouring = signal("label");
  const filters = signal<ReadonlyMap<string, ReadonlySet<number>>>(new Map());
  const selection = signal<Selection | null>(null);
  const pinned = signal(-1);
  const hovered = signal(-1);
  /** The map that shows the card of the hovered image. */
  const hoveredRun = signal(0);
  const tab = signal<Tab>(collection.manifest.opens ?? "image");
  const tool = signal<"pan" | "lasso">("pan");
  /** The image of the user as each run sees it; null where a run cannot embed it. */
  const yours = signal<(Yours | null)[]>([]);
  const pair = signal<[number, number]>([-1, -1]);
  const showsGrid = signal(false);
  const focus = signal<{ points: ArrayLike<number> } | null>(null);
  const announced = signal("");
  const changed = signal<Float32Array | null>(null);
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
  const theme = signal<Theme>(storedTheme() ?? (systemIsDark.matches ? "dark" : "light"));
  systemIsDark.addEventListener("change", () => (theme.value = storedTheme() ?? (systemIsDark.matches ? "dark" : "light")));
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
  });

  const colourings = collection.runs.map((run) =>
    computed<Colouring>(() => {
      if (colouring.value === "review") corrections.version.value;
      return colouringBy(colouring.value, collection, run, corrections, changed.value, theme.value);
    }),
  );

  /** Whether the filters of all colourings show a point. */
  const passes = computed(() => {
    const passing = new Uint8Array(collection.count).fill(1);
    for (const [key, hidden] of filters.value) {
      if (hidden.size === 0) continue;
      const { groupOf } = key === colouring.value ? colourings[0].value : colouringBy(key, collection, collection.runs[0], corrections, changed.value, theme.value);
      for (let i = 0; i < passing.length; i++) if (hidden.has(groupOf[i])) passing[i] = 0;
    }
    return passing;
  });

  /** How many points the filters show. */
  const passing = computed(() => passes.value.reduce((sum, value) => sum + value, 0));

  const shown = computed(() => {
    const chosen = selection.value;
    const passing = passes.value;
    const states = new Uint8Array(collection.count);
    for (let i = 0; i < states.length; i++) states[i] = passing[i] ? (chosen ? FADED : NORMAL) : HIDDEN;
    if (chosen) for (const point of chosen.points) if (passing[point]) states[point] = STRONG;
    return states;
  });

  const grids = new WeakMap<Layout, Grid>();
  const gridOf = (layout: Layout): Grid => {
    if (!grids.has(layout)) grids.set(layout, new Grid(layout));
    return grids.get(layout)!;
  };
  /** Counts layouts that arrived after loading. */
  const arrived = signal(0);
  void awaitLayouts(collection, () => {
    arrived.value++;
    // The map does not move under someone who is looking at an image of it.
    if (pinned.peek() < 0 && !selection.peek()) layoutName.value = "tsne";
  });
  const layoutOf = (run: number): Layout => {
    arrived.value;
    const { layouts } = collection.runs[run];
    return layouts.get(layoutName.value) ?? layouts.get("pca")!;
  };

  const neighbourhood = signal<(Neighbourhood & { index: number }) | null>(null);
  effect(() => {
    const index = pinned.value;
    if (index < 0) return void (neighbourhood.value = null);
    void neighbours.ofImage(0, index, NEIGHBOURS).then((near) => {
      if (pinned.peek() === index) neighbourhood.value = { ...near, index };
    });
  });

  /** The name of a class by its place in the collection's list, or in a run's own. */
  const classOf = (label: number, run?: number): string => {
    const names = run === undefined ? collection.classes : collection.runs[run].info.classes;
    return label < 0 ? "no label" : (names[label] ?? `class ${label}`);
  };

  /** Shows one image in its panel, and on the map where it lies outside of the view. */
  function pin(point: number, tabToo = true): void {
    pinned.value = point;
    if (point < 0) return;
    if (tabToo) tab.value = "image";
    focus.value = { points: [point] };
    announced.value = `Image ${collection.paths[point]}, label ${classOf(collection.label[point])}, predicted ${classOf(collection.runs[0].prediction[point])}`;
  }

  function select(points: Uint32Array | null, name = "", tabToo = true): void {
    selection.value = points && { points, name };
    if (points && tabToo) tab.value = "selection";
    announced.value = points ? `${counted(points.length, "image")} selected` : "Selection cleared";
  }

  function setFilter(key: string, hidden: Set<number>): void {
    const next = new Map(filters.value);
    if (hidden.size) next.set(key, hidden);
    else next.delete(key);
    filters.value = next;
  }

  function setTheme(next: Theme): void {
    theme.value = next;
    try {
      localStorage.setItem(THEME_KEY, next);
    } catch {
      // Storage is blocked: the choice lasts as long as the page.
    }
  }

  return {
    collection, thumbnails, pictures, pictureOf, corrections, neighbours, models,
    arrived, layoutName, colouring, filters, selection, pinned, hovered, hoveredRun, tab, tool, yours, pair, showsGrid, focus, announced, changed, theme,
    colourings, passes, passing, shown, neighbourhood, gridOf, layoutOf, classOf, pin, select, setFilter, setTheme,
  };
}

function storedTheme(): Theme | null {
  try {
    const stored = localStorage.getItem(THEME_KEY);
    return stored === "light" || stored === "dark" ? stored : null;
  } catch {
    return null;
  }
}

export type Store = ReturnType<typeof createStore>;
export const StoreContext = createContext<Store | null>(null);

/** The state of the page, inside of components. */
export function useStore(): Store {
  return useContext(StoreContext)!;
}
