// Colours: palettes of classes, a scale of numbers, and how both are packed for the painter.

const CATEGORICAL = [
  "#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2", "#6cc5b0", "#ff8ab7", "#9c6b4e", "#38a3d8", "#8a8f98",
];
const SEQUENTIAL = {
  light: ["#c9d5e2", "#8fb8cf", "#4f93bb", "#3a669f", "#3b3b84", "#2b1452"],
  dark: ["#33445c", "#35607f", "#3a8797", "#5bb08f", "#a7d474", "#f6ef8e"],
};

export type Theme = "light" | "dark";

/** Colours of what is right, wrong, unknown and undecided. */
export const STATUS = {
  light: { right: "#9fb0c2", wrong: "#e03131", unknown: "#adb5bd", kept: "#2f9e44", relabelled: "#e8590c", dropped: "#862e9c" },
  dark: { right: "#4d6078", wrong: "#ff6b5e", unknown: "#68737f", kept: "#51cf66", relabelled: "#ffa94d", dropped: "#da77f2" },
};

/** One colour for each class; beyond ten, hues a golden angle apart. */
export function categorical(count: number, theme: Theme): string[] {
  return Array.from({ length: count }, (_, k) => {
    if (k < CATEGORICAL.length) return CATEGORICAL[k];
    const lightness = (theme === "dark" ? 62 : 48) + 10 * ((k % 3) - 1);
    return hslHex((k * 137.508) % 360, 55, lightness);
  });
}

/** The colour of a share from 0 to 1. */
export function sequential(share: number, theme: Theme): string {
  const stops = SEQUENTIAL[theme];
  const place = Math.max(0, Math.min(1, share)) * (stops.length - 1);
  const first = Math.min(stops.length - 2, Math.floor(place));
  const [a, b] = [channels(stops[first]), channels(stops[first + 1])];
  return hex(a.map((value, k) => value + (b[k] - value) * (place - first)));
}

/** 256 packed colours of the scale of numbers. */
export const sequentialTable = (theme: Theme): Uint32Array =>
  Uint32Array.from({ length: 256 }, (_, k) => packed(sequential(k / 255, theme)));

/** `#rrggbb` as an opaque pixel of an ImageData, on a little-endian machine. */
export function packed(colour: string): number {
  const [red, green, blue] = channels(colour);
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}

/** A packed pixel as CSS. */
export const css = (pixel: number): string => `rgb(${pixel & 255} ${(pixel >> 8) & 255} ${(pixel >> 16) & 255})`;

function channels(colour: string): [number, number, number] {
  const value = parseInt(colour.trim().slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

const hex = (rgb: number[]): string => `#${rgb.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;

function hslHex(hue: number, saturation: number, lightness: number): string {
  const [s, l] = [saturation / 100, lightness / 100];
  const part = (n: number) => {
    const k = (n + hue / 30) % 12;
    return 255 * (l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return hex([part(0), part(8), part(4)]);
}
