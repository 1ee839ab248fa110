//! Pieces of dashboards as the editors of Grafana's generations save them, with everything that these write along: what is
//! carried is carried without a word, and what is not is named once.

// Cases are written where they are checked, and handed over whole.
#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_pass_by_value)]
#![recursion_limit = "512"]

use dashboard::{Dashboard, Imported, import};
use serde_json::{Value, json};

fn read(dashboard: &Value) -> Imported {
    import(&dashboard.to_string()).unwrap_or_else(|error| panic!("{error}: {dashboard}"))
}

/// The paths of what a dashboard loses.
fn losses(imported: &Imported) -> Vec<&str> {
    let panels = imported.report.panels.iter().flat_map(|panel| &panel.losses);
    imported.report.dashboard.iter().chain(panels).map(|loss| loss.path.as_str()).collect()
}

/// A dashboard that loses this.
fn check(dashboard: Value, expected: &[&str]) -> Dashboard {
    let imported = read(&dashboard);
    assert_eq!(losses(&imported), expected, "{}", imported.report);
    imported.dashboard
}

/// Panels of today that lose this.
fn panels(panels: Value, expected: &[&str]) -> Dashboard {
    check(json!({"schemaVersion": 41, "panels": panels}), expected)
}

/// What Grafana saves around the panels.
#[test]
fn frames_of_all_generations() {
    let current = json!({
        "annotations": {"list": [{"builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": true, "hide": true,
            "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "target": {"limit": 100, "matchAny": false, "tags": [], "type": "dashboard"}, "type": "dashboard"}]},
        "editable": true, "fiscalYearStartMonth": 0, "graphTooltip": 0, "id": 12, "links": [], "liveNow": false, "panels": [], "preload": false,
        "refresh": "", "schemaVersion": 41, "tags": [], "templating": {"list": []}, "time": {"from": "now-6h", "to": "now"}, "timepicker": {},
        "timezone": "browser", "title": "t", "uid": "u", "version": 3, "weekStart": "",
    });
    check(current.clone(), &[]);
    check(json!({"meta": {"isStarred": false, "folderId": 0}, "dashboard": current}), &[]);
    check(json!({"dashboard": current, "overwrite": true, "folderUid": "", "message": "", "inputs": []}), &[]);
    check(json!({"id": 1860, "name": "n", "json": current}), &[]);
    check(
        json!({"apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "metadata": {"name": "u", "namespace": "default",
        "annotations": {"grafana.app/folder": "f"}}, "spec": current, "status": {}}),
        &[],
    );
    let shared = json!({
        "__inputs": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "description": "", "type": "datasource", "pluginId": "prometheus", "pluginName": "Prometheus"}],
        "__elements": {}, "__requires": [{"type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.0.0"}], "gnetId": null, "iteration": 1,
        "schemaVersion": 30, "style": "dark", "title": "t", "panels": [],
    });
    check(shared, &[]);
    let old = json!({
        "id": null, "title": "t", "originalTitle": "t", "tags": [], "style": "dark", "timezone": "browser", "editable": true, "hideControls": false,
        "sharedCrosshair": true, "rows": [], "time": {"from": "now-1h", "to": "now"}, "version": 1, "links": [], "gnetId": 2,
        "timepicker": {"now": true, "refresh_intervals": ["5s"], "time_options": ["5m"], "enable": true, "notice": false, "collapse": false, "status": "Stable", "type": "timepicker"},
        "templating": {"enable": true, "list": []}, "annotations": {"enable": false, "list": []}, "refresh": false, "schemaVersion": 12,
    });
    let dashboard = check(old, &["schemaVersion"]);
    assert_eq!(dashboard.crosshair, dashboard::Crosshair::Line);
}

/// Where it cannot be read, the reason says what it is.
#[test]
fn what_is_something_else() {
    let check = |json: Value, expected: &str| {
        let error = import(&json.to_string()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {}}), "it is a resource of the kind ConfigMap");
    check(json!({"kind": "DashboardList", "items": [{}, {}]}), "it is a list of 2; put each into a file of its own");
}

#[test]
fn panels_of_grafana_11() {
    let custom = json!({"axisBorderShow": false, "axisCenteredZero": false, "axisColorMode": "text", "axisLabel": "", "axisPlacement": "auto", "barAlignment": 0,
        "barWidthFactor": 0.6, "drawStyle": "line", "fillOpacity": 0, "gradientMode": "none", "hideFrom": {"legend": false, "tooltip": false, "viz": false},
        "insertNulls": false, "lineInterpolation": "linear", "lineWidth": 1, "pointSize": 5, "scaleDistribution": {"type": "linear"}, "showPoints": "auto",
        "spanNulls": false, "stacking": {"group": "A", "mode": "none"}, "thresholdsStyle": {"mode": "off"}});
    let thresholds =
        json!({"mode": "absolute", "steps": [{"color": "green", "value": null}, {"color": "red", "value": 80}]});
    let target = json!({"datasource": {"type": "prometheus", "uid": "${ds}"}, "disableTextWrap": false, "editorMode": "builder", "exemplar": false, "expr": "up",
        "fullMetaSearch": false, "includeNullMetadata": true, "instant": false, "interval": "", "legendFormat": "__auto", "range": true, "refId": "A", "useBackend": false});
    let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    let panel = |kind: &str, custom: &Value, options: Value| {
        json!({"datasource": {"type": "prometheus", "uid": "${ds}"}, "description": "", "id": 1, "title": "x", "type": kind, "pluginVersion": "11.2.0",
            "gridPos": {"h": 8, "w": 12, "x": 0, "y": 0}, "targets": [target], "transparent": false, "interval": "", "links": [],
            "fieldConfig": {"defaults": {"color": {"mode": "palette-classic"}, "custom": custom, "mappings": [], "thresholds": thresholds, "unitScale": true}, "overrides": []},
            "options": options})
    };
    let none = json!({});
    let whole = |kind: &str, custom: &Value, options: Value| drop(panels(json!([panel(kind, custom, options)]), &[]));
    whole(
        "timeseries",
        &custom,
        json!({"legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true},
        "tooltip": {"maxHeight": 600, "mode": "single", "sort": "none", "hideZeros": false}}),
    );
    whole(
        "stat",
        &none,
        json!({"colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "percentChangeColorMode": "standard",
        "reduceOptions": reduce, "showPercentChange": false, "textMode": "auto", "wideLayout": true, "text": {}}),
    );
    whole(
        "gauge",
        &none,
        json!({"minVizHeight": 75, "minVizWidth": 75, "orientation": "auto", "reduceOptions": reduce, "showThresholdLabels": false,
        "showThresholdMarkers": true, "sizing": "auto"}),
    );
    whole(
        "bargauge",
        &none,
        json!({"displayMode": "gradient", "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": false}, "maxVizHeight": 300,
        "minVizHeight": 16, "minVizWidth": 8, "namePlacement": "auto", "orientation": "auto", "reduceOptions": reduce, "showUnfilled": true, "sizing": "auto", "valueMode": "color"}),
    );
    whole(
        "table",
        &json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false, "filterable": true, "minWidth": 50}),
        json!({"cellHeight": "sm", "footer": {"countRows": false, "fields": "", "reducer": ["sum"], "show": false, "enablePagination": true}, "showHeader": true,
            "frameIndex": 0, "sortBy": [{"desc": true, "displayName": "Value"}]}),
    );
    whole(
        "piechart",
        &json!({"hideFrom": {"legend": false, "tooltip": false, "viz": false}}),
        json!({"displayLabels": ["percent"], "pieType": "pie", "reduceOptions": reduce,
        "legend": {"displayMode": "table", "placement": "right", "showLegend": true, "values": ["value"]}, "tooltip": {"mode": "single", "sort": "none"}, "sort": "desc"}),
    );
    whole(
        "state-timeline",
        &json!({"fillOpacity": 70, "hideFrom": {"legend": false, "tooltip": false, "viz": false}, "insertNulls": false, "lineWidth": 0, "spanNulls": false}),
        json!({"alignValue": "left", "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true}, "mergeValues": true, "rowHeight": 0.9,
            "showValue": "auto", "tooltip": {"mode": "single", "sort": "none", "hideZeros": false}, "perPage": 20}),
    );
    whole(
        "status-history",
        &json!({"fillOpacity": 70, "hideFrom": {"legend": false, "tooltip": false, "viz": false}, "lineWidth": 1}),
        json!({"colWidth": 0.9, "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true}, "rowHeight": 0.9, "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"}}),
    );
    whole(
        "heatmap",
        &json!({"hideFrom": {"legend": false, "tooltip": false, "viz": false}, "scaleDistribution": {"type": "linear"}}),
        json!({"calculate": false, "cellGap": 1, "cellValues": {"unit": "short"}, "color": {"exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": false, "scale": "exponential",
            "scheme": "Oranges", "steps": 64}, "exemplars": {"color": "rgba(255,0,255,0.7)"}, "filterValues": {"le": 1e-9}, "legend": {"show": true}, "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "showColorScale": false, "yHistogram": false}, "yAxis": {"axisPlacement": "left", "reverse": false, "unit": "s"}}),
    );
    whole(
        "text",
        &none,
        json!({"code": {"language": "plaintext", "showLineNumbers": false, "showMiniMap": false}, "content": "# x", "mode": "markdown"}),
    );
    whole(
        "alertlist",
        &none,
        json!({"alertInstanceLabelFilter": "", "alertName": "", "dashboardAlerts": false, "groupBy": [], "groupMode": "default", "maxItems": 20, "showInstances": false,
        "sortOrder": 1, "stateFilter": {"error": true, "firing": true, "noData": false, "normal": false, "pending": true, "recovering": true}, "viewMode": "list"}),
    );
    let geomap = panel("geomap", &none, json!({"view": {"id": "zero"}}));
    panels(json!([geomap]), &["panels[0].type"]);
}

#[test]
fn panels_of_grafana_5_to_7() {
    let graph = json!({
        "aliasColors": {}, "bars": false, "cacheTimeout": null, "dashLength": 10, "dashes": false, "datasource": "$datasource", "decimals": null, "description": "", "editable": true, "error": false,
        "fieldConfig": {"defaults": {"custom": {}, "links": []}, "overrides": []}, "fill": 1, "fillGradient": 0, "grid": {}, "gridPos": {"h": 7, "w": 12, "x": 0, "y": 0}, "hiddenSeries": false, "id": 2,
        "legend": {"alignAsTable": false, "avg": false, "current": false, "max": false, "min": false, "rightSide": false, "show": true, "total": false, "values": false, "sideWidth": null,
                   "hideEmpty": false, "hideZero": false, "sort": null, "sortDesc": null},
        "lines": true, "linewidth": 1, "links": [], "nullPointMode": "null", "options": {"alertThreshold": true, "dataLinks": []}, "percentage": false, "pluginVersion": "7.5.0",
        "pointradius": 2, "points": false, "renderer": "flot", "repeat": null, "repeatDirection": "h", "maxPerRow": 6, "seriesOverrides": [], "spaceLength": 10, "paceLength": 10, "stack": false, "steppedLine": false,
        "targets": [{"expr": "up", "format": "time_series", "hide": false, "interval": "", "intervalFactor": 2, "legendFormat": "{{pod}}", "metric": "up", "refId": "A", "step": 240, "target": ""}],
        "thresholds": [], "timeFrom": null, "timeRegions": [], "timeShift": null, "title": "x", "tooltip": {"msResolution": false, "shared": true, "sort": 0, "value_type": "individual"},
        "type": "graph", "xaxis": {"buckets": null, "mode": "time", "name": null, "show": true, "values": []},
        "yaxes": [{"format": "short", "label": null, "logBase": 1, "max": null, "min": null, "show": true, "$$hashKey": "object:1"}, {"format": "short", "label": "", "logBase": 1, "max": null, "min": null, "show": false}],
        "yaxis": {"align": false, "alignLevel": null},
    });
    let single = json!({
        "cacheTimeout": null, "colorBackground": false, "colorValue": true, "colorPostfix": false, "colorPrefix": false, "colors": ["#299c46", "rgba(237, 129, 40, 0.89)", "#d44a3a"],
        "datasource": null, "decimals": null, "editable": true, "error": false, "format": "none", "gauge": {"maxValue": 100, "minValue": 0, "show": true, "thresholdLabels": false, "thresholdMarkers": true},
        "gridPos": {"h": 4, "w": 4, "x": 0, "y": 0}, "height": "", "id": 3, "interval": null, "links": [], "mappingType": 1, "mappingTypes": [{"name": "value to text", "value": 1}, {"name": "range to text", "value": 2}],
        "maxDataPoints": 100, "minSpan": null, "NonNull": "", "nullPointMode": "connected", "nullText": null, "postfix": " x", "postfixFontSize": "50%", "prefix": "$__name ", "prefixFontSize": "50%",
        "rangeMaps": [{"from": "null", "text": "N/A", "to": "null"}], "sparkline": {"fillColor": "rgba(31, 118, 189, 0.18)", "full": false, "lineColor": "rgb(31, 120, 193)", "show": false, "ymax": null, "ymin": null},
        "tableColumn": "", "targets": [{"expr": "up", "format": "time_series", "instant": true, "intervalFactor": 1, "legendFormat": "", "refId": "A"}], "thresholds": "70,90", "timeFrom": null, "title": "y",
        "type": "singlestat", "valueFontSize": "80%", "valueMaps": [{"op": "=", "text": "N/A", "value": "null"}], "valueName": "current", "repeatDirection": "h",
    });
    let table = json!({
        "columns": [], "datasource": "-- Mixed --", "fontSize": "100%", "gridPos": {"h": 4, "w": 4, "x": 0, "y": 0}, "id": 4, "links": [], "pageSize": null, "scroll": true, "showHeader": true,
        "sort": {"col": 0, "desc": true}, "title": "z", "transform": "table", "type": "table", "styles": [
            {"alias": "Time", "dateFormat": "YYYY-MM-DD HH:mm:ss", "pattern": "Time", "type": "hidden", "align": "auto", "$$hashKey": "object:1"},
            {"alias": "", "align": "right", "colorMode": null, "colors": ["red", "green", "blue"], "decimals": 2, "mappingType": 1, "pattern": "/.*/", "thresholds": [], "type": "number", "unit": "short"}],
        "targets": [{"expr": "up", "format": "table", "instant": true, "refId": "A", "datasource": {"type": "prometheus", "uid": "p"}}],
    });
    let dashboard = check(json!({"schemaVersion": 22, "panels": [graph, single, table]}), &[]);
    let kinds: Vec<_> = dashboard.panels().map(|panel| format!("{:?}", panel.visual)).collect();
    assert!(
        kinds[0].starts_with("TimeSeries") && kinds[1].starts_with("Gauge") && kinds[2].starts_with("Table"),
        "{kinds:?}"
    );
}

/// Graphs of before schema 12, and what newer ones keep of that.
#[test]
fn axes_of_the_first_graphs() {
    let grid = json!({"leftMax": 100, "leftMin": 0, "leftLogBase": 1, "rightMax": null, "rightMin": null, "rightLogBase": 10,
        "threshold1": 5, "threshold1Color": "rgba(216, 200, 27, 0.27)", "threshold2": null, "threshold2Color": "rgba(234, 112, 112, 0.22)", "thresholdLine": true});
    let graph = |more: Value| {
        let mut graph = json!({"type": "graph", "grid": grid, "y_formats": ["bytes", "percent"], "leftYAxisLabel": "l", "x-axis": true, "y-axis": true,
            "seriesOverrides": [{"alias": "b", "yaxis": 2}]});
        graph.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let dashboard = check(json!({"schemaVersion": 6, "rows": [{"panels": [graph]}]}), &["schemaVersion"]);
        dashboard.panels().next().unwrap().clone()
    };
    let old = graph(json!({}));
    let (left, right) = (&old.fields.defaults, &old.fields.overrides[0].options);
    assert_eq!(
        (left.unit.as_deref(), left.min, left.max, left.axis_label.as_deref()),
        (Some("bytes"), Some(0.0), Some(100.0), Some("l"))
    );
    assert_eq!((right.unit.as_deref(), right.scale), (Some("percent"), Some(dashboard::Scale::Log { base: 10.0 })));
    assert_eq!(left.thresholds.as_ref().unwrap().steps[1].from, 5.0);
    let new = graph(json!({"yaxes": [{"format": "s"}, {"format": "short"}]}));
    assert_eq!((new.fields.defaults.unit.as_deref(), new.fields.defaults.max), (Some("s"), None));
}

#[test]
fn data_sources_of_all_spellings() {
    let target = |source: Value| json!({"expr": "up", "refId": "A", "datasource": source});
    let asked = |targets: Value, source: Value, expected: &[&str]| {
        let dashboard = check(
            json!({"schemaVersion": 41, "templating": {"list": [
            {"name": "logs", "type": "datasource", "query": "loki", "current": {}}, {"name": "ds", "type": "datasource", "query": "prometheus", "current": {}}]},
            "panels": [{"type": "stat", "datasource": source, "targets": targets}]}),
            expected,
        );
        dashboard.panels().next().unwrap().targets.len()
    };
    for source in [
        json!(null),
        json!("default"),
        json!("Prometheus"),
        json!("$ds"),
        json!("${ds}"),
        json!("[[ds]]"),
        json!({"uid": "${ds}"}),
        json!({"type": "prometheus", "uid": "x"}),
        json!({"type": "victoriametrics-metrics-datasource", "uid": "x"}),
        json!({"type": "grafana-amazonprometheus-datasource"}),
        json!({}),
    ] {
        assert_eq!(asked(json!([target(source.clone())]), json!("-- Mixed --"), &[]), 1, "{source}");
        assert_eq!(asked(json!([{"expr": "up"}]), source.clone(), &[]), 1, "{source}");
    }
    for source in [
        json!("$logs"),
        json!("${logs}"),
        json!({"type": "loki", "uid": "l"}),
        json!({"type": "__expr__", "uid": "__expr__"}),
    ] {
        assert_eq!(asked(json!([target(source.clone())]), json!(null), &["panels[0].targets[0]"]), 0, "{source}");
    }
    assert_eq!(asked(json!([{"panelId": 1, "refId": "A"}]), json!("-- Dashboard --"), &["panels[0].targets"]), 0);
    // What an editor left of another kind of queries.
    let left = json!({"expr": "up", "refId": "A", "groupBy": [{"params": ["$__interval"], "type": "time"}], "orderByTime": "ASC", "policy": "default", "resultFormat": "time_series",
        "select": [[{"params": ["value"], "type": "field"}]], "tags": [], "rawSql": "SELECT 1", "bucketAggs": [{"id": "1"}], "dsType": "influxdb", "query": "x"});
    assert_eq!(asked(json!([left]), json!(null), &[]), 1);
}

#[test]
fn library_panels() {
    let model = json!({"type": "stat", "title": "from the library", "targets": [{"expr": "up"}], "gridPos": {"x": 9, "y": 9, "w": 9, "h": 9}, "id": 99});
    let named =
        json!({"id": 5, "gridPos": {"x": 1, "y": 2, "w": 3, "h": 4}, "libraryPanel": {"uid": "lib", "name": "L"}});
    let element = json!({"lib": {"name": "L", "uid": "lib", "kind": 1, "model": model}});
    let row = json!({"type": "row", "collapsed": true, "panels": [named]});
    for panel in [named.clone(), row] {
        let dashboard = check(json!({"schemaVersion": 41, "__elements": element, "panels": [panel]}), &[]);
        let panel = dashboard.panels().next().unwrap();
        assert_eq!((panel.id, panel.title.as_str(), panel.place.x, panel.targets.len()), (5, "from the library", 1, 1));
    }
    let mut filled = model;
    filled["libraryPanel"] = json!({"uid": "lib", "name": "L", "version": 1});
    panels(json!([filled]), &[]);
    panels(json!([named]), &["panels[0].libraryPanel"]);
}

#[test]
fn copies_of_repeated_panels_are_made_anew() {
    let panel = |more: Value| {
        let mut panel = json!({"type": "stat", "title": "x"});
        panel.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        panel
    };
    let dashboard = panels(
        json!([
            panel(json!({"repeat": "v", "id": 1, "repeatDirection": "h"})),
            panel(json!({"repeatPanelId": 1, "repeatIteration": 5, "id": 2, "scopedVars": {"v": {}}})),
            panel(json!({"repeat": "v", "repeatPanelId": 1, "repeatIteration": 5, "repeatedByRow": true, "id": 3}))
        ]),
        &[],
    );
    assert_eq!(dashboard.panels().map(|panel| panel.id).collect::<Vec<_>>(), [1]);
    let rows = json!([{"title": "a", "repeat": "v", "panels": [{"type": "text", "span": 2.4}, {"type": "text", "span": 2.4}]},
        {"title": "b", "repeatIteration": 5, "repeatRowId": 1, "panels": [{"type": "text"}]}, {"title": "c", "panels": [{"type": "text", "repeat": "v", "minSpan": 6}]}]);
    let dashboard = check(json!({"schemaVersion": 14, "rows": rows}), &["schemaVersion"]);
    let titles: Vec<_> =
        dashboard.sections.iter().map(|section| section.row.as_ref().unwrap().title.as_str()).collect();
    assert_eq!(titles, ["a", "c"]);
    assert_eq!(dashboard.panels().map(|panel| panel.place.w).collect::<Vec<_>>(), [4, 4, 8]);
    assert_eq!(dashboard.panels().last().unwrap().repeat.as_ref().unwrap().per_row_max, 4);
}

#[test]
fn annotations_of_prometheus() {
    let list = json!([
        {"datasource": {"type": "prometheus", "uid": "p"}, "enable": true, "expr": "changes(x[1m]) > 0", "hide": false, "iconColor": "red", "name": "new", "step": "60s", "tagKeys": "a,b",
         "textFormat": "{{x}}", "titleFormat": "t", "useValueForTime": "on", "target": {"expr": "y", "refId": "Anno", "legendFormat": ""}, "filter": {"exclude": false, "ids": [1, 2]}},
        {"datasource": "$ds", "enable": false, "expr": "old", "iconColor": "rgba(255, 96, 96, 1)", "limit": 100, "name": "old", "showIn": 0, "step": "", "tags": [], "type": "tags", "showLine": true},
        {"datasource": {"type": "prometheus", "uid": "p"}, "name": "target alone", "enable": true, "iconColor": "x", "target": {"expr": "z", "interval": "30s", "refId": "Anno"}},
        {"datasource": "-- Grafana --", "enable": true, "name": "by tags", "tags": ["deploy"], "type": "tags"},
    ]);
    let dashboard =
        check(json!({"schemaVersion": 41, "panels": [], "annotations": {"list": list}}), &["annotations.list[3]"]);
    let found: Vec<_> = dashboard
        .annotations
        .iter()
        .map(|it| (it.expr.as_str(), it.step.as_str(), it.enabled, it.value_for_time))
        .collect();
    assert_eq!(
        found,
        [("changes(x[1m]) > 0", "60s", true, true), ("old", "", false, false), ("z", "30s", true, false)]
    );
}

#[test]
fn variables_of_all_spellings() {
    let list = json!([
        {"allFormat": "glob", "allValue": null, "current": {"isNone": true, "selected": false, "text": "None", "value": ""}, "datasource": "$ds", "definition": "label_values(up, job)", "description": null, "error": null,
         "hide": 0, "includeAll": true, "label": null, "multi": true, "multiFormat": "regex values", "name": "a", "options": [], "query": {"qryType": 1, "query": "label_values(up, job)", "refId": "PrometheusVariableQueryEditor-VariableQuery"},
         "refresh": 1, "regex": "/(?<text>[^:]+):(?<value>.+)/", "skipUrlSync": false, "sort": 8, "tagValuesQuery": "", "tags": [], "tagsQuery": "", "type": "query", "useTags": false, "allowCustomValue": true},
        {"name": "b", "type": "interval", "auto": true, "auto_count": 30, "auto_min": "10s", "current": {"text": "auto", "value": "$__auto_interval_b"}, "options": [{"selected": true, "text": "auto", "value": "$__auto_interval_b"}], "query": "1m,10m", "refresh": 2},
        {"name": "c", "type": "custom", "query": "x : 1, y : 2", "current": {"text": ["All"], "value": ["$__all"]}, "includeAll": true, "multi": true, "options": [], "queryValue": "", "valuesFormat": "csv"},
        {"name": "d", "type": "adhoc", "baseFilters": [{"key": "x", "operator": "=", "value": "1"}], "filters": [{"key": "y", "operator": "=|", "value": "1", "values": ["1", "2"]}], "datasource": {"uid": "p"}, "defaultKeys": null},
        {"name": "e", "type": "constant", "query": "v", "hide": 2, "skipUrlSync": true, "current": {"value": "v", "text": "v"}},
        {"name": "f", "type": "datasource", "query": "prometheus", "queryValue": "", "regex": "", "includeAll": false, "multi": false, "current": {"selected": false, "text": "Prometheus", "value": "prom-uid"}, "options": [], "hide": 0, "refresh": 1},
        {"name": "g", "type": "textbox", "query": "", "current": {"text": "", "value": ""}, "options": [{"selected": true, "text": "", "value": ""}]},
    ]);
    let dashboard = check(json!({"schemaVersion": 41, "panels": [], "templating": {"list": list}}), &[]);
    let dashboard::VariableKind::AdHoc(filters) = &dashboard.variables[3].kind else { panic!() };
    assert_eq!(dashboard::matchers(filters), ["x=\"1\"", "y=~\"(1|2)\""]);
}

/// Everything that the second schema spells otherwise, in both of its drafts.
#[test]
fn the_second_schema() {
    let query = |expr: &str| {
        json!({"kind": "PanelQuery", "spec": {"refId": "A", "hidden": false, "query": {"kind": "DataQuery", "group": "prometheus", "version": "v0",
        "datasource": {"name": "${ds}"}, "spec": {"expr": expr, "legendFormat": "__auto", "instant": true, "range": false}}}})
    };
    let element = |id: u64, kind: &str| {
        json!({"kind": "Panel", "spec": {"id": id, "title": format!("p{id}"), "description": "", "links": [],
        "data": {"kind": "QueryGroup", "spec": {"queries": [query("up{pod=\"$pod\"}")], "transformations": [{"kind": "Transformation", "group": "limit", "spec": {"options": {"limitField": 5}}}],
            "queryOptions": {"interval": "30s", "maxDataPoints": 100}}},
        "vizConfig": {"kind": "VizConfig", "group": kind, "version": "12.0.0", "spec": {"options": {}, "fieldConfig": {"defaults": {"unit": "s"}, "overrides": []}}}}})
    };
    let item = |name: &str, x: u64, y: u64| json!({"kind": "GridLayoutItem", "spec": {"x": x, "y": y, "width": 12, "height": 4, "element": {"kind": "ElementReference", "name": name}}});
    let mut repeated = item("b", 0, 0);
    repeated["spec"]["repeat"] = json!({"mode": "variable", "value": "pod", "direction": "h", "maxPerRow": 2});
    let row = |title: &str, layout: Value| json!({"kind": "RowsLayoutRow", "spec": {"title": title, "collapse": true, "layout": layout}});
    let beside = json!({"kind": "AutoGridLayout", "spec": {"maxColumnCount": 2, "items": [
        {"kind": "AutoGridLayoutItem", "spec": {"element": {"kind": "ElementReference", "name": "c"}}}, {"kind": "AutoGridLayoutItem", "spec": {"element": {"kind": "ElementReference", "name": "a"}}}]}});
    let layout = json!({"kind": "RowsLayout", "spec": {"rows": [row("one", json!({"kind": "GridLayout", "spec": {"items": [item("a", 12, 0), repeated]}})), row("two", beside)]}});
    let spec = json!({
        "title": "second", "description": "d", "tags": ["t"], "links": [], "cursorSync": "Crosshair", "editable": true, "liveNow": false, "preload": false,
        "timeSettings": {"timezone": "utc", "from": "now-1h", "to": "now", "autoRefresh": "10s", "autoRefreshIntervals": ["10s"], "hideTimepicker": false, "fiscalYearStartMonth": 0, "weekStart": "monday"},
        "annotations": [
            {"kind": "AnnotationQuery", "spec": {"builtIn": true, "enable": true, "hide": true, "iconColor": "red", "name": "Annotations & Alerts", "query": {"kind": "DataQuery", "group": "grafana", "version": "v0", "datasource": {"name": "-- Grafana --"}, "spec": {}}}},
            {"kind": "AnnotationQuery", "spec": {"enable": true, "hide": false, "iconColor": "red", "name": "Deploys", "query": {"kind": "DataQuery", "group": "prometheus", "datasource": {"name": "p"}, "spec": {"expr": "deployed", "step": "30s"}}, "legacyOptions": {"titleFormat": "{{app}}"}}}],
        "variables": [
            {"kind": "QueryVariable", "spec": {"name": "pod", "label": "Pod", "hide": "hideLabel", "refresh": "onTimeRangeChanged", "skipUrlSync": false, "sort": "alphabeticalAsc", "regex": "", "multi": true, "includeAll": true, "options": [],
                "current": {"text": ["All"], "value": ["$__all"]}, "definition": "label_values(up, pod)", "query": {"kind": "DataQuery", "group": "prometheus", "version": "v0", "datasource": {"name": "p"}, "spec": {"query": "label_values(up, pod)", "refId": "x"}}}},
            {"kind": "DatasourceVariable", "spec": {"name": "ds", "pluginId": "prometheus", "refresh": "onDashboardLoad", "regex": "", "current": {"text": "x", "value": "x"}, "options": [], "multi": false, "includeAll": false, "hide": "dontHide", "skipUrlSync": false}},
            {"kind": "TextVariable", "spec": {"name": "t", "query": "x", "current": {"text": "x", "value": "x"}, "hide": "dontHide", "skipUrlSync": true}}],
        "elements": {"a": element(1, "stat"), "b": element(2, "timeseries"), "c": element(3, "gauge")},
        "layout": layout,
    });
    let dashboard = check(
        json!({"apiVersion": "dashboard.grafana.app/v2beta1", "kind": "Dashboard", "metadata": {"name": "u"}, "spec": spec}),
        &[],
    );
    assert_eq!(
        (dashboard.title.as_str(), dashboard.zone.as_str(), dashboard.refresh.as_str(), dashboard.crosshair),
        ("second", "utc", "10s", dashboard::Crosshair::Line)
    );
    let rows: Vec<_> = dashboard
        .sections
        .iter()
        .map(|section| {
            (section.row.as_ref().unwrap().title.as_str(), section.row.as_ref().unwrap().y, section.panels.len())
        })
        .collect();
    assert_eq!(rows, [("one", 0, 2), ("two", 5, 2)]);
    let places: Vec<_> =
        dashboard.panels().map(|panel| (panel.title.as_str(), panel.place.x, panel.place.y, panel.place.w)).collect();
    assert_eq!(places, [("p1", 12, 1, 12), ("p2", 0, 1, 12), ("p3", 0, 6, 12), ("p1", 12, 6, 12)]);
    let panel = dashboard.panels().nth(1).unwrap();
    assert_eq!(
        (panel.min_step.as_str(), panel.points_max, panel.transforms.len(), panel.fields.defaults.unit.as_deref()),
        ("30s", Some(100), 1, Some("s"))
    );
    assert_eq!(
        (panel.targets[0].expr.as_str(), panel.targets[0].instant, panel.repeat.as_ref().unwrap().per_row_max),
        ("up{pod=\"$pod\"}", true, 2)
    );
    let found: Vec<_> = dashboard
        .annotations
        .iter()
        .map(|it| (it.name.as_str(), it.built_in, it.expr.as_str(), it.step.as_str(), it.title.as_str()))
        .collect();
    assert_eq!(found, [("Annotations & Alerts", true, "", "", ""), ("Deploys", false, "deployed", "30s", "{{app}}")]);
    let pod = &dashboard.variables[0];
    assert_eq!(
        (pod.hide, pod.refresh, pod.sort),
        (dashboard::Visibility::Nameless, dashboard::Refresh::OnTime, dashboard::VariableSort::Alphabetical)
    );
    assert_eq!(
        (&pod.kind, &pod.current),
        (&dashboard::VariableKind::Query("label_values(up, pod)".to_owned()), &dashboard::Selection::All)
    );
    assert_eq!(dashboard.variables[1].kind, dashboard::VariableKind::Datasource { plugin: "prometheus".to_owned() });
    let tabs = json!({"elements": {"a": element(1, "stat")}, "layout": {"kind": "TabsLayout", "spec": {"tabs": [
        {"kind": "TabsLayoutTab", "spec": {"title": "tab", "layout": {"kind": "GridLayout", "spec": {"items": [item("a", 0, 0), item("gone", 0, 4)]}}}}]}}});
    assert_eq!(check(tabs, &["layout"]).panels().count(), 1);
}
