// CSV files: cells that no spreadsheet takes for a formula, by the rule of `triptych.text.csv_cell`.

const FORMULA = /^[ \u00a0\u3000]*[=+\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]/;

/** Text of a CSV file, a header first. */
export function csvText(rows: string[][]): string {
  return rows.map((row) => row.map(cell).join(",") + "\n").join("");
}

function cell(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** The rows of a CSV text, each by the names of the header. */
export function parsedCsv(text: string): Record<string, string>[] {
  const rows: string[][] = [[]];
  const pattern = /("(?:[^"]|"")*"|[^,\n\r]*)(,|\r?\n|$)/y;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (!match) break;
    const [, raw, end] = match;
    rows[rows.length - 1].push(plain(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw));
    if (end !== "," && end !== "") rows.push([]);
  }
  const [header = [], ...body] = rows.filter((row) => row.length > 1 || (row[0] ?? "") !== "");
  return body.map((row) => Object.fromEntries(header.map((name, k) => [name, row[k] ?? ""])));
}

const plain = (text: string): string =>
  text.startsWith("'") && FORMULA.test(text.slice(1)) ? text.slice(1) : text;

/** Offers a text (CSV), or bytes, as a file. */
export function download(name: string, content: string | ArrayBuffer): void {
  const type = typeof content === "string" ? "text/csv;charset=utf-8" : "application/octet-stream";
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
