//! The legacy graph as a time series.

use super::field::DECIMALS_MAX;
use super::{settings, singlestat};
use crate::board::Panel;
use crate::color::ColorMode;
use crate::field::{
    AxisPlacement, Comparison, DrawStyle, FieldOptions, Gradient, Hide, Interpolation, LineStyle, Matcher, Negate,
    Nulls, OVERRIDES_MAX, Override, Scale, ShowPoints, StackMode, Stacking, ThresholdStyle,
};
use crate::json::{Object, word};
use crate::pattern::Pattern;
use crate::reduce::Reducer;
use crate::threshold::{Step, Thresholds};
use crate::visual::{Legend, LegendMode, SortOrder, TimeSeries, Tooltip, TooltipMode, Visual};

pub(super) fn read(object: &Object<'_>, panel: &mut Panel) {
    object.ignore(&["x-axis", "y-axis", "zerofill"]);
    // A slip of Grafana's own, which it saves.
    object.ignore(&["paceLength"]);
    object.lose("timeRegions", "coloured spans of time are not carried");
    let mut defaults = draw(object);
    panel.fields.overrides.splice(0..0, aliases(object));
    let axes = object.objects("yaxes");
    let mut right = FieldOptions { axis_placement: Some(AxisPlacement::Right), ..FieldOptions::default() };
    old_axes(object, &mut defaults, &mut right, !axes.is_empty());
    if let Some(left) = axes.first() {
        axis(left, &mut defaults);
    }
    if let Some(second) = axes.get(1) {
        axis(second, &mut right);
        if second.flag("show") == Some(false) {
            right.axis_placement = Some(AxisPlacement::Hidden);
        }
    }
    panel.fields.overrides.extend(series(object, &right));
    if let Some(axis) = object.object("yaxis") {
        axis.ignore(&["alignLevel"]);
        axis.lose("align", "zero of both axes is not brought to the same height");
    }
    x_axis(object);
    thresholds(object, &mut defaults);
    let (legend, hides) = legend(object);
    panel.fields.overrides.extend(hides);
    if panel.fields.overrides.len() > OVERRIDES_MAX {
        object.lose("seriesOverrides", &format!("those past the first {OVERRIDES_MAX} are left out"));
        panel.fields.overrides.truncate(OVERRIDES_MAX);
    }
    if let Some(options) = object.object("options") {
        options.ignore(&["alertThreshold"]);
        let links: Vec<_> = options.objects("dataLinks").iter().map(settings::link).collect();
        defaults.links = Some(links).filter(|links| !links.is_empty());
    }
    if let Some(decimals) = object.count("decimals", DECIMALS_MAX) {
        defaults.decimals = Some(decimals);
    }
    defaults.overlay(&std::mem::take(&mut panel.fields.defaults));
    panel.fields.defaults = defaults;
    panel.visual = Visual::TimeSeries(TimeSeries { legend, tooltip: tooltip(object), zones: Vec::new() });
}

/// Lines, bars and points, as the panel has them for all of its series.
fn draw(object: &Object<'_>) -> FieldOptions {
    let lines = object.flag("lines").unwrap_or(true);
    let bars = object.is("bars");
    let points = object.is("points");
    let draw_style = match (lines, bars, points) {
        (_, true, _) => DrawStyle::Bars,
        (false, false, true) => DrawStyle::Points,
        _ => DrawStyle::Line,
    };
    if bars && lines {
        object.lose("lines", "a series has bars or a line; it has bars");
    }
    let nothing = !lines && !bars && !points;
    let fill = object.number("fill").unwrap_or(1.0) * 10.0;
    let fade = object.number("fillGradient").unwrap_or(0.0) * 10.0;
    FieldOptions {
        draw_style: Some(draw_style),
        line_width: Some(if nothing { 0.0 } else { object.number("linewidth").unwrap_or(1.0) }),
        fill_opacity: Some(if bars { 100.0 } else { fill.max(fade) }.clamp(0.0, 100.0)),
        gradient: (fade > 0.0).then_some(Gradient::Opacity),
        show_points: Some(if points { ShowPoints::Always } else { ShowPoints::Never }),
        point_size: object.number("pointradius").map(|radius| radius * 2.0),
        interpolation: object.is("steppedLine").then_some(Interpolation::StepAfter),
        line_style: dashes(object),
        nulls: object.node("nullPointMode").and_then(|node| super::field::old_nulls(&node)),
        stacking: Some(stacking(object)),
        color: Some(ColorMode::Classic),
        ..FieldOptions::default()
    }
}

fn dashes(object: &Object<'_>) -> Option<LineStyle> {
    let dash = object.number("dashLength").unwrap_or(10.0);
    let space = object.number("spaceLength").unwrap_or(10.0);
    object.is("dashes").then(|| LineStyle::Dash(vec![dash, space]))
}

fn stacking(object: &Object<'_>) -> Stacking {
    let percent = object.is("percentage");
    let mode = match (object.is("stack"), percent) {
        (true, true) => StackMode::Percent,
        (true, false) => StackMode::Normal,
        (false, _) => StackMode::None,
    };
    Stacking { mode, group: "A".to_owned() }
}

/// Axes and limits of before schema 12. What newer files keep of them has no meaning any more.
fn old_axes(object: &Object<'_>, left: &mut FieldOptions, right: &mut FieldOptions, are_new: bool) {
    let formats = object.strings("y_formats");
    let labels = [object.filled("leftYAxisLabel"), object.filled("rightYAxisLabel")];
    let grid = object.object("grid");
    if are_new {
        grid.iter().for_each(Object::ignore_rest);
        return;
    }
    for ((options, format), label) in [&mut *left, right].into_iter().zip([formats.first(), formats.get(1)]).zip(labels)
    {
        options.unit = format.filter(|format| !format.is_empty()).cloned();
        options.axis_label = label;
    }
    let Some(grid) = grid else { return };
    (left.min, left.max) = (grid.number("leftMin"), grid.number("leftMax"));
    (right.min, right.max) = (grid.number("rightMin"), grid.number("rightMax"));
    let scale = |key| grid.number(key).filter(|base| *base > 1.0).map(|base| Scale::Log { base });
    (left.scale, right.scale) = (scale("leftLogBase"), scale("rightLogBase"));
    let step = |value, color| {
        let from = grid.number(value)?;
        Some(Step { from, color: grid.filled(color).unwrap_or_else(|| "red".to_owned()) })
    };
    let limits = [step("threshold1", "threshold1Color"), step("threshold2", "threshold2Color")];
    let limits: Vec<Step> = limits.into_iter().flatten().collect();
    let is_line = grid.is("thresholdLine");
    grid.ignore(&["threshold1Color", "threshold2Color", "thresholdLine"]);
    if !limits.is_empty() {
        let below = Step { from: f64::NEG_INFINITY, color: "transparent".to_owned() };
        left.thresholds = Some(Thresholds::new(false, [vec![below], limits].concat()));
        left.threshold_style = Some(if is_line { ThresholdStyle::Line } else { ThresholdStyle::Area });
    }
}

/// A vertical axis.
fn axis(object: &Object<'_>, options: &mut FieldOptions) {
    options.unit = object.filled("format");
    options.decimals = object.count("decimals", DECIMALS_MAX);
    options.axis_label = object.filled("label");
    options.min = object.number("min");
    options.max = object.number("max");
    let base = object.number("logBase").unwrap_or(1.0);
    if base > 1.0 {
        options.scale = Some(Scale::Log { base });
    }
    if object.flag("show") == Some(false) && options.axis_placement.is_none() {
        options.axis_placement = Some(AxisPlacement::Hidden);
    }
    object.ignore(&["$$hashKey"]);
}

fn x_axis(object: &Object<'_>) {
    let Some(axis) = object.object("xaxis") else { return };
    axis.ignore(&["name", "buckets", "values", "show", "mode", "format", "min", "max"]);
    match axis.string("mode").as_str() {
        "series" => axis.lose("mode", "series side by side are not carried; they are drawn over time"),
        "histogram" => axis.lose("mode", "a histogram is not carried; the series are drawn over time"),
        _ => {}
    }
    if axis.flag("show") == Some(false) {
        axis.losses().push("xaxis.show", &serde_json::Value::Bool(false), "the axis of time is always shown");
    }
}

/// Colours by the name of a series.
pub(super) fn aliases(object: &Object<'_>) -> Vec<Override> {
    let Some(colors) = object.object("aliasColors") else { return Vec::new() };
    let one = |(name, node): (&str, crate::json::Node<'_>)| {
        let color = Some(ColorMode::Fixed(node.text()?));
        let options = FieldOptions { color, ..FieldOptions::default() };
        Some(Override { matcher: Matcher::Name(name.to_owned()), options })
    };
    colors.entries().filter_map(one).take(OVERRIDES_MAX).collect()
}

fn series(object: &Object<'_>, right: &FieldOptions) -> Vec<Override> {
    object.objects("seriesOverrides").iter().filter_map(|series| one_series(series, right)).collect()
}

fn one_series(object: &Object<'_>, right: &FieldOptions) -> Option<Override> {
    object.ignore(&["$$hashKey", "dashLength", "spaceLength", "hiddenSeries"]);
    if object.number("zindex").is_some_and(|place| place != 0.0) {
        object.lose("zindex", "series are drawn in the order they come in");
    }
    let alias = object.filled("alias")?;
    let matcher = match alias.strip_prefix('/') {
        Some(_) => match Pattern::new(&alias) {
            Ok(_) => Matcher::Regexp(alias),
            Err(error) => {
                object.lose_all(&error.to_string());
                return None;
            }
        },
        None => Matcher::Name(alias),
    };
    let mut options = if object.number("yaxis") == Some(2.0) { right.clone() } else { FieldOptions::default() };
    series_style(object, &mut options);
    series_place(object, &mut options);
    Some(Override { matcher, options })
}

fn series_style(object: &Object<'_>, options: &mut FieldOptions) {
    options.color = object.filled("color").map(ColorMode::Fixed);
    options.line_width = object.number("linewidth");
    let opacity = |key| object.number(key).map(|fill| (fill * 10.0).clamp(0.0, 100.0));
    options.fill_opacity = opacity("fill");
    if let Some(fade) = opacity("fillGradient").filter(|fade| *fade > 0.0) {
        options.fill_opacity = Some(fade);
        options.gradient = Some(Gradient::Opacity);
    }
    options.fill_below_to = object.filled("fillBelowTo");
    match (object.flag("lines"), object.flag("bars"), object.flag("points")) {
        (_, Some(true), _) => {
            options.draw_style = Some(DrawStyle::Bars);
            options.fill_opacity = options.fill_opacity.or(Some(100.0));
        }
        (Some(false), _, Some(true)) => options.draw_style = Some(DrawStyle::Points),
        (Some(false), ..) => options.line_width = Some(0.0),
        (Some(true), ..) => options.draw_style = Some(DrawStyle::Line),
        (None, Some(false), _) => options.draw_style = Some(DrawStyle::Line),
        _ => {}
    }
    if let Some(points) = object.flag("points") {
        options.show_points = Some(if points { ShowPoints::Always } else { ShowPoints::Never });
    }
    options.point_size = object.number("pointradius").map(|radius| radius * 2.0);
    if object.is("steppedLine") {
        options.interpolation = Some(Interpolation::StepAfter);
    }
    if let Some(dashed) = object.flag("dashes") {
        options.line_style = Some(if dashed { dashes(object).unwrap_or_default() } else { LineStyle::Solid });
    }
    options.nulls = object.node("nullPointMode").and_then(|node| {
        word(&node, &[("null", Nulls::Gap), ("connected", Nulls::Connect), ("null as zero", Nulls::Zero)])
    });
}

fn series_place(object: &Object<'_>, options: &mut FieldOptions) {
    if object.string("transform") == "negative-Y" {
        options.transform = Some(Negate::NegativeY);
    }
    if let Some(node) = object.node("stack") {
        let group = node.text().unwrap_or_default();
        options.stacking = Some(match group.as_str() {
            "false" => Stacking::default(),
            "true" => Stacking { mode: StackMode::Normal, group: "A".to_owned() },
            _ => Stacking { mode: StackMode::Normal, group },
        });
    }
    let hide = Hide {
        legend: object.flag("legend") == Some(false),
        tooltip: object.is("hideTooltip"),
        picture: object.is("hiddenSeries"),
    };
    if hide != Hide::default() {
        options.hide = Some(hide);
    }
}

/// Limits: the graph had a colour on one side of each, today's have one from each limit up.
fn thresholds(object: &Object<'_>, options: &mut FieldOptions) {
    let mut steps = vec![Step { from: f64::NEG_INFINITY, color: "transparent".to_owned() }];
    let (mut line, mut area) = (false, false);
    for threshold in object.objects("thresholds") {
        threshold.ignore(&["visible", "$$hashKey", "state", "yaxis", "lineColor"]);
        if threshold.number("yaxis") == Some(2.0) || threshold.string("yaxis") == "right" {
            threshold.lose("yaxis", "limits stand on the first axis");
        }
        line |= threshold.is("line");
        area |= threshold.is("fill");
        let Some(value) = threshold.number("value") else { continue };
        let color = color(&threshold);
        if threshold.string("op") == "lt" {
            steps.retain(|step| step.from != f64::NEG_INFINITY);
            steps.push(Step { from: f64::NEG_INFINITY, color });
            steps.push(Step { from: value, color: "transparent".to_owned() });
        } else {
            steps.push(Step { from: value, color });
        }
    }
    if steps.len() == 1 {
        return;
    }
    options.thresholds = Some(Thresholds::new(false, steps));
    options.threshold_style = Some(match (line, area) {
        (true, true) => ThresholdStyle::LineAndArea,
        (true, false) => ThresholdStyle::Line,
        (false, true) => ThresholdStyle::Area,
        (false, false) => ThresholdStyle::Off,
    });
}

fn color(threshold: &Object<'_>) -> String {
    threshold.ignore(&["fillColor"]);
    match threshold.string("colorMode").as_str() {
        "warning" => "orange".to_owned(),
        "ok" => "green".to_owned(),
        "custom" => {
            threshold.filled("lineColor").or_else(|| threshold.filled("fillColor")).unwrap_or_else(|| "red".to_owned())
        }
        _ => "red".to_owned(),
    }
}

/// The legend, and the overrides that leave series without values out of it.
fn legend(object: &Object<'_>) -> (Legend, Vec<Override>) {
    let Some(object) = object.object("legend") else { return (Legend::default(), Vec::new()) };
    object.ignore(&["hideEmpty", "hideZero", "sort", "loading", "total", "sideWidth", "hiddenSeries"]);
    let values = object.is("values");
    let calcs = ["min", "max", "avg", "current", "total"];
    let chosen = calcs.iter().filter(|calc| object.is(calc)).filter_map(|calc| Reducer::parse(calc));
    let chosen: Vec<_> = chosen.filter(|_| values).collect();
    let table = object.is("alignAsTable");
    let mode = match (object.flag("show"), table) {
        (Some(false), _) => LegendMode::Hidden,
        (_, true) => LegendMode::Table,
        _ => LegendMode::List,
    };
    let sort_by = object.filled("sort").and_then(|sort| Reducer::parse(&sort)).map(|sort| sort.title().to_owned());
    let hides = [("hideZero", Reducer::AllIsZero), ("hideEmpty", Reducer::AllIsNull)];
    let hides = hides.into_iter().filter(|(key, _)| object.is(key)).map(|(_, reducer)| hidden(reducer)).collect();
    let legend = Legend {
        mode,
        right: object.is("rightSide"),
        calcs: chosen,
        width: object.number("sideWidth"),
        sort_by,
        descending: object.is("sortDesc"),
    };
    (legend, hides)
}

fn hidden(reducer: Reducer) -> Override {
    let hide = Some(Hide { legend: true, tooltip: true, picture: false });
    Override {
        matcher: Matcher::Value { reducer, comparison: Comparison::GreaterOrEqual, value: 0.0 },
        options: FieldOptions { hide, ..FieldOptions::default() },
    }
}

fn tooltip(object: &Object<'_>) -> Tooltip {
    let Some(object) = object.object("tooltip") else { return Tooltip::default() };
    object.ignore(&["query_as_alias", "value_type", "msResolution"]);
    if object.string("value_type") == "cumulative" {
        object.lose("value_type", "values of stacked series are shown each for itself");
    }
    let sort = match singlestat::rounded(object.number("sort")) {
        Some(1) => SortOrder::Ascending,
        Some(2) => SortOrder::Descending,
        _ => SortOrder::None,
    };
    let mode = if object.flag("shared").unwrap_or(true) { TooltipMode::Multi } else { TooltipMode::Single };
    Tooltip { mode, sort, hide_zeros: false }
}
