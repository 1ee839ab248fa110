//! Pictures from panels as Grafana writes them and answers as PromQL gives them.

use dashboard::{Clock, Column, Field, Frame, Scope, TimeRange};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::canvas::Canvas;
use super::fetch::Answers;
use super::links::Linker;
use super::time::Slice;
use super::{grid, heatmap, time, values};

const RANGE: TimeRange = TimeRange { from_ms: 0, to_ms: 40_000 };

/// A series of a query, a value every ten seconds.
fn series(ref_id: &str, name: &str, values: &[Option<f64>]) -> Frame {
    let times = (0..values.len() as i64).map(|at| Some(at * 10_000)).collect();
    let labels = vec![("pod".to_owned(), name.to_owned())];
    let value =
        Field { labels, display: Some(name.to_owned()), ..Field::new("Value", Column::Numbers(values.to_vec())) };
    Frame {
        ref_id: ref_id.to_owned(),
        name: String::new(),
        fields: vec![Field::new("Time", Column::Times(times)), value],
    }
}

/// The picture of a panel, as the script gets it.
fn drawn(panel: &str, frames: Vec<Frame>, slice: Slice) -> Value {
    let imported = dashboard::import(&format!("{{\"panels\": [{panel}]}}")).unwrap();
    let panel = imported.dashboard.panels().next().unwrap();
    let scope = Scope::new(RANGE, TimeZone::UTC);
    let linker = Linker { scope: &scope, prefix: "/skep", time: "from=now-1h&to=now" };
    let clock = Clock::default();
    let mut answers = Answers { frames, grid: Some((10_000, RANGE)), even: true, ..Answers::default() };
    let canvas = Canvas::new(panel, &mut answers, linker, &clock, RANGE).unwrap();
    let picture = match &panel.visual {
        dashboard::Visual::TimeSeries(visual) => serde_json::to_value(time::draw(&canvas, visual, slice)),
        dashboard::Visual::Stat(visual) => serde_json::to_value(values::stat(&canvas, visual)),
        dashboard::Visual::Gauge(visual) => serde_json::to_value(values::gauge(&canvas, visual)),
        dashboard::Visual::BarGauge(visual) => serde_json::to_value(values::bars(&canvas, visual)),
        dashboard::Visual::Pie(visual) => serde_json::to_value(values::pie(&canvas, visual)),
        dashboard::Visual::Table(visual) => serde_json::to_value(grid::table(&canvas, visual, None)),
        dashboard::Visual::Heatmap(visual) => serde_json::to_value(heatmap::draw(&canvas, visual)),
        dashboard::Visual::StateTimeline(visual) => serde_json::to_value(grid::states(&canvas, visual)),
        other => panic!("{other:?}"),
    };
    picture.unwrap()
}

/// What stands at these places of a picture.
fn check(panel: &str, frames: Vec<Frame>, expected: &[(&str, Value)]) {
    let picture = drawn(panel, frames, Slice::default());
    for (place, expected) in expected {
        assert_eq!(picture.pointer(place).unwrap_or(&Value::Null), expected, "{place} of {picture:#}");
    }
}

fn two() -> Vec<Frame> {
    let values = |values: [f64; 4]| values.map(Some);
    vec![series("A", "web", &values([1.0, 2.0, 3.0, 4.0])), series("A", "db", &values([10.0, 0.0, 20.0, 30.0]))]
}

#[test]
fn lines_stand_on_the_grid_of_their_queries() {
    let gap = vec![series("A", "web", &[Some(1.0), None, Some(f64::NAN), Some(4.0)])];
    check(
        r#"{"type": "timeseries"}"#,
        gap,
        &[
            ("/start", json!(0)),
            ("/step", json!(10_000)),
            ("/count", json!(5)),
            ("/series/0/v", json!([1.0, null, null, 4.0, null])),
            ("/series/0/name", json!("web")),
            ("/series/0/color", json!("s0")),
            ("/series/0/draw", json!("line")),
            ("/axes/0/right", json!(false)),
            ("/tooltip/mode", json!("single")),
        ],
    );
}

#[test]
fn what_is_measured_otherwise_has_an_axis_of_its_own() {
    let panel = r#"{"type": "timeseries", "fieldConfig": {"defaults": {"unit": "bytes"}, "overrides": [
        {"matcher": {"id": "byName", "options": "db"}, "properties": [
            {"id": "unit", "value": "s"}, {"id": "custom.transform", "value": "negative-Y"}, {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}}]}]}}"#;
    check(
        panel,
        two(),
        &[
            ("/series/0/axis", json!(0)),
            ("/series/1/axis", json!(1)),
            ("/series/1/flip", json!(true)),
            ("/series/1/color", json!("#ec4c58")),
            ("/axes/1/right", json!(true)),
            ("/axes/0/format/rungs/1/suffix", json!(" KiB")),
            ("/axes/1/format/rungs/3/suffix", json!(" s")),
        ],
    );
}

#[test]
fn stacks_are_of_one_group_and_direction() {
    let panel = |mode: &str| {
        format!(
            r#"{{"type": "timeseries", "fieldConfig": {{"defaults": {{"custom": {{"stacking": {{"mode": "{mode}", "group": "A"}}}}}}, "overrides": [
                {{"matcher": {{"id": "byName", "options": "down"}}, "properties": [{{"id": "custom.transform", "value": "negative-Y"}}]}}]}}}}"#
        )
    };
    let frames = || [two(), vec![series("A", "down", &[Some(1.0); 4])]].concat();
    check(&panel("normal"), frames(), &[("/stacks", json!([{"series": [0, 1]}, {"series": [2]}]))]);
    check(&panel("none"), frames(), &[("/stacks", json!([]))]);
    let percent = [
        ("/stacks/0/percent", json!(true)),
        ("/axes/0/max", json!(1.0)),
        ("/axes/0/format/rungs/0/times", json!(100.0)),
    ];
    check(&panel("percent"), frames(), &percent);
}

#[test]
fn legends_have_values_and_an_order() {
    let panel = r#"{"type": "timeseries", "fieldConfig": {"defaults": {"unit": "s"}, "overrides": [
            {"matcher": {"id": "byValue", "options": {"reducer": "allIsZero", "op": "gte", "value": 0}},
             "properties": [{"id": "custom.hideFrom", "value": {"legend": true, "tooltip": true, "viz": true}}]}]},
        "options": {"legend": {"displayMode": "table", "placement": "right", "calcs": ["mean", "max"], "sortBy": "Max", "sortDesc": true}}}"#;
    let frames = [two(), vec![series("A", "zero", &[Some(0.0); 4])]].concat();
    check(
        panel,
        frames,
        &[
            ("/legend/mode", json!("table")),
            ("/legend/right", json!(true)),
            ("/legend/columns", json!(["Mean", "Max"])),
            ("/legend/order", json!([1, 0])),
            ("/series/1/calcs", json!([{"text": "15 s", "n": 15.0}, {"text": "30 s", "n": 30.0}])),
            ("/series/2", Value::Null),
        ],
    );
}

#[test]
fn bands_reach_to_the_series_they_name() {
    let panel = r#"{"type": "timeseries", "fieldConfig": {"defaults": {}, "overrides": [
        {"matcher": {"id": "byName", "options": "db"}, "properties": [{"id": "custom.fillBelowTo", "value": "web"}]}]}}"#;
    check(
        panel,
        two(),
        &[("/series/1/fill_to", json!(0)), ("/series/1/fill", json!(0.35)), ("/series/0/fill_to", Value::Null)],
    );
}

#[test]
fn a_tail_and_a_moment_are_parts_of_the_whole() {
    let part = |slice| drawn(r#"{"type": "timeseries"}"#, two(), slice);
    let whole = part(Slice::default());
    let tail = part(Slice { tail: Some(20_000), ..Slice::default() });
    assert_eq!((&tail["start"], &tail["count"], &tail["shape"]), (&json!(20_000), &json!(3), &whole["shape"]));
    assert_eq!(tail["series"][1]["v"], json!([20.0, 30.0, null]));
    let exact = part(Slice { exact: Some(30_000), ..Slice::default() });
    assert_eq!((&exact["start"], &exact["series"][1]["v"]), (&json!(30_000), &json!([30.0])));
}

#[test]
fn times_that_no_grid_has_are_named() {
    let mut frames = two();
    frames[1].fields[0].values = Column::Times([5, 15_000, 25_000, 35_000].map(Some).to_vec());
    let picture = drawn(r#"{"type": "timeseries"}"#, frames, Slice::default());
    assert_eq!(picture["times"], json!([0, 5, 10_000, 15_000, 20_000, 25_000, 30_000, 35_000]));
    assert_eq!(picture["series"][1]["v"], json!([null, 10.0, null, 0.0, null, 20.0, null, 30.0]));
    assert_eq!(picture["series"][0]["span_ms"], json!(10_000.0), "times of the other series are no gaps");
}

#[test]
fn single_values_are_written() {
    let fields = r#""fieldConfig": {"defaults": {"unit": "percent", "min": 0, "max": 50, "thresholds": {"mode": "absolute", "steps": [
        {"color": "green", "value": null}, {"color": "red", "value": 25}]}}, "overrides": []}"#;
    check(
        &format!(
            r#"{{"type": "stat", {fields}, "options": {{"reduceOptions": {{"calcs": ["lastNotNull"]}}, "graphMode": "area"}}}}"#
        ),
        two(),
        &[
            ("/tiles/0/title", json!("web")),
            ("/tiles/0/value", json!({"text": "4", "suffix": "%"})),
            ("/tiles/0/color", json!("#70bc66")),
            ("/tiles/1/color", json!("#ec4c58")),
            ("/tiles/1/spark", json!([10.0, 0.0, 20.0, 30.0])),
        ],
    );
    check(
        &format!(r#"{{"type": "gauge", {fields}, "options": {{"reduceOptions": {{"calcs": ["max"]}}}}}}"#),
        two(),
        &[("/dials/1/part", json!(0.6)), ("/dials/1/bands/1", json!({"from": 0.5, "color": "#ec4c58", "text": "25%"}))],
    );
    check(
        &format!(
            r#"{{"type": "bargauge", {fields}, "options": {{"displayMode": "lcd", "orientation": "horizontal"}}}}"#
        ),
        two(),
        &[("/bars/0/part", json!(0.08)), ("/mode", json!("lcd")), ("/orientation", json!("horizontal"))],
    );
    check(
        r#"{"type": "piechart", "options": {"pieType": "donut", "reduceOptions": {"calcs": ["sum"]}}}"#,
        two(),
        &[("/donut", json!(true)), ("/parts/1/percent", json!("14%")), ("/parts/0/n", json!(60.0))],
    );
}

#[test]
fn tables_have_cells() {
    let frame = Frame {
        ref_id: "A".to_owned(),
        name: String::new(),
        fields: vec![
            Field::new("pod", Column::Texts(vec![Some("a/b".into()), Some("c".into())])),
            Field::new("Value", Column::Numbers(vec![Some(2.0), Some(1_500.0)])),
        ],
    };
    let panel = r#"{"type": "table", "fieldConfig": {"defaults": {"unit": "short"}, "overrides": [
            {"matcher": {"id": "byName", "options": "pod"}, "properties": [{"id": "links", "value": [{"title": "Pod", "url": "/d/pods?var-pod=${__value.raw}"}]}]},
            {"matcher": {"id": "byName", "options": "Value"}, "properties": [{"id": "custom.cellOptions", "value": {"type": "color-text"}}]}]},
        "options": {"sortBy": [{"displayName": "Value", "desc": true}]}}"#;
    check(
        panel,
        vec![frame],
        &[
            ("/columns/1/sorted", json!(-1)),
            ("/columns/1/align", json!("right")),
            ("/columns/1/look", json!("text")),
            ("/rows/0/1/t", json!("1.50 K")),
            ("/rows/0/1/n", json!(1500.0)),
            ("/rows/1/0/t", json!("a/b")),
            ("/rows/1/0/links/0/href", json!("/skep/d/pods?var-pod=a%2Fb")),
        ],
    );
}

#[test]
fn buckets_have_ends_and_colours() {
    let frames = vec![
        series("A", "1", &[Some(4.0), Some(0.0)]),
        series("A", "+Inf", &[Some(1.0), Some(2.0)]),
        series("A", "0.5", &[Some(8.0), None]),
    ];
    check(
        r#"{"type": "heatmap", "options": {"calculate": false, "color": {"scheme": "Oranges", "steps": 4, "exponent": 1}}}"#,
        frames,
        &[
            ("/rows/0/name", json!("0.5")),
            ("/rows/1/low", json!(0.5)),
            ("/rows/1/high", json!(1.0)),
            ("/rows/2/high", Value::Null),
            ("/rows/0/c", json!([3, -1, -1, -1, -1])),
            ("/max", json!(8.0)),
        ],
    );
}

#[test]
fn states_last_until_the_next() {
    let up = vec![series("A", "web", &[Some(1.0), Some(1.0), Some(0.0), None])];
    let mapped = r#""fieldConfig": {"defaults": {"mappings": [{"type": "value", "options": {"1": {"text": "up", "color": "green"}, "0": {"text": "down", "color": "red"}}}]}, "overrides": []}"#;
    check(
        &format!(r#"{{"type": "state-timeline", {mapped}, "options": {{"mergeValues": true}}}}"#),
        up,
        &[
            ("/rows/0/spans/0", json!({"from": 0, "to": 20_000, "text": "up", "color": "#70bc66"})),
            ("/rows/0/spans/1/text", json!("down")),
            ("/rows/0/spans/2", Value::Null),
        ],
    );
}

#[test]
fn a_heatmap_of_any_size_ends() {
    let wide: Vec<Option<f64>> = [Some(1e308), Some(-1e308), Some(0.0), Some(f64::MIN_POSITIVE)].to_vec();
    let panel = r#"{"type": "heatmap", "options": {"calculate": true}}"#;
    for values in [&wide[..], &wide[2..], &[Some(5.0); 4], &[None; 2]] {
        let picture = drawn(panel, vec![series("A", "web", values)], Slice::default());
        assert!(picture["rows"].as_array().unwrap().len() <= 201, "{picture}");
    }
}
