// Colours: those of classes and splits, a scale of numbers, and how both are packed for the painter.

/** Of the splits; classes have those of the manifest, which figures have too. */
export const SPLITS = ["#4269d0", "#efb118", "#3ca951"];
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

const DARK_GROUND = 0.008; // relative luminance of the dark map
const LEAST_CONTRAST = 3;

/** Colours as a theme shows them: on a dark map, dark ones are mixed with white until they stand out. */
export function onMap(colours: string[], theme: Theme): string[] {
  if (theme === "light") return colours;
  return colours.map((colour) => {
    const given = channels(colour);
    let lighter = given;
    for (let share = 0; share < 1 && (luminance(lighter) + 0.05) / (DARK_GROUND + 0.05) < LEAST_CONTRAST; share += 0.05) {
      lighter = given.map((value) => value + (255 - value) * share) as [number, number, number];
    }
    return hex(lighter);
  });
}

function luminance(rgb: number[]): number {
  const [red, green, blue] = rgb.map((value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
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
