//! Options of today's kinds of panels.

use super::old_heatmap;
use crate::color::ColorMode;
use crate::field::{Align, BarMode, FieldConfig};
use crate::json::{Object, whole};
use crate::reduce::Reducer;
use crate::visual::{
    AlertList, BarGauge, BarNames, BarValue, Bound, BucketSize, CellHeight, Footer, Gauge, Heatmap, Legend, LegendMode,
    Orientation, Pie, PieLabel, ReduceOptions, ShowValue, SortOrder, Stat, StatColor, StatText, StateTimeline, Table,
    Text, TextMode, TimeSeries, Tooltip, TooltipMode, Visual,
};

pub(super) fn read(panel: &Object<'_>) -> Visual {
    let kind = panel.string("type");
    if kind == "text" {
        return Visual::Text(text(panel));
    }
    if kind == "heatmap" && old_heatmap::is_old(panel) {
        return Visual::Heatmap(old_heatmap::read(panel));
    }
    if kind == "grafana-piechart-panel" && !panel.has("options") {
        return Visual::Pie(old_pie(panel));
    }
    let Some(options) = options(panel, &kind) else { return default(&kind) };
    match kind.as_str() {
        "timeseries" => Visual::TimeSeries(time_series(&options)),
        "stat" => Visual::Stat(stat(&options)),
        "gauge" => Visual::Gauge(gauge(&options)),
        "bargauge" => Visual::BarGauge(bar_gauge(&options)),
        "table" => Visual::Table(table(&options)),
        "heatmap" => Visual::Heatmap(heatmap(&options)),
        "piechart" | "grafana-piechart-panel" => Visual::Pie(pie(&options)),
        "state-timeline" => Visual::StateTimeline(timeline(&options, false)),
        "status-history" => Visual::StateTimeline(timeline(&options, true)),
        "alertlist" => Visual::AlertList(alert_list(&options)),
        _ => {
            options.ignore_rest();
            Visual::Unsupported { kind }
        }
    }
}

/// The options, unless the panel has none or is of a kind that is not drawn.
fn options<'a>(panel: &Object<'a>, kind: &str) -> Option<Object<'a>> {
    let known = ["timeseries", "stat", "gauge", "bargauge", "table", "heatmap", "piechart", "grafana-piechart-panel"];
    let known = known.iter().chain(&["state-timeline", "status-history", "alertlist", "text"]);
    let is_named_only = kind.is_empty() && panel.has("libraryPanel");
    if !is_named_only && !known.into_iter().any(|known| *known == kind) {
        let reason = match kind {
            "" => "a panel without a kind",
            _ => "skep does not draw this kind of panel; what its queries answer is shown as a table",
        };
        panel.lose_type(reason);
    }
    panel.object("options")
}

/// A panel without options does what it does by itself.
fn default(kind: &str) -> Visual {
    match kind {
        "timeseries" => Visual::TimeSeries(TimeSeries::default()),
        "stat" => Visual::Stat(Stat { graph: true, ..Stat::default() }),
        "gauge" => Visual::Gauge(Gauge { threshold_markers: true, ..Gauge::default() }),
        "bargauge" => Visual::BarGauge(BarGauge { unfilled: true, ..BarGauge::default() }),
        "table" => Visual::Table(Table::default()),
        "heatmap" => Visual::Heatmap(Heatmap::default()),
        "piechart" | "grafana-piechart-panel" => Visual::Pie(Pie::default()),
        "state-timeline" => Visual::StateTimeline(StateTimeline { merge: true, ..StateTimeline::default() }),
        "status-history" => Visual::StateTimeline(StateTimeline { cells: true, ..StateTimeline::default() }),
        "alertlist" => Visual::AlertList(AlertList::default()),
        kind => Visual::Unsupported { kind: kind.to_owned() },
    }
}

/// Before Grafana 7 a text stood in the panel itself.
fn text(panel: &Object<'_>) -> Text {
    let Some(options) = panel.object("options") else { return text_of(panel) };
    panel.ignore(&["mode", "content"]);
    if let Some(code) = options.object("code") {
        code.ignore(&["language", "showLineNumbers", "showMiniMap"]);
    }
    text_of(&options)
}

fn text_of(object: &Object<'_>) -> Text {
    object.ignore(&["mode"]);
    let mode = match object.string("mode").as_str() {
        "html" => TextMode::Html,
        "code" => TextMode::Code,
        "text" | "markdown" | "" => TextMode::Markdown,
        _ => {
            object.lose("mode", "is none of markdown, html, code");
            TextMode::Markdown
        }
    };
    Text { mode, content: object.string("content") }
}

fn time_series(options: &Object<'_>) -> TimeSeries {
    // Grafana's own switches of what dragging does, which skep always has.
    options.ignore(&["orientation", "annotations"]);
    if options.string("orientation") == "vertical" {
        options.lose("orientation", "time goes from left to right");
    }
    TimeSeries { legend: legend(options), tooltip: tooltip(options), zones: options.strings("timezone") }
}

fn legend(options: &Object<'_>) -> Legend {
    let Some(object) = options.object("legend") else { return Legend::default() };
    object.ignore(&["asTable", "isVisible", "overflow", "values"]);
    let mut mode = object.word("displayMode", LegendMode::WORDS).unwrap_or_default();
    if object.flag("showLegend") == Some(false) || object.flag("isVisible") == Some(false) {
        mode = LegendMode::Hidden;
    }
    Legend {
        mode,
        right: object.word("placement", &[("bottom", false), ("right", true)]).unwrap_or(false),
        calcs: reducers(&object, "calcs"),
        width: object.number("width"),
        sort_by: object.filled("sortBy"),
        descending: object.is("sortDesc"),
    }
}

fn tooltip(options: &Object<'_>) -> Tooltip {
    let name = if options.has("tooltip") { "tooltip" } else { "tooltipOptions" };
    let Some(object) = options.object(name) else { return Tooltip::default() };
    // The size of the box is the page's.
    object.ignore(&["maxHeight", "maxWidth"]);
    Tooltip {
        mode: object.word("mode", TooltipMode::WORDS).unwrap_or_default(),
        sort: object.word("sort", SortOrder::WORDS).unwrap_or_default(),
        hide_zeros: object.is("hideZeros"),
    }
}

pub(super) fn reducers<'a>(object: &Object<'a>, key: &'a str) -> Vec<Reducer> {
    let one = |node: &crate::json::Node<'_>| {
        let reducer = Reducer::parse(&node.text()?);
        if reducer.is_none() {
            node.lose("is no reducer that skep knows");
        }
        reducer
    };
    object.list(key).iter().filter_map(one).collect()
}

fn reduce(options: &Object<'_>) -> ReduceOptions {
    // Before Grafana 7 they were called otherwise.
    let name = if options.has("fieldOptions") { "fieldOptions" } else { "reduceOptions" };
    let Some(object) = options.object(name) else { return ReduceOptions::default() };
    if name == "fieldOptions" {
        object.lose("overrides", "is of a Grafana before 7.0; open and save the panel there once");
        // The settings of columns among them, `import::field` takes.
        object.ignore(&["override", "defaults", "thresholds", "mappings"]);
    }
    ReduceOptions {
        rows: object.is("values"),
        limit: object.count("limit", 100_000),
        calcs: reducers(&object, "calcs"),
        fields: object.string("fields"),
    }
}

fn orientation(options: &Object<'_>) -> Orientation {
    options.word("orientation", Orientation::WORDS).unwrap_or_default()
}

/// The room decides sizes of single values, if the panel does not.
fn sizes(options: &Object<'_>) -> (Option<f64>, Option<f64>) {
    options.object("text").map_or((None, None), |text| {
        text.ignore(&["percentSize"]);
        (text.number("titleSize"), text.number("valueSize"))
    })
}

/// Sizes that leave no choice to the page, which lays out by the room there is.
const SIZES: [&str; 7] =
    ["minVizHeight", "minVizWidth", "maxVizHeight", "sizing", "wideLayout", "legend", "pluginVersion"];

fn stat(options: &Object<'_>) -> Stat {
    options.ignore(&SIZES);
    options.ignore(&["percentChangeColorMode", "tooltip", "disableTextAutoScale"]);
    let (title_size, value_size) = sizes(options);
    Stat {
        reduce: reduce(options),
        orientation: orientation(options),
        color: options.word("colorMode", StatColor::WORDS).unwrap_or_default(),
        graph: options.word("graphMode", &[("none", false), ("area", true), ("line", true)]).unwrap_or(true),
        text: options.word("textMode", StatText::WORDS).unwrap_or_default(),
        centered: options.word("justifyMode", &[("auto", false), ("center", true)]).unwrap_or(false),
        change: options.is("showPercentChange"),
        title_size,
        value_size,
        prefix: String::new(),
        postfix: String::new(),
    }
}

fn gauge(options: &Object<'_>) -> Gauge {
    options.ignore(&SIZES);
    options.ignore(&["text", "barShape", "barWidthFactor", "effects", "endpointMarker", "segmentCount", "shape"]);
    options.ignore(&["segmentSpacing", "neutral"]);
    if options.string("shape") == "circle" {
        options.lose("shape", "the scale is an arc");
    }
    Gauge {
        reduce: reduce(options),
        orientation: orientation(options),
        threshold_labels: options.is("showThresholdLabels"),
        threshold_markers: options.flag("showThresholdMarkers").unwrap_or(true),
        prefix: String::new(),
        postfix: String::new(),
    }
}

fn bar_gauge(options: &Object<'_>) -> BarGauge {
    options.ignore(&SIZES);
    options.ignore(&["text"]);
    BarGauge {
        reduce: reduce(options),
        orientation: orientation(options),
        mode: options.word("displayMode", BarMode::WORDS).unwrap_or_default(),
        unfilled: options.flag("showUnfilled").unwrap_or(true),
        value: options.word("valueMode", BarValue::WORDS).unwrap_or_default(),
        names: options.word("namePlacement", BarNames::WORDS).unwrap_or_default(),
    }
}

fn table(options: &Object<'_>) -> Table {
    options.ignore(&["showTypeIcons", "frozenColumns", "maxRowHeight", "disableKeyboardEvents"]);
    let sort = |object: &Object<'_>| (object.string("displayName"), object.is("desc"));
    Table {
        headless: options.flag("showHeader") == Some(false),
        sort: options.objects("sortBy").iter().map(sort).filter(|(name, _)| !name.is_empty()).collect(),
        frame: options.count("frameIndex", 1_000),
        pages: options.is("enablePagination")
            || options.object("footer").is_some_and(|footer| {
                footer.ignore(&["show", "reducer", "fields", "countRows"]);
                footer.is("enablePagination")
            }),
        footer: options.object("footer").and_then(|footer| self::footer(&footer)),
        cell_height: options.word("cellHeight", CellHeight::WORDS).unwrap_or_default(),
    }
}

fn footer(object: &Object<'_>) -> Option<Footer> {
    object.ignore(&["enablePagination", "fields"]);
    let count_rows = object.is("countRows");
    let calcs = reducers(object, "reducer");
    let fields = match object.node("fields") {
        Some(node) if node.value.is_array() => node.list().iter().filter_map(crate::json::Node::text).collect(),
        Some(node) => node.text().into_iter().filter(|name| !name.is_empty()).collect(),
        None => Vec::new(),
    };
    object.is("show").then_some(Footer { calcs, fields, count_rows })
}

fn heatmap(options: &Object<'_>) -> Heatmap {
    options.ignore(&["showValue", "exemplars", "selectionMode", "annotations"]);
    let mut map =
        Heatmap { calculate: options.is("calculate"), steps: 64, exponent: 0.5, gap: 1.0, ..Heatmap::default() };
    if let Some(calculation) = options.object("calculation") {
        map.x_buckets = calculation.object("xBuckets").map(|buckets| bucket_size(&buckets)).unwrap_or_default();
        map.y_buckets = calculation.object("yBuckets").map(|buckets| bucket_size(&buckets)).unwrap_or_default();
    }
    if let Some(color) = options.object("color") {
        heat_color(&color, &mut map);
    }
    if let Some(values) = options.object("cellValues") {
        map.cell_unit = values.filled("unit");
        map.cell_decimals = values.count("decimals", super::field::DECIMALS_MAX);
    }
    if let Some(axis) = options.object("yAxis") {
        heat_axis(&axis, &mut map);
    }
    if let Some(frame) = options.object("rowsFrame") {
        frame.ignore(&["value"]);
        map.bound = frame.word("layout", Bound::WORDS).unwrap_or_default();
    }
    // Without a word Grafana hides what is nothing.
    map.hide_below = Some(1e-9);
    if let Some(filter) = options.object("filterValues") {
        map.hide_below = filter.number("le");
        map.hide_above = filter.number("ge");
    }
    map.gap = options.number("cellGap").unwrap_or(map.gap);
    options.ignore(&["cellRadius"]);
    map.legend = options.object("legend").is_some_and(|legend| legend.is("show") || legend.is("showLegend"));
    if let Some(tooltip) = options.object("tooltip") {
        tooltip.ignore(&["maxHeight", "maxWidth", "showColorScale", "mode"]);
        map.tooltip = tooltip.flag("show").unwrap_or(tooltip.text("mode").as_deref() != Some("none"));
        map.histogram = tooltip.is("yHistogram");
    }
    map
}

fn bucket_size(object: &Object<'_>) -> BucketSize {
    if let Some(scale) = object.object("scale")
        && scale.string("type") == "log"
    {
        scale.ignore(&["log"]);
        scale.lose("type", "buckets of even height are made");
    }
    match (object.string("mode").as_str(), object.filled("value")) {
        (_, None) => BucketSize::Auto,
        ("count", Some(value)) => value.parse().map_or(BucketSize::Auto, BucketSize::Count),
        (_, Some(value)) => BucketSize::Size(value),
    }
}

fn heat_color(color: &Object<'_>, map: &mut Heatmap) {
    color.ignore(&["mode", "scale", "fill", "scheme"]);
    map.scheme = color.string("scheme");
    map.reverse = color.is("reverse");
    map.steps = color.count("steps", 256).unwrap_or(64).max(2);
    map.exponent = match color.string("scale").as_str() {
        "linear" => 1.0,
        _ => color.number("exponent").unwrap_or(0.5),
    };
    color.ignore(&["exponent"]);
    map.color_min = color.number("min");
    map.color_max = color.number("max");
    map.fill = (color.string("mode") == "opacity").then(|| color.string("fill"));
}

fn heat_axis(axis: &Object<'_>, map: &mut Heatmap) {
    axis.ignore(&["axisWidth", "axisColorMode", "axisBorderShow", "axisGridShow", "axisCenteredZero"]);
    map.y_unit = axis.filled("unit");
    map.y_decimals = axis.count("decimals", super::field::DECIMALS_MAX);
    map.y_min = axis.number("min");
    map.y_max = axis.number("max");
    map.y_reverse = axis.is("reverse");
    map.y_label = axis.string("axisLabel");
    map.y_right = axis.string("axisPlacement") == "right";
}

fn pie(options: &Object<'_>) -> Pie {
    options.ignore(&["pieType"]);
    let words = |object: &Object<'_>, key| {
        let word = |node: &crate::json::Node<'_>| crate::json::word(node, PieLabel::WORDS);
        object.list(key).iter().filter_map(word).collect::<Vec<_>>()
    };
    let legend_values = options.object("legend").map(|legend| {
        legend.ignore_rest();
        words(&legend, "values")
    });
    Pie {
        reduce: reduce(options),
        donut: options.string("pieType") == "donut",
        labels: words(options, "displayLabels"),
        legend: legend(options),
        legend_values: legend_values.unwrap_or_default(),
        tooltip: tooltip(options),
        sort: options.word("sort", SortOrder::WORDS).unwrap_or(SortOrder::Descending),
    }
}

/// The pie of before Grafana 8, a plugin whose settings stood in the panel itself. Its unit and colours are settings of
/// columns, see [`old_pie_fields`].
fn old_pie(panel: &Object<'_>) -> Pie {
    panel.ignore(&[
        "strokeWidth",
        "fontSize",
        "breakPoint",
        "maxDataPoints",
        "legendType",
        "cacheTimeout",
        "nullPointMode",
    ]);
    panel.ignore(&["nullText", "aliasColors", "format", "decimals", "legend", "pieType", "valueName"]);
    panel.lose("combine", "small parts are not put together");
    let legend_type = panel.string("legendType");
    let shown = panel.object("legend");
    let is = |key| shown.as_ref().is_some_and(|legend| legend.is(key));
    let values = [("values", PieLabel::Value), ("percentage", PieLabel::Percent)];
    let values: Vec<_> = values.into_iter().filter(|(key, _)| is(key)).map(|(_, label)| label).collect();
    let mode = match legend_type.as_str() {
        _ if shown.as_ref().is_some_and(|legend| legend.flag("show") == Some(false)) => LegendMode::Hidden,
        "On graph" => LegendMode::Hidden,
        _ if values.is_empty() => LegendMode::List,
        _ => LegendMode::Table,
    };
    if let Some(legend) = &shown {
        legend.ignore_rest();
    }
    Pie {
        reduce: ReduceOptions {
            calcs: vec![Reducer::parse(&panel.string("valueName")).unwrap_or_default()],
            ..ReduceOptions::default()
        },
        donut: panel.string("pieType") == "donut",
        labels: if legend_type == "On graph" { vec![PieLabel::Name] } else { Vec::new() },
        legend: Legend { mode, right: legend_type == "Right side", ..Legend::default() },
        legend_values: values,
        tooltip: Tooltip::default(),
        sort: SortOrder::Descending,
    }
}

/// What the old pie says of its columns.
pub(super) fn old_pie_fields(panel: &Object<'_>, fields: &mut FieldConfig) {
    if panel.string("type") != "grafana-piechart-panel" || panel.has("options") {
        return;
    }
    fields.defaults.unit = panel.filled("format");
    fields.defaults.decimals = panel.count("decimals", super::field::DECIMALS_MAX);
    fields.defaults.color = Some(ColorMode::Classic);
    fields.overrides.extend(super::graph::aliases(panel));
}

fn timeline(options: &Object<'_>, cells: bool) -> StateTimeline {
    options.ignore(&["colWidth", "annotations"]);
    StateTimeline {
        merge: !cells && options.flag("mergeValues").unwrap_or(true),
        cells,
        show_value: options.word("showValue", ShowValue::WORDS).unwrap_or_default(),
        row_height: options.number("rowHeight").unwrap_or(0.9).clamp(0.0, 1.0),
        align: options.word("alignValue", Align::WORDS).unwrap_or(Align::Left),
        legend: legend(options),
        tooltip: tooltip(options),
        page_rows: options.number("perPage").map(|rows| whole(rows, 10_000)),
    }
}

fn alert_list(options: &Object<'_>) -> AlertList {
    options.ignore(&["groupBy", "groupMode", "sortOrder", "viewMode", "dashboardAlerts", "showInstances", "show"]);
    options.ignore(&["datasource", "dashboardFilter", "tags", "showInactiveAlerts"]);
    options.lose("folder", "skep's alerts lie in no folders");
    let mut list = AlertList {
        limit: options.count("maxItems", 10_000).unwrap_or(20),
        name: options.filled("alertName").or_else(|| options.filled("dashboardTitle")).unwrap_or_default(),
        labels: options.string("alertInstanceLabelFilter"),
        firing: true,
        pending: true,
        normal: false,
    };
    if let Some(states) = options.object("stateFilter") {
        states.ignore(&["noData", "error", "no_data", "recovering", "paused", "execution_error", "alerting", "ok"]);
        list.firing = states.is("firing") || states.is("alerting");
        list.pending = states.is("pending");
        list.normal = states.is("normal") || states.is("inactive") || states.is("ok");
    }
    list
}
