//! What becomes of pieces of Grafana's JSON, as lists of cases.

use serde_json::{Value, json};

use super::*;
use crate::board::{Format, LegendFormat, Panel, Place};
use crate::color::ColorMode;
use crate::field::*;
use crate::mapping::{Rule, Special};
use crate::reduce::Reducer;
use crate::transform::{Operation, Test};
use crate::variable::{Selection, VariableKind, VariableSort, Visibility};
use crate::visual::*;

fn read(dashboard: &Value) -> Imported {
    import(&dashboard.to_string()).unwrap_or_else(|error| panic!("{error}: {dashboard}"))
}

/// One panel, with what it loses as `path: reason`.
fn panel(panel: Value) -> (Panel, Vec<String>) {
    let imported = read(&json!({"schemaVersion": 41, "panels": Value::Array(vec![panel])}));
    assert!(imported.report.dashboard.is_empty(), "{}", imported.report);
    let losses = imported.report.panels.iter().flat_map(|panel| &panel.losses);
    let losses = losses.map(|loss| format!("{}: {}", loss.path, loss.reason)).collect();
    (imported.dashboard.panels().next().unwrap().clone(), losses)
}

/// A panel that is carried whole.
fn whole(json: Value) -> Panel {
    let (panel, losses) = panel(json);
    assert!(losses.is_empty(), "{losses:?}");
    panel
}

#[test]
fn texts_that_are_no_dashboards_are_refused() {
    let check = |text: &str, expected: &str| {
        let error = import(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    };
    check("{\n  \"panels\": [}\n}", "line 2, column 14: expected value");
    check("", "line 1, column 0: EOF while parsing a value");
    check("[]", "it is not an object");
    check("{}", "neither panels nor rows");
    check(&"[".repeat(1_000), "recursion limit exceeded");
    check(&" ".repeat(DASHBOARD_BYTES_MAX + 1), "4194304 are read");
    let panels = format!("{{\"panels\": [{}{{}}]}}", "{},".repeat(PANELS_MAX));
    check(&panels, "more than 1000 panels");
}

#[test]
fn wrappings_are_taken_off() {
    let check = |json: Value| assert_eq!(read(&json).dashboard.title, "x", "{json}");
    check(json!({"title": "x", "panels": []}));
    check(json!({"dashboard": {"title": "x", "panels": []}, "meta": {}}));
    check(json!({"kind": "Dashboard", "spec": {"title": "x", "panels": []}}));
    assert_eq!(import("\u{feff}{\"panels\": [], \"title\": \"x\"}").unwrap().dashboard.title, "x");
}

#[test]
fn nothing_is_lost_in_silence() {
    let check = |json: Value, expected: &[&str]| {
        let (_, losses) = panel(json);
        assert_eq!(losses, expected);
    };
    let unknown = "skep does not know this setting";
    check(json!({"type": "stat", "shine": 5}), &[&format!("panels[0].shine: {unknown}")]);
    check(json!({"type": "stat", "shine": [], "glow": false, "dim": null, "hum": ""}), &[]);
    let options = json!({"type": "stat", "options": {"sound": "loud"}});
    check(options, &[&format!("panels[0].options.sound: {unknown}")]);
    let custom =
        json!({"type": "timeseries", "fieldConfig": {"defaults": {"custom": {"lineWidth": "fat", "wave": 1}}}});
    let fat = "panels[0].fieldConfig.defaults.custom.lineWidth: should be a number, and is left out";
    check(custom, &[fat, &format!("panels[0].fieldConfig.defaults.custom.wave: {unknown}")]);
    let word = json!({"type": "timeseries", "fieldConfig": {"defaults": {"custom": {"drawStyle": "spray"}}}});
    check(word, &["panels[0].fieldConfig.defaults.custom.drawStyle: is none of line, bars, points"]);
    let kind = "panels[0].type: skep does not draw this kind of panel; what its queries answer is shown as a table";
    check(json!({"type": "geomap", "options": {"view": {}}}), &[kind]);
    let loki = json!({"type": "stat", "targets": [{"expr": "{a=\"b\"}", "datasource": {"type": "loki", "uid": "x"}}]});
    check(loki, &["panels[0].targets[0]: a query to loki; skep answers PromQL"]);
    let expression =
        json!({"type": "stat", "targets": [{"datasource": {"type": "__expr__", "uid": "__expr__"}, "type": "math"}]});
    check(expression, &["panels[0].targets[0]: expressions over other queries are not carried; PromQL can say it"]);
    let matcher = json!({"type": "stat", "fieldConfig": {"overrides": [{"matcher": {"id": "byMood", "options": 1}, "properties": []}]}});
    check(
        matcher,
        &[
            "panels[0].fieldConfig.overrides[0].matcher.id: is no matcher that skep knows; what it would set is left out",
        ],
    );
    let transformation =
        json!({"type": "table", "transformations": [{"id": "histogram", "options": {"bucketSize": 1}}]});
    check(
        transformation,
        &["panels[0].transformations[0]: this transformation is not carried; the answers go on as they are"],
    );
}

#[test]
fn losses_belong_to_their_panels() {
    let imported = read(&json!({"glow": 1, "panels": [
        {"type": "row", "id": 9, "title": "r", "collapsed": true, "panels": [{"id": 1, "title": "a", "type": "stat", "shine": 1}]},
        {"id": 2, "title": "b", "type": "stat"},
        {"id": 3, "title": "c", "type": "stat", "shine": 2},
    ]}));
    let report = imported.report;
    let panels: Vec<_> =
        report.panels.iter().map(|panel| (panel.id, panel.title.as_str(), panel.losses.len())).collect();
    assert_eq!(panels, [(1, "a", 1), (3, "c", 1)]);
    // The version, which is missing, is older than 16.
    assert_eq!(report.dashboard.len(), 1);
    assert_eq!(report.dashboard[0].path, "glow");
}

#[test]
fn settings_of_a_dashboard() {
    let imported = read(&json!({
        "schemaVersion": 39, "uid": "u", "title": "t", "tags": ["a"], "timezone": "utc", "graphTooltip": 2,
        "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "panels": [],
        "timepicker": {"refresh_intervals": ["5s"], "nowDelay": "1m", "hidden": true},
        "links": [{"type": "dashboards", "tags": ["x"], "asDropdown": true, "keepTime": true, "title": "More", "icon": "x"}],
        "annotations": {"list": [
            {"builtIn": 1, "name": "own", "enable": true, "hide": true, "type": "dashboard", "datasource": {"type": "grafana", "uid": "-- Grafana --"}},
            {"name": "deploys", "enable": true, "expr": "changes(x[1m]) > 0", "iconColor": "red", "titleFormat": "{{app}}",
             "tagKeys": "a, b", "step": "30s", "datasource": {"type": "prometheus", "uid": "p"},
             "filter": {"exclude": true, "ids": [3]}},
            {"name": "foreign", "datasource": {"type": "elasticsearch", "uid": "e"}, "query": "x"},
        ]},
    }));
    let dashboard = &imported.dashboard;
    assert_eq!(dashboard.crosshair, crate::Crosshair::Tooltip);
    assert_eq!((dashboard.refresh.as_str(), dashboard.now_delay.as_str(), dashboard.time_hidden), ("10s", "1m", true));
    assert_eq!(dashboard.links[0].tags.as_deref(), Some(&["x".to_owned()][..]));
    let names: Vec<_> =
        dashboard.annotations.iter().map(|it| (it.name.as_str(), it.built_in, it.expr.as_str())).collect();
    assert_eq!(names, [("own", true, ""), ("deploys", false, "changes(x[1m]) > 0")]);
    assert_eq!(dashboard.annotations[1].except_panels, [3]);
    assert_eq!(dashboard.annotations[1].tag_labels, ["a", "b"]);
    let losses: Vec<_> = imported.report.dashboard.iter().map(|loss| loss.path.as_str()).collect();
    assert_eq!(losses, ["annotations.list[2]"]);
}

#[test]
fn queries_of_a_panel() {
    let panel = whole(json!({"type": "table", "datasource": {"type": "prometheus", "uid": "${DS}"}, "targets": [
        {"expr": "up", "legendFormat": "{{job}}", "instant": true, "format": "table", "refId": "A"},
        {"expr": "down", "legendFormat": "__auto", "range": true, "instant": true, "interval": "30s", "intervalFactor": 2},
        {"expr": "x", "hide": true, "exemplar": true, "editorMode": "code", "datasource": "Prometheus"},
    ]}));
    let [first, second, third] = &panel.targets[..] else { panic!("{:?}", panel.targets) };
    assert_eq!((first.instant, first.range, first.format), (true, false, Format::Table));
    assert_eq!(first.legend, LegendFormat::Template("{{job}}".to_owned()));
    assert_eq!((second.instant, second.range, second.step_factor, second.min_step.as_str()), (true, true, 2, "30s"));
    assert_eq!((second.ref_id.as_str(), &second.legend), ("B", &LegendFormat::Auto));
    assert_eq!((third.hide, third.exemplars, third.range, third.ref_id.as_str()), (true, true, true, "C"));
    assert_eq!(third.legend, LegendFormat::Verbose);
}

#[test]
fn columns_have_settings() {
    let panel = whole(json!({"type": "timeseries", "fieldConfig": {
        "defaults": {
            "unit": "reqps", "decimals": 2, "min": 0, "max": "", "noValue": "0", "color": {"mode": "shades", "fixedColor": "red"},
            "thresholds": {"mode": "percentage", "steps": [{"color": "green", "value": null}, {"color": "#EAB839", "value": 70}]},
            "mappings": [
                {"type": "value", "options": {"1": {"text": "up", "color": "green", "index": 0}}},
                {"type": "special", "options": {"match": "null+nan", "result": {"text": "N/A"}}},
                {"type": "range", "options": {"from": 1, "to": null, "result": {"text": "x"}}},
                {"type": "regex", "options": {"pattern": "/a(.*)/", "result": {"text": "$1"}}},
                {"id": 1, "type": 1, "value": "null", "text": "old"}, {"id": 2, "type": 2, "from": "1", "to": "5", "text": "old"},
            ],
            "custom": {"drawStyle": "bars", "lineStyle": {"fill": "dash", "dash": [10, 5]}, "spanNulls": 60000,
                "stacking": {"mode": "percent", "group": "A"}, "scaleDistribution": {"type": "log", "log": 2},
                "thresholdsStyle": {"mode": "line+area"}, "hideFrom": {"legend": true, "tooltip": false, "viz": false},
                "cellOptions": {"type": "gauge", "mode": "lcd"}, "axisSoftMax": 5, "axisColorMode": "series"},
        },
        "overrides": [
            {"matcher": {"id": "byRegexp", "options": "/in/"}, "properties": [{"id": "custom.transform", "value": "negative-Y"}, {"id": "unit", "value": "s"}]},
            {"__systemRef": "hideSeriesFrom", "matcher": {"id": "byNames", "options": {"mode": "exclude", "names": ["a"], "prefix": "All except:", "readOnly": true}},
             "properties": [{"id": "custom.hideFrom", "value": {"legend": false, "tooltip": false, "viz": true}}]},
            {"matcher": {"id": "byValue", "options": {"op": "gte", "reducer": "allIsZero", "value": 0}}, "properties": [{"id": "decimals", "value": -1}]},
        ],
    }}));
    let defaults = &panel.fields.defaults;
    assert_eq!(
        (defaults.unit.as_deref(), defaults.decimals, defaults.min, defaults.max),
        (Some("reqps"), Some(2), Some(0.0), None)
    );
    assert_eq!(defaults.color, Some(ColorMode::Shades("red".to_owned())));
    assert_eq!(defaults.thresholds.as_ref().map(|it| (it.percentage, it.steps[1].from)), Some((true, 70.0)));
    let rules: Vec<_> = defaults.mappings.iter().flatten().map(|mapping| &mapping.rule).collect();
    assert_eq!(rules[0], &Rule::Value("1".to_owned()));
    assert_eq!(rules[1], &Rule::Special(Special::NullOrNan));
    assert_eq!(rules[2], &Rule::Range(Some(1.0), None));
    assert_eq!(rules[4], &Rule::Special(Special::NullOrNan));
    assert_eq!(rules[5], &Rule::Range(Some(1.0), Some(5.0)));
    assert_eq!(defaults.draw_style, Some(DrawStyle::Bars));
    assert_eq!(defaults.line_style, Some(LineStyle::Dash(vec![10.0, 5.0])));
    assert_eq!(defaults.nulls, Some(Nulls::ConnectBelow(60_000.0)));
    assert_eq!(defaults.stacking.as_ref().map(|it| it.mode), Some(StackMode::Percent));
    assert_eq!(defaults.scale, Some(Scale::Log { base: 2.0 }));
    assert_eq!(defaults.threshold_style, Some(ThresholdStyle::LineAndArea));
    assert_eq!(defaults.cell, Some(Cell::Gauge(BarMode::Lcd)));
    let overrides = &panel.fields.overrides;
    assert_eq!(overrides[0].matcher, Matcher::Regexp("/in/".to_owned()));
    assert_eq!(overrides[0].options.transform, Some(Negate::NegativeY));
    assert_eq!(overrides[1].matcher, Matcher::Names { names: vec!["a".to_owned()], exclude: true });
    assert_eq!(overrides[1].options.hide, Some(Hide { picture: true, ..Hide::default() }));
    assert_eq!(overrides[2].options.decimals, None);
}

#[test]
fn legacy_graphs_become_time_series() {
    let panel = whole(json!({
        "type": "graph", "lines": true, "bars": false, "points": true, "pointradius": 2, "fill": 2, "linewidth": 3,
        "steppedLine": true, "nullPointMode": "null as zero", "stack": true, "percentage": true, "renderer": "flot",
        "aliasColors": {"x": "#7EB26D"},
        "seriesOverrides": [
            {"alias": "errors", "yaxis": 2, "color": "red", "lines": false, "stack": false, "transform": "negative-Y", "zindex": 0},
            {"alias": "/max/", "fillBelowTo": "min", "legend": false, "bars": true, "dashes": true},
        ],
        "yaxes": [{"format": "bytes", "label": "left", "logBase": 1, "min": "0", "max": null, "show": true},
                  {"format": "percent", "logBase": 10, "decimals": 1, "show": true}],
        "thresholds": [{"value": 5, "op": "gt", "colorMode": "critical", "line": true, "fill": true}],
        "legend": {"show": true, "values": true, "current": true, "avg": true, "min": false, "alignAsTable": true,
                   "rightSide": true, "hideZero": true, "sort": "current", "sortDesc": true},
        "tooltip": {"shared": true, "sort": 2, "value_type": "individual"},
        "xaxis": {"mode": "time", "show": true}, "yaxis": {"align": false, "alignLevel": null},
    }));
    let Visual::TimeSeries(visual) = &panel.visual else { panic!("{:?}", panel.visual) };
    assert_eq!((visual.legend.mode, visual.legend.right), (LegendMode::Table, true));
    assert_eq!(visual.legend.calcs, [Reducer::Mean, Reducer::LastNotNull]);
    assert_eq!((visual.legend.sort_by.as_deref(), visual.legend.descending), (Some("Last *"), true));
    assert_eq!((visual.tooltip.mode, visual.tooltip.sort), (TooltipMode::Multi, SortOrder::Descending));
    let defaults = &panel.fields.defaults;
    assert_eq!(
        (defaults.unit.as_deref(), defaults.min, defaults.axis_label.as_deref()),
        (Some("bytes"), Some(0.0), Some("left"))
    );
    assert_eq!((defaults.fill_opacity, defaults.line_width, defaults.point_size), (Some(20.0), Some(3.0), Some(4.0)));
    assert_eq!((defaults.nulls, defaults.interpolation), (Some(Nulls::Zero), Some(Interpolation::StepAfter)));
    assert_eq!(defaults.stacking.as_ref().map(|it| it.mode), Some(StackMode::Percent));
    assert_eq!(defaults.threshold_style, Some(ThresholdStyle::LineAndArea));
    let steps: Vec<_> =
        defaults.thresholds.iter().flat_map(|it| &it.steps).map(|it| (it.from, it.color.as_str())).collect();
    assert_eq!(steps, [(f64::NEG_INFINITY, "transparent"), (5.0, "red")]);
    let [color, errors, max, zero] = &panel.fields.overrides[..] else { panic!("{:?}", panel.fields.overrides) };
    assert_eq!(
        (&color.matcher, &color.options.color),
        (&Matcher::Name("x".to_owned()), &Some(ColorMode::Fixed("#7EB26D".to_owned())))
    );
    assert_eq!(
        (errors.options.axis_placement, errors.options.unit.as_deref()),
        (Some(AxisPlacement::Right), Some("percent"))
    );
    assert_eq!((errors.options.scale, errors.options.line_width), (Some(Scale::Log { base: 10.0 }), Some(0.0)));
    assert_eq!(errors.options.stacking, Some(Stacking::default()));
    assert_eq!(max.matcher, Matcher::Regexp("/max/".to_owned()));
    assert_eq!((max.options.fill_below_to.as_deref(), max.options.draw_style), (Some("min"), Some(DrawStyle::Bars)));
    assert_eq!(max.options.line_style, Some(LineStyle::Dash(vec![10.0, 10.0])));
    assert!(matches!(zero.matcher, Matcher::Value { reducer: Reducer::AllIsZero, .. }));
}

#[test]
fn what_legacy_graphs_lose_is_told() {
    let (_, losses) = panel(json!({
        "type": "graph", "alert": {"name": "x"}, "timeRegions": [{"op": "time"}], "xaxis": {"mode": "histogram"},
        "yaxis": {"align": true}, "seriesOverrides": [{"alias": "x", "zindex": 3}], "tooltip": {"value_type": "cumulative"},
    }));
    let paths: Vec<_> = losses.iter().filter_map(|loss| loss.split(':').next()).collect();
    let expected =
        ["alert", "timeRegions", "seriesOverrides[0].zindex", "yaxis.align", "xaxis.mode", "tooltip.value_type"];
    assert_eq!(paths, expected.map(|path| format!("panels[0].{path}")));
}

#[test]
fn single_stats_become_stats_or_gauges() {
    let panel = whole(json!({
        "type": "singlestat", "format": "percent", "decimals": 1, "valueName": "current", "prefix": "~", "postfix": "!",
        "thresholds": "70,90", "colors": ["green", "orange", "red"], "colorBackground": true, "sparkline": {"show": true, "full": false},
        "nullText": "N/A", "mappingType": 1, "valueMaps": [{"op": "=", "value": "null", "text": "none"}, {"op": "=", "value": "1", "text": "up"}],
        "rangeMaps": [{"from": "null", "to": "null", "text": "N/A"}], "gauge": {"show": false, "maxValue": 100}, "valueFontSize": "80%",
    }));
    let Visual::Stat(stat) = &panel.visual else { panic!("{:?}", panel.visual) };
    assert_eq!((stat.color, stat.graph, stat.reduce.calcs[0]), (StatColor::Background, true, Reducer::LastNotNull));
    assert_eq!((stat.prefix.as_str(), stat.postfix.as_str()), ("~", "!"));
    let defaults = &panel.fields.defaults;
    let steps: Vec<_> =
        defaults.thresholds.iter().flat_map(|it| &it.steps).map(|it| (it.from, it.color.as_str())).collect();
    assert_eq!(steps, [(f64::NEG_INFINITY, "green"), (70.0, "orange"), (90.0, "red")]);
    assert_eq!(defaults.mappings.as_ref().map(Vec::len), Some(2));
    assert_eq!(
        (defaults.unit.as_deref(), defaults.decimals, defaults.no_value.as_deref()),
        (Some("percent"), Some(1), Some("N/A"))
    );

    let panel = whole(json!({
        "type": "singlestat", "valueName": "avg", "mappingType": 2, "rangeMaps": [{"from": "1", "to": "5", "text": "some"}],
        "gauge": {"show": true, "minValue": 0, "maxValue": 10, "thresholdLabels": true, "thresholdMarkers": false},
    }));
    let Visual::Gauge(gauge) = &panel.visual else { panic!("{:?}", panel.visual) };
    assert_eq!((gauge.threshold_labels, gauge.threshold_markers, gauge.reduce.calcs[0]), (true, false, Reducer::Mean));
    assert_eq!((panel.fields.defaults.min, panel.fields.defaults.max), (Some(0.0), Some(10.0)));
    assert_eq!(
        panel.fields.defaults.mappings.as_ref().map(|it| it[0].rule.clone()),
        Some(Rule::Range(Some(1.0), Some(5.0)))
    );
}

#[test]
fn old_tables_become_tables() {
    let panel = whole(json!({
        "type": "table", "transform": "table", "columns": [], "showHeader": true, "scroll": true, "fontSize": "100%",
        "sort": {"col": 0, "desc": true}, "pageSize": null,
        "styles": [
            {"pattern": "Time", "type": "hidden"},
            {"pattern": "Value #A", "type": "number", "alias": "CPU", "unit": "percent", "decimals": 1, "colorMode": "cell",
             "thresholds": ["70", "90"], "colors": ["green", "orange", "red"], "link": true, "linkUrl": "/d/x?v=$__cell&w=${__cell_12}&y=$__cell_1:raw", "linkTargetBlank": true},
            {"pattern": "/.*/", "type": "string"},
        ],
    }));
    assert!(matches!(&panel.visual, Visual::Table(table) if table.sort == [("Time".to_owned(), true)]));
    assert!(matches!(panel.transforms[0].operation, Operation::Merge));
    let [all, value, time] = &panel.fields.overrides[..] else { panic!("{:?}", panel.fields.overrides) };
    assert_eq!((&all.matcher, time.options.hidden), (&Matcher::Any, Some(true)));
    assert_eq!((value.options.display_name.as_deref(), value.options.unit.as_deref()), (Some("CPU"), Some("percent")));
    assert_eq!(value.options.cell, Some(Cell::ColorBackground { row: false }));
    let link = value.options.links.as_ref().map(|links| (links[0].new_tab, links[0].url.as_str()));
    let url = "/d/x?v=${__value.raw}&w=${__data.fields[12]}&y=${__data.fields[1]}";
    assert_eq!(link, Some((true, url)));
    let (_, losses) =
        self::panel(json!({"type": "table-old", "sort": {"col": 2, "desc": true}, "styles": [{"pattern": "/(/"}]}));
    assert_eq!(losses.len(), 2, "{losses:?}");
}

#[test]
fn kinds_of_panels_have_options() {
    let visual = |json: Value| whole(json).visual;
    let text = |text: &str, mode| Visual::Text(Text { mode, content: text.to_owned() });
    assert_eq!(
        visual(json!({"type": "text", "options": {"mode": "markdown", "content": "# a"}})),
        text("# a", TextMode::Markdown)
    );
    assert_eq!(visual(json!({"type": "text", "mode": "html", "content": "<b>"})), text("<b>", TextMode::Html));
    let heatmap = visual(json!({"type": "heatmap", "options": {
        "calculate": true, "calculation": {"yBuckets": {"mode": "count", "value": "20"}}, "cellGap": 2,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 32, "exponent": 0.5, "scale": "exponential", "fill": "dark-orange", "reverse": true},
        "yAxis": {"unit": "s", "axisPlacement": "right", "reverse": true}, "rowsFrame": {"layout": "auto"},
        "filterValues": {"le": 1e-9}, "legend": {"show": true}, "tooltip": {"mode": "single", "yHistogram": true}, "cellValues": {"unit": "short"},
        "exemplars": {"color": "red"}, "showValue": "never",
    }}));
    let Visual::Heatmap(heatmap) = heatmap else { panic!("{heatmap:?}") };
    assert_eq!(
        (heatmap.steps, heatmap.gap, heatmap.y_right, heatmap.y_buckets),
        (32, 2.0, true, BucketSize::Count(20.0))
    );
    assert_eq!(
        (heatmap.scheme.as_str(), heatmap.reverse, heatmap.histogram, heatmap.fill),
        ("Oranges", true, true, None)
    );
    let pie = visual(json!({"type": "piechart", "options": {
        "pieType": "donut", "displayLabels": ["percent"], "legend": {"displayMode": "table", "placement": "right", "showLegend": true, "values": ["value", "percent"]},
        "reduceOptions": {"calcs": ["sum"], "fields": "", "values": false}, "tooltip": {"mode": "single", "sort": "none"},
    }}));
    assert!(
        matches!(&pie, Visual::Pie(pie) if pie.donut && pie.legend_values == [PieLabel::Value, PieLabel::Percent] && pie.legend.right)
    );
    let timeline = visual(
        json!({"type": "state-timeline", "options": {"mergeValues": false, "rowHeight": 0.5, "alignValue": "center", "showValue": "never"}}),
    );
    assert!(
        matches!(timeline, Visual::StateTimeline(it) if !it.merge && it.align == Align::Center && it.show_value == ShowValue::Never)
    );
    let history =
        visual(json!({"type": "status-history", "options": {"rowHeight": 0.9, "colWidth": 0.9, "showValue": "auto"}}));
    assert!(matches!(history, Visual::StateTimeline(it) if it.cells));
    let alerts = visual(
        json!({"type": "alertlist", "options": {"maxItems": 5, "alertInstanceLabelFilter": "{a=\"b\"}", "stateFilter": {"firing": true, "pending": false, "normal": true}}}),
    );
    assert!(matches!(alerts, Visual::AlertList(it) if it.limit == 5 && it.firing && !it.pending && it.normal));
    let table = visual(
        json!({"type": "table", "options": {"showHeader": false, "sortBy": [{"displayName": "x", "desc": true}], "cellHeight": "sm",
        "footer": {"show": true, "reducer": ["sum"], "fields": "", "countRows": false, "enablePagination": true}}}),
    );
    assert!(
        matches!(table, Visual::Table(it) if it.headless && it.pages && it.footer.as_ref().is_some_and(|it| it.calcs == [Reducer::Sum]))
    );
    assert!(matches!(visual(json!({"type": "gauge"})), Visual::Gauge(it) if it.threshold_markers));
}

#[test]
fn rows_hold_panels() {
    let imported = read(&json!({"schemaVersion": 30, "panels": [
        {"id": 1, "type": "stat", "gridPos": {"x": 0, "y": 0, "w": 30, "h": 4}},
        {"id": 2, "type": "row", "title": "Open", "gridPos": {"x": 0, "y": 4, "w": 24, "h": 1}},
        {"id": 3, "type": "stat", "gridPos": {"x": 20, "y": 5, "w": 12, "h": 0}, "repeat": "pod", "repeatDirection": "v", "maxPerRow": 3},
        {"id": 4, "type": "row", "title": "Closed $x", "collapsed": true, "repeat": "x", "panels": [{"id": 3, "type": "stat"}, {"type": "stat"}]},
    ]}));
    assert!(imported.report.is_empty(), "{}", imported.report);
    let sections = &imported.dashboard.sections;
    let rows: Vec<_> =
        sections.iter().map(|section| section.row.as_ref().map(|row| (row.title.as_str(), row.collapsed))).collect();
    assert_eq!(rows, [None, Some(("Open", false)), Some(("Closed $x", true))]);
    assert_eq!(sections[2].row.as_ref().and_then(|row| row.repeat.as_deref()), Some("x"));
    let places: Vec<_> = imported.dashboard.panels().map(|panel| panel.place).take(2).collect();
    assert_eq!(places, [Place { x: 0, y: 0, w: 24, h: 4 }, Place { x: 20, y: 5, w: 4, h: 1 }]);
    let ids: Vec<_> = imported.dashboard.panels().map(|panel| panel.id).collect();
    assert_eq!(ids, [1, 3, 4, 5]);
    let repeat = sections[1].panels[0].repeat.as_ref().map(|it| (it.variable.as_str(), it.vertical, it.per_row_max));
    assert_eq!(repeat, Some(("pod", true, 3)));
}

#[test]
fn old_rows_are_laid_out_anew() {
    let imported = read(&json!({"schemaVersion": 14, "rows": [
        {"title": "a", "showTitle": true, "height": "250px", "panels": [{"id": 1, "type": "graph", "span": 6}, {"id": 2, "type": "graph", "span": 6}, {"id": 3, "type": "graph", "span": 4}]},
        {"title": "b", "height": 100, "collapse": true, "panels": [{"id": 4, "type": "text", "span": 12, "mode": "markdown", "content": "x"}]},
        {"title": "c", "panels": [{"id": 5, "type": "graph", "span": 12, "height": "380"}]},
    ]}));
    let losses: Vec<_> = imported.report.dashboard.iter().map(|loss| loss.path.as_str()).collect();
    assert_eq!((losses, imported.report.panels.len()), (vec!["schemaVersion"], 0));
    let places: Vec<_> =
        imported.dashboard.panels().map(|panel| [panel.place.x, panel.place.y, panel.place.w, panel.place.h]).collect();
    assert_eq!(places, [[0, 1, 12, 7], [12, 1, 12, 7], [0, 8, 8, 7], [0, 16, 24, 3], [0, 20, 24, 10]]);
    let rows: Vec<_> =
        imported.dashboard.sections.iter().map(|it| it.row.as_ref().map(|row| row.title.as_str())).collect();
    // One heading gives all of them one.
    assert_eq!(rows, [Some("a"), Some("b"), Some("c")]);
}

#[test]
fn variables_are_read() {
    let imported = read(&json!({"schemaVersion": 39, "panels": [], "templating": {"list": [
        {"type": "query", "name": "pod", "query": {"query": "label_values(up, pod)", "refId": "x"}, "multi": true, "includeAll": true,
         "allValue": ".*", "current": {"selected": true, "text": ["a", "b"], "value": ["a", "b"]}, "sort": 1, "refresh": 2, "regex": "/x/", "hide": 2},
        {"type": "query", "name": "all", "query": "label_values(x)", "current": {"text": "All", "value": ["$__all"]}},
        {"type": "custom", "name": "c", "query": "a,b", "current": {"text": "a", "value": "a"}, "options": [{"text": "a", "value": "a"}]},
        {"type": "textbox", "name": "t", "query": "default"},
        {"type": "constant", "name": "k", "query": "v"},
        {"type": "interval", "name": "i", "query": "1m,5m", "auto": true, "auto_count": 10, "auto_min": "10s"},
        {"type": "datasource", "name": "ds", "query": "prometheus", "regex": "(?!x).+"},
        {"type": "adhoc", "name": "f", "filters": [{"key": "a", "operator": "!=", "value": "b", "condition": ""}], "datasource": {"type": "prometheus", "uid": "x"}},
        {"type": "groupby", "name": "g"},
        {"type": "query", "name": "l", "query": "x", "datasource": {"type": "loki", "uid": "l"}},
        {"type": "query", "name": "r", "query": "label_values(x)", "regex": "/(/"},
    ]}}));
    let variables = &imported.dashboard.variables;
    let names: Vec<_> = variables.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["pod", "all", "c", "t", "k", "i", "ds", "f", "r"]);
    let pod = &variables[0];
    assert_eq!(pod.kind, VariableKind::Query("label_values(up, pod)".to_owned()));
    assert_eq!((pod.multi, pod.include_all, pod.all_value.as_deref()), (true, true, Some(".*")));
    assert_eq!((pod.sort, pod.hide), (VariableSort::Alphabetical, Visibility::Hidden));
    assert!(matches!(&pod.current, Selection::Values(values) if values.len() == 2));
    assert_eq!(variables[1].current, Selection::All);
    assert_eq!(
        variables[5].kind,
        VariableKind::Interval { choices: "1m,5m".to_owned(), auto: Some((10, "10s".to_owned())) }
    );
    assert!(matches!(&variables[3].current, Selection::Values(values) if values[0].value == "default"));
    assert!(matches!(&variables[7].kind, VariableKind::AdHoc(filters) if filters[0].operator == "!="));
    let losses: Vec<_> = imported.report.dashboard.iter().map(|loss| loss.path.as_str()).collect();
    assert_eq!(losses, ["templating.list[8]", "templating.list[9]", "templating.list[10].regex"]);
}

#[test]
fn transformations_are_read() {
    let panel = whole(json!({"type": "table", "transformations": [
        {"id": "organize", "options": {"excludeByName": {"Time": true, "x": false}, "indexByName": {"a": 1}, "renameByName": {"a": "A", "b": ""}, "includeByName": {}}},
        {"id": "merge", "options": {}},
        {"id": "seriesToColumns", "options": {"byField": "pod"}},
        {"id": "filterByValue", "options": {"type": "include", "match": "any", "filters": [{"fieldName": "Value", "config": {"id": "greater", "options": {"value": 0}}}]}},
        {"id": "groupBy", "options": {"fields": {"pod": {"operation": "groupby", "aggregations": []}, "Value": {"operation": "aggregate", "aggregations": ["sum"]}}}},
        {"id": "calculateField", "options": {"mode": "binary", "alias": "x", "binary": {"left": "a", "operator": "/", "right": "2"}, "reduce": {"reducer": "sum"}}},
        {"id": "calculateField", "options": {"mode": "reduceRow", "reduce": {"reducer": "sum", "include": ["a"]}, "replaceFields": true}},
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "a", "desc": true}]}},
        {"id": "filterFieldsByName", "options": {"include": {"names": ["a"], "pattern": "/x/"}}},
        {"id": "filterByRefId", "options": {"include": "A|B"}},
        {"id": "labelsToFields", "options": {"mode": "columns", "valueLabel": "le"}},
        {"id": "reduce", "options": {"reducers": ["max"], "labelsToFields": true}},
        {"id": "limit", "options": {"limitField": 5}},
        {"id": "renameByRegex", "options": {"regex": "(.*)", "renamePattern": "$1"}},
        {"id": "convertFieldType", "options": {"fields": {}, "conversions": [{"targetField": "a", "destinationType": "number"}]}},
        {"id": "merge", "options": {}, "disabled": true},
    ]}));
    let found: Vec<_> = panel.transforms.iter().map(|step| step.operation.name()).collect();
    let expected = [
        "organize",
        "merge",
        "joinByField",
        "filterByValue",
        "groupBy",
        "calculateField",
        "calculateField",
        "sortBy",
        "filterFieldsByName",
        "filterByRefId",
        "labelsToFields",
        "reduce",
        "limit",
        "renameByRegex",
        "convertFieldType",
    ];
    assert_eq!(found, expected);
    let Operation::Organize(organize) = &panel.transforms[0].operation else { panic!() };
    assert_eq!((organize.exclude.len(), organize.rename.len(), organize.order.len()), (1, 1, 1));
    let Operation::FilterRows { conditions, .. } = &panel.transforms[3].operation else { panic!() };
    assert_eq!(conditions[0].test, Test::Greater(0.0));
}

#[test]
fn options_of_grafana_6_are_settings_of_columns() {
    let (panel, losses) = panel(json!({"type": "gauge", "options": {"fieldOptions": {
        "calcs": ["lastNotNull"], "values": false, "override": {}, "thresholds": [{"color": "red", "index": 0, "value": 5}],
        "defaults": {"unit": "percent", "max": "100", "mappings": [{"id": 0, "type": 1, "value": "1", "text": "one"}],
                     "thresholds": [{"color": "green", "value": null}, {"color": "red", "value": 80}]},
    }, "orientation": "auto", "showThresholdMarkers": true}}));
    assert!(losses.is_empty(), "{losses:?}");
    let defaults = &panel.fields.defaults;
    assert_eq!(
        (defaults.unit.as_deref(), defaults.max, defaults.mappings.as_ref().map(Vec::len)),
        (Some("percent"), Some(100.0), Some(1))
    );
    assert_eq!(defaults.thresholds.as_ref().map(|it| it.steps[1].from), Some(80.0));
}

#[test]
fn links_of_legacy_graphs_are_kept() {
    let panel = whole(
        json!({"type": "graph", "options": {"alertThreshold": true, "dataLinks": [{"title": "x", "url": "/d/a?v=${__series.name}"}]}}),
    );
    assert_eq!(panel.fields.defaults.links.as_ref().map(|links| links[0].title.as_str()), Some("x"));
}

#[test]
fn old_pies_are_read() {
    let panel = whole(json!({
        "type": "grafana-piechart-panel", "pieType": "donut", "format": "bytes", "valueName": "current", "legendType": "Right side",
        "legend": {"show": true, "values": true, "percentage": true}, "aliasColors": {"a": "red"}, "strokeWidth": 1, "fontSize": "80%",
        "combine": {}, "breakPoint": "50%", "decimals": 1,
    }));
    let Visual::Pie(pie) = &panel.visual else { panic!("{:?}", panel.visual) };
    assert_eq!((pie.donut, pie.legend.right, pie.legend.mode), (true, true, LegendMode::Table));
    assert_eq!((pie.legend_values.len(), pie.reduce.calcs[0]), (2, Reducer::LastNotNull));
    assert_eq!((panel.fields.defaults.unit.as_deref(), panel.fields.overrides.len()), (Some("bytes"), 1));
}

#[test]
fn data_sources_are_known_by_the_files_inputs() {
    let imported = read(&json!({
        "schemaVersion": 26, "__inputs": [
            {"name": "DS_LOKI", "type": "datasource", "pluginId": "loki"}, {"name": "DS_PROM", "type": "datasource", "pluginId": "prometheus"},
        ],
        "panels": [
            {"type": "stat", "datasource": "${DS_PROM}", "targets": [{"expr": "up"}]},
            {"type": "stat", "datasource": "${DS_LOKI}", "targets": [{"expr": "{a=\"b\"}"}]},
        ],
    }));
    let queries: Vec<_> = imported.dashboard.panels().map(|panel| panel.targets.len()).collect();
    assert_eq!(queries, [1, 0]);
    assert_eq!(imported.report.count(), 1);
}

#[test]
fn files_made_to_be_large_stay_small() {
    let check = |json: String, expected: &str| {
        let report = import(&json).map(|imported| imported.report.to_string());
        let report = report.unwrap_or_else(|error| error.to_string());
        assert!(report.contains(expected), "{report}");
    };
    let many = |text: &str, count: usize| vec![text; count].join(",");
    let panel = |inner: &str| format!("{{\"panels\": [{{\"type\": \"graph\", {inner}}}]}}");
    check(format!("{{\"panels\": [{{\"panels\": [{}]}}]}}", many("{}", 1_000)), "more than 1000 panels");
    check(panel(&format!("\"targets\": [{}]", many("{}", 200_000))), "what is past the first 10000 is left out");
    let time = "{\"matcher\": {\"id\": \"time\"}}";
    check(
        panel(&format!("\"fieldConfig\": {{\"overrides\": [{}]}}", many(time, 600))),
        "is past the first 500 overrides",
    );
    let full = format!("{{\"fieldConfig\": {{\"overrides\": [{}]}}}}", many(time, 500));
    check(format!("{{\"panels\": [{}]}}", many(&full, 11)), "is past what all panels together may have");
    let mapping = "{\"type\": 1, \"value\": \"1\"}";
    let mappings = format!("\"fieldConfig\": {{\"defaults\": {{\"mappings\": [{}]}}}}", many(mapping, 5_000));
    check(panel(&mappings), "the mappings past the first 2000 are left out");
    let losses: Vec<String> = (0..5_000).map(|at| format!("\"k{at}\": 1")).collect();
    check(panel(&losses.join(",")), "and 3000 more");
}
