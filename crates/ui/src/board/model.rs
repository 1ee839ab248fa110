//! What `/ui/board/{uid}` answers: pictures that are ready to be drawn. `web/src/board/model.ts` has the same types.
//!
//! The server does everything that can be wrong: queries, columns, transformations, reduction, units, mappings, colours,
//! names, order, links. The script draws, stacks what is visible and writes numbers by the [`Format`] that comes with them.
//!
//! The request: `/ui/board/{uid}?from=..&to=..&var-NAME=..` as the page's own address, and
//! - `panels=2,5.1`: the keys of the panels that are wanted, as `data-panel` has them;
//! - `w=1200`: the width of the grid in pixels, of which a panel has its part; `narrow` where panels stand in one column;
//! - `tz=Europe/Berlin`: the zone that dates are written in and days begin in; absent, the dashboard's own, else UTC;
//! - `tail=MS`: of the time series, only what is not older than this time; everything else comes whole. Where
//!   [`TimePicture::shape`] is not that of the picture before, the tail does not continue it: ask for the whole panel;
//! - `exact=MS`: of the time series, only the values at this time, and those in full instead of rounded, for a tooltip;
//! - `full`: all values of time series in full, for a file say;
//! - `marks=0`: the annotations of the dashboard, by their places, whose marks are wanted of those that have a switch; any `marks`
//!   stands in place of what the file says;
//! - `solo`: the panel has the whole width; `frame.KEY=N`: the answer that a table of several shows.
//!
//! A colour is a text: `s0` to `s7`, a hue of the page's palette (which differs between dark and light); `text`, the colour of
//! texts; or `#rrggbb` and `#rrggbbaa`, the same in both themes.

/// How numbers are written: one function of the script writes axes, legends and tooltips by it. A tick of an axis is written with
/// the digits that tell it from the next one.
pub(crate) use dashboard::Recipe as Format;
use serde::Serialize;

/// The whole answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    /// When it was made, milliseconds since 1970.
    pub(crate) now: i64,
    /// The time shown.
    pub(crate) from: i64,
    /// Its end.
    pub(crate) to: i64,
    /// In the order in which they were asked for.
    pub(crate) panels: Vec<Panel>,
    /// What happened in the time shown, whole each time; pictures over time draw it. Not with `exact`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) marks: Vec<Mark>,
}

/// Something at a point in time, or, with `to`, from one to another one: a line through the picture, and an area. With `v` it
/// is a point at that value of the first axis.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Mark {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) v: Option<f64>,
    pub(crate) color: String,
    pub(crate) title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) text: String,
    /// Keys of the panels of the page that do not show it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) without: Vec<String>,
}

/// An annotation of the dashboard that the page has a switch for: `marks=PLACE` in the address names those that are on, and an
/// empty `marks=` says that none is.
#[derive(Debug)]
pub(crate) struct Switch {
    pub(crate) place: usize,
    pub(crate) name: String,
    pub(crate) on: bool,
}

/// A panel.
#[derive(Debug, Serialize)]
pub(crate) struct Panel {
    /// `data-panel` of its place in the page.
    pub(crate) key: String,
    /// What to draw.
    pub(crate) picture: Picture,
    /// Errors, warnings, and why there is nothing, in the order in which they are to be read. With no picture they stand in
    /// its place, else in the panel's corner.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<Note>,
    /// The time that it shows, where it is not the page's: `Last 1 hour`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) time: String,
    /// Its queries with their variables filled in.
    pub(crate) queries: Vec<Query>,
    /// Time of its queries; those that another panel asked, too, count where they came first.
    pub(crate) took_ms: f64,
    /// Milliseconds after which it is asked for again, whatever the page's refresh: it is empty, and collecting has just begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<u64>,
}

/// A query as it was asked.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Query {
    /// Its letter.
    pub(crate) ref_id: String,
    /// PromQL.
    pub(crate) expr: String,
    /// Milliseconds between values; 0 for one moment.
    pub(crate) step: u64,
}

/// A sentence about a panel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Note {
    pub(crate) level: Level,
    pub(crate) text: String,
    /// What to set for it to change, a Helm value say; to be shown as code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) fix: String,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// A query has no answer.
    Error,
    /// The answer may not be what was meant.
    Warning,
    /// Worth knowing.
    Info,
    /// Why there is nothing to show.
    Empty,
}

/// What to draw; `kind` says which.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Picture {
    /// Nothing; the notes say why.
    None,
    Time(TimePicture),
    Stat(StatPicture),
    Gauge(GaugePicture),
    Bars(BarsPicture),
    Table(TablePicture),
    Heatmap(HeatmapPicture),
    Pie(PiePicture),
    States(StatesPicture),
    Alerts(AlertsPicture),
}

/// A value that is written already.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Text {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) prefix: String,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) suffix: String,
}

/// Lines, bars and points over time.
#[derive(Debug, Serialize)]
pub(crate) struct TimePicture {
    /// Times of all series: `start + i * step`, `count` of them, unless `times` names each.
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<Vec<i64>>,
    /// The time that the axis shows, which may be the panel's own.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Equal where two answers can be joined: names, order and step are the same.
    pub(crate) shape: String,
    pub(crate) series: Vec<Series>,
    /// Series that were left out, since nobody tells so many apart.
    pub(crate) omitted: usize,
    pub(crate) axes: Vec<Axis>,
    pub(crate) stacks: Vec<Stack>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thresholds: Option<Limits>,
    pub(crate) legend: Legend,
    pub(crate) tooltip: Tooltip,
    /// Exemplars, whole each time; not with `exact`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exemplars: Vec<Mark>,
}

/// A line, a row of bars or of points. What is absent has its word's first value.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) color: String,
    /// Place in `axes`.
    pub(crate) axis: usize,
    /// Values at the times; `null` is none. Rounded to a part of 8192 of what the axis spans, unless `exact`.
    pub(crate) v: Vec<Option<f64>>,
    /// The lowest and the highest between each point and the one before, where that is to be seen; both are there, or none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lo: Vec<Option<f64>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hi: Vec<Option<f64>>,
    pub(crate) format: usize,
    /// Drawn downwards; legend and tooltip have the values as they are.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) flip: bool,
    /// `line`, `bars`, `points`.
    pub(crate) draw: &'static str,
    /// `linear`, `smooth`, `stepAfter`, `stepBefore`.
    #[serde(skip_serializing_if = "is_linear")]
    pub(crate) join: &'static str,
    /// Pixels.
    pub(crate) width: f64,
    /// Strokes and gaps, pixels; `dots` are of no length, with round ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dash: Vec<f64>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) dots: bool,
    /// Opacity of the area, 0 to 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) fill: f64,
    /// Place of the series that the area reaches to; absent, the axis (or what it is stacked on).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fill_to: Option<usize>,
    /// `none`, `opacity`, `hue`, `scheme`.
    #[serde(skip_serializing_if = "is_none")]
    pub(crate) gradient: &'static str,
    /// With gradient `scheme`: the colour from each value on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) scheme: Vec<Limit>,
    /// `auto` (where they have room), `always`, `never`; a single value between gaps is a point all the same.
    pub(crate) points: &'static str,
    pub(crate) point_size: f64,
    /// Gaps no longer than this (milliseconds) are drawn through; 0 none; -1 all.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) span_ms: f64,
    /// Bars: -1 before their time, 0 about it, 1 after.
    #[serde(skip_serializing_if = "is_zero_i8")]
    pub(crate) bar_align: i8,
    /// Bars: part of the step, and greatest width in pixels.
    pub(crate) bar_width: f64,
    pub(crate) bar_width_max: f64,
    /// Where it does not appear: `legend`, `tooltip`, `picture`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hide: Vec<&'static str>,
    /// Values of the legend's columns, in full.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) calcs: Vec<Calc>,
    /// Where a click on it leads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
}

/// A value of a legend or of a footer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Calc {
    /// As it is written.
    pub(crate) text: String,
    /// What it is sorted by.
    pub(crate) n: Option<f64>,
}

/// Series that stand on each other, from below: a series is drawn from the sum of those before it to that and its own. A gap
/// counts as nothing; where all of them have one it stays one. Hidden ones are left out. With `percent` each is drawn as its
/// part of the sum of all that are not hidden, 0 to 1, and its axis is written so already.
#[derive(Debug, Serialize)]
pub(crate) struct Stack {
    pub(crate) series: Vec<usize>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) percent: bool,
}

/// An axis of values.
#[derive(Debug, Serialize)]
pub(crate) struct Axis {
    pub(crate) right: bool,
    /// It has a scale and is not drawn.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) hidden: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) label: String,
    pub(crate) format: Format,
    /// Fixed ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<f64>,
    /// It reaches at least to these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) soft_min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) soft_max: Option<f64>,
    /// 2 or 10; absent, even steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<f64>,
    /// With `log`: even up to here on both sides of zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) linear_to: Option<f64>,
    /// Zero stays in the middle.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) centered: bool,
    /// Its letters' colour, where it is not the page's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) color: Option<String>,
    /// Whether lines run through the picture.
    pub(crate) grid: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) border: bool,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<f64>,
}

/// Limits drawn behind the series, by the axis of the first one.
#[derive(Debug, Serialize)]
pub(crate) struct Limits {
    pub(crate) line: bool,
    pub(crate) dashed: bool,
    pub(crate) area: bool,
    pub(crate) steps: Vec<Limit>,
}

/// A colour from a value on; `null` is from below everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Limit {
    pub(crate) from: Option<f64>,
    pub(crate) color: String,
}

/// The list of what is drawn.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Legend {
    /// `list`, `table`, `hidden`.
    pub(crate) mode: &'static str,
    pub(crate) right: bool,
    /// Titles of the values beside each name.
    pub(crate) columns: Vec<&'static str>,
    /// Pixels, at the right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<f64>,
    /// Places of the series in the order of the list; those hidden in it are not in it.
    pub(crate) order: Vec<usize>,
}

/// What is shown on hovering.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tooltip {
    /// `single`, `multi`, `none`.
    pub(crate) mode: &'static str,
    /// `none`, `asc`, `desc`.
    pub(crate) sort: &'static str,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) hide_zeros: bool,
    /// How its numbers are written: `Series::format` is a place in here.
    pub(crate) formats: Vec<Format>,
}

/// Numbers in large.
#[derive(Debug, Serialize)]
pub(crate) struct StatPicture {
    pub(crate) tiles: Vec<Tile>,
    /// `auto` (by the room), `horizontal` (above each other), `vertical` (beside each other).
    pub(crate) orientation: &'static str,
    /// What takes the colour: `none`, `value`, `background` (fading), `background_solid`.
    pub(crate) color: &'static str,
    pub(crate) centered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title_size: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value_size: Option<f64>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(crate) struct Tile {
    /// Empty where it is not to be written.
    pub(crate) title: String,
    /// Absent where it is not to be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Text>,
    /// The number itself, where it is one.
    pub(crate) n: Option<f64>,
    pub(crate) color: String,
    /// Values of the small picture behind, at even distances.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) spark: Vec<Option<f64>>,
    /// Change over the time: `+12%`, and whether it is upwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<Change>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Change {
    pub(crate) text: String,
    pub(crate) up: bool,
}

/// Numbers on round scales.
#[derive(Debug, Serialize)]
pub(crate) struct GaugePicture {
    pub(crate) dials: Vec<Measure>,
    pub(crate) orientation: &'static str,
    /// Whether the bands are marked around the scale, and whether their limits are written.
    pub(crate) markers: bool,
    pub(crate) labels: bool,
}

/// A number on a scale.
#[derive(Debug, Serialize)]
pub(crate) struct Measure {
    /// Empty where it is not to be written.
    pub(crate) title: String,
    pub(crate) value: Text,
    /// The number itself, where it is one.
    pub(crate) n: Option<f64>,
    pub(crate) color: String,
    /// Place of the value on the scale, or length of the bar, 0 to 1.
    pub(crate) part: f64,
    /// Colours of the scale: from a place on.
    pub(crate) bands: Vec<Band>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
}

/// A colour of a scale from a place (0 to 1) on, and the limit as it is written.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Band {
    pub(crate) from: f64,
    pub(crate) color: String,
    pub(crate) text: String,
}

/// Numbers as bars.
#[derive(Debug, Serialize)]
pub(crate) struct BarsPicture {
    pub(crate) bars: Vec<Measure>,
    pub(crate) orientation: &'static str,
    /// `gradient` (through `bands` up to the value), `basic`, `lcd`.
    pub(crate) mode: &'static str,
    /// Whether the rest of the bar is shown.
    pub(crate) unfilled: bool,
    /// `color`, `text`, `hidden`: how the value is written.
    pub(crate) value: &'static str,
    /// `auto`, `top`, `left`, `hidden`: where names stand.
    pub(crate) names: &'static str,
}

/// Rows and columns, rows in their order.
#[derive(Debug, Serialize)]
pub(crate) struct TablePicture {
    pub(crate) columns: Vec<TableColumn>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Rows past those that are sent.
    pub(crate) omitted: usize,
    pub(crate) headless: bool,
    /// Values below the columns; empty, none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) footer: Vec<String>,
    /// Whether it is cut into pages.
    pub(crate) pages: bool,
    /// `sm`, `md`, `lg`, `auto`.
    pub(crate) height: &'static str,
    /// Names of the answers where there are several, and which one this is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) frames: Vec<String>,
    pub(crate) frame: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct TableColumn {
    pub(crate) title: String,
    /// `left`, `right`, `center`.
    pub(crate) align: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width_min: Option<f64>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) filterable: bool,
    /// How its cells look: `plain`, `text` (the text in the colour), `ground`, `row` (the ground of the whole row), `gauge`.
    pub(crate) look: &'static str,
    /// Gauges: `gradient`, `basic`, `lcd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bar: Option<&'static str>,
    /// -1, 0 or 1: the rows come sorted by this column, downwards, not at all, upwards.
    pub(crate) sorted: i8,
}

/// A cell of a table.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Cell {
    /// The text.
    pub(crate) t: String,
    /// What it is sorted by, where that is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) n: Option<f64>,
    /// The colour, where the column's look has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) c: Option<String>,
    /// Length of its bar, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
}

/// Buckets over time.
#[derive(Debug, Serialize)]
pub(crate) struct HeatmapPicture {
    /// Times of the cells' beginnings: `start + i * step`, `count` of them.
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// From below.
    pub(crate) rows: Vec<HeatmapRow>,
    /// Colours from the lowest to the highest value.
    pub(crate) colors: Vec<String>,
    /// Value of the first and of the last colour.
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Values of cells, and ends of buckets.
    pub(crate) format: Format,
    pub(crate) y_format: Format,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) label: String,
    pub(crate) right: bool,
    /// Pixels between cells.
    pub(crate) gap: f64,
    /// Whether there is a scale of colours, and a tooltip.
    pub(crate) legend: bool,
    pub(crate) tooltip: bool,
    /// The theme, `dark` or `light`, in which the row of colours is turned round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) turned: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct HeatmapRow {
    /// The bucket's name.
    pub(crate) name: String,
    /// Its ends, where they are numbers; `null` is infinite or not known.
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    /// Values of its cells; `null` is none.
    pub(crate) v: Vec<Option<f64>>,
    /// Places of their colours; -1 is none.
    pub(crate) c: Vec<i16>,
}

/// Parts of a whole.
#[derive(Debug, Serialize)]
pub(crate) struct PiePicture {
    pub(crate) parts: Vec<Part>,
    pub(crate) donut: bool,
    /// What is written on a part: `name`, `value`, `percent`.
    pub(crate) labels: Vec<&'static str>,
    /// What the legend says of it.
    pub(crate) values: Vec<&'static str>,
    pub(crate) legend: Legend,
}

#[derive(Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) title: String,
    pub(crate) value: Text,
    /// The number itself, where it is one.
    pub(crate) n: Option<f64>,
    pub(crate) percent: String,
    pub(crate) color: String,
    /// Of the whole, 0 to 1.
    pub(crate) part: f64,
    /// Left out of the legend.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) quiet: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
}

/// States over time, a row each.
#[derive(Debug, Serialize)]
pub(crate) struct StatesPicture {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) rows: Vec<StatesRow>,
    /// `auto`, `always`, `never`: when texts are written.
    pub(crate) show_value: &'static str,
    /// `left`, `right`, `center`.
    pub(crate) align: &'static str,
    /// Part of the row's room, 0 to 1.
    pub(crate) row_height: f64,
    /// Pixels between neighbours.
    pub(crate) gap: f64,
    pub(crate) page_rows: Option<u32>,
    pub(crate) legend: Legend,
    /// Its list: texts and colours.
    pub(crate) states: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
pub(crate) struct StatesRow {
    pub(crate) title: String,
    pub(crate) spans: Vec<StateSpan>,
}

#[derive(Debug, Serialize)]
pub(crate) struct StateSpan {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) text: String,
    pub(crate) color: String,
}

/// Alerts.
#[derive(Debug, Serialize)]
pub(crate) struct AlertsPicture {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) omitted: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct Alert {
    pub(crate) name: String,
    /// `firing`, `pending`, `normal`.
    pub(crate) state: &'static str,
    /// Since when, milliseconds since 1970.
    pub(crate) since: Option<i64>,
    /// `severity=critical` and so on.
    pub(crate) labels: Vec<String>,
    pub(crate) summary: String,
}

/// Where a click leads; the address has been looked at and is safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    pub(crate) title: String,
    pub(crate) href: String,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) new_tab: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference.
fn is_false(flag: &bool) -> bool {
    !flag
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero_i8(number: &i8) -> bool {
    *number == 0
}

fn is_linear(word: &str) -> bool {
    word == "linear"
}

fn is_none(word: &str) -> bool {
    word == "none"
}
