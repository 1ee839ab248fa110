// What `/ui/board/{uid}` answers. `crates/ui/src/board/model.rs` has the same types, and says what each is for and how to ask.
//
// The page around it (`web/templates/board.html`):
//
//   <div class="board" data-board="UID" data-ask="from=..&to=..&var-x=.." data-refresh="MS or 0" [data-again="MS"] data-crosshair="off|line|tooltip"
//        data-zone="browser, utc, a zone or empty" data-weekday="..">
//     <form class="vars" method="get"> … <select name="var-x" [multiple]>, <input name="var-x"> … <button>Apply</button></form>
//     <details class="row" [open]><summary>Title</summary>
//       <div class="band">                          places: classes x0..x23, w1..w24, y0.., h1.. (the server's /ui/board.css)
//         <figure class="panel x0 y0 w12 h8 [transparent]" data-panel="KEY" data-kind="time|stat|gauge|bars|table|heatmap|pie|states|alerts|text">
//           <figcaption><h3>Title</h3> <a class="more" href="..">…</a> … </figcaption>
//           <div class="picture" tabindex="0" role="img" aria-label="Title"></div>     the script's own
//
// Figures of kind `text` are whole in the page and are not asked for. Every text is set by `textContent`.

/** `s0`..`s7` (a hue of the palette), `text`, `#rrggbb` or `#rrggbbaa`. */
export type Color = string;
/** Values at the times of a picture; `null` is none. */
export type Values = (number | null)[];

export interface Answer {
  now: number;
  from: number;
  to: number;
  panels: Panel[];
  marks?: Mark[];
  /** In place of all else: the request was refused. */
  error?: string;
  detail?: string;
}

/** A line at a time, with `to` an area; with `v` a point on the first axis. */
export interface Mark {
  at: number;
  to?: number;
  v?: number;
  color: Color;
  title: string;
  text?: string;
  /** Keys of the panels that do not show it. */
  without?: string[];
}

export interface Panel {
  key: string;
  picture: Picture;
  notes?: Note[];
  time?: string;
  queries: Query[];
  took_ms: number;
  /** Milliseconds after which it is worth asking again: collecting has just begun. */
  again?: number;
}

/** `step` is 0 for one moment. */
export interface Query {
  ref_id: string;
  expr: string;
  step: number;
}

export interface Note {
  level: "error" | "warning" | "info" | "empty";
  text: string;
  /** To be shown as code: what to set. */
  fix?: string;
}

export type Picture =
  | { kind: "none" }
  | ({ kind: "time" } & TimePicture)
  | ({ kind: "stat" } & StatPicture)
  | ({ kind: "gauge" } & GaugePicture)
  | ({ kind: "bars" } & BarsPicture)
  | ({ kind: "table" } & TablePicture)
  | ({ kind: "heatmap" } & HeatmapPicture)
  | ({ kind: "pie" } & PiePicture)
  | ({ kind: "states" } & StatesPicture)
  | ({ kind: "alerts" } & AlertsPicture);

export type Format =
  | { kind: "ladder"; prefix?: string; minus_first?: boolean; rungs: Rung[]; zero: number; odd?: string; decimals?: number }
  | { kind: "date"; letters: string; today?: string }
  | { kind: "ago" }
  | { kind: "spoken"; times: number; base: string; decimals?: number }
  | { kind: "clock"; days: boolean }
  | { kind: "parts"; times: number; decimals?: number }
  | { kind: "grouped"; decimals?: number }
  | { kind: "scientific"; decimals?: number }
  | { kind: "hex"; mark: boolean }
  | { kind: "flag"; no: string; yes: string }
  | { kind: "plain" };

export interface Rung {
  from: number;
  times: number;
  divide: number;
  suffix: string;
  plural?: boolean;
}

export interface Text {
  prefix?: string;
  text: string;
  suffix?: string;
}

export interface TimePicture {
  start: number;
  step: number;
  count: number;
  /** Where times are not even: each of them. */
  times?: number[];
  from: number;
  to: number;
  shape: string;
  series: Series[];
  omitted: number;
  axes: Axis[];
  stacks: Stack[];
  thresholds?: Limits;
  legend: Legend;
  tooltip: Tooltip;
  exemplars?: Mark[];
}

export interface Series {
  name: string;
  color: Color;
  /** Place in `axes`. */
  axis: number;
  v: Values;
  /** Lowest and highest between each point and the one before: both or none. */
  lo?: Values;
  hi?: Values;
  /** Place in `tooltip.formats`. */
  format: number;
  flip?: boolean;
  draw: "line" | "bars" | "points";
  /** Absent: linear. */
  join?: "smooth" | "stepAfter" | "stepBefore";
  width: number;
  dash?: number[];
  dots?: boolean;
  /** 0 to 1. */
  fill?: number;
  fill_to?: number;
  gradient?: "opacity" | "hue" | "scheme";
  scheme?: Limit[];
  points: "auto" | "always" | "never";
  point_size: number;
  /** Gaps no longer than this are drawn through; -1: all. */
  span_ms?: number;
  bar_align?: -1 | 0 | 1;
  bar_width: number;
  bar_width_max: number;
  hide?: ("legend" | "tooltip" | "picture")[];
  /** One for each of `legend.columns`. */
  calcs?: Calc[];
  links?: Link[];
}

export interface Calc {
  text: string;
  n: number | null;
}

export interface Stack {
  series: number[];
  percent?: boolean;
}

export interface Axis {
  right: boolean;
  hidden?: boolean;
  label?: string;
  format: Format;
  min?: number;
  max?: number;
  soft_min?: number;
  soft_max?: number;
  log?: 2 | 10;
  linear_to?: number;
  centered?: boolean;
  color?: Color;
  grid: boolean;
  border?: boolean;
  width?: number;
}

export interface Limits {
  line: boolean;
  dashed: boolean;
  area: boolean;
  steps: Limit[];
}

/** `null` is from below everything. */
export interface Limit {
  from: number | null;
  color: Color;
}

export interface Legend {
  mode: "list" | "table" | "hidden";
  right: boolean;
  columns: string[];
  width?: number;
  order: number[];
}

export interface Tooltip {
  mode: "single" | "multi" | "none";
  sort: "none" | "asc" | "desc";
  hide_zeros?: boolean;
  formats: Format[];
}

export type Orientation = "auto" | "horizontal" | "vertical";

export interface StatPicture {
  tiles: Tile[];
  orientation: Orientation;
  color: "none" | "value" | "background" | "background_solid";
  centered: boolean;
  title_size?: number;
  value_size?: number;
}

export interface Tile {
  title: string;
  value?: Text;
  /** The number itself, where it is one. */
  n: number | null;
  color: Color;
  spark?: Values;
  change?: { text: string; up: boolean };
  links?: Link[];
}

export interface GaugePicture {
  dials: Dial[];
  orientation: Orientation;
  markers: boolean;
  labels: boolean;
}

export interface Dial {
  title: string;
  value: Text;
  n: number | null;
  color: Color;
  part: number;
  bands: Band[];
  links?: Link[];
}

/** A colour from a place (0 to 1) on. */
export interface Band {
  from: number;
  color: Color;
  text: string;
}

export interface BarsPicture {
  bars: Bar[];
  orientation: Orientation;
  mode: "gradient" | "basic" | "lcd";
  unfilled: boolean;
  value: "color" | "text" | "hidden";
  names: "auto" | "top" | "left" | "hidden";
}

export interface Bar {
  title: string;
  value: Text;
  n: number | null;
  color: Color;
  part: number;
  bands: Band[];
  links?: Link[];
}

export interface TablePicture {
  columns: TableColumn[];
  rows: Cell[][];
  omitted: number;
  headless: boolean;
  footer?: string[];
  pages: boolean;
  height: "sm" | "md" | "lg" | "auto";
  frames?: string[];
  frame: number;
}

export interface TableColumn {
  title: string;
  align: "left" | "right" | "center";
  width?: number;
  width_min?: number;
  filterable?: boolean;
  look: "plain" | "text" | "ground" | "row" | "gauge";
  bar?: "gradient" | "basic" | "lcd";
  sorted: -1 | 0 | 1;
}

export interface Cell {
  t: string;
  n?: number;
  c?: Color;
  part?: number;
  links?: Link[];
}

export interface HeatmapPicture {
  start: number;
  step: number;
  count: number;
  from: number;
  to: number;
  /** From below. */
  rows: HeatmapRow[];
  colors: Color[];
  min: number;
  max: number;
  format: Format;
  y_format: Format;
  label?: string;
  right: boolean;
  gap: number;
  legend: boolean;
  tooltip: boolean;
  /** The theme in which the row of colours is turned round. */
  turned?: "dark" | "light";
}

export interface HeatmapRow {
  name: string;
  low: number | null;
  high: number | null;
  v: Values;
  /** Places in `colors`; -1: none. */
  c: number[];
}

export type PieLabel = "name" | "value" | "percent";

export interface PiePicture {
  parts: Part[];
  donut: boolean;
  labels: PieLabel[];
  values: PieLabel[];
  legend: Legend;
}

export interface Part {
  title: string;
  value: Text;
  n: number | null;
  percent: string;
  color: Color;
  part: number;
  quiet?: boolean;
  links?: Link[];
}

export interface StatesPicture {
  from: number;
  to: number;
  rows: StatesRow[];
  show_value: "auto" | "always" | "never";
  align: "left" | "right" | "center";
  row_height: number;
  gap: number;
  page_rows: number | null;
  legend: Legend;
  states: [string, Color][];
}

export interface StatesRow {
  title: string;
  spans: { from: number; to: number; text: string; color: Color }[];
}

export interface AlertsPicture {
  alerts: Alert[];
  omitted: number;
}

export interface Alert {
  name: string;
  state: "firing" | "pending" | "normal";
  since: number | null;
  labels: string[];
  summary: string;
}

export interface Link {
  title: string;
  href: string;
  new_tab?: boolean;
}
