// Builds one page with everything inside, and the runtime's WebAssembly beside it.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";
import { sourcesDigest } from "./sources";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = join(HERE, "..", "triptych", "explorer", "page");
const WASM = join(HERE, "node_modules", "onnxruntime-web", "dist", "ort-wasm-simd-threaded.wasm");

/** The digest of the sources goes into the page's head. */
function stamp(): Plugin {
  return {
    name: "stamp",
    transformIndexHtml: (html) => html.replace('name="sources" content=""', `name="sources" content="${sourcesDigest(HERE)}"`),
  };
}

/** The runtime gets its WebAssembly as bytes: its own address must not be resolved, nor inlined. */
function portable(): Plugin {
  return {
    name: "portable",
    enforce: "pre",
    transform: (code, id) =>
      id.includes("onnxruntime-web")
        ? code.replaceAll('new URL("ort-wasm-simd-threaded.wasm",import.meta.url).href', '"ort.wasm"').replaceAll("import.meta.url", "self.location.href")
        : undefined,
  };
}

/** Moves the page to its place in the package, and writes the WebAssembly beside it. */
function deliver(): Plugin {
  return {
    name: "deliver",
    closeBundle() {
      mkdirSync(OUT, { recursive: true });
      writeFileSync(join(OUT, "ort.wasm.gz"), gzipSync(readFileSync(WASM), { level: 9 }));
      renameSync(join(HERE, "dist", "index.html"), join(OUT, "page.html"));
      rmSync(join(HERE, "dist"), { recursive: true });
    },
  };
}

export default defineConfig({
  root: HERE,
  plugins: [stamp(), portable(), viteSingleFile({ removeViteModuleLoader: true }), deliver()],
  // Browsers start no module from a blob in a page that was opened from a file.
  worker: { format: "iife", plugins: () => [portable()] },
  build: { target: "es2022", outDir: join(HERE, "dist"), emptyOutDir: true, assetsInlineLimit: Number.MAX_SAFE_INTEGER },
});
