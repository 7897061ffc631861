// What the browser keeps of corrections: they outlast the page, and steps that can be undone outlast its reload.
import type { Correction } from "./corrections";

/** The correction of an image; null where one was taken back. */
export type Change = Correction | null;

export interface Step {
  point: number;
  before: Change;
}

const STEPS_KEPT = 1000;

export class StoredCorrections {
  constructor(private readonly key: string, private readonly count: number) {}

  /** All that is kept, by image; empty where storage is blocked or holds something else. */
  read(): Map<number, Change> {
    try {
      const stored: unknown = JSON.parse(localStorage.getItem(this.key) ?? "[]");
      return new Map((stored as [number, Change][]).filter(([point, change]) => this.isPoint(point) && isChange(change)));
    } catch {
      return new Map();
    }
  }

  /** Changes entries; those that another tab has made in the meantime stay. Returns whether the browser kept them. */
  change(changes: Iterable<[number, Change | undefined]>): boolean {
    const all = this.read();
    for (const [point, change] of changes) {
      if (change === undefined) all.delete(point);
      else all.set(point, change);
    }
    try {
      if (all.size) localStorage.setItem(this.key, JSON.stringify([...all]));
      else localStorage.removeItem(this.key);
      return true;
    } catch {
      return false;
    }
  }

  /** Calls `act` when another tab has changed what is kept. */
  onOtherTab(act: () => void): void {
    addEventListener("storage", (event) => {
      if (event.key === this.key || event.key === null) act();
    });
  }

  /** The steps of this tab, the last one at the end. */
  steps(): Step[] {
    try {
      const stored: unknown = JSON.parse(sessionStorage.getItem(`${this.key}:steps`) ?? "[]");
      return (stored as Step[]).filter(({ point, before }) => this.isPoint(point) && isChange(before));
    } catch {
      return [];
    }
  }

  keepSteps(steps: Step[]): void {
    try {
      sessionStorage.setItem(`${this.key}:steps`, JSON.stringify(steps.slice(-STEPS_KEPT)));
    } catch {
      // They can be undone as long as the page is open.
    }
  }

  private isPoint(point: unknown): boolean {
    return Number.isInteger(point) && (point as number) >= 0 && (point as number) < this.count;
  }
}

function isChange(change: unknown): change is Change {
  if (change === null) return true;
  const { action, label } = change as Correction;
  return ["keep", "relabel", "drop"].includes(action) && Number.isInteger(label);
}
