// Corrections of labels: kept in the browser, and saved by the server at every step where one runs.
import { signal } from "@preact/signals";
import type { Collection } from "../data/collection";
import { reason, tokenHeader } from "../server";
import { csvText, parsedCsv } from "./csv";

export type Action = "keep" | "relabel" | "drop";

export interface Correction {
  action: Action;
  /** The class after the correction; -1 for a dropped image. */
  label: number;
}

interface Step {
  point: number;
  before: Correction | undefined;
}

export class Corrections {
  /** Counts changes, so that what shows corrections is drawn again. */
  readonly version = signal(0);
  /** How saving stands, in words. */
  readonly status = signal("");
  private readonly made = new Map<number, Correction>();
  private readonly steps: Step[] = [];
  private readonly key: string;
  private saving: Promise<void> | undefined;
  private isStale = false;

  constructor(private readonly collection: Collection) {
    const { manifest } = collection;
    this.key = `triptych:corrections:${manifest.model.fingerprint}:${manifest.title}:${manifest.count}`;
    this.restore();
    if (manifest.live) void this.readServer();
  }

  get(point: number): Correction | undefined {
    return this.made.get(point);
  }

  get size(): number {
    return this.made.size;
  }

  get canUndo(): boolean {
    return this.steps.length > 0;
  }

  /** How many images have each action. */
  counts(): Record<Action, number> {
    const counts = { keep: 0, relabel: 0, drop: 0 };
    for (const { action } of this.made.values()) counts[action]++;
    return counts;
  }

  /** Corrects one image. */
  set(point: number, correction: Correction): void {
    this.steps.push({ point, before: this.made.get(point) });
    this.made.set(point, correction);
    this.changed();
  }

  /** Takes the correction of one image back. */
  remove(point: number): void {
    this.steps.push({ point, before: this.made.get(point) });
    this.made.delete(point);
    this.changed();
  }

  /** Takes the last step back; returns its image, or -1. */
  undo(): number {
    const step = this.steps.pop();
    if (!step) return -1;
    if (step.before) this.made.set(step.point, step.before);
    else this.made.delete(step.point);
    this.changed();
    return step.point;
  }

  /** The CSV that `dataset.corrections` takes: kept images with their own label, dropped ones without any. */
  csv(): string {
    const { manifest, label, split, row, paths } = this.collection;
    const byPath = manifest.corrections === "path";
    const rows = [byPath ? ["path", "label"] : ["split", "index", "label"]];
    for (const [point, correction] of [...this.made].sort(([a], [b]) => a - b)) {
      const wanted = correction.action === "keep" ? label[point] : correction.label;
      if (correction.action === "keep" && wanted < 0) continue;
      const name = correction.action === "drop" ? "" : manifest.model.classes[wanted];
      rows.push(byPath ? [paths[point], name] : [manifest.splits[split[point]], String(row[point]), name]);
    }
    return csvText(rows);
  }

  private changed(): void {
    this.version.value++;
    try {
      localStorage.setItem(this.key, JSON.stringify([...this.made]));
    } catch {
      this.status.value = "The browser's storage is full or blocked: download corrections.csv to keep your work.";
    }
    if (this.collection.manifest.live) void this.save();
  }

  private restore(): void {
    try {
      const stored: unknown = JSON.parse(localStorage.getItem(this.key) ?? "[]");
      for (const [point, { action, label }] of stored as [number, Correction][]) {
        if (point >= 0 && point < this.collection.count) this.made.set(point, { action, label });
      }
    } catch {
      // Storage is blocked, or holds what another program wrote: start without.
    }
  }

  private async save(): Promise<void> {
    this.isStale = true;
    this.saving ??= (async () => {
      while (this.isStale) {
        this.isStale = false;
        this.status.value = await this.post();
      }
      this.saving = undefined;
    })();
    await this.saving;
  }

  private async post(): Promise<string> {
    try {
      const response = await fetch("corrections", { method: "POST", headers: { ...tokenHeader(), "Content-Type": "text/csv" }, body: this.csv() });
      if (!response.ok) return `Corrections are not saved. ${await reason(response)}`;
      const { saved, rows } = (await response.json()) as { saved: string; rows: number };
      return `Saved ${rows} rows in ${saved}`;
    } catch {
      return "The server does not answer. Corrections are kept in this browser.";
    }
  }

  private async readServer(): Promise<void> {
    const response = await fetch("corrections").catch(() => null);
    if (!response?.ok) return;
    const { manifest, label, split, row, paths, count } = this.collection;
    const byPath = manifest.corrections === "path";
    const places = new Map<string, number>();
    for (let i = 0; i < count; i++) places.set(byPath ? paths[i] : `${manifest.splits[split[i]]}/${row[i]}`, i);
    const classes = new Map(manifest.model.classes.map((name, number) => [name, number]));
    for (const line of parsedCsv(await response.text())) {
      const point = places.get(byPath ? line.path : `${line.split}/${line.index}`);
      const wanted = line.label === "" ? -1 : classes.get(line.label);
      if (point === undefined || wanted === undefined) continue;
      const action = wanted < 0 ? "drop" : wanted === label[point] ? "keep" : "relabel";
      this.made.set(point, { action, label: wanted });
    }
    this.version.value++;
  }
}
