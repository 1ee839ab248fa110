//! A dashboard: its settings, variables, rows and panels.

use crate::field::{FieldConfig, words};
use crate::link::Link;
use crate::transform::Step;
use crate::variable::Variable;
use crate::visual::Visual;

/// A dashboard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dashboard {
    /// Its name in addresses; empty, it has none yet.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// Words that it is found by.
    pub tags: Vec<String>,
    /// The version of Grafana's format that it was written in.
    pub schema: u32,
    /// The time shown at first.
    pub time: Span,
    /// How often it is asked anew, as in `10s`; empty, never by itself.
    pub refresh: String,
    /// What is offered for that.
    pub refresh_choices: Vec<String>,
    /// `browser`, `utc` or a name of the time zone database; empty, the user's.
    pub zone: String,
    /// The day that weeks begin with; empty, the language's.
    pub week_start: String,
    /// So much of the newest time is not shown, as it may still be coming in; as in `1m`, or empty.
    pub now_delay: String,
    /// Whether the time picker is hidden.
    pub time_hidden: bool,
    /// What panels share while one is hovered over.
    pub crosshair: Crosshair,
    /// Links above the panels.
    pub links: Vec<Link>,
    /// In the file's order, which is that of their boxes.
    pub variables: Vec<Variable>,
    /// What is marked in the pictures.
    pub annotations: Vec<Annotation>,
    /// Rows with their panels; the first may be without a title.
    pub sections: Vec<Section>,
}

impl Dashboard {
    /// Every panel, those of collapsed rows too.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.sections.iter().flat_map(|section| &section.panels)
    }
}

/// A span of time: `now-6h`, `now`, milliseconds since 1970 or ISO 8601.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: String,
    /// Its end.
    pub to: String,
}

impl Default for Span {
    fn default() -> Self {
        Self { from: "now-6h".to_owned(), to: "now".to_owned() }
    }
}

words! {
    /// What panels share while one is hovered over.
    Crosshair: Off {
        /// Nothing.
        Off = "0",
        /// The line.
        Line = "1",
        /// The line and the tooltip.
        Tooltip = "2",
    }
}

/// A row of a dashboard and the panels below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Absent for the panels above the first row.
    pub row: Option<Row>,
    /// In the file's order.
    pub panels: Vec<Panel>,
}

/// The heading of a section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its number in the file.
    pub id: i64,
    /// Its title, variables not filled in.
    pub title: String,
    /// Whether its panels are folded away at first.
    pub collapsed: bool,
    /// The variable that it is repeated for, a section for each value.
    pub repeat: Option<String>,
    /// Its place from above, in cells.
    pub y: u32,
}

/// A panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Its number, unique in the dashboard.
    pub id: i64,
    /// Its title, variables not filled in.
    pub title: String,
    /// What it is about, in Markdown, variables not filled in.
    pub description: String,
    /// Whether it has no ground of its own.
    pub transparent: bool,
    /// Its place.
    pub place: Place,
    /// What it draws.
    pub visual: Visual,
    /// How its columns look.
    pub fields: FieldConfig,
    /// What it asks.
    pub targets: Vec<Target>,
    /// Changes of what was answered.
    pub transforms: Vec<Step>,
    /// Where its title leads.
    pub links: Vec<Link>,
    /// The variable that it is repeated for.
    pub repeat: Option<Repeat>,
    /// How many points a query should answer with; absent, as many as it is wide.
    pub points_max: Option<u32>,
    /// The smallest step of its queries, as in `15s` or `>15s`; empty, the data source's.
    pub min_step: String,
    /// A span of time of its own up to now, as in `1h` or `now/d`; empty, the dashboard's.
    pub time_from: String,
    /// How far its time lies back, as in `1d`; empty, not at all.
    pub time_shift: String,
    /// Whether it does not say that its time is its own.
    pub hide_time: bool,
}

/// A place in a grid of 24 columns; a cell is 30 pixels high with 8 between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// From the left.
    pub x: u32,
    /// From above.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

/// A panel for each value of a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeat {
    /// The variable.
    pub variable: String,
    /// Whether the panels stand below each other, not beside.
    pub vertical: bool,
    /// How many stand beside each other at most.
    pub per_row_max: u32,
}

/// A query of a panel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Its letter.
    pub ref_id: String,
    /// PromQL, variables not filled in.
    pub expr: String,
    /// How the columns of the answer are named.
    pub legend: LegendFormat,
    /// Whether it is asked for the end of the time.
    pub instant: bool,
    /// Whether it is asked for the time from step to step.
    pub range: bool,
    /// Shape of the answer.
    pub format: Format,
    /// The smallest step, as in `15s`; empty, the panel's.
    pub min_step: String,
    /// The step is so many times as long.
    pub step_factor: u32,
    /// Whether its answer is not shown.
    pub hide: bool,
    /// Whether exemplars are asked for, too.
    pub exemplars: bool,
}

/// How a column of an answer is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LegendFormat {
    /// As PromQL writes the series.
    #[default]
    Verbose,
    /// By the labels that tell the columns apart.
    Auto,
    /// A text with `{{label}}` in it, variables not filled in.
    Template(String),
}

words! {
    /// Shape of an answer.
    Format: TimeSeries {
        /// A column of times and one of values for each series.
        TimeSeries = "time_series",
        /// Rows with a column for each label.
        Table = "table",
        /// Columns of buckets, not cumulative.
        Heatmap = "heatmap",
    }
}

/// What is marked in the pictures at points in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotation {
    /// Its name.
    pub name: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Whether it has no switch.
    pub hidden: bool,
    /// Whether it marks skep's own events: alerts, reloads, restarts.
    pub built_in: bool,
    /// The colour of its marks.
    pub color: String,
    /// PromQL; a mark where it has a value.
    pub expr: String,
    /// Step of the query; empty, a minute.
    pub step: String,
    /// Title of a mark, with `{{label}}` in it.
    pub title: String,
    /// Text of a mark, with `{{label}}` in it.
    pub text: String,
    /// Labels that are shown as tags.
    pub tag_labels: Vec<String>,
    /// Whether the value is a time in milliseconds, which the mark then stands at.
    pub value_for_time: bool,
    /// Panels that it is shown in, by their numbers; absent, all.
    pub only_panels: Option<Vec<i64>>,
    /// Panels that it is not shown in, by their numbers.
    pub except_panels: Vec<i64>,
}
