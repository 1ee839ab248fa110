//! What every picture is made from: the answers after their transformations, the settings of their columns, and the words,
//! colours and links of single values.

use dashboard::{
    Clock, ColorMode, Column, Field, FieldOptions, Formatted, Frame, Mapped, Panel, Reducer, Rgba, Style, Syntax,
    TimeRange, TooLarge, Unit, Value, style, transform,
};

use super::bands::Bands;
use super::exemplars::Exemplar;
use super::fetch::Answers;
use super::links::{Linker, Subject};
use super::model::{Band, Calc, Legend, Limit, Link, Text};

/// Hues of the page's palette; Grafana's classic one has its ninth colour from the beginning again, too.
const HUES: usize = 8;
/// Colours that stand for a continuous row of them.
const STOPS: usize = 8;

/// A panel with its columns.
pub(super) struct Canvas<'a> {
    pub(super) panel: &'a Panel,
    pub(super) frames: Vec<Frame>,
    /// The settings of each column of each frame.
    pub(super) styles: Vec<Vec<Style>>,
    pub(super) linker: Linker<'a>,
    pub(super) clock: &'a Clock,
    /// The panel's time.
    pub(super) range: TimeRange,
    /// The step of its queries and the time that they were asked for; absent where there were none or several.
    pub(super) grid: Option<(u64, TimeRange)>,
    /// What lines reached between their points.
    pub(super) bands: Bands,
    pub(super) exemplars: Vec<Exemplar>,
}

/// A column with its settings.
#[derive(Clone, Copy)]
pub(super) struct Cell<'a> {
    pub(super) frame: &'a Frame,
    pub(super) field: &'a Field,
    pub(super) style: &'a Style,
}

impl<'a> Canvas<'a> {
    /// Transforms what was answered and finds the settings of its columns.
    pub(super) fn new(
        panel: &'a Panel,
        answers: &mut Answers,
        linker: Linker<'a>,
        clock: &'a Clock,
        range: TimeRange,
    ) -> Result<Self, TooLarge> {
        let frames = transform(std::mem::take(&mut answers.frames), &panel.transforms)?;
        let mut styles = style(&frames, &panel.fields);
        for style in styles.iter_mut().flatten().filter(|style| style.options.display_name.is_some()) {
            if let Ok(name) = linker.scope.fill(&style.name, Syntax::Text) {
                style.name = name;
            }
        }
        let grid = answers.grid.clone().filter(|_| answers.even);
        let bands = std::mem::take(&mut answers.bands);
        let exemplars = std::mem::take(&mut answers.exemplars);
        Ok(Self { panel, frames, styles, linker, clock, range, grid, bands, exemplars })
    }

    /// Every column.
    pub(super) fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.frames.iter().zip(&self.styles).flat_map(|(frame, styles)| {
            frame.fields.iter().zip(styles).map(move |(field, style)| Cell { frame, field, style })
        })
    }

    /// Whether there is any value in any column of values.
    pub(super) fn is_empty(&self) -> bool {
        !self.frames.iter().any(|frame| frame.rows() > 0)
    }

    /// A value as it is written.
    pub(super) fn text(&self, style: &Style, value: &Value) -> Text {
        written(style.display(value.mapped(), self.clock).text)
    }

    /// Where a click on a value leads.
    pub(super) fn links(&self, cell: Cell<'_>, value: &Value, text: &str, row: Option<usize>) -> Vec<Link> {
        let Some(links) = cell.style.options.links.as_deref().filter(|links| !links.is_empty()) else {
            return Vec::new();
        };
        let raw = value.text().map(|text| text.to_string()).unwrap_or_default();
        let cells = |row: usize| {
            let text = |field: &Field| field.values.get(row).text().map(|text| text.to_string()).unwrap_or_default();
            cell.frame.fields.iter().map(|field| (field.name.clone(), text(field))).collect()
        };
        let subject = Subject {
            name: &cell.style.name,
            labels: &cell.field.labels,
            value: (text.to_owned(), raw),
            time: None,
            row: row.map(cells).unwrap_or_default(),
        };
        self.linker.all(links, &subject)
    }

    /// The value of a legend's column.
    pub(super) fn calc(&self, cell: Cell<'_>, reducer: Reducer) -> Calc {
        let value = cell.field.values.reduce(reducer);
        let n = value.number().filter(|number| number.is_finite());
        let text = match (reducer, value.number()) {
            (Reducer::DiffPercent, Some(number)) => {
                Unit::parse("percentunit").format(number, None, self.clock).to_string()
            }
            (reducer, Some(number)) if reducer.is_count() || reducer.is_test() => number.to_string(),
            _ => cell.style.display(value.mapped(), self.clock).text.to_string(),
        };
        Calc { text, n }
    }
}

impl Cell<'_> {
    pub(super) fn options(&self) -> &FieldOptions {
        &self.style.options
    }

    /// The colour of the column as a whole: of its place or name, else of its last value.
    pub(super) fn color(&self) -> String {
        match self.options().color {
            Some(ColorMode::Classic) => hue(self.style.place),
            Some(ColorMode::Thresholds | ColorMode::Continuous(_)) | None => {
                color(self.style.color(self.field.values.reduce(Reducer::LastNotNull).number()))
            }
            _ => color(self.style.color(None)),
        }
    }

    /// The place of a value between the column's ends, 0 to 1.
    pub(super) fn part(&self, value: &Value) -> f64 {
        part(value.number().unwrap_or(f64::NAN), self.style.ends)
    }

    /// The colours of the column's scale.
    pub(super) fn bands(&self, clock: &Clock) -> Vec<Band> {
        let ends = self.style.ends;
        let (min, max) = ends;
        let written = |value: f64| self.style.display(Mapped::Number(value), clock).text.to_string();
        match &self.options().color {
            Some(ColorMode::Continuous(row)) => {
                let stop = |at: usize| at as f64 / (STOPS - 1) as f64;
                let value = |at: usize| min + (max - min) * stop(at);
                (0..STOPS)
                    .map(|at| Band { from: stop(at), color: color(row.at(stop(at))), text: written(value(at)) })
                    .collect()
            }
            Some(ColorMode::Thresholds) | None => {
                let Some(thresholds) = &self.options().thresholds else { return Vec::new() };
                let limit = |step: &dashboard::ThresholdStep| thresholds.limit(step, ends).max(min);
                let shown = thresholds.steps.iter().filter(|step| thresholds.limit(step, ends) < max);
                let colored = |text: &str| Rgba::parse(text).map_or_else(|| color(Rgba::GREY), color);
                let band = |step: &dashboard::ThresholdStep| Band {
                    from: part(limit(step), ends),
                    color: colored(&step.color),
                    text: written(limit(step)),
                };
                let bands: Vec<Band> = shown.map(band).collect();
                // Steps that lie below the scale end where it begins: the last of them is its first colour.
                let first = bands.iter().rposition(|band| band.from <= 0.0).unwrap_or(0);
                bands.into_iter().skip(first).collect()
            }
            _ => vec![Band { from: 0.0, color: color(self.style.color(None)), text: written(min) }],
        }
    }

    /// The colours of the column's values, as limits.
    pub(super) fn scheme(&self) -> Vec<Limit> {
        let ends = self.style.ends;
        match &self.options().color {
            Some(ColorMode::Continuous(row)) => {
                let stop = |at: usize| at as f64 / (STOPS - 1) as f64;
                let value = |at: usize| ends.0 + (ends.1 - ends.0) * stop(at);
                (0..STOPS).map(|at| Limit { from: Some(value(at)), color: color(row.at(stop(at))) }).collect()
            }
            _ => limits(self.options(), ends),
        }
    }
}

/// The thresholds of a column as limits.
pub(super) fn limits(options: &FieldOptions, ends: (f64, f64)) -> Vec<Limit> {
    let Some(thresholds) = &options.thresholds else { return Vec::new() };
    let limit = |step| Some(thresholds.limit(step, ends)).filter(|limit| limit.is_finite());
    let colored = |text: &str| color(Rgba::parse(text).unwrap_or(Rgba::GREY));
    thresholds.steps.iter().map(|step| Limit { from: limit(step), color: colored(&step.color) }).collect()
}

/// A place between two ends, 0 to 1.
pub(super) fn part(value: f64, (min, max): (f64, f64)) -> f64 {
    let place = if max > min { (value - min) / (max - min) } else { f64::from(value >= max) };
    if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
}

/// A hue of the page's palette.
pub(super) fn hue(place: usize) -> String {
    format!("s{}", place % HUES)
}

/// A colour as the script takes it: the palette's by its name, so that both themes have theirs.
pub(super) fn color(color: Rgba) -> String {
    let [r, g, b] = color.rgb;
    let hex = format!("#{r:02x}{g:02x}{b:02x}");
    if color.alpha < 1.0 {
        return format!("{hex}{:02x}", (color.alpha * 255.0).round() as u8);
    }
    dashboard::CLASSIC.iter().position(|classic| **classic == *hex).map_or(hex, hue)
}

/// Three parts of a number.
pub(super) fn written(text: Formatted) -> Text {
    Text { prefix: text.prefix, text: text.text, suffix: text.suffix }
}

impl Text {
    /// All of it.
    pub(super) fn whole(&self) -> String {
        format!("{}{}{}", self.prefix, self.text, self.suffix)
    }
}

/// Grafana's word of one of its settings.
pub(super) fn word<T: PartialEq>(words: &'static [(&'static str, T)], wanted: &T) -> &'static str {
    words.iter().find(|(_, value)| value == wanted).map_or("", |(word, _)| *word)
}

/// A legend without values.
pub(super) fn legend(legend: &dashboard::Legend, order: Vec<usize>) -> Legend {
    Legend {
        mode: word(dashboard::LegendMode::WORDS, &legend.mode),
        right: legend.right,
        columns: legend.calcs.iter().map(|calc| calc.title()).collect(),
        width: legend.width,
        order,
    }
}

/// Numbers of a column, in full.
pub(super) fn numbers(column: &Column) -> Option<&[Option<f64>]> {
    match column {
        Column::Numbers(values) => Some(values),
        _ => None,
    }
}
