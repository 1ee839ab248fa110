// Pictures whose axis of values is a pile of rows, over time: buckets and states. uPlot gives the axes, the crosshair and the
// zoom; what stands in the rows is painted here.

import uPlot from "uplot";
import { TIME_STEPS, timeLabel } from "../chart";
import { make } from "../page";
import { zoomOut } from "../range";
import { attachTouch, zoomToSelection } from "../touch";
import { fontOf } from "./axes";
import { paint } from "./colour";
import { Hover } from "./hover";
import { drawMarks, tellMarks } from "./marks";
import { Tip, showAt } from "./tip";
import type { Context } from "./view";

/** Least height of a row that has its name. */
const NAME_PX = 13;
const LETTER_PX = 6.2;
/** Names longer than this part of the width are cut. */
const NAMES_PART = 0.3;

export interface Rows {
  from: number;
  to: number;
  /** From below. */
  names: string[];
  right: boolean;
  label: string;
  /** Whether a name belongs to the upper end of its row, not to its middle. */
  edges: boolean;
  /** Times that the crosshair stops at, in milliseconds, rising. */
  stops: number[];
}

export abstract class RowedView {
  protected readonly plotBox = make("div", "plot");
  protected readonly tip = new Tip();
  protected plot: uPlot | null = null;
  private row = 0;
  private readonly hover = new Hover(this.plotBox, this.tip);
  private readonly observer = new ResizeObserver(() => this.resize());

  constructor(protected readonly context: Context) {
    this.plotBox.tabIndex = 0;
    this.plotBox.setAttribute("role", "img");
    this.plotBox.addEventListener("keydown", (event) => this.key(event));
    this.plotBox.addEventListener("blur", () => this.leave());
    this.observer.observe(this.plotBox);
  }

  protected abstract rows(): Rows;
  /** Paints the rows. */
  protected abstract paint(plot: uPlot): void;
  /** Tells of a place: `row` from below, `at` in milliseconds. */
  protected abstract tell(row: number, at: number, index: number): { title: string; lines: Parameters<Tip["show"]>[3] } | null;

  protected rebuild(): void {
    this.plot?.destroy();
    this.plotBox.replaceChildren();
    const rows = this.rows();
    this.plot = new uPlot(this.options(rows), columns(rows), this.plotBox);
    this.plot.over.addEventListener("dblclick", () => zoomOut());
    attachTouch(this.plot);
  }

  remove(): void {
    this.observer.disconnect();
    this.hover.remove();
    this.plot?.destroy();
    this.tip.remove();
  }

  private options(rows: Rows): uPlot.Options {
    const font = fontOf();
    const widest = Math.max(0, ...rows.names.map((name) => name.length)) * LETTER_PX;
    const size = Math.min(widest, (this.plotBox.clientWidth || 300) * NAMES_PART) + 12;
    return {
      width: this.plotBox.clientWidth || 300,
      height: this.plotBox.clientHeight || 150,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), this.context.zone()),
      padding: [6, rows.right ? 0 : 12, 0, rows.right ? 12 : 0],
      legend: { show: false },
      cursor: {
        sync: { key: this.context.sync, scales: ["x", null] },
        points: { show: false },
        drag: { x: true, y: false, setScale: false },
      },
      scales: { x: { time: true, auto: false, range: () => [rows.from / 1000, rows.to / 1000] }, y: { auto: false, range: () => [0, Math.max(1, rows.names.length)] } },
      axes: [
        {
          stroke: paint("muted"),
          font,
          grid: { show: false },
          ticks: { show: false },
          size: 22,
          gap: 4,
          space: 76,
          incrs: TIME_STEPS,
          values: (_plot, splits, _axis, _space, step) => splits.map((at, i) => timeLabel(at, splits[i - 1], step)),
        },
        {
          scale: "y",
          side: rows.right ? 1 : 3,
          stroke: paint("muted"),
          font,
          grid: { show: false },
          ticks: { show: false },
          gap: 4,
          size,
          splits: (plot) => places(rows, plot.over.clientHeight || this.plotBox.clientHeight),
          values: (_plot, splits) => splits.map((at) => cut(rows.names[Math.round(rows.edges ? at - 1 : at - 0.5)] ?? "", size - 12)),
          ...(rows.label ? { label: rows.label, labelSize: 18, labelFont: font } : {}),
        },
      ],
      series: [{}, { scale: "y", paths: () => null, points: { show: false } }],
      hooks: {
        draw: [(plot) => this.clipped(plot)],
        setCursor: [(plot) => this.follow(plot)],
        setSelect: [zoomToSelection],
      },
    };
  }

  private clipped(plot: uPlot): void {
    const { left, top, width, height } = plot.bbox;
    plot.ctx.save();
    plot.ctx.beginPath();
    plot.ctx.rect(left, top, width, height);
    plot.ctx.clip();
    this.paint(plot);
    plot.ctx.restore();
    drawMarks(plot, this.context.marks());
  }

  private follow(plot: uPlot): void {
    const { left = -1, top = -1 } = plot.cursor;
    const mine = this.hover.inside || document.activeElement === this.plotBox;
    if (left < 0 || !(mine || this.context.sharesTip())) return this.tip.hide();
    const count = this.rows().names.length;
    if (this.hover.inside) this.row = Math.max(0, Math.min(count - 1, Math.floor(plot.posToVal(top, "y"))));
    const told = this.tell(this.row, plot.posToVal(left, "x") * 1000, plot.cursor.idx ?? 0);
    if (!told) return this.tip.hide();
    showAt(this.tip, plot, told.title, [...tellMarks(plot, this.context.marks()), ...told.lines], mine);
  }

  private key(event: KeyboardEvent): void {
    const { plot } = this;
    if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = this.rows();
    const last = rows.stops.length - 1;
    const index = plot.cursor.idx ?? last;
    const steps: Record<string, number> = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: last, ArrowUp: index, ArrowDown: index };
    const wanted = steps[event.key];
    if (event.key === "-") zoomOut();
    else if (event.key === "Escape" && this.tip.isShown) this.leave();
    else if (wanted === undefined || last < 0) return;
    else {
      this.row = Math.max(0, Math.min(rows.names.length - 1, this.row + (event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0)));
      const left = Math.max(0, plot.valToPos(rows.stops[Math.max(0, Math.min(last, wanted))]! / 1000, "x"));
      plot.setCursor({ left, top: plot.valToPos(this.row + 0.5, "y") });
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private leave(): void {
    this.tip.hide();
    this.plot?.setCursor({ left: -10, top: -10 });
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.plotBox;
    if (this.plot && width > 0 && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }
}

function columns(rows: Rows): uPlot.AlignedData {
  return [rows.stops.map((at) => at / 1000), rows.stops.map(() => null)];
}

/** Where names stand: as many as have room. */
function places({ names, edges }: Rows, height: number): number[] {
  const every = Math.max(1, Math.ceil((NAME_PX * names.length) / Math.max(1, height)));
  return names.flatMap((_, i) => (i % every === 0 ? [edges ? i + 1 : i + 0.5] : []));
}

function cut(name: string, width: number): string {
  const most = Math.max(3, Math.floor(width / LETTER_PX));
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
}
