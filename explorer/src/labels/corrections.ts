// Corrections of labels: kept in the browser, and saved by the server at every step where one runs.
import { signal } from "@preact/signals";
import type { Collection } from "../data/collection";
import { reason, tokenHeader } from "../server";
import { csvText, parsedCsv } from "./csv";
import { StoredCorrections, type Change, type Step } from "./stored";
import { counted } from "../ui/counted";

export type Action = "keep" | "relabel" | "drop";

export interface Correction {
  action: Action;
  /** The class after the correction; -1 for a dropped image. */
  label: number;
}

const CONFLICT = 409;
const RETRY = 5000; // ms

export class Corrections {
  /** Counts changes, so that what shows corrections is drawn again. */
  readonly version = signal(0);
  /** How saving stands, in words. */
  readonly status = signal("");
  private readonly made = new Map<number, Correction>();
  private readonly stored: StoredCorrections;
  private readonly steps: Step[];
  private readonly isLive: boolean;
  /** Changes that the server does not have yet; of a static page none. */
  private readonly unsaved = new Map<number, Change>();
  /** The server's name of the corrections that this page knows. */
  private revision: string | null = null;
  private saving: Promise<void> | undefined;
  /** Reaches the other tabs of a live page. */
  private readonly others: BroadcastChannel | undefined;

  constructor(private readonly collection: Collection) {
    const { manifest } = collection;
    this.isLive = manifest.live;
    const kind = manifest.live ? "unsaved" : "corrections";
    this.stored = new StoredCorrections(`triptych:${kind}:${manifest.model.fingerprint}:${manifest.title}:${manifest.count}`, collection.count);
    this.steps = this.stored.steps();
    if (this.isLive) {
      for (const [point, change] of this.stored.read()) this.unsaved.set(point, change);
      this.apply(this.unsaved);
      this.others = new BroadcastChannel("triptych:corrections");
      this.others.onmessage = () => void this.readServer();
      void this.readServer().then(() => void (this.unsaved.size && this.save()));
    } else {
      this.apply(this.stored.read());
      this.stored.onOtherTab(() => this.takeOver(this.stored.read()));
    }
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
    this.step(point);
    this.change(point, correction);
  }

  /** Takes the correction of one image back. */
  remove(point: number): void {
    this.step(point);
    this.change(point, null);
  }

  /** Takes the last step back; returns its image, or -1. */
  undo(): number {
    const step = this.steps.pop();
    if (!step) return -1;
    this.stored.keepSteps(this.steps);
    this.change(step.point, step.before);
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

  private step(point: number): void {
    this.steps.push({ point, before: this.made.get(point) ?? null });
    this.stored.keepSteps(this.steps);
  }

  private change(point: number, change: Change): void {
    this.apply([[point, change]]);
    if (this.isLive) this.unsaved.set(point, change);
    // A live page keeps that one was taken back: the server has to be told.
    if (!this.stored.change([[point, change ?? (this.isLive ? null : undefined)]])) {
      this.status.value = "The browser's storage is full or blocked: download corrections.csv to keep your work.";
    }
    if (this.isLive) void this.save();
  }

  private apply(changes: Iterable<[number, Change]>): void {
    for (const [point, change] of changes) {
      if (change) this.made.set(point, change);
      else this.made.delete(point);
    }
    this.version.value++;
  }

  /** Takes over the corrections as they are elsewhere; those that are not saved yet stay. */
  private takeOver(others: Map<number, Change>): void {
    this.made.clear();
    this.apply(others);
    this.apply(this.unsaved);
  }

  private async save(): Promise<void> {
    this.saving ??= (async () => {
      let isAnswered = true;
      while (this.unsaved.size && isAnswered) isAnswered = await this.post();
      this.saving = undefined;
    })();
    await this.saving;
  }

  /** Sends the corrections; returns whether it is worth sending again at once what is not saved yet. */
  private async post(): Promise<boolean> {
    const sent = new Map(this.unsaved);
    const headers = { ...tokenHeader(), "Content-Type": "text/csv", ...(this.revision ? { "If-Match": this.revision } : {}) };
    try {
      const response = await fetch("corrections", { method: "POST", headers, body: this.csv() });
      if (response.status === CONFLICT) return await this.readServer();
      if (!response.ok) {
        this.status.value = `Corrections are not saved. ${await reason(response)}`;
        return false;
      }
      this.revision = response.headers.get("ETag");
      const { saved, rows } = (await response.json()) as { saved: string; rows: number };
      const done = [...sent].filter(([point, change]) => this.unsaved.get(point) === change);
      for (const [point] of done) this.unsaved.delete(point);
      this.stored.change(done.map(([point]) => [point, undefined]));
      this.others?.postMessage("saved");
      this.status.value = `Saved ${counted(rows, "row")} in ${saved}`;
      return true;
    } catch {
      this.status.value = "The server does not answer. Corrections are kept in this browser, and saved when it runs again.";
      setTimeout(() => void this.save(), RETRY);
      return false;
    }
  }

  /** Takes over the corrections that the server has; returns whether it has answered. */
  private async readServer(): Promise<boolean> {
    const response = await fetch("corrections").catch(() => null);
    if (!response?.ok) return false;
    const { manifest, label, split, row, paths, count } = this.collection;
    const byPath = manifest.corrections === "path";
    const places = new Map<string, number>();
    for (let i = 0; i < count; i++) places.set(byPath ? paths[i] : `${manifest.splits[split[i]]}/${row[i]}`, i);
    const classes = new Map(manifest.model.classes.map((name, number) => [name, number]));
    const found = new Map<number, Change>();
    for (const line of parsedCsv(await response.text())) {
      const point = places.get(byPath ? line.path : `${line.split}/${line.index}`);
      const wanted = line.label === "" ? -1 : classes.get(line.label);
      if (point === undefined || wanted === undefined) continue;
      const action = wanted < 0 ? "drop" : wanted === label[point] ? "keep" : "relabel";
      found.set(point, { action, label: wanted });
    }
    this.revision = response.headers.get("ETag");
    this.takeOver(found);
    return true;
  }
}
