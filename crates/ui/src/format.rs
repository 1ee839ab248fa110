//! Numbers for people: three to four significant digits and a unit.

use std::time::Duration;

use model::{Labels, Timestamp};

use crate::range;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// A plain number.
    Short,
    /// 0 to 100.
    Percent,
    /// Bytes, in powers of 1024.
    Bytes,
    /// Bytes a second, in powers of 1024.
    BytesPerSecond,
    /// Events a second.
    PerSecond,
    /// Packets a second.
    PacketsPerSecond,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// Number and unit, apart: a stat shows them in two sizes.
    pub(crate) fn split(self, value: f64) -> (String, String) {
        if !value.is_finite() {
            return (special(value), String::new());
        }
        let (scaled, prefix) = match self {
            Self::Bytes | Self::BytesPerSecond => scale(value, 1024.0, &["", "Ki", "Mi", "Gi", "Ti", "Pi"]),
            Self::Percent => (value, ""),
            Self::Seconds => return split_seconds(value),
            _ => scale(value, 1000.0, &["", "k", "M", "G", "T", "P"]),
        };
        let name = match self {
            Self::Short => "",
            Self::Percent => "%",
            Self::Bytes => "B",
            Self::BytesPerSecond => "B/s",
            Self::PerSecond => "/s",
            Self::PacketsPerSecond => "pkt/s",
            Self::Seconds => "s",
        };
        (digits(scaled), format!("{prefix}{name}"))
    }

    /// Number and unit in one: `1.25 MiB/s`, `12 %`, `1.2k`.
    pub(crate) fn text(self, value: f64) -> String {
        let (number, unit) = self.split(value);
        match (self, unit.is_empty()) {
            (_, true) => number,
            (Self::Short, _) => format!("{number}{unit}"),
            _ => format!("{number} {unit}"),
        }
    }
}

fn scale<'a>(value: f64, base: f64, prefixes: &[&'a str]) -> (f64, &'a str) {
    let mut scaled = value;
    let mut prefix = prefixes.first().copied().unwrap_or_default();
    for next in prefixes.iter().skip(1) {
        // Also where rounding to three digits would show 1000.
        if scaled.abs() < base - 0.5 {
            break;
        }
        scaled /= base;
        prefix = next;
    }
    (scaled, prefix)
}

fn split_seconds(value: f64) -> (String, String) {
    let size = value.abs();
    let (factor, unit) = match size {
        _ if size == 0.0 || !size.is_finite() => (1.0, "s"),
        _ if size < 1e-6 => (1e9, "ns"),
        _ if size < 1e-3 => (1e6, "µs"),
        _ if size < 1.0 => (1e3, "ms"),
        _ if size < 120.0 => (1.0, "s"),
        _ if size < 7200.0 => (1.0 / 60.0, "min"),
        _ if size < 172_800.0 => (1.0 / 3600.0, "h"),
        _ => (1.0 / 86_400.0, "d"),
    };
    (digits(value * factor), unit.to_owned())
}

/// At most three significant digits after a decimal point, none lost before it.
fn digits(value: f64) -> String {
    let size = value.abs();
    let places = match size {
        _ if size == 0.0 || size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ if size >= 0.001 => 3,
        _ => return format!("{value:.2e}"),
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn special(value: f64) -> String {
    let text = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    };
    text.to_owned()
}

/// A value in full, as Prometheus prints it: the shortest text that reads back to the same number.
pub(crate) fn exact(value: f64) -> String {
    if !value.is_finite() {
        return special(value);
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) { format!("{value:e}") } else { format!("{value}") }
}

/// `name{a="1"}`, as people write selectors.
pub(crate) fn series_name(labels: &Labels) -> String {
    let name = labels.metric_name();
    let rest = labels.without_name();
    match (name, rest.is_empty()) {
        ("", _) => rest.to_string(),
        (name, true) => name.to_owned(),
        (name, false) => format!("{name}{rest}"),
    }
}

/// A time for templates: `<time datetime="{{ iso }}" data-ms="{{ ms }}">{{ text }}</time>`.
#[derive(Clone, Debug)]
pub(crate) struct When {
    /// For machines.
    pub(crate) iso: String,
    /// For the page's script, which puts it into the reader's zone.
    pub(crate) ms: Timestamp,
    /// For people, in UTC.
    pub(crate) text: String,
}

impl When {
    pub(crate) fn new(at: Timestamp) -> Self {
        Self { iso: range::rfc3339(at), ms: at, text: format!("{} UTC", range::seconds(at)) }
    }
}

/// `3 s ago`; `in the future` where a clock went back.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let millis = now.saturating_sub(at);
    if millis < 0 {
        return "in the future".to_owned();
    }
    format!("{} ago", roughly(millis))
}

/// A time in the largest unit of which two have passed, in whole numbers: `75 s`, `4 min`, `26 h`.
pub(crate) fn roughly(millis: i64) -> String {
    let seconds = millis / 1000;
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `12.3 ms`.
pub(crate) fn took(duration: Duration) -> String {
    Unit::Seconds.text(duration.as_secs_f64())
}

/// A text as a string of PromQL.
pub(crate) fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let cases = [
            (Unit::Short, 0.0, "0"),
            (Unit::Short, 999.7, "1k"),
            (Unit::Short, 1234.0, "1.23k"),
            (Unit::Short, -12.0, "-12"),
            (Unit::Short, 0.00001, "1.00e-5"),
            (Unit::Percent, 12.34, "12.3 %"),
            (Unit::Percent, 100.0, "100 %"),
            (Unit::Bytes, 1023.9, "1 KiB"),
            (Unit::Bytes, 1_572_864.0, "1.5 MiB"),
            (Unit::BytesPerSecond, 10.0, "10 B/s"),
            (Unit::PacketsPerSecond, 15_300.0, "15.3 kpkt/s"),
            (Unit::Seconds, 0.0123, "12.3 ms"),
            (Unit::Seconds, 90_000.0, "25 h"),
            (Unit::Short, f64::NAN, "NaN"),
            (Unit::Bytes, f64::INFINITY, "+Inf"),
        ];
        for (unit, value, expected) in cases {
            assert_eq!(unit.text(value), expected, "{unit:?} {value}");
        }
    }

    #[test]
    fn times_ago_are_whole() {
        let cases = [
            (900, "0 s ago"),
            (119_999, "119 s ago"),
            (265_200, "4 min ago"),
            (7_200_000, "2 h ago"),
            (200_000_000, "2 d ago"),
            (-1, "in the future"),
        ];
        for (passed, expected) in cases {
            assert_eq!(ago(1_000, 1_000 + passed), expected, "{passed}");
        }
    }

    #[test]
    fn exact_values() {
        let cases = [
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1e21"),
            (1e-5, "1e-5"),
            (5.0, "5"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(exact(value), expected);
        }
    }

    #[test]
    fn series_names() {
        let cases = [
            (Labels::empty(), "{}"),
            (Labels::from_pairs([("__name__", "up")]), "up"),
            (Labels::from_pairs([("__name__", "up"), ("job", "x")]), r#"up{job="x"}"#),
            (Labels::from_pairs([("job", "x")]), r#"{job="x"}"#),
        ];
        for (labels, expected) in cases {
            assert_eq!(series_name(&labels), expected);
        }
    }
}
