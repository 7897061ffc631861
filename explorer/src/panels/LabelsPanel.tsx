// Labels: the audit's findings, its queue, corrections.csv, and the confusion matrix.
import { download } from "../labels/csv";
import { useStore } from "../state";
import { Icon } from "../ui/Icon";
import { AuditQueue } from "./AuditQueue";
import { Confusion } from "./Confusion";
import { Duplicates, Outliers, Tally } from "./Findings";

export function LabelsPanel() {
  return (
    <div class="stack" data-testid="labels-panel">
      <Tally />
      <AuditQueue />
      <Saved />
      <Duplicates />
      <Outliers />
      <Confusion />
    </div>
  );
}

function Saved() {
  const { corrections, collection } = useStore();
  corrections.version.value;
  const { keep, relabel, drop } = corrections.counts();
  const isLive = collection.manifest.live;
  return (
    <section class="saved">
      <h3>Corrections</h3>
      <p class="figures" data-testid="correction-counts">
        <b>{relabel}</b> relabelled, <b>{drop}</b> dropped, <b>{keep}</b> kept
      </p>
      <div class="row">
        <button type="button" data-testid="download-corrections" disabled={!corrections.size} onClick={() => download("corrections.csv", corrections.csv())}>
          <Icon name="download" /> corrections.csv
        </button>
      </div>
      <p class="quiet" role="status">
        {corrections.status.value ||
          (isLive ? "Every step is saved by the server." : "Kept in this browser. Download the file and set dataset.corrections: corrections.csv.")}
      </p>
    </section>
  );
}
