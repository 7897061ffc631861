// Numbers of things in words.

/** A number and its noun: 1 image, 2 images, 1,000 images. */
export const counted = (count: number, noun: string): string => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
