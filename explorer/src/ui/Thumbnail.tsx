// One image of the collection, or another picture, drawn from its sheet.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ThumbnailSheets } from "../data/thumbnails";
import { useStore } from "../state";

export function Thumbnail({ point, size, label, sheets }: { point: number; size: number; label?: string; sheets?: ThumbnailSheets }) {
  const store = useStore();
  const thumbnails = sheets ?? store.thumbnails;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [isReady, setReady] = useState(0);
  useEffect(() => {
    const context = canvas.current!.getContext("2d")!;
    const { width, height } = canvas.current!;
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = thumbnails.isSmooth || width < thumbnails.width;
    context.imageSmoothingQuality = "high";
    if (thumbnails.draw(context, point, 0, 0, width, height)) return;
    return thumbnails.onReady(() => setReady((count) => count + 1));
  }, [point, size, isReady]);
  const ratio = Math.min(3, Math.max(1, window.devicePixelRatio || 1));
  const tall = size * Math.min(1, thumbnails.height / thumbnails.width);
  const wide = size * Math.min(1, thumbnails.width / thumbnails.height);
  return (
    <canvas
      ref={canvas}
      class="thumbnail"
      width={Math.round(wide * ratio)}
      height={Math.round(tall * ratio)}
      style={{ width: `${wide}px`, height: `${tall}px` }}
      role={label ? "img" : "presentation"}
      aria-label={label}
    />
  );
}
