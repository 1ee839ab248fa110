//! Answers of the API for people and for tables.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Series that are drawn; more fill the terminal with what nobody reads.
const SERIES_SHOWN: usize = 40;

/// Columns of a chart.
const CHART_COLUMNS: usize = 60;

/// From low to high.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The metric name stands before the braces.
const METRIC_NAME: &str = "__name__";

/// A table of an instant answer, a chart a series of a range.
pub(super) fn text(data: &Value) -> String {
    let result = &data["result"];
    match data["resultType"].as_str() {
        Some("vector") => table(entries(result)),
        Some("matrix") => charts(entries(result)),
        _ => format!("{}\n", string(&result[1])),
    }
}

fn entries(result: &Value) -> &[Value] {
    result.as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn table(entries: &[Value]) -> String {
    let rows: Vec<_> = entries.iter().map(|e| (series(&e["metric"]), string(&e["value"][1]))).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut text: String = rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect();
    if rows.is_empty() {
        text.push_str("no series\n");
    }
    text
}

/// `name{label="value"}`
fn series(metric: &Value) -> String {
    let no_labels = Map::new();
    let labels = metric.as_object().unwrap_or(&no_labels);
    let name = labels.get(METRIC_NAME).map_or("", string);
    let pairs: Vec<_> = labels.iter().filter(|(name, _)| *name != METRIC_NAME).collect();
    if pairs.is_empty() && !name.is_empty() {
        return name.to_owned();
    }
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={:?}", string(value))).collect();
    format!("{name}{{{}}}", pairs.join(", "))
}

fn charts(entries: &[Value]) -> String {
    let mut text = String::new();
    let axis = Axis::of(entries);
    for entry in entries.iter().take(SERIES_SHOWN) {
        text.push_str(&format!("{}\n  {}\n", series(&entry["metric"]), chart(&points(entry), &axis)));
    }
    match entries.len().checked_sub(SERIES_SHOWN) {
        Some(more @ 1..) => text.push_str(&format!("and {more} more series\n")),
        _ if entries.is_empty() => text.push_str("no series\n"),
        _ => {}
    }
    text
}

fn points(entry: &Value) -> Vec<(f64, f64)> {
    let point = |pair: &Value| Some((pair[0].as_f64()?, string(&pair[1]).parse().ok()?));
    entries(&entry["values"]).iter().filter_map(point).collect()
}

/// The times of all series, so that their charts line up: a column for each step, as far as there is room.
struct Axis {
    start: f64,
    end: f64,
    columns: usize,
}

impl Axis {
    fn of(all: &[Value]) -> Self {
        let (mut start, mut end, mut step) = (f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY);
        for entry in all {
            let times: Vec<f64> = points(entry).into_iter().map(|(time, _)| time).collect();
            start = times.first().map_or(start, |first| first.min(start));
            end = times.last().map_or(end, |last| last.max(end));
            step = times.windows(2).map(|two| two[1] - two[0]).fold(step, f64::min);
        }
        let steps = ((end - start) / step).round();
        let columns = if steps.is_finite() { (steps as usize).saturating_add(1).min(CHART_COLUMNS) } else { 1 };
        Self { start, end, columns }
    }

    fn column(&self, time: f64) -> usize {
        let last = self.columns - 1;
        let at = (time - self.start) / (self.end - self.start).max(f64::MIN_POSITIVE) * last as f64;
        (at.round() as usize).min(last)
    }
}

/// A line of bars from the lowest to the highest value, and these in numbers.
fn chart(points: &[(f64, f64)], axis: &Axis) -> String {
    let finite = || points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let mut columns = vec![None; axis.columns];
    for &(time, value) in points.iter().filter(|(_, value)| value.is_finite()) {
        columns[axis.column(time)] = Some(value);
    }
    let bar = |value: f64| {
        let part = (value - low) / (high - low).max(f64::MIN_POSITIVE);
        BARS[((part * BARS.len() as f64) as usize).min(BARS.len() - 1)]
    };
    let line: String = columns.iter().map(|value| value.map_or(' ', bar)).collect();
    let last = points.last().map_or(f64::NAN, |(_, value)| *value);
    format!("{line}  min {low}, max {high}, last {last}")
}

/// A line a sample: its labels, each name a column, its time, its value.
pub(super) fn csv(data: &Value) -> String {
    let result = &data["result"];
    if !matches!(data["resultType"].as_str(), Some("vector" | "matrix")) {
        return format!("time,value\r\n{}", sample(result));
    }
    let all = entries(result);
    let labels = |entry: &'_ Value| entry["metric"].as_object().cloned().unwrap_or_default();
    let names: BTreeSet<String> =
        all.iter().flat_map(|entry| labels(entry).keys().cloned().collect::<Vec<_>>()).collect();
    let mut text: String = names.iter().map(|name| format!("{},", cell(name))).collect();
    text.push_str("time,value\r\n");
    for entry in all {
        let labels = labels(entry);
        let cells: String =
            names.iter().map(|name| format!("{},", cell(labels.get(name).map_or("", string)))).collect();
        let pairs = [&entry["value"]].into_iter().filter(|pair| pair.is_array()).chain(entries(&entry["values"]));
        pairs.for_each(|pair| text.push_str(&format!("{cells}{}", sample(pair))));
    }
    text
}

fn sample(pair: &Value) -> String {
    let seconds = pair[0].as_f64().unwrap_or_default();
    let millis = (seconds * 1e3).round() as i64;
    let time = Timestamp::from_millisecond(millis).map_or_else(|_| seconds.to_string(), |time| time.to_string());
    format!("{time},{}\r\n", cell(string(&pair[1])))
}

/// Quoted as RFC 4180 has it where needed.
fn cell(text: &str) -> String {
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instant_answers() {
        let metric = json!({"__name__": "up", "job": "a,\"b\""});
        let data = json!({"resultType": "vector", "result": [{"metric": metric, "value": [1.5, "1"]}]});
        assert_eq!(text(&data), "up{job=\"a,\\\"b\\\"\"}  1\n");
        assert_eq!(csv(&data), "__name__,job,time,value\r\nup,\"a,\"\"b\"\"\",1970-01-01T00:00:01.5Z,1\r\n");
        let scalar = json!({"resultType": "scalar", "result": [0, "NaN"]});
        assert_eq!(text(&scalar), "NaN\n");
        assert_eq!(csv(&scalar), "time,value\r\n1970-01-01T00:00:00Z,NaN\r\n");
        assert_eq!(text(&json!({"resultType": "vector", "result": []})), "no series\n");
    }

    #[test]
    fn ranges_become_charts() {
        let values: Vec<Value> = (0..60).map(|i| json!([i, (i % 8).to_string()])).collect();
        let data = json!({"resultType": "matrix", "result": [{"metric": {"__name__": "m"}, "values": values}]});
        let bars = "▁▂▃▄▅▆▇█".repeat(8).chars().take(60).collect::<String>();
        assert_eq!(text(&data), format!("m\n  {bars}  min 0, max 7, last 3\n"));
        let gaps = json!([[0, "1"], [10, "NaN"], [20, "1"], [50, "1"]]);
        let data = json!({"resultType": "matrix", "result": [{"metric": {}, "values": gaps}]});
        assert_eq!(text(&data), "{}\n  ▁ ▁  ▁  min 1, max 1, last 1\n");
        let one = json!({"resultType": "matrix", "result": [{"metric": {}, "values": [[7, "2"]]}]});
        assert_eq!(text(&one), "{}\n  ▁  min 2, max 2, last 2\n");
    }
}
