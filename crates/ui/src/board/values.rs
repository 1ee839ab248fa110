//! Panels of single values: numbers in large, on scales, as bars, as parts of a whole.

use dashboard::{
    BarGauge, BarMode, BarNames, BarValue, Column, FieldType, Gauge, Orientation, Pattern, Pie, PieLabel,
    ReduceOptions, Reducer, SortOrder, Stat, StatColor, StatText, Syntax, Unit, Value,
};

use super::canvas::{Canvas, Cell, color, legend, word};
use super::model::{BarsPicture, Change, GaugePicture, Measure, Part, PiePicture, StatPicture, Text, Tile};

/// Values that are shown where the panel does not say how many, as Grafana has it.
const VALUES: usize = 25;
/// Points of the small picture behind a number: a tile is seldom wider.
const SPARK_POINTS_MAX: usize = 200;

/// A single value of a panel.
struct Single<'a> {
    cell: Cell<'a>,
    title: String,
    value: Value,
    /// The row that it is of, where every row is a value.
    row: Option<usize>,
}

/// The values of a panel, in their order.
fn singles<'a>(canvas: &'a Canvas<'_>, reduce: &ReduceOptions) -> Vec<Single<'a>> {
    let limit = reduce.limit.map_or(VALUES, |limit| limit as usize);
    let wanted = Wanted::of(&reduce.fields);
    let cells = canvas.cells().filter(|cell| wanted.takes(*cell) && !is_hidden(*cell));
    if !reduce.rows {
        let calcs = if reduce.calcs.is_empty() { &[Reducer::LastNotNull] } else { &reduce.calcs[..] };
        let each = |cell: Cell<'a>| {
            calcs.iter().map(move |calc| Single {
                cell,
                title: cell.style.name.clone(),
                value: cell.field.values.reduce(*calc),
                row: None,
            })
        };
        return cells.flat_map(each).take(limit).collect();
    }
    let each = |cell: Cell<'a>| {
        (0..cell.field.values.len()).map(move |row| Single {
            cell,
            title: row_title(cell, row),
            value: cell.field.values.get(row),
            row: Some(row),
        })
    };
    cells.flat_map(each).take(limit).collect()
}

fn is_hidden(cell: Cell<'_>) -> bool {
    cell.options().hide.is_some_and(|hide| hide.picture)
}

/// Which columns become values.
enum Wanted {
    Numbers,
    Matching(Pattern),
    Named(String),
}

impl Wanted {
    fn of(fields: &str) -> Self {
        match fields {
            "" => Self::Numbers,
            text if text.starts_with('/') => Pattern::new(text).map_or(Self::Numbers, Self::Matching),
            text => Self::Named(text.to_owned()),
        }
    }

    fn takes(&self, cell: Cell<'_>) -> bool {
        match self {
            Self::Numbers => cell.field.values.kind() == FieldType::Number,
            Self::Matching(pattern) => pattern.is_match(&cell.style.name),
            Self::Named(name) => cell.field.name == *name || cell.style.name == *name,
        }
    }
}

/// A row is named by its texts; by its column, too, where there are several of numbers.
fn row_title(cell: Cell<'_>, row: usize) -> String {
    let fields = &cell.frame.fields;
    let numbers = fields.iter().filter(|field| field.values.kind() == FieldType::Number).count();
    let texts = fields.iter().filter(|field| matches!(field.values, Column::Texts(_)));
    let name: Vec<String> =
        texts.filter_map(|field| field.values.get(row).text()).map(|text| text.to_string()).take(1).collect();
    match (name.first(), numbers) {
        (None, _) => cell.style.name.clone(),
        (Some(name), 0 | 1) => name.clone(),
        (Some(name), _) => format!("{name} {}", cell.style.name),
    }
}

impl Single<'_> {
    fn text(&self, canvas: &Canvas<'_>, prefix: &str, postfix: &str) -> Text {
        let text = canvas.text(self.cell.style, &self.value);
        let filled = |around: &str| {
            let filled = canvas.linker.scope.fill(around, Syntax::Text).unwrap_or_default();
            filled.replace("${__name}", &self.title).replace("$__name", &self.title)
        };
        let (prefix, suffix) = (filled(prefix) + &text.prefix, text.suffix.clone() + &filled(postfix));
        Text { prefix, suffix, ..text }
    }

    fn number(&self) -> Option<f64> {
        self.value.number().filter(|number| number.is_finite())
    }

    fn color(&self, canvas: &Canvas<'_>) -> String {
        match self.cell.options().color {
            Some(dashboard::ColorMode::Classic) => self.cell.color(),
            _ => color(self.cell.style.display(self.value.mapped(), canvas.clock).color),
        }
    }

    fn links(&self, canvas: &Canvas<'_>, text: &Text) -> Vec<super::model::Link> {
        canvas.links(self.cell, &self.value, &text.whole(), self.row)
    }

    /// The value on the scale of its column.
    fn measure(&self, canvas: &Canvas<'_>, prefix: &str, postfix: &str) -> Measure {
        let text = self.text(canvas, prefix, postfix);
        Measure {
            title: self.title.clone(),
            n: self.number(),
            color: self.color(canvas),
            part: self.cell.part(&self.value),
            bands: self.cell.bands(canvas.clock),
            links: self.links(canvas, &text),
            value: text,
        }
    }

    /// The column's values for a small picture, each of them or evenly chosen ones.
    fn spark(&self) -> Vec<Option<f64>> {
        let Column::Numbers(values) = &self.cell.field.values else { return Vec::new() };
        let every = values.len().div_ceil(SPARK_POINTS_MAX).max(1);
        let real = || values.iter().flatten().filter(|value| value.is_finite());
        let (low, high) = real().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
        let round = |value: f64| crate::chart::round_for_chart(value, high - low);
        values.iter().step_by(every).map(|value| value.filter(|value| value.is_finite()).map(round)).collect()
    }
}

/// Numbers in large.
pub(super) fn stat(canvas: &Canvas<'_>, visual: &Stat) -> StatPicture {
    let singles = singles(canvas, &visual.reduce);
    let is_several = singles.len() > 1;
    let shows_name = match visual.text {
        StatText::Auto => is_several,
        StatText::ValueAndName | StatText::Name => true,
        StatText::Value | StatText::None => false,
    };
    let shows_value = !matches!(visual.text, StatText::Name | StatText::None);
    let tile = |single: &Single<'_>| {
        let text = single.text(canvas, &visual.prefix, &visual.postfix);
        let has_times = single.row.is_none() && single.cell.frame.rows() > 1;
        Tile {
            title: if shows_name { single.title.clone() } else { String::new() },
            n: single.number(),
            color: single.color(canvas),
            spark: if visual.graph && has_times { single.spark() } else { Vec::new() },
            change: visual.change.then(|| change(single, canvas)).flatten(),
            links: single.links(canvas, &text),
            value: shows_value.then_some(text),
        }
    };
    StatPicture {
        tiles: singles.iter().map(tile).collect(),
        orientation: word(Orientation::WORDS, &visual.orientation),
        color: word(StatColor::WORDS, &visual.color),
        centered: visual.centered,
        title_size: visual.title_size,
        value_size: visual.value_size,
    }
}

fn change(single: &Single<'_>, canvas: &Canvas<'_>) -> Option<Change> {
    let part = single.cell.field.values.reduce(Reducer::DiffPercent).number().filter(|part| part.is_finite())?;
    let text = Unit::parse("percentunit").format(part, Some(1), canvas.clock).to_string();
    let sign = if part > 0.0 { "+" } else { "" };
    Some(Change { text: format!("{sign}{text}"), up: part >= 0.0 })
}

/// Numbers on scales.
pub(super) fn gauge(canvas: &Canvas<'_>, visual: &Gauge) -> GaugePicture {
    let singles = singles(canvas, &visual.reduce);
    let is_several = singles.len() > 1;
    let dial = |single: &Single<'_>| {
        let measure = single.measure(canvas, &visual.prefix, &visual.postfix);
        // A single dial is named by its panel.
        if is_several { measure } else { Measure { title: String::new(), ..measure } }
    };
    GaugePicture {
        dials: singles.iter().map(dial).collect(),
        orientation: word(Orientation::WORDS, &visual.orientation),
        markers: visual.threshold_markers,
        labels: visual.threshold_labels,
    }
}

/// Numbers as bars.
pub(super) fn bars(canvas: &Canvas<'_>, visual: &BarGauge) -> BarsPicture {
    BarsPicture {
        bars: singles(canvas, &visual.reduce).iter().map(|single| single.measure(canvas, "", "")).collect(),
        orientation: word(Orientation::WORDS, &visual.orientation),
        mode: word(BarMode::WORDS, &visual.mode),
        unfilled: visual.unfilled,
        value: word(BarValue::WORDS, &visual.value),
        names: word(BarNames::WORDS, &visual.names),
    }
}

/// Parts of a whole. What is below zero is no part of one.
pub(super) fn pie(canvas: &Canvas<'_>, visual: &Pie) -> PiePicture {
    let size = |single: &Single<'_>| single.value.number().filter(|value| *value > 0.0).unwrap_or(0.0);
    let mut singles = singles(canvas, &visual.reduce);
    match visual.sort {
        SortOrder::None => {}
        SortOrder::Ascending => singles.sort_by(|a, b| size(a).total_cmp(&size(b))),
        SortOrder::Descending => singles.sort_by(|a, b| size(b).total_cmp(&size(a))),
    }
    let sum: f64 = singles.iter().map(size).sum();
    let percent = |part: f64| Unit::parse("percentunit").format(part, Some(0), canvas.clock).to_string();
    let part = |single: &Single<'_>| {
        let text = single.text(canvas, "", "");
        let part = if sum > 0.0 { size(single) / sum } else { 0.0 };
        Part {
            title: single.title.clone(),
            percent: percent(part),
            n: single.number(),
            color: single.color(canvas),
            part,
            quiet: single.cell.options().hide.is_some_and(|hide| hide.legend),
            links: single.links(canvas, &text),
            value: text,
        }
    };
    let parts: Vec<Part> = singles.iter().map(part).collect();
    let order = (0..parts.len()).filter(|at| !parts[*at].quiet).collect();
    let words = |labels: &[PieLabel]| labels.iter().map(|label| word(PieLabel::WORDS, label)).collect();
    PiePicture {
        donut: visual.donut,
        labels: words(&visual.labels),
        values: words(&visual.legend_values),
        legend: legend(&visual.legend, order),
        parts,
    }
}
