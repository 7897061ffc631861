export function LabelsPanel() {
  return <p>…</p>;
}
