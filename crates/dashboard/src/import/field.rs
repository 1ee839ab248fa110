//! Settings of columns: defaults, and overrides, whose properties have the same names.

use serde_json::Value;

use super::{matcher, settings};
use crate::color::{ColorMode, Continuous, Rgba};
use crate::field::{
    Align, AxisPlacement, BarMode, Cell, DrawStyle, FieldConfig, FieldOptions, Gradient, Hide, Interpolation,
    LineStyle, Negate, Nulls, OVERRIDES_MAX, Override, Scale, ShowPoints, StackMode, Stacking, ThresholdStyle,
};
use crate::json::{Node, Object, whole, word};
use crate::mapping::{Mapping, Rule, Shown, Special};
use crate::pattern::Pattern;
use crate::threshold::{Step, Thresholds};

/// Digits after the point past which a number of 64 bits has none.
pub(super) const DECIMALS_MAX: u32 = 20;
/// Mappings of a column; each is compared with each value.
const MAPPINGS_MAX: usize = 2_000;

pub(super) fn config(panel: &Object<'_>) -> FieldConfig {
    let mut config = FieldConfig::default();
    if let Some(options) = before_seven(panel) {
        for (id, node) in options {
            set(&mut config.defaults, id, &node);
        }
        return config;
    }
    let Some(object) = panel.object("fieldConfig") else { return config };
    if let Some(defaults) = object.object("defaults") {
        for (id, node) in defaults.entries().filter(|(id, _)| *id != "custom") {
            set(&mut config.defaults, id, &node);
        }
        if let Some(custom) = defaults.object("custom") {
            for (id, node) in custom.entries() {
                set(&mut config.defaults, &format!("custom.{id}"), &node);
            }
        }
    }
    for node in object.list("overrides") {
        if config.overrides.len() >= OVERRIDES_MAX {
            node.lose(format!("is past the first {OVERRIDES_MAX} overrides"));
        } else if !node.losses.take_override() {
            node.lose("is past what all panels together may have");
        } else if let Some(object) = node.object() {
            config.overrides.extend(one(&object));
        }
    }
    config
}

/// Settings of columns of Grafana 6, which stood among the options of the panel. Their order matters: the limits and
/// mappings of 6.0 stood a level higher than those of 6.5.
fn before_seven<'a>(panel: &Object<'a>) -> Option<Vec<(&'a str, Node<'a>)>> {
    let Value::Object(options) = panel.node("options")?.value else { return None };
    if !options.contains_key("fieldOptions") || panel.has("fieldConfig") {
        return None;
    }
    let options = panel.quiet("options")?.quiet("fieldOptions")?;
    let higher = ["thresholds", "mappings"].into_iter().filter_map(|key| Some((key, options.node(key)?)));
    let own = options.quiet("defaults");
    let own = own.iter().flat_map(|own| own.entries().collect::<Vec<_>>()).filter(|(id, _)| *id != "title");
    let found = higher.chain(own).collect();
    Some(found)
}

fn one(object: &Object<'_>) -> Option<Override> {
    // Grafana's own mark of an override that a click in a legend made.
    object.ignore(&["__systemRef"]);
    let matcher = object.object("matcher").and_then(|matcher| matcher::read(&matcher));
    let mut options = FieldOptions::default();
    for property in object.objects("properties") {
        let id = property.string("id");
        if let Some(node) = property.node("value") {
            set(&mut options, &id, &node);
        }
    }
    matcher.map(|matcher| Override { matcher, options })
}

/// Sets what Grafana calls `id`.
fn set(options: &mut FieldOptions, id: &str, node: &Node<'_>) {
    match id.strip_prefix("custom.") {
        Some("") | None => set_standard(options, id, node),
        Some(id) => set_custom(options, id, node),
    }
}

fn set_standard(options: &mut FieldOptions, id: &str, node: &Node<'_>) {
    match id {
        "unit" => options.unit = node.text(),
        // Generators write -1 for what is absent.
        "decimals" => {
            let decimals = node.number().filter(|decimals| *decimals >= 0.0);
            options.decimals = decimals.map(|decimals| whole(decimals, DECIMALS_MAX));
        }
        "min" => options.min = node.number(),
        "max" => options.max = node.number(),
        "fieldMinMax" => options.field_min_max = node.flag(),
        "displayName" => options.display_name = node.text().filter(|name| !name.is_empty()),
        "description" => options.description = node.text(),
        "noValue" => options.no_value = node.text(),
        "color" => options.color = color(node),
        "thresholds" => options.thresholds = thresholds(node),
        "mappings" => options.mappings = Some(mappings(node)),
        "links" => options.links = Some(objects(node).iter().map(settings::link).collect()),
        "filterable" => options.filterable = node.flag(),
        "nullValueMode" => options.nulls = old_nulls(node),
        // What the data source would call the column and where it writes to: nothing that a picture shows.
        "displayNameFromDS" | "path" | "writeable" | "interval" | "unitScale" => {}
        "actions" => lose_filled(node, "buttons that send requests are not carried"),
        _ => lose_filled(node, "skep does not know this setting"),
    }
}

fn set_custom(options: &mut FieldOptions, id: &str, node: &Node<'_>) {
    match id {
        "drawStyle" => options.draw_style = word(node, DrawStyle::WORDS),
        "lineInterpolation" => options.interpolation = word(node, Interpolation::WORDS),
        "lineWidth" => {
            options.line_width = node.number();
            options.state_line_width = options.line_width;
        }
        "lineStyle" => options.line_style = line_style(node),
        "fillOpacity" => options.fill_opacity = node.number().map(|opacity| opacity.clamp(0.0, 100.0)),
        "fillBelowTo" => options.fill_below_to = node.text().filter(|name| !name.is_empty()),
        "gradientMode" => options.gradient = word(node, Gradient::WORDS),
        "showPoints" => options.show_points = word(node, ShowPoints::WORDS),
        "pointSize" => options.point_size = point_size(node),
        "spanNulls" => options.nulls = span_nulls(node),
        "insertNulls" => options.insert_nulls_ms = node.number(),
        "stacking" => options.stacking = stacking(node),
        "transform" => options.transform = word(node, Negate::WORDS),
        "barAlignment" => options.bar_alignment = node.number().map(|side| side.clamp(-1.0, 1.0) as i8),
        "barWidthFactor" => options.bar_width = node.number().map(|part| part.clamp(0.0, 1.0)),
        "barMaxWidth" => options.bar_width_max = node.number(),
        "axisPlacement" => options.axis_placement = word(node, AxisPlacement::WORDS),
        "axisLabel" => options.axis_label = node.text(),
        "axisWidth" => options.axis_width = node.number(),
        "axisSoftMin" => options.soft_min = node.number(),
        "axisSoftMax" => options.soft_max = node.number(),
        "axisCenteredZero" => options.axis_centered = node.flag(),
        "axisColorMode" => options.axis_colored = word(node, &[("text", false), ("series", true)]),
        "axisBorderShow" => options.axis_border = node.flag(),
        "axisGridShow" => options.axis_grid = node.flag(),
        "scaleDistribution" => options.scale = scale(node),
        "thresholdsStyle" => options.threshold_style = threshold_style(node),
        "hideFrom" => options.hide = hide(node),
        "align" | "justify" => options.align = align(node),
        "cellOptions" => options.cell = node.object().map(|cell| cell_options(&cell)),
        "displayMode" => options.cell = node.text().map(|mode| cell_mode(&mode, node)),
        "width" => options.width = node.number(),
        "minWidth" => options.width_min = node.number(),
        "filterable" => options.filterable = node.flag(),
        "hidden" | "hideFrom.viz" => options.hidden = node.flag(),
        // The room that a cell needs, and the editor's marks.
        "inspect" | "pointSymbol" | "wrapText" | "tooltip" | "pointStrokeWidth" => {}
        _ => lose_filled(node, "skep does not know this setting"),
    }
}

fn lose_filled(node: &Node<'_>, reason: &str) {
    let text = node.value.to_string();
    if !matches!(text.as_str(), "false" | "\"\"" | "[]" | "{}") {
        node.lose(reason);
    }
}

fn objects<'a>(node: &Node<'a>) -> Vec<Object<'a>> {
    node.list().iter().filter_map(Node::object).collect()
}

pub(super) fn color(node: &Node<'_>) -> Option<ColorMode> {
    let object = node.object()?;
    // Which value colours a whole line is decided by the gradient here.
    object.ignore(&["seriesBy"]);
    let fixed = object.text("fixedColor");
    let fixed = || fixed.clone().map(|color| known_color(&object, color)).unwrap_or_else(|| "text".to_owned());
    let mode = object.string("mode");
    Some(match mode.as_str() {
        "fixed" | "" => ColorMode::Fixed(fixed()),
        "shades" => ColorMode::Shades(fixed()),
        "palette-classic" => ColorMode::Classic,
        "palette-classic-by-name" => ColorMode::ClassicByName,
        "thresholds" => ColorMode::Thresholds,
        _ => ColorMode::Continuous(object.word("mode", Continuous::WORDS)?),
    })
}

fn known_color(object: &Object<'_>, color: String) -> String {
    if Rgba::parse(&color).is_none() {
        object.lose("fixedColor", "is no colour that skep knows; it is grey");
    }
    color
}

fn thresholds(node: &Node<'_>) -> Option<Thresholds> {
    if node.value.is_array() {
        return Some(Thresholds::new(false, objects(node).iter().map(threshold_step).collect()));
    }
    let object = node.object()?;
    let percentage = object.word("mode", &[("absolute", false), ("percentage", true)]).unwrap_or(false);
    Some(Thresholds::new(percentage, object.objects("steps").iter().map(threshold_step).collect()))
}

fn threshold_step(step: &Object<'_>) -> Step {
    step.ignore(&["state", "index", "line", "op", "fill", "yaxis", "colorMode", "visible"]);
    let from = step.number("value").unwrap_or(f64::NEG_INFINITY);
    let color = step.string("color");
    if Rgba::parse(&color).is_none() {
        step.lose("color", "is no colour that skep knows; it is grey");
    }
    Step { from, color }
}

fn threshold_style(node: &Node<'_>) -> Option<ThresholdStyle> {
    node.object()?.word("mode", ThresholdStyle::WORDS)
}

/// Mappings of today, by kind; those of before Grafana 8, `1` for a value and `2` for a range.
fn mappings(node: &Node<'_>) -> Vec<Mapping> {
    let mut found = Vec::new();
    for object in objects(node) {
        // Those past the limit are told of below.
        if found.len() > MAPPINGS_MAX {
            object.ignore_rest();
            continue;
        }
        object.ignore(&["id"]);
        match object.string("type").as_str() {
            "value" => found.extend(object.object("options").map(|options| values(&options)).unwrap_or_default()),
            "range" => found.extend(object.object("options").map(|options| range(&options))),
            "regex" => found.extend(object.object("options").and_then(|options| regex(&options))),
            "special" => found.extend(object.object("options").and_then(|options| special(&options))),
            "1" => found.extend(old_value(&object)),
            "2" => found.push(range(&object)),
            _ => object.lose("type", "is none of value, range, regex, special"),
        }
    }
    if found.len() > MAPPINGS_MAX {
        node.lose(format!("the mappings past the first {MAPPINGS_MAX} are left out"));
        found.truncate(MAPPINGS_MAX);
    }
    found
}

fn values(options: &Object<'_>) -> Vec<Mapping> {
    let one = |(value, node): (&str, Node<'_>)| {
        let result = node.object().map(|result| shown(&result))?;
        Some(Mapping { rule: Rule::Value(value.to_owned()), result })
    };
    options.entries().filter_map(one).take(MAPPINGS_MAX + 1).collect()
}

fn shown(result: &Object<'_>) -> Shown {
    // Its place in the editor, and an icon, which only a table of a newer kind shows.
    result.ignore(&["index"]);
    Shown { text: result.filled("text"), color: result.filled("color") }
}

fn result(object: &Object<'_>) -> Shown {
    match object.object("result") {
        Some(result) => shown(&result),
        None => Shown { text: object.filled("text"), color: object.filled("color") },
    }
}

fn range(options: &Object<'_>) -> Mapping {
    options.ignore(&["type", "operator", "value", "id"]);
    Mapping { rule: Rule::Range(options.number("from"), options.number("to")), result: result(options) }
}

fn regex(options: &Object<'_>) -> Option<Mapping> {
    let text = options.string("pattern");
    let result = result(options);
    match Pattern::new(&text) {
        Ok(pattern) => Some(Mapping { rule: Rule::Regex(pattern), result }),
        Err(error) => {
            options.lose("pattern", &error.to_string());
            None
        }
    }
}

fn special(options: &Object<'_>) -> Option<Mapping> {
    let words = [
        ("null", Special::Null),
        ("nan", Special::Nan),
        ("null+nan", Special::NullOrNan),
        ("true", Special::True),
        ("false", Special::False),
        ("empty", Special::Empty),
    ];
    let result = result(options);
    Some(Mapping { rule: Rule::Special(options.word("match", &words)?), result })
}

fn old_value(object: &Object<'_>) -> Option<Mapping> {
    object.ignore(&["from", "to", "operator", "id"]);
    let result = Shown { text: object.filled("text"), color: None };
    let rule = match object.text("value")?.as_str() {
        "null" => Rule::Special(Special::NullOrNan),
        value => Rule::Value(value.to_owned()),
    };
    Some(Mapping { rule, result })
}

fn line_style(node: &Node<'_>) -> Option<LineStyle> {
    let object = node.object()?;
    let dash: Vec<f64> = object.list("dash").iter().filter_map(Node::number).take(16).collect();
    let or = |default: [f64; 2]| if dash.is_empty() { default.to_vec() } else { dash.clone() };
    Some(match object.string("fill").as_str() {
        "dash" => LineStyle::Dash(or([10.0, 10.0])),
        "dot" => LineStyle::Dot(or([0.0, 10.0])),
        "solid" | "" => LineStyle::Solid,
        _ => {
            object.lose("fill", "is none of solid, dash, dot");
            LineStyle::Solid
        }
    })
}

/// A number of pixels; maps and scatter plots have an object.
fn point_size(node: &Node<'_>) -> Option<f64> {
    match node.value {
        Value::Object(_) => node.object()?.number("fixed"),
        _ => node.number(),
    }
}

fn span_nulls(node: &Node<'_>) -> Option<Nulls> {
    Some(match node.value {
        Value::Bool(true) => Nulls::Connect,
        Value::Number(_) => Nulls::ConnectBelow(node.number()?),
        _ => Nulls::Gap,
    })
}

pub(super) fn old_nulls(node: &Node<'_>) -> Option<Nulls> {
    word(node, &[("null", Nulls::Gap), ("connected", Nulls::Connect), ("null as zero", Nulls::Zero)])
}

/// The group may be `false`: one that has no name, and so stands with nothing that has one.
fn stacking(node: &Node<'_>) -> Option<Stacking> {
    let object = node.object()?;
    let mode = object.word("mode", StackMode::WORDS).unwrap_or_default();
    Some(Stacking { mode, group: object.string("group") })
}

fn scale(node: &Node<'_>) -> Option<Scale> {
    let object = node.object()?;
    let base = object.number("log").filter(|base| *base > 1.0).unwrap_or(10.0);
    let threshold = object.number("linearThreshold").unwrap_or(1.0);
    Some(match object.string("type").as_str() {
        "linear" | "ordinal" | "" => Scale::Linear,
        "log" => Scale::Log { base },
        "symlog" => Scale::Symlog { base, threshold },
        _ => {
            object.lose("type", "is none of linear, log, symlog");
            Scale::Linear
        }
    })
}

fn hide(node: &Node<'_>) -> Option<Hide> {
    let object = node.object()?;
    Some(Hide { legend: object.is("legend"), tooltip: object.is("tooltip"), picture: object.is("viz") })
}

fn align(node: &Node<'_>) -> Option<Align> {
    node.text().filter(|text| !text.is_empty())?;
    word(node, Align::WORDS)
}

fn cell_options(object: &Object<'_>) -> Cell {
    object.ignore(&["wrapText", "valueDisplayMode", "hideValue", "drawStyle", "lineWidth", "fillOpacity"]);
    let mode = object.string("mode");
    match object.string("type").as_str() {
        "color-background" => Cell::ColorBackground { row: object.is("applyToRow") },
        "gauge" => Cell::Gauge(object.word("mode", BarMode::WORDS).unwrap_or_default()),
        "sparkline" => {
            object.ignore_rest();
            Cell::Sparkline
        }
        kind => {
            let cell = cell_word(kind, &mode);
            if cell.is_none() {
                object.lose("type", "is no kind of cell that skep has; it is shown as text");
            }
            cell.unwrap_or_default()
        }
    }
}

/// One word for what is an object today.
fn cell_mode(mode: &str, node: &Node<'_>) -> Cell {
    cell_word(mode, "").unwrap_or_else(|| {
        node.lose("is no kind of cell that skep has; it is shown as text");
        Cell::Auto
    })
}

fn cell_word(kind: &str, mode: &str) -> Option<Cell> {
    Some(match (kind, mode) {
        ("auto" | "", _) => Cell::Auto,
        ("color-text", _) => Cell::ColorText,
        ("color-background" | "color-background-solid", _) => Cell::ColorBackground { row: false },
        ("gradient-gauge", _) => Cell::Gauge(BarMode::Gradient),
        ("basic", _) => Cell::Gauge(BarMode::Basic),
        ("lcd-gauge", _) => Cell::Gauge(BarMode::Lcd),
        ("json-view", _) => Cell::Json,
        _ => return None,
    })
}
