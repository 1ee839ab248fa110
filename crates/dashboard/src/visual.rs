//! What each kind of panel is asked to do, apart from how its columns look.

use crate::field::{Align, BarMode, words};
use crate::reduce::Reducer;

/// The kind of a panel.
#[derive(Clone, Debug, PartialEq)]
pub enum Visual {
    /// Lines, bars and points over time.
    TimeSeries(TimeSeries),
    /// One number in large, a small picture behind it.
    Stat(Stat),
    /// One number on a scale.
    Gauge(Gauge),
    /// Numbers as bars.
    BarGauge(BarGauge),
    /// Rows and columns.
    Table(Table),
    /// Buckets over time.
    Heatmap(Heatmap),
    /// Parts of a whole.
    Pie(Pie),
    /// A text.
    Text(Text),
    /// States over time, a row each.
    StateTimeline(StateTimeline),
    /// Alerts.
    AlertList(AlertList),
    /// A kind that skep does not draw. Its queries are kept, and what they answer is shown as a table.
    Unsupported {
        /// Grafana's name of it.
        kind: String,
    },
}

/// Lines, bars and points over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeSeries {
    /// The list beside or below.
    pub legend: Legend,
    /// What is shown on hovering.
    pub tooltip: Tooltip,
    /// Time zones of the axis, where they are not the dashboard's.
    pub zones: Vec<String>,
}

/// The list of what is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Legend {
    /// Whether and how it is shown.
    pub mode: LegendMode,
    /// Whether it stands at the right, not below.
    pub right: bool,
    /// Values beside each name.
    pub calcs: Vec<Reducer>,
    /// Width in pixels, at the right.
    pub width: Option<f64>,
    /// The value or name that it is sorted by, by its title.
    pub sort_by: Option<String>,
    /// Whether the greatest comes first.
    pub descending: bool,
}

words! {
    /// How a legend is shown.
    LegendMode: List {
        /// Names one after the other.
        List = "list",
        /// A line each, with values in columns.
        Table = "table",
        /// Not at all.
        Hidden = "hidden",
    }
}

/// What is shown on hovering.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tooltip {
    /// Which of the drawn columns.
    pub mode: TooltipMode,
    /// Their order.
    pub sort: SortOrder,
    /// Whether zeros are left out.
    pub hide_zeros: bool,
}

words! {
    /// Which columns a tooltip shows.
    TooltipMode: Single {
        /// The nearest.
        Single = "single",
        /// All.
        Multi = "multi",
        /// None.
        None = "none",
    }
}

words! {
    /// An order by value.
    SortOrder: None {
        /// As they come.
        None = "none",
        /// The smallest first.
        Ascending = "asc",
        /// The greatest first.
        Descending = "desc",
    }
}

/// How the columns of a panel become values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReduceOptions {
    /// Whether every row is a value; else every column is one.
    pub rows: bool,
    /// How many rows or columns are shown.
    pub limit: Option<u32>,
    /// How a column becomes a value; empty, the last one.
    pub calcs: Vec<Reducer>,
    /// Which columns: empty, those of numbers; else a name or `/pattern/`.
    pub fields: String,
}

words! {
    /// Which way values are laid out.
    Orientation: Auto {
        /// As there is room.
        Auto = "auto",
        /// Bars across.
        Horizontal = "horizontal",
        /// Bars upwards.
        Vertical = "vertical",
    }
}

/// One number in large.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stat {
    /// Which values.
    pub reduce: ReduceOptions,
    /// How several are laid out.
    pub orientation: Orientation,
    /// What takes the value's colour.
    pub color: StatColor,
    /// Whether the column is drawn behind.
    pub graph: bool,
    /// What is written.
    pub text: StatText,
    /// Whether the text stands in the middle.
    pub centered: bool,
    /// Whether the change over the time is written beside.
    pub change: bool,
    /// Size of the title in pixels, where the room does not decide.
    pub title_size: Option<f64>,
    /// Size of the value in pixels, where the room does not decide.
    pub value_size: Option<f64>,
    /// Written before the value, as the legacy panel had it.
    pub prefix: String,
    /// Written behind the value.
    pub postfix: String,
}

words! {
    /// What takes the colour of a value.
    StatColor: Value {
        /// Nothing.
        None = "none",
        /// The value.
        Value = "value",
        /// The ground, fading.
        Background = "background",
        /// The ground, even.
        BackgroundSolid = "background_solid",
    }
}

words! {
    /// What a stat writes.
    StatText: Auto {
        /// The name where there are several.
        Auto = "auto",
        /// The value.
        Value = "value",
        /// The value and its name.
        ValueAndName = "value_and_name",
        /// The name.
        Name = "name",
        /// Nothing.
        None = "none",
    }
}

/// One number on a scale.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauge {
    /// Which values.
    pub reduce: ReduceOptions,
    /// How several are laid out.
    pub orientation: Orientation,
    /// Whether limits are written.
    pub threshold_labels: bool,
    /// Whether limits are marked.
    pub threshold_markers: bool,
    /// Written before the value, as the legacy panel had it.
    pub prefix: String,
    /// Written behind the value.
    pub postfix: String,
}

/// Numbers as bars.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarGauge {
    /// Which values.
    pub reduce: ReduceOptions,
    /// Which way the bars go.
    pub orientation: Orientation,
    /// How they are filled.
    pub mode: BarMode,
    /// Whether the rest of the bar is shown.
    pub unfilled: bool,
    /// How the value is written.
    pub value: BarValue,
    /// Where the names stand.
    pub names: BarNames,
}

words! {
    /// How the value of a bar is written.
    BarValue: Color {
        /// In its colour.
        Color = "color",
        /// In the colour of texts.
        Text = "text",
        /// Not at all.
        Hidden = "hidden",
    }
}

words! {
    /// Where the names of bars stand.
    BarNames: Auto {
        /// As there is room.
        Auto = "auto",
        /// Above.
        Top = "top",
        /// Left.
        Left = "left",
        /// Nowhere.
        Hidden = "hidden",
    }
}

/// Rows and columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Whether the names of columns are hidden.
    pub headless: bool,
    /// Columns that rows are sorted by, and whether the greatest comes first.
    pub sort: Vec<(String, bool)>,
    /// Which answer is shown, where there are several.
    pub frame: Option<u32>,
    /// Values below the columns.
    pub footer: Option<Footer>,
    /// Whether the table is cut into pages.
    pub pages: bool,
    /// Height of cells.
    pub cell_height: CellHeight,
}

/// Values below the columns of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Footer {
    /// How a column becomes a value.
    pub calcs: Vec<Reducer>,
    /// Columns by name; empty, those of numbers.
    pub fields: Vec<String>,
    /// Whether rows are counted in place of values.
    pub count_rows: bool,
}

words! {
    /// Height of a table's cells.
    CellHeight: Small {
        /// Small.
        Small = "sm",
        /// Middle.
        Medium = "md",
        /// Large.
        Large = "lg",
        /// As the content is.
        Auto = "auto",
    }
}

/// Buckets over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heatmap {
    /// Whether values are put in buckets here; else they come as buckets.
    pub calculate: bool,
    /// Widths of buckets, when they are made here.
    pub x_buckets: BucketSize,
    /// Heights of buckets, when they are made here.
    pub y_buckets: BucketSize,
    /// The row of colours, Grafana's name of it.
    pub scheme: String,
    /// Whether colours go the other way.
    pub reverse: bool,
    /// In how many steps.
    pub steps: u32,
    /// Exponential, or linear where it is 1.
    pub exponent: f64,
    /// One colour in degrees of opacity, in place of a row of them.
    pub fill: Option<String>,
    /// The value of the first colour.
    pub color_min: Option<f64>,
    /// The value of the last colour.
    pub color_max: Option<f64>,
    /// Cells below this are left out.
    pub hide_below: Option<f64>,
    /// Cells above this are left out.
    pub hide_above: Option<f64>,
    /// Unit of the cells' values.
    pub cell_unit: Option<String>,
    /// Digits after the point of the cells' values.
    pub cell_decimals: Option<u32>,
    /// Unit of the buckets' ends.
    pub y_unit: Option<String>,
    /// Digits after the point of the buckets' ends.
    pub y_decimals: Option<u32>,
    /// Lower end of the axis.
    pub y_min: Option<f64>,
    /// Upper end of the axis.
    pub y_max: Option<f64>,
    /// Whether small buckets stand above.
    pub y_reverse: bool,
    /// Text beside the axis.
    pub y_label: String,
    /// Whether the axis stands at the right.
    pub y_right: bool,
    /// Whether the bucket's end named is its lower, upper or either.
    pub bound: Bound,
    /// Space between cells in pixels.
    pub gap: f64,
    /// Whether there is a scale of colours.
    pub legend: bool,
    /// Whether hovering shows a cell.
    pub tooltip: bool,
    /// Whether hovering shows the distribution at its time.
    pub histogram: bool,
}

words! {
    /// Which end of a bucket its name is.
    Bound: Auto {
        /// What the data says.
        Auto = "auto",
        /// The lower.
        Lower = "ge",
        /// The upper.
        Upper = "le",
        /// The middle.
        Middle = "unknown",
    }
}

/// How wide or how many buckets are.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum BucketSize {
    /// As there is room.
    #[default]
    Auto,
    /// So many.
    Count(f64),
    /// So wide: a number, or a duration for times.
    Size(String),
}

/// Parts of a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pie {
    /// Which values.
    pub reduce: ReduceOptions,
    /// Whether the middle is open.
    pub donut: bool,
    /// What is written on the parts.
    pub labels: Vec<PieLabel>,
    /// The list beside or below.
    pub legend: Legend,
    /// What the list says of each part.
    pub legend_values: Vec<PieLabel>,
    /// What is shown on hovering.
    pub tooltip: Tooltip,
    /// Order of the parts.
    pub sort: SortOrder,
}

words! {
    /// What is written of a part.
    PieLabel: Value {
        /// Its name.
        Name = "name",
        /// Its value.
        Value = "value",
        /// Its part of a hundred.
        Percent = "percent",
    }
}

/// A text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// What the content is.
    pub mode: TextMode,
    /// The content, variables not filled in.
    pub content: String,
}

words! {
    /// What a text is.
    TextMode: Markdown {
        /// Markdown; who shows it makes it safe.
        Markdown = "markdown",
        /// HTML; who shows it makes it safe.
        Html = "html",
        /// Code, shown as it is.
        Code = "code",
    }
}

/// States over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateTimeline {
    /// Whether equal neighbours are one.
    pub merge: bool,
    /// Whether each value has a cell of its own, as a status history has it.
    pub cells: bool,
    /// When values are written.
    pub show_value: ShowValue,
    /// Height of rows, 0 to 1.
    pub row_height: f64,
    /// Where the values stand.
    pub align: Align,
    /// The list beside or below.
    pub legend: Legend,
    /// What is shown on hovering.
    pub tooltip: Tooltip,
    /// Rows of a page; absent, all.
    pub page_rows: Option<u32>,
}

words! {
    /// When values are written on states.
    ShowValue: Auto {
        /// Where there is room.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

/// Alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertList {
    /// How many.
    pub limit: u32,
    /// Alerts whose name has this in it.
    pub name: String,
    /// Matchers of labels, as in `{severity="critical"}`.
    pub labels: String,
    /// Whether firing ones are shown.
    pub firing: bool,
    /// Whether pending ones are shown.
    pub pending: bool,
    /// Whether those that are well are shown.
    pub normal: bool,
}
