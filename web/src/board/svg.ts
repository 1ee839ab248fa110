// SVG by elements. Attributes are presentation attributes or geometry: the policy of the pages has no inline styles.

const SPACE = "http://www.w3.org/2000/svg";

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number> = {},
  ...children: (SVGElement | string)[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, typeof value === "number" ? String(Math.round(value * 100) / 100) : value);
  }
  element.append(...children);
  return element;
}

/** A ring's part between two turns (0 to 1, from above, clockwise), as a path's `d`. */
export function arc(x: number, y: number, inner: number, outer: number, from: number, to: number): string {
  // A whole turn begins where it ends, which an arc cannot say.
  const end = Math.min(to, from + 0.99999);
  const large = end - from > 0.5 ? 1 : 0;
  const at = (radius: number, turn: number) => {
    const angle = (turn - 0.25) * 2 * Math.PI;
    return `${round(x + radius * Math.cos(angle))} ${round(y + radius * Math.sin(angle))}`;
  };
  const rim = `M${at(outer, from)}A${outer} ${outer} 0 ${large} 1 ${at(outer, end)}`;
  const hub = inner > 0 ? `L${at(inner, end)}A${inner} ${inner} 0 ${large} 0 ${at(inner, from)}` : `L${round(x)} ${round(y)}`;
  return `${rim}${hub}Z`;
}

/** A line through values at even distances in a box; gaps break it. With `floor` the area below. */
export function spark(values: (number | null)[], width: number, height: number): { line: string; area: string } {
  const known = values.filter((value): value is number => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const y = (value: number) => round(high > low ? height - 1 - ((value - low) / (high - low)) * (height - 2) : height / 2);
  const x = (i: number) => round(values.length > 1 ? (i / (values.length - 1)) * width : width / 2);
  let [line, area, begun] = ["", "", -1];
  values.forEach((value, i) => {
    if (value === null) return;
    const starts = begun < 0;
    if (starts) begun = i;
    line += `${starts ? "M" : "L"}${x(i)} ${y(value)}`;
    area += `${starts ? `M${x(i)} ${height}L` : "L"}${x(i)} ${y(value)}`;
    if (values[i + 1] === null || values[i + 1] === undefined) {
      area += `L${x(i)} ${height}Z`;
      begun = -1;
    }
  });
  return { line, area };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
