// Lists of images as buttons: click or Enter travels to one, arrow keys walk along.
import { useStore } from "../state";
import { Name } from "./Name";
import { Thumbnail } from "./Thumbnail";

interface Properties {
  points: ArrayLike<number>;
  size: number;
  /** A short text under the label of each image. */
  caption?: (point: number, place: number) => string;
  /** Whether an image agrees; others are marked. */
  agrees?: (point: number) => boolean;
  label: string;
}

export function ImageList({ points, size, caption, agrees, label }: Properties) {
  const store = useStore();
  return (
    <ul class="images" aria-label={label} onKeyDown={walk}>
      {Array.from(points, (point, place) => {
        const name = store.classOf(store.collection.label[point]);
        const text = caption?.(point, place);
        return (
          <li key={point}>
            <button
              type="button"
              class={agrees && !agrees(point) ? "image other" : "image"}
              title={store.collection.paths[point]}
              onClick={() => store.pin(point)}
              onPointerEnter={() => (store.hovered.value = point)}
              onPointerLeave={() => (store.hovered.value = -1)}
              onFocus={() => (store.hovered.value = point)}
              onBlur={() => (store.hovered.value = -1)}
            >
              <Thumbnail point={point} size={size} />
              <span class="visually-hidden">{store.collection.paths[point]}</span>
              <span><Name text={name} tail={4} title={false} /></span>
              {text && <span class="quiet">{text}</span>}
            </button>
          </li>
        );
      })}
    </ul>
  );
}

/** Moves the focus among the buttons of a list. */
export function walk(event: KeyboardEvent): void {
  const list = event.currentTarget as HTMLElement;
  const buttons = [...list.querySelectorAll<HTMLButtonElement>("button")];
  const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
  if (at < 0) return;
  const columns = buttons.filter((button) => button.offsetTop === buttons[0].offsetTop).length || 1;
  const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  buttons[Math.max(0, Math.min(buttons.length - 1, at + step))].focus();
}
