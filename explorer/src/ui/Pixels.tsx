// An image that a model decoded, or that was given to it.
import { useEffect, useRef } from "preact/hooks";
import type { ModelInfo } from "../data/manifest";
import { imageData } from "../model/pixels";

interface Properties {
  pixels: Float32Array | null;
  info: ModelInfo;
  size: number;
  label: string;
  start?: number;
}

export function Pixels({ pixels, info, size, label, start = 0 }: Properties) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (pixels) canvas.current!.getContext("2d")!.putImageData(imageData(pixels, info, start), 0, 0);
  }, [pixels, start]);
  const [wide, high] = [Math.min(1, info.width / info.height), Math.min(1, info.height / info.width)];
  return (
    <canvas
      ref={canvas}
      class={Math.max(info.width, info.height) <= 32 ? "thumbnail pixelated" : "thumbnail"}
      width={info.width}
      height={info.height}
      style={{ width: `${size * wide}px`, height: `${size * high}px` }}
      role="img"
      aria-label={label}
    />
  );
}
