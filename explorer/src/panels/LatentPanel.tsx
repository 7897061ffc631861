export function LatentPanel() {
  return <p>…</p>;
}
