// Paints elements on a canvas as they stand in the page: grounds, frames, texts, canvases and SVG shapes. It knows what panels
// are made of and no more.

type Wanted = (element: Element) => boolean;

export function paintElement(ctx: CanvasRenderingContext2D, root: HTMLElement, wanted: Wanted): void {
  const origin = root.getBoundingClientRect();
  ctx.save();
  ctx.translate(-origin.left, -origin.top);
  paint(ctx, root, wanted);
  ctx.restore();
}

function paint(ctx: CanvasRenderingContext2D, element: Element, wanted: Wanted): void {
  const style = getComputedStyle(element);
  if (!wanted(element) || style.display === "none" || style.visibility === "hidden") return;
  ctx.save();
  ctx.globalAlpha *= Number(style.opacity);
  const rect = element.getBoundingClientRect();
  if (element instanceof SVGElement) paintShape(ctx, element, style);
  else paintBox(ctx, rect, style);
  if (element instanceof HTMLCanvasElement) ctx.drawImage(element, rect.left, rect.top, rect.width, rect.height);
  if (style.overflowX !== "visible" && !(element instanceof SVGElement)) clip(ctx, rect);
  for (const child of element.childNodes) {
    if (child instanceof Element) paint(ctx, child, wanted);
    else if (child instanceof Text && !(element instanceof SVGElement)) paintText(ctx, child, style, rect);
  }
  ctx.restore();
}

function clip(ctx: CanvasRenderingContext2D, { left, top, width, height }: DOMRect): void {
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
}

function paintBox(ctx: CanvasRenderingContext2D, rect: DOMRect, style: CSSStyleDeclaration): void {
  if (rect.width === 0 || rect.height === 0) return;
  ctx.beginPath();
  ctx.roundRect(rect.left, rect.top, rect.width, rect.height, Number.parseFloat(style.borderTopLeftRadius) || 0);
  ctx.fillStyle = style.backgroundColor;
  ctx.fill();
  const gradient = gradientOf(ctx, rect, style.backgroundImage);
  if (gradient) {
    ctx.fillStyle = gradient;
    ctx.fill();
  }
  const frame = Number.parseFloat(style.borderTopWidth);
  if (frame > 0 && style.borderTopStyle !== "none") {
    ctx.lineWidth = frame;
    ctx.strokeStyle = style.borderTopColor;
    ctx.stroke();
  }
}

/** A `linear-gradient` as browsers write the one that holds: a direction and colours with places. */
function gradientOf(ctx: CanvasRenderingContext2D, { left, top, width, height }: DOMRect, image: string): CanvasGradient | null {
  const inside = /^linear-gradient\((.*)\)$/.exec(image)?.[1];
  if (!inside) return null;
  const upwards = inside.startsWith("to top");
  const downwards = !/^(to|-?[\d.]+deg)/.test(inside);
  const line = upwards ? [0, top + height, 0, top] : downwards ? [0, top, 0, top + height] : [left, 0, left + width, 0];
  const gradient = ctx.createLinearGradient(...(line as [number, number, number, number]));
  const stops = [...inside.matchAll(/(rgba?\([^)]*\)|#[0-9a-f]+|color\([^)]*\))\s*([\d.]+%)?\s*([\d.]+%)?/g)];
  stops.forEach(([, color, first, second], i) => {
    const at = first ? Number.parseFloat(first) / 100 : i / Math.max(1, stops.length - 1);
    gradient.addColorStop(Math.min(1, Math.max(0, at)), color!);
    if (second) gradient.addColorStop(Math.min(1, Number.parseFloat(second) / 100), color!);
  });
  return gradient;
}

/** A text in its lines, each where it stands. */
function paintText(ctx: CanvasRenderingContext2D, node: Text, style: CSSStyleDeclaration, box: DOMRect): void {
  const text = node.data.trim();
  if (text === "") return;
  const range = document.createRange();
  range.selectNodeContents(node);
  const rects = [...range.getClientRects()];
  ctx.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  ctx.fillStyle = style.color;
  ctx.textBaseline = "middle";
  const lines = rects.length > 1 ? split(node, rects.length) : [text];
  rects.forEach((rect, i) => {
    const room = style.textOverflow === "ellipsis" ? box.right - rect.left : rect.width + 1;
    ctx.fillText(cut(ctx, lines[i] ?? "", room), rect.left, rect.top + rect.height / 2);
  });
}

/** The words of each line, as they were broken. */
function split(node: Text, count: number): string[] {
  const lines: string[] = [];
  const range = document.createRange();
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < node.length; i++) {
    range.setStart(node, i);
    range.setEnd(node, i + 1);
    const rect = range.getBoundingClientRect();
    if (rect.height > 0 && rect.top > top + rect.height / 2 && lines.length < count) {
      lines.push("");
      top = rect.top;
    }
    if (lines.length > 0) lines[lines.length - 1] += node.data.charAt(i);
  }
  return lines.map((line) => line.trim());
}

function cut(ctx: CanvasRenderingContext2D, text: string, room: number): string {
  if (ctx.measureText(text).width <= room + 1) return text;
  let end = text.length;
  while (end > 0 && ctx.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}

function paintShape(ctx: CanvasRenderingContext2D, element: SVGElement, style: CSSStyleDeclaration): void {
  const matrix = element instanceof SVGGraphicsElement ? element.getScreenCTM() : null;
  if (!matrix) return;
  ctx.save();
  ctx.transform(matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f);
  if (element instanceof SVGPathElement) {
    const path = new Path2D(element.getAttribute("d") ?? "");
    if (style.fill !== "none") {
      ctx.fillStyle = style.fill;
      ctx.fill(path);
    }
    if (style.stroke !== "none") {
      ctx.strokeStyle = style.stroke;
      ctx.lineWidth = Number.parseFloat(style.strokeWidth) || 1;
      ctx.stroke(path);
    }
  } else if (element instanceof SVGTextContentElement && element.childElementCount === 0) {
    ctx.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    ctx.fillStyle = style.fill;
    ctx.textAlign = style.textAnchor === "middle" ? "center" : (style.textAnchor as CanvasTextAlign);
    ctx.fillText(element.textContent ?? "", Number(element.getAttribute("x")), Number(element.getAttribute("y")));
  }
  ctx.restore();
}
