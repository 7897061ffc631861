// Which painter paints the points: a graphics card where there is one and the points are very many, the Canvas otherwise.
import { forcedPainter } from "../timings";
import { Painter, type Points } from "./painter";
import type { View } from "./view";
import { VERY_MANY, WebglPainter } from "./webgl";

export class Painters {
  private readonly canvas = new Painter();
  /** Null where there is no graphics card, undefined until it is first needed. */
  private card: WebglPainter | null | undefined;

  /** `onLost` is called when the graphics card is taken away, and the points have to be painted again. */
  constructor(private readonly onLost: () => void) {}

  paint(...args: [context: CanvasRenderingContext2D, points: Points, view: View, ratio: number, radius: number, background: number]): void {
    const isByCard = this.cardFor(args[1].colours.length)?.paint(...args) ?? false;
    if (!isByCard) this.canvas.paint(...args);
    window.triptych.painter = isByCard ? "webgl" : "canvas";
  }

  dispose(): void {
    this.card?.dispose();
  }

  private cardFor(count: number): WebglPainter | null {
    if (forcedPainter === "canvas" || (forcedPainter !== "webgl" && count <= VERY_MANY)) return null;
    if (this.card === undefined) this.card = WebglPainter.open(this.onLost, forcedPainter === "webgl");
    return this.card;
  }
}
