export function RunsPanel() {
  return <p>…</p>;
}
