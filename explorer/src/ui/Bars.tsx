// Class probabilities as bars, the highest first.
import { Name } from "./Name";

export function Bars({ values, names, label, top = 5 }: { values: ArrayLike<number>; names: string[]; label?: number; top?: number }) {
  const order = Array.from(values, (_, k) => k).sort((a, b) => values[b] - values[a]);
  const rows = order.slice(0, top);
  if (label !== undefined && label >= 0 && !rows.includes(label)) rows[rows.length - 1] = label;
  return (
    <table class="bars" aria-label="Class probabilities">
      <tbody>
        {rows.map((k) => (
          <tr key={k} class={k === label ? "given" : ""}>
            <th scope="row"><Name text={names[k]} /></th>
            <td class="bar" aria-hidden="true"><span style={{ width: `${Math.max(0.5, values[k] * 100)}%` }} /></td>
            <td class="number">{percent(values[k])}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A share as a percentage. */
export const percent = (share: number): string => `${(share * 100).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)} %`;
