// The digest of the page's sources: `page.html` carries it, and a Python test computes it again by the same rule.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FILES = ["index.html", "package-lock.json", "package.json", "sources.ts", "tsconfig.json", "vite.config.ts"];

/** SHA-256 over `PATH NUL CONTENT NUL` of every source, sorted by path; paths are relative and have slashes. */
export function sourcesDigest(root: string): string {
  const below = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1).replaceAll("\\", "/"));
  const hash = createHash("sha256");
  for (const path of [...FILES, ...below].sort()) {
    hash.update(path).update("\0").update(readFileSync(join(root, path))).update("\0");
  }
  return hash.digest("hex");
}
