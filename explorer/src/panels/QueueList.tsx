// All images of the audit's queue as a list, with files, labels and suggestions; a click goes to one.
import { useState } from "preact/hooks";
import { suggested } from "../labels/queue";
import { useStore } from "../state";
import { Name } from "../ui/Name";
import { Thumbnail } from "../ui/Thumbnail";

const PAGE = 100;

export function QueueList({ queue, at, onChoose }: { queue: number[]; at: number; onChoose: (place: number) => void }) {
  const store = useStore();
  const { collection, corrections } = store;
  const [isOpen, setOpen] = useState(false);
  const [shown, setShown] = useState(PAGE);
  corrections.version.value;
  return (
    <details class="list" data-testid="queue-list" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{`All ${queue.length.toLocaleString("en")} images of the queue`}</summary>
      {isOpen && (
        <ol class="rows">
          {queue.slice(0, shown).map((point, place) => (
            <li key={point}>
              <button type="button" aria-current={place === at} title={collection.paths[point]} onClick={() => onChoose(place)}>
                <Thumbnail point={point} size={28} />
                <Name text={`${collection.manifest.splits[collection.split[point]]}: ${collection.paths[point]}`} tail={12} title={false} />
                <span class="arrow"><Name text={store.classOf(collection.label[point])} tail={5} /> → <Name text={store.classOf(suggested(collection.runs[0], point))} tail={5} /></span>
                <span class="quiet">{corrections.get(point)?.action ?? ""}</span>
              </button>
            </li>
          ))}
        </ol>
      )}
      {isOpen && shown < queue.length && (
        <button type="button" onClick={() => setShown(shown + PAGE)}>{`Show more (${(queue.length - shown).toLocaleString("en")} left)`}</button>
      )}
    </details>
  );
}
