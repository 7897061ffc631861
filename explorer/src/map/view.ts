// The view: which part of the plane a canvas shows. Immutable; CSS pixels.

export interface View {
  /** Pixels of one unit of the layout. */
  scale: number;
  /** Where the layout's origin lies on the canvas. */
  left: number;
  top: number;
}

/** Pixels between the frame and the outermost points of the whole layout. */
export const MARGIN = 28;
const MAX_ZOOM = 4000;

/** Shows the whole layout, which fills [-1, 1]. */
export function wholeView(width: number, height: number): View {
  const scale = Math.max(20, Math.min(width, height) / 2 - MARGIN);
  return { scale, left: width / 2, top: height / 2 };
}

export const panned = (view: View, dx: number, dy: number): View => ({ ...view, left: view.left + dx, top: view.top + dy });

/** Zooms around a place on the canvas that stays where it is. */
export function zoomed(view: View, factor: number, x: number, y: number, whole: View): View {
  const scale = Math.min(whole.scale * MAX_ZOOM, Math.max(whole.scale * 0.4, view.scale * factor));
  const ratio = scale / view.scale;
  return { scale, left: x - (x - view.left) * ratio, top: y - (y - view.top) * ratio };
}

/** Puts a place of the layout into the middle. */
export function centred(view: View, x: number, y: number, width: number, height: number): View {
  return { ...view, left: width / 2 - x * view.scale, top: height / 2 - y * view.scale };
}

/** Shows a box of the layout, with some space around. */
export function framed(low: [number, number], high: [number, number], width: number, height: number): View {
  const span = Math.max(high[0] - low[0], high[1] - low[1], 0.04);
  const scale = (Math.min(width, height) - 2 * MARGIN) / span;
  return centred({ scale, left: 0, top: 0 }, (low[0] + high[0]) / 2, (low[1] + high[1]) / 2, width, height);
}
