// The page: header, rail with legend and find, the map or two, and the panel with tabs.
import { useState } from "preact/hooks";
import { useStore, type Tab } from "./state";
import type { Collection } from "./data/collection";
import { MapView } from "./map/MapView";
import type { MapController } from "./map/controller";
import { ImagePanel } from "./panels/ImagePanel";
import { LabelsPanel } from "./panels/LabelsPanel";
import { LatentPanel } from "./panels/LatentPanel";
import { RunsPanel } from "./panels/RunsPanel";
import { SelectionPanel } from "./panels/SelectionPanel";
import { YoursPanel } from "./panels/YoursPanel";
import { Find } from "./ui/Find";
import { Icon } from "./ui/Icon";
import { Legend } from "./ui/Legend";
import { MapTools } from "./ui/MapTools";

const PANELS: Record<Tab, [string, () => preact.JSX.Element | null]> = {
  image: ["Image", ImagePanel],
  selection: ["Selection", SelectionPanel],
  yours: ["Your image", YoursPanel],
  latent: ["Latent", LatentPanel],
  labels: ["Labels", LabelsPanel],
  runs: ["Compare", RunsPanel],
};

/** The metrics of the header, the most telling first; the others are in the comparison. */
const METRICS: Record<string, string> = {
  accuracy: "Accuracy",
  map_at_r: "MAP@R",
  recall_at_1: "Recall@1",
  nearest_neighbour_accuracy: "1-NN accuracy",
  mse: "MSE",
  ssim: "SSIM",
};

export function App() {
  const store = useStore();
  const [maps, setMaps] = useState<(MapController | null)[]>([null, null]);
  const { runs } = store.collection;
  const attach = (run: number) => (map: MapController | null) => setMaps((before) => before.map((old, k) => (k === run ? map : old)));
  return (
    <div class="app">
      <Header />
      <main class="workspace">
        <div class="rail">
          <Find />
          <Legend />
          {store.collection.manifest.opens && (
            <p class="quiet hint">This page has no live model. <code>triptych explore</code> adds one: your own images, reconstructions of all images, and the latent space.</p>
          )}
          <details class="help">
            <summary>Keys and pointer</summary>
            <p id="map-help">
              Drag to pan, turn the wheel to zoom, hold Shift and drag to select. On the map: arrow keys move from image to image,
              Shift and arrows pan, + and - zoom, 0 shows the whole map, Enter opens the image, Escape clears.
            </p>
          </details>
        </div>
        <section class="stage" aria-label="Map of embeddings">
          <MapTools maps={maps} />
          <div class="maps">{runs.map((_, run) => <MapView key={run} run={run} attach={attach(run)} />)}</div>
        </section>
        <SidePanel />
      </main>
      <div class="visually-hidden" role="status" aria-live="polite">{store.announced.value}</div>
    </div>
  );
}

function Header() {
  const store = useStore();
  const { manifest } = store.collection;
  const isDark = store.theme.value === "dark";
  const known = Object.entries(METRICS).filter(([name]) => name in manifest.model.metrics);
  const metrics = known.map(([name, title]) => [title, manifest.model.metrics[name]] as const).slice(0, 4);
  return (
    <header>
      <h1><span class="brand" aria-hidden="true"><i /><i /><i /></span>{manifest.title}</h1>
      <span class="quiet">
        {manifest.model.name}
        {manifest.whole && manifest.whole > manifest.count && `, ${manifest.count.toLocaleString("en")} of ${manifest.whole.toLocaleString("en")} images`}
      </span>
      <dl class="metrics">
        {metrics.map(([name, value]) => (
          <div key={name}><dt>{name}</dt><dd>{Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(3)}</dd></div>
        ))}
      </dl>
      <button type="button" class="icon" aria-label={isDark ? "Light theme" : "Dark theme"} title={isDark ? "Light theme" : "Dark theme"} data-testid="theme" onClick={() => store.setTheme(isDark ? "light" : "dark")}>
        <Icon name={isDark ? "sun" : "moon"} />
      </button>
    </header>
  );
}

/** Whether a panel has something to show; a page of `evaluate` or `audit` has no live model. */
function isThere(tab: Tab, { manifest, runs }: Collection): boolean {
  if (tab === "runs") return runs.length > 1;
  return manifest.opens === undefined || (tab !== "yours" && tab !== "latent");
}

function SidePanel() {
  const store = useStore();
  const tabs = (Object.keys(PANELS) as Tab[]).filter((tab) => isThere(tab, store.collection));
  const chosen = store.tab.value;
  const Panel = PANELS[chosen][1];

  function move(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    store.tab.value = tabs[(tabs.indexOf(chosen) + step + tabs.length) % tabs.length];
    requestAnimationFrame(() => document.getElementById(`tab-${store.tab.value}`)?.focus());
  }

  return (
    <aside class="side" aria-label="Details">
      <div class="tabs" role="tablist" aria-label="Panels" onKeyDown={move}>
        {tabs.map((tab) => (
          <button key={tab} id={`tab-${tab}`} type="button" role="tab" aria-selected={tab === chosen} aria-controls="panel" tabIndex={tab === chosen ? 0 : -1} data-testid={`tab-${tab}`} onClick={() => (store.tab.value = tab)}>
            {PANELS[tab][0]}
          </button>
        ))}
      </div>
      <div id="panel" class="panel" role="tabpanel" aria-labelledby={`tab-${chosen}`} tabIndex={0}>
        <h2 class="visually-hidden">{PANELS[chosen][0]}</h2>
        <Panel />
      </div>
    </aside>
  );
}
