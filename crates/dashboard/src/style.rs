//! Which settings hold for which column: defaults, then the overrides whose matchers find it.

use std::collections::HashMap;

use crate::color::{ColorMode, Rgba, classic, classic_by_name, shade};
use crate::field::{FieldConfig, FieldOptions, FieldType, Matcher};
use crate::frame::{Field, Frame, named, single_label};
use crate::mapping::{Mapped, apply};
use crate::pattern::Pattern;
use crate::value::{Clock, Formatted, Recipe, Unit};

/// A column's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    /// The name that it is shown by.
    pub name: String,
    /// Defaults and overrides.
    pub options: FieldOptions,
    /// Its place among the columns of numbers of the panel, which is its place in the palette.
    pub place: usize,
    /// How many columns of numbers there are.
    pub count: usize,
    /// Where an axis or gauge of it begins and ends: as set, or the smallest and greatest value of all columns, or of
    /// this one where that is set.
    pub ends: (f64, f64),
    unit: Unit,
}

/// A value as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Display {
    /// Its text.
    pub text: Formatted,
    /// Its colour.
    pub color: Rgba,
}

/// The settings of each column of each answer.
pub fn style(frames: &[Frame], config: &FieldConfig) -> Vec<Vec<Style>> {
    let patterns = Patterns::of(config);
    let single = single_label(frames);
    let is_number = |field: &&Field| field.values.kind() == FieldType::Number;
    let count = frames.iter().flat_map(|frame| &frame.fields).filter(is_number).count();
    let all = ends(frames.iter().flat_map(|frame| &frame.fields).filter(is_number));
    let mut place = 0;
    let mut one = |frame: &Frame, at: usize| {
        let field = &frame.fields[at];
        let name = named(field, frame, single);
        let options = patterns.options(&Candidate { field, frame, at, name: &name }, config);
        let own = if options.field_min_max == Some(true) { ends(std::iter::once(field)) } else { all };
        let ends = (options.min.unwrap_or(own.0), options.max.unwrap_or(own.1));
        let name = options.display_name.as_ref().map_or_else(|| name.clone(), |text| expand(text, field, frame, &name));
        let unit = unit(field, options.unit.as_deref().unwrap_or_default());
        let style = Style { name, options, place, count, ends, unit };
        place += usize::from(is_number(&field));
        style
    };
    frames.iter().map(|frame| (0..frame.fields.len()).map(|at| one(frame, at)).collect()).collect()
}

/// Times are written as dates, whatever the unit of the other columns is.
fn unit(field: &Field, name: &str) -> Unit {
    let is_date = name.starts_with("dateTime") || name.starts_with("time:");
    Unit::parse(if field.is_time() && !is_date { "dateTimeAsIso" } else { name })
}

fn ends<'a>(fields: impl Iterator<Item = &'a Field>) -> (f64, f64) {
    let mut ends = (f64::INFINITY, f64::NEG_INFINITY);
    for field in fields {
        if let crate::frame::Column::Numbers(values) = &field.values {
            for value in values.iter().flatten().filter(|value| value.is_finite()) {
                ends = (ends.0.min(*value), ends.1.max(*value));
            }
        }
    }
    if ends.0 > ends.1 { (0.0, 100.0) } else { ends }
}

impl Style {
    /// A value as it is shown, after its mappings.
    pub fn display(&self, value: Mapped<'_>, clock: &Clock) -> Display {
        let shown = self.options.mappings.as_deref().and_then(|mappings| apply(mappings, value)).unwrap_or_default();
        let color = shown.color.as_deref().and_then(Rgba::parse);
        let text = shown.text.map(Formatted::text);
        let number = match value {
            Mapped::Number(number) => Some(number),
            Mapped::Flag(flag) => Some(f64::from(flag)),
            _ => None,
        };
        Display {
            text: text.unwrap_or_else(|| self.text(value, clock)),
            color: color.unwrap_or_else(|| self.color(number)),
        }
    }

    /// How numbers of the column are written, mappings apart, with the digits that are set for it.
    pub fn recipe(&self) -> Recipe {
        self.unit.recipe(self.options.decimals)
    }

    fn text(&self, value: Mapped<'_>, clock: &Clock) -> Formatted {
        match value {
            Mapped::Null => Formatted::text(self.options.no_value.clone().unwrap_or_else(|| "-".to_owned())),
            Mapped::Text(text) => Formatted::text(text),
            Mapped::Flag(flag) => Formatted::text(if flag { "True" } else { "False" }),
            Mapped::Number(number) => self.unit.format(number, self.options.decimals, clock),
        }
    }

    /// The colour of a value, or of the column where there is none.
    pub fn color(&self, value: Option<f64>) -> Rgba {
        let mode = self.options.color.as_ref().unwrap_or(&ColorMode::Thresholds);
        let number = value.unwrap_or(f64::NEG_INFINITY);
        let found = match mode {
            ColorMode::Fixed(color) => Rgba::parse(color),
            ColorMode::Shades(color) => Rgba::parse(color).map(|base| shade(base, self.place, self.count)),
            ColorMode::Classic => Some(classic(self.place)),
            ColorMode::ClassicByName => Some(classic_by_name(&self.name)),
            ColorMode::Thresholds => {
                self.options.thresholds.as_ref().and_then(|thresholds| thresholds.color(number, self.ends))
            }
            ColorMode::Continuous(row) => {
                let (min, max) = self.ends;
                Some(row.at(if max > min { (number - min) / (max - min) } else { 0.0 }))
            }
        };
        found.unwrap_or(Rgba::GREY)
    }
}

/// A column that matchers are asked about.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) field: &'a Field,
    pub(crate) frame: &'a Frame,
    /// Its place in its answer.
    pub(crate) at: usize,
    /// The name that it is shown by without overrides.
    pub(crate) name: &'a str,
}

/// The patterns of matchers, read once for all columns.
#[derive(Default)]
pub(crate) struct Patterns(HashMap<String, Option<Pattern>>);

impl Patterns {
    fn of(config: &FieldConfig) -> Self {
        Self::new(config.overrides.iter().map(|over| &over.matcher))
    }

    pub(crate) fn new<'a>(matchers: impl Iterator<Item = &'a Matcher>) -> Self {
        let mut patterns = Self::default();
        matchers.for_each(|matcher| patterns.add(matcher));
        patterns
    }

    fn add(&mut self, matcher: &Matcher) {
        let mut read = |text: &String| {
            self.0.entry(text.clone()).or_insert_with(|| Pattern::new(text).ok());
        };
        match matcher {
            Matcher::Regexp(text) | Matcher::RegexpOrNames { pattern: Some(text), .. } => read(text),
            Matcher::Not(inner) => self.add(inner),
            Matcher::All(inner) | Matcher::AnyOf(inner) => inner.iter().for_each(|matcher| self.add(matcher)),
            _ => {}
        }
    }

    fn options(&self, candidate: &Candidate<'_>, config: &FieldConfig) -> FieldOptions {
        let mut options = config.defaults.clone();
        for over in config.overrides.iter().filter(|over| self.matches(&over.matcher, candidate)) {
            options.overlay(&over.options);
        }
        options
    }

    /// Whether a matcher finds a column.
    pub(crate) fn matches(&self, matcher: &Matcher, candidate: &Candidate<'_>) -> bool {
        let Candidate { field, frame, name, .. } = *candidate;
        let is_named = |wanted: &String| *wanted == field.name || wanted == name;
        let fits = |text: &String| self.0.get(text).and_then(Option::as_ref).is_some_and(|found| found.is_match(name));
        match matcher {
            Matcher::Any => true,
            Matcher::Never => false,
            Matcher::Name(wanted) => is_named(wanted),
            Matcher::Names { names, exclude } => names.iter().any(is_named) != *exclude,
            Matcher::Regexp(text) => fits(text),
            Matcher::RegexpOrNames { pattern, names } => {
                names.iter().any(is_named) || pattern.as_ref().is_some_and(fits)
            }
            Matcher::Types(kinds) => kinds.contains(&field.values.kind()),
            Matcher::Query(ref_id) => frame.ref_id == *ref_id,
            Matcher::Value { reducer, comparison, value } => {
                let reduced = field.values.reduce(*reducer).number();
                match reduced {
                    Some(reduced) if reducer.is_test() => reduced != 0.0,
                    Some(reduced) => comparison.holds(reduced, *value),
                    None => false,
                }
            }
            Matcher::First => candidate.at == 0,
            Matcher::FirstTime => frame.time() == Some(candidate.at),
            Matcher::Not(inner) => !self.matches(inner, candidate),
            Matcher::All(inner) => inner.iter().all(|matcher| self.matches(matcher, candidate)),
            Matcher::AnyOf(inner) => inner.iter().any(|matcher| self.matches(matcher, candidate)),
        }
    }
}

/// A name with `${__field.labels.x}`, `${__field.name}`, `${__field.displayName}` and `${__series.name}` filled in;
/// other variables are the dashboard's.
fn expand(text: &str, field: &Field, frame: &Frame, name: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((path, after)) = after.split_once('}') else { break };
        out.push_str(before);
        match part(path, field, frame, name) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&format!("${{{path}}}")),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn part(path: &str, field: &Field, frame: &Frame, name: &str) -> Option<String> {
    let path = path.split(':').next().unwrap_or_default();
    if let Some(label) = path.strip_prefix("__field.labels") {
        let label = label.trim_start_matches(['.', '[']).trim_end_matches(']').trim_matches(['"', '\'']);
        let value = field.labels.iter().find(|(known, _)| known == label).map(|(_, value)| value.clone());
        return Some(value.unwrap_or_default());
    }
    match path {
        "__field.name" => Some(field.name.clone()),
        "__field.displayName" => Some(name.to_owned()),
        "__series.name" | "__series_name" => {
            Some(if frame.name.is_empty() { name.to_owned() } else { frame.name.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Comparison, Override};
    use crate::frame::Column;
    use crate::reduce::Reducer;

    fn frames() -> Vec<Frame> {
        let series = |ref_id: &str, pod: &str, values: &[f64]| Frame {
            ref_id: ref_id.to_owned(),
            fields: vec![
                Field::new("Time", Column::Times(vec![Some(0); values.len()])),
                Field {
                    labels: vec![("pod".to_owned(), pod.to_owned())],
                    ..Field::new("Value", Column::Numbers(values.iter().copied().map(Some).collect()))
                },
            ],
            ..Frame::default()
        };
        vec![series("A", "web-1", &[1.0, 2.0]), series("A", "web-2", &[0.0, 0.0]), series("B", "db", &[5.0, 9.0])]
    }

    #[test]
    fn matchers_find_columns() {
        let check = |matcher: Matcher, expected: [bool; 6]| {
            let options = FieldOptions { unit: Some("s".to_owned()), ..FieldOptions::default() };
            let config = FieldConfig {
                overrides: vec![Override { matcher: matcher.clone(), options }],
                ..FieldConfig::default()
            };
            let styles = style(&frames(), &config);
            let found: Vec<bool> = styles.iter().flatten().map(|style| style.options.unit.is_some()).collect();
            assert_eq!(found, expected, "{matcher:?}");
        };
        let values = |first: bool, second: bool, third: bool| [false, first, false, second, false, third];
        let names = |exclude| Matcher::Names { names: vec!["db".to_owned()], exclude };
        check(Matcher::Any, [true; 6]);
        check(Matcher::Name("web-1".to_owned()), values(true, false, false));
        check(Matcher::Name("Value".to_owned()), values(true, true, true));
        check(names(false), values(false, false, true));
        check(names(true), [true, true, true, true, true, false]);
        check(Matcher::Regexp("/web/".to_owned()), values(true, true, false));
        check(Matcher::Regexp("web".to_owned()), values(false, false, false));
        check(Matcher::Types(vec![FieldType::Time]), [true, false, true, false, true, false]);
        check(Matcher::Query("B".to_owned()), [false, false, false, false, true, true]);
        check(Matcher::First, [true, false, true, false, true, false]);
        check(Matcher::FirstTime, [true, false, true, false, true, false]);
        check(Matcher::Not(Box::new(Matcher::Types(vec![FieldType::Time]))), values(true, true, true));
        let value = |reducer, comparison, value| Matcher::Value { reducer, comparison, value };
        let all = |inner| Matcher::All(vec![Matcher::Types(vec![FieldType::Number]), inner]);
        check(all(value(Reducer::AllIsZero, Comparison::GreaterOrEqual, 0.0)), values(false, true, false));
        check(all(value(Reducer::Max, Comparison::Greater, 1.5)), values(true, false, true));
        check(all(value(Reducer::Max, Comparison::Less, 1.5)), values(false, true, false));
    }

    #[test]
    fn columns_have_names_and_colors() {
        let mut config = FieldConfig::default();
        config.defaults.color = Some(ColorMode::Classic);
        config.defaults.display_name = Some("${__field.labels.pod} of ${__field.name} ${other}".to_owned());
        let styles: Vec<Style> = style(&frames(), &config).into_iter().flatten().collect();
        assert_eq!(styles[1].name, "web-1 of Value ${other}");
        assert_eq!(styles[5].place, 2);
        assert_eq!(styles[5].color(None), classic(2));
        assert_eq!(styles[5].ends, (0.0, 9.0));
        config.defaults.field_min_max = Some(true);
        assert_eq!(style(&frames(), &config)[2][1].ends, (5.0, 9.0));
    }

    #[test]
    fn values_are_shown() {
        let mut config = FieldConfig::default();
        config.defaults.unit = Some("bytes".to_owned());
        config.defaults.no_value = Some("nothing".to_owned());
        let styles = style(&frames(), &config);
        let check = |value: Mapped<'_>, expected: &str| {
            assert_eq!(styles[0][1].display(value, &Clock::default()).text.to_string(), expected);
        };
        check(Mapped::Number(2_048.0), "2 KiB");
        check(Mapped::Null, "nothing");
        check(Mapped::Text("x"), "x");
        let time = styles[0][0].display(Mapped::Number(1_594_671_549_254.0), &Clock::default());
        assert_eq!(time.text.to_string(), "2020-07-13 20:19:09");
    }
}
