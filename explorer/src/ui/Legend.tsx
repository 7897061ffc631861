// The legend: groups of the colouring with their counts; each toggles its points.
import { useStore } from "../state";
import { choices, short } from "../map/colouring";
import { Name } from "./Name";
import { sequential } from "../map/colours";

export function Legend() {
  const store = useStore();
  const key = store.colouring.value;
  const { groups, range } = store.colourings[0].value;
  const hidden = store.filters.value.get(key) ?? new Set<number>();
  const all = choices(store.collection, store.changed.value !== null);
  const others = [...store.filters.value].filter(([name]) => name !== key);
  const passing = store.passing.value;

  function toggle(group: number, only: boolean): void {
    const next = new Set(hidden);
    if (only) {
      next.clear();
      // The first click of the two has hidden the group that was shown alone.
      const isAlone = hidden.size === groups.length;
      if (!isAlone) groups.forEach((_, k) => k !== group && next.add(k));
    } else if (!next.delete(group)) next.add(group);
    store.setFilter(key, next);
  }

  return (
    <section class="legend" aria-label="Legend and filters">
      <label class="field">
        <span>Colour by</span>
        <select data-testid="colour-by" value={key} onChange={(event) => (store.colouring.value = event.currentTarget.value)}>
          {all.map((choice) => (
            <option key={choice.key} value={choice.key}>{choice.title}</option>
          ))}
        </select>
      </label>
      {range && (
        <div class="scale">
          <div style={{ background: `linear-gradient(to right, ${[0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => sequential(share, store.theme.value)).join()})` }} />
          <span>{short(range[0])}</span>
          <span>{short(range[1])}</span>
        </div>
      )}
      <ul class="groups" data-testid="legend">
        {groups.map((group, k) => (
          <li key={k}>
            <button
              type="button"
              aria-pressed={!hidden.has(k)}
              title={`${group.name}: click to show or hide, double-click to show only this group.`}
              onClick={(event) => toggle(k, event.detail === 2)}
            >
              <i style={{ background: group.colour }} aria-hidden="true" />
              <span class="name"><Name text={group.name} title={false} /></span>
              <span class="number">{group.count.toLocaleString("en")}</span>
            </button>
          </li>
        ))}
      </ul>
      <div class="row">
        <button type="button" class="small" disabled={!hidden.size} onClick={() => store.setFilter(key, new Set())}>Show all</button>
        <button type="button" class="small" onClick={() => store.setFilter(key, new Set(groups.keys()))}>Hide all</button>
      </div>
      {others.map(([name, set]) => (
        <button key={name} type="button" class="chip" onClick={() => store.setFilter(name, new Set())}>
          {`${all.find((choice) => choice.key === name)?.title}: ${set.size} hidden`} <span aria-label="remove filter">×</span>
        </button>
      ))}
      <p class="quiet" data-testid="shown-count">
        {`${passing.toLocaleString("en")} of ${store.collection.count.toLocaleString("en")} images shown`}
      </p>
    </section>
  );
}
