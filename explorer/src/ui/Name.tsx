// A name in little room: shortened in its middle, since long names of classes and files often begin alike.

const TAIL = 8;
const graphemes = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;

const characters = (text: string): string[] => (graphemes ? Array.from(graphemes.segment(text), ({ segment }) => segment) : Array.from(text));

/** Characters without a shape, some of which would let a name pass for another one by reversing it. */
const SHAPELESS = /[\u0000-\u001f\u007f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** `tail` is the number of last characters that are always shown; a name of any direction of writing keeps its own. */
export function Name({ text: given, tail = TAIL, title = true }: { text: string; tail?: number; title?: boolean }) {
  const text = given.replace(SHAPELESS, "\ufffd");
  const parts = characters(text);
  const tip = title ? text : undefined;
  if (parts.length <= tail + 4) return <bdi class="one-name" title={tip}>{text}</bdi>;
  // A space at the cut would be dropped.
  const visible = (part: string[]) => part.join("").replace(/^\s|\s$/g, "\u00a0");
  return (
    <span class="name-parts" dir="auto" title={tip}>
      <span class="visually-hidden">{text}</span>
      <span class="head" aria-hidden="true">{visible(parts.slice(0, -tail))}</span>
      <span class="tail" aria-hidden="true">{visible(parts.slice(-tail))}</span>
    </span>
  );
}
