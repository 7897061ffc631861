// Buttons over the map: pan or lasso, zoom, whole map; and the layout of the points.
import { useStore } from "../state";
import type { MapController } from "../map/controller";
import { Icon } from "./Icon";

const LAYOUTS: Record<string, string> = { tsne: "t-SNE", pca: "PCA" };

export function MapTools({ maps }: { maps: (MapController | null)[] }) {
  const store = useStore();
  store.arrived.value;
  const layouts = ["tsne", "pca"].filter((name) => store.collection.runs[0].layouts.has(name));
  const each = (act: (map: MapController) => void) => () => maps.forEach((map) => map && act(map));
  const tools = [["pan", "Pan"], ["lasso", "Lasso (Shift and drag)"]] as const;
  return (
    <div class="tools" role="toolbar" aria-label="Map">
      <div class="group" role="group" aria-label="Layout">
        {layouts.map((name) => (
          <button key={name} type="button" aria-pressed={store.layoutName.value === name} onClick={() => (store.layoutName.value = name)}>
            {LAYOUTS[name]}
          </button>
        ))}
      </div>
      <div class="group" role="group" aria-label="Tool">
        {tools.map(([name, label]) => (
          <button key={name} type="button" class="icon" title={label} aria-label={label} data-testid={`tool-${name}`} aria-pressed={store.tool.value === name} onClick={() => (store.tool.value = name)}>
            <Icon name={name} />
          </button>
        ))}
      </div>
      <div class="group" role="group" aria-label="Zoom">
        <button type="button" class="icon" title="Zoom in (+)" aria-label="Zoom in" onClick={each((map) => map.zoom(1.5))}><Icon name="plus" /></button>
        <button type="button" class="icon" title="Zoom out (-)" aria-label="Zoom out" onClick={each((map) => map.zoom(1 / 1.5))}><Icon name="minus" /></button>
        <button type="button" class="icon" title="Whole map (0)" aria-label="Whole map" onClick={each((map) => map.showAll())}><Icon name="whole" /></button>
      </div>
    </div>
  );
}
