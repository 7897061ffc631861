// Blobs: gzip-compressed bytes with a name, from elements of a static page or from the server.
import { PayloadError } from "./manifest";

const SLICE = 1 << 20; // characters of base64 decoded at once; a multiple of 4

/** Returns the bytes of a blob. */
export async function readBlob(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await findBlob(name);
  if (!bytes) throw new PayloadError(`Expected a blob named ${name}; it is missing. Create the page again with \`triptych explore\`.`);
  return bytes;
}

/** Returns the bytes of a blob, or null where neither page nor server has it. */
export async function findBlob(name: string): Promise<Uint8Array<ArrayBuffer> | null> {
  const element = document.getElementById(`blob-${name}`);
  if (element) return inflate(decoded(element.textContent ?? ""));
  if (location.protocol === "file:") return null;
  const response = await fetch(`blob/${name.split("/").map(encodeURIComponent).join("/")}`);
  if (!response.ok || response.status === 202 || !response.body) return null;
  const bytes = new Uint8Array(await response.arrayBuffer());
  // A server that sets Content-Encoding has the browser decompress it.
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? inflate(new Blob([bytes]).stream()) : bytes;
}

/** Returns a blob that holds JSON. */
export async function readJson(name: string): Promise<unknown> {
  return JSON.parse(new TextDecoder().decode(await readBlob(name)));
}

async function inflate(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Response(stream.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

/** Base64 as a stream of bytes, decoded in slices so that the page stays responsive. */
function decoded(text: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  const base64 = text.trim();
  let place = 0;
  return new ReadableStream({
    async pull(controller) {
      if (place >= base64.length) return controller.close();
      controller.enqueue(fromBase64(base64.slice(place, place + SLICE)));
      place += SLICE;
      await nextTask();
    },
  });
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Lets the browser handle input before the work goes on. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(null);
  });
}
