export function YoursPanel() {
  return <p>…</p>;
}
