//! The legacy single stat as a stat, or as a gauge where it was one.

use super::field::DECIMALS_MAX;
use crate::board::Panel;
use crate::color::ColorMode;
use crate::field::{FieldOptions, Nulls};
use crate::json::Object;
use crate::mapping::{Mapping, Rule, Shown, Special};
use crate::reduce::Reducer;
use crate::threshold::{Step, Thresholds};
use crate::visual::{Gauge, ReduceOptions, Stat, StatColor, StatText, Visual};

/// Colours of the limits of a panel that names none.
const COLORS: [&str; 3] = ["#299c46", "rgba(237, 129, 40, 0.89)", "#d44a3a"];

pub(super) fn read(object: &Object<'_>, panel: &mut Panel) {
    object.ignore(&["options", "valueFontSize", "prefixFontSize", "postfixFontSize", "mappingTypes", "mappingType"]);
    object.ignore(&[
        "prefixColor",
        "colorPrefix",
        "colorPostfix",
        "valueMaps",
        "rangeMaps",
        "defaultColor",
        "hideLabel",
    ]);
    let mut defaults = fields(object);
    let (prefix, postfix) = (object.string("prefix"), object.string("postfix"));
    let reduce = reduce(object);
    let gauge = object.object("gauge");
    panel.visual = match gauge.as_ref().filter(|gauge| gauge.is("show")) {
        Some(gauge) => {
            defaults.min = gauge.number("minValue").or(Some(0.0));
            defaults.max = gauge.number("maxValue").or(Some(100.0));
            Visual::Gauge(Gauge { prefix, postfix, ..self::gauge(gauge, reduce) })
        }
        None => Visual::Stat(Stat { prefix, postfix, ..stat(object, reduce) }),
    };
    // What belongs to the kind that it is not stays in the file.
    for unused in [gauge, object.object("sparkline")].into_iter().flatten() {
        unused.ignore_rest();
    }
    object.ignore(&["colorBackground", "colorValue"]);
    defaults.overlay(&std::mem::take(&mut panel.fields.defaults));
    panel.fields.defaults = defaults;
}

fn gauge(gauge: &Object<'_>, reduce: ReduceOptions) -> Gauge {
    Gauge {
        reduce,
        threshold_labels: gauge.is("thresholdLabels"),
        threshold_markers: gauge.flag("thresholdMarkers").unwrap_or(true),
        ..Gauge::default()
    }
}

fn stat(object: &Object<'_>, reduce: ReduceOptions) -> Stat {
    let graph = object.object("sparkline").is_some_and(|sparkline| {
        // Its colours and ends are those of the columns.
        sparkline.ignore(&["full", "lineColor", "fillColor", "ymin", "ymax"]);
        sparkline.is("show")
    });
    let names = object.string("valueName") == "name";
    Stat {
        reduce,
        color: stat_color([object.is("colorBackground"), object.is("colorValue")]),
        graph,
        text: if names { StatText::Name } else { StatText::Value },
        ..Stat::default()
    }
}

fn stat_color([background, value]: [bool; 2]) -> StatColor {
    match (background, value) {
        (true, _) => StatColor::Background,
        (false, true) => StatColor::Value,
        (false, false) => StatColor::None,
    }
}

fn fields(object: &Object<'_>) -> FieldOptions {
    FieldOptions {
        unit: object.filled("format"),
        decimals: object.count("decimals", DECIMALS_MAX),
        no_value: object.filled("nullText"),
        nulls: object
            .node("nullPointMode")
            .and_then(|node| super::field::old_nulls(&node))
            .filter(|nulls| *nulls != Nulls::Gap),
        thresholds: thresholds(object),
        color: Some(ColorMode::Thresholds),
        mappings: Some(mappings(object)).filter(|mappings| !mappings.is_empty()),
        ..FieldOptions::default()
    }
}

/// `"70,90"` and three colours.
fn thresholds(object: &Object<'_>) -> Option<Thresholds> {
    let limits = object.string("thresholds");
    let colors = object.strings("colors");
    steps(limits.split(','), &colors)
}

/// Limits and the colours between them, of which there is one more.
pub(super) fn steps<'a>(limits: impl Iterator<Item = &'a str>, colors: &[String]) -> Option<Thresholds> {
    let limits: Vec<f64> = limits.filter_map(|limit| limit.trim().parse().ok()).collect();
    let color = |at: usize| {
        let own = colors.get(at).cloned().filter(|color| !color.is_empty());
        own.unwrap_or_else(|| COLORS[at.min(COLORS.len() - 1)].to_owned())
    };
    let from = std::iter::once(f64::NEG_INFINITY).chain(limits.iter().copied());
    let steps = from.enumerate().map(|(at, from)| Step { from, color: color(at) }).collect();
    (!limits.is_empty()).then(|| Thresholds::new(false, steps))
}

fn reduce(object: &Object<'_>) -> ReduceOptions {
    let word = object.string("valueName");
    let calc = match word.as_str() {
        "" | "avg" => Some(Reducer::Mean),
        "name" => Some(Reducer::LastNotNull),
        other => Reducer::parse(other),
    };
    if calc.is_none() {
        object.lose("valueName", "is not carried; the last value is shown");
    }
    ReduceOptions {
        calcs: vec![calc.unwrap_or_default()],
        fields: object.string("tableColumn"),
        ..ReduceOptions::default()
    }
}

/// Texts by value or by range, whichever the panel uses.
pub(super) fn mappings(object: &Object<'_>) -> Vec<Mapping> {
    let by_range = rounded(object.number("mappingType")) == Some(2);
    let values = object.objects("valueMaps");
    let ranges = object.objects("rangeMaps");
    let unused = if by_range { &values } else { &ranges };
    unused.iter().for_each(Object::ignore_rest);
    if by_range { ranges.iter().filter_map(range).collect() } else { values.iter().filter_map(value).collect() }
}

fn value(object: &Object<'_>) -> Option<Mapping> {
    object.ignore(&["op", "$$hashKey"]);
    let result = shown(object);
    let rule = match object.text("value")?.as_str() {
        "null" => Rule::Special(Special::NullOrNan),
        value => Rule::Value(value.to_owned()),
    };
    Some(Mapping { rule, result })
}

fn range(object: &Object<'_>) -> Option<Mapping> {
    object.ignore(&["$$hashKey", "from", "to"]);
    let result = shown(object);
    let ends = (object.string("from"), object.string("to"));
    if ends.0 == "null" && ends.1 == "null" {
        return Some(Mapping { rule: Rule::Special(Special::NullOrNan), result });
    }
    let end = |text: String| text.trim().parse::<f64>().ok();
    Some(Mapping { rule: Rule::Range(end(ends.0), end(ends.1)), result })
}

fn shown(object: &Object<'_>) -> Shown {
    Shown { text: object.filled("text"), color: None }
}

pub(super) fn rounded(number: Option<f64>) -> Option<i64> {
    number.map(|number| number.round() as i64)
}
