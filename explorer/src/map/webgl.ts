// The painter of a graphics card: the same picture as the one of the Canvas, for more points than a processor paints at once.
import { FADED, NORMAL, STRONG, type Points } from "./painter";
import type { View } from "./view";

/** From more points than this on a graphics card paints them, where there is one. */
export const VERY_MANY = 200_000;

const SOFTWARE = /swiftshader|llvmpipe|softpipe|lavapipe|swrast|software|basic render/i;

// Positions are taken from the middle of the view first: numbers stay small when zoomed in far.
const VERTEX = `#version 300 es
in vec2 place;
in vec4 colour;
in uint state;
uniform vec2 middle, canvas;
uniform float scale, radius;
uniform uint kind;
uniform vec3 faded;
flat out vec3 tint;
void main() {
  vec2 pixel = (place - middle) * scale + canvas * 0.5;
  bool square = radius < 1.2;
  pixel = square ? floor(pixel) + 1.0 : floor(pixel + 0.5) + 0.5;
  vec2 clip = pixel / canvas * 2.0 - 1.0;
  gl_Position = state == kind ? vec4(clip.x, -clip.y, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = square ? 2.0 : 2.0 * ceil(radius) + 1.0;
  tint = kind == ${FADED}u ? faded : colour.rgb;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
flat in vec3 tint;
uniform float radius, opacity;
out vec4 shown;
void main() {
  vec2 apart = gl_PointCoord * (2.0 * ceil(radius) + 1.0) - ceil(radius) - 0.5;
  float inside = radius < 1.2 ? 1.0 : clamp(radius + 0.5 - length(apart), 0.0, 1.0);
  if (inside <= 0.02) discard;
  shown = vec4(tint, inside * opacity);
}`;

type Uniform = "middle" | "canvas" | "scale" | "radius" | "kind" | "faded" | "opacity";

/** Whether a name of a renderer is that of a graphics card, and not of a program that imitates one. */
export const isGraphicsCard = (renderer: string): boolean => renderer !== "" && !SOFTWARE.test(renderer);

export class WebglPainter {
  isLost = false;
  private readonly buffers: Record<"place" | "colour" | "state", WebGLBuffer>;
  private readonly uniforms: Record<Uniform, WebGLUniformLocation | null>;
  private uploaded: Partial<Points> = {};

  private constructor(private readonly gl: WebGL2RenderingContext, program: WebGLProgram) {
    const buffer = (name: string, act: (at: number) => void) => {
      const made = gl.createBuffer();
      const at = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, made);
      gl.enableVertexAttribArray(at);
      act(at);
      return made;
    };
    this.buffers = {
      place: buffer("place", (at) => gl.vertexAttribPointer(at, 2, gl.FLOAT, false, 0, 0)),
      colour: buffer("colour", (at) => gl.vertexAttribPointer(at, 4, gl.UNSIGNED_BYTE, true, 0, 0)),
      state: buffer("state", (at) => gl.vertexAttribIPointer(at, 1, gl.UNSIGNED_BYTE, 0, 0)),
    };
    const names: Uniform[] = ["middle", "canvas", "scale", "radius", "kind", "faded", "opacity"];
    this.uniforms = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)])) as typeof this.uniforms;
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** Opens a context; null without a graphics card, or where its context fails. `onLost` is called when it is taken away. */
  static open(onLost: () => void, allowSoftware = false): WebglPainter | null {
    const canvas = document.createElement("canvas");
    const options = { alpha: false, antialias: false, depth: false, failIfMajorPerformanceCaveat: !allowSoftware };
    const gl = canvas.getContext("webgl2", { ...options, powerPreference: "high-performance" });
    if (!gl || (!allowSoftware && !isGraphicsCard(rendererName(gl)))) return null;
    const program = linked(gl);
    if (!program) return null;
    const painter = new WebglPainter(gl, program);
    canvas.addEventListener("webglcontextlost", () => {
      painter.isLost = true;
      onLost();
    });
    return painter;
  }

  /** Paints all points, as `Painter.paint` does; returns false where the context is lost. */
  paint(context: CanvasRenderingContext2D, points: Points, view: View, ratio: number, radius: number, background: number): boolean {
    const { gl, uniforms } = this;
    const { width, height } = context.canvas;
    if (this.isLost || gl.isContextLost()) return false;
    if (gl.canvas.width !== width || gl.canvas.height !== height) [gl.canvas.width, gl.canvas.height] = [width, height];
    this.upload(points);
    gl.viewport(0, 0, width, height);
    gl.clearColor(...channels(background), 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const scale = view.scale * ratio;
    gl.uniform2f(uniforms.middle, (width / 2 - view.left * ratio) / scale, (height / 2 - view.top * ratio) / scale);
    gl.uniform2f(uniforms.canvas, width, height);
    gl.uniform1f(uniforms.scale, scale);
    gl.uniform3f(uniforms.faded, ...channels(points.faded));
    const pass = (kind: number, size: number, opacity: number) => {
      gl.uniform1ui(uniforms.kind, kind);
      gl.uniform1f(uniforms.radius, size);
      gl.uniform1f(uniforms.opacity, opacity);
      gl.drawArrays(gl.POINTS, 0, points.colours.length);
    };
    const size = radius * ratio;
    if (points.hasStrong) {
      pass(FADED, size, points.opacity);
      pass(STRONG, size * 1.15, 1);
    } else pass(NORMAL, size, points.opacity);
    context.drawImage(gl.canvas as HTMLCanvasElement, 0, 0);
    return !gl.isContextLost();
  }

  dispose(): void {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  /** Sends what has changed since the last frame. */
  private upload(points: Points): void {
    const { gl, buffers, uploaded } = this;
    const { layout, colours, shown, revision } = points;
    const send = (buffer: WebGLBuffer, values: Float32Array | Uint32Array | Uint8Array) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, values as Float32Array<ArrayBuffer>, gl.STATIC_DRAW);
    };
    const isNew = revision !== uploaded.revision;
    if (layout !== uploaded.layout) {
      const places = new Float32Array(2 * layout.x.length);
      for (let i = 0; i < layout.x.length; i++) [places[2 * i], places[2 * i + 1]] = [layout.x[i], layout.y[i]];
      send(buffers.place, places);
    }
    if (isNew || colours !== uploaded.colours) send(buffers.colour, colours);
    if (isNew || shown !== uploaded.shown) send(buffers.state, shown);
    this.uploaded = { layout, colours, shown, revision };
  }
}

/** The name of the renderer; Firefox has it in the standard parameter, Chromium in an extension. */
function rendererName(gl: WebGL2RenderingContext): string {
  const standard = String(gl.getParameter(gl.RENDERER) ?? "");
  if (!/^webkit webgl$/i.test(standard)) return standard;
  const extension = gl.getExtension("WEBGL_debug_renderer_info");
  return extension ? String(gl.getParameter(extension.UNMASKED_RENDERER_WEBGL) ?? "") : "";
}

function linked(gl: WebGL2RenderingContext): WebGLProgram | null {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
    const shader = gl.createShader(type);
    if (!shader) return null;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
}

const channels = (colour: number): [number, number, number] => [(colour & 255) / 255, ((colour >> 8) & 255) / 255, ((colour >> 16) & 255) / 255];
