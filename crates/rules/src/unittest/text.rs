//! Expectations and results as promtool prints them.

use std::collections::BTreeSet;
use std::fmt::Write;

use model::{Labels, Samples, is_stale};

/// The lines of alerts stand behind `exp:` and `got:`.
const INDENT: &str = "            ";

/// Alerts by labels and annotations.
pub(super) fn alerts(alerts: &[(Labels, Labels)]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let alert = |(i, (labels, annotations)): (usize, &(Labels, Labels))| {
        format!("\n{INDENT}{i}:\n{INDENT}  Labels:{labels}\n{INDENT}  Annotations:{annotations}")
    };
    let alerts: Vec<String> = alerts.iter().enumerate().map(alert).collect();
    format!("[{}\n{INDENT}]", alerts.join(","))
}

/// What of alerts is not as expected: JSON with the colours of a terminal, red for what is missing, green for what is too much.
pub(super) fn diff(expected: &[(Labels, Labels)], got: &[(Labels, Labels)]) -> String {
    // Of no alerts at all promtool tells as of one that has nothing.
    let nothing = [(Labels::empty(), Labels::empty())];
    let some = |alerts: &[(Labels, Labels)]| if alerts.is_empty() { nothing.to_vec() } else { alerts.to_vec() };
    let (expected, got) = (some(expected), some(got));
    let count = expected.len().max(got.len());
    let mut lines = Vec::new();
    for place in 0..count {
        match (expected.get(place), got.get(place)) {
            (Some(expected), Some(got)) => both(&mut lines, expected, got),
            (Some(alert), None) => one(&mut lines, alert, Colour::Red),
            (None, Some(alert)) => one(&mut lines, alert, Colour::Green),
            (None, None) => {}
        }
        if place + 1 < count {
            end_with_comma(&mut lines);
        }
    }
    let lines: Vec<String> = lines.into_iter().map(|line| format!("{INDENT}    {line}\n")).collect();
    format!("[\n{}{INDENT}]", lines.concat())
}

#[derive(Clone, Copy)]
enum Colour {
    Red,
    Green,
    Yellow,
}

impl Colour {
    fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
        };
        format!("\x1b[0;{code}m{text}\x1b[0m")
    }
}

fn end_with_comma(lines: &mut [String]) {
    if let Some(last) = lines.last_mut() {
        last.push(',');
    }
}

/// The lines of an alert that both have.
fn both(lines: &mut Vec<String>, expected: &(Labels, Labels), got: &(Labels, Labels)) {
    lines.push("{".to_owned());
    pairs(lines, "Annotations", &expected.1, &got.1);
    end_with_comma(lines);
    pairs(lines, "Labels", &expected.0, &got.0);
    lines.push("}".to_owned());
}

fn pairs(lines: &mut Vec<String>, key: &str, expected: &Labels, got: &Labels) {
    let names: BTreeSet<&str> = expected.iter().chain(got).map(|(name, _)| name).collect();
    if names.is_empty() {
        lines.push(format!("    \"{key}\": {{}}"));
        return;
    }
    lines.push(format!("    \"{key}\": {{"));
    for (place, name) in names.iter().enumerate() {
        let quoted = template::quote(name);
        let pair = |value: &str| format!("{quoted}: {}", template::quote(value));
        let line = match (expected.get(name), got.get(name)) {
            (Some(expected), Some(got)) if expected == got => pair(got),
            (Some(expected), Some(got)) => {
                let change = format!("{} => {}", template::quote(expected), template::quote(got));
                format!("{quoted}: {}", Colour::Yellow.paint(&change))
            }
            (Some(value), None) => Colour::Red.paint(&pair(value)),
            (None, value) => Colour::Green.paint(&pair(value.unwrap_or_default())),
        };
        let comma = if place + 1 < names.len() { "," } else { "" };
        lines.push(format!("        {line}{comma}"));
    }
    lines.push("    }".to_owned());
}

/// The lines of an alert that one alone has, each of them in a colour.
fn one(lines: &mut Vec<String>, alert: &(Labels, Labels), colour: Colour) {
    let mut plain = Vec::new();
    both(&mut plain, alert, alert);
    lines.extend(plain.iter().map(|line| {
        let text = line.trim_start();
        format!("{}{}", &line[..line.len() - text.len()], colour.paint(text))
    }));
}

/// Series with their samples, of which markers of their ends are none; an empty line for no series.
pub(super) fn dump(series: &[(Labels, Samples)]) -> String {
    let mut text = String::new();
    for (labels, samples) in series {
        let mut lines = String::new();
        for sample in samples.iter().filter(|sample| !is_stale(sample.value)) {
            let _ = writeln!(lines, "{} @[{}]", decimal(sample.value), sample.timestamp);
        }
        if !lines.is_empty() {
            let _ = write!(text, "{labels} =>\n{lines}");
        }
    }
    if text.is_empty() { "\n".to_owned() } else { text }
}

/// As Go's `FormatFloat` with `f` and the fewest digits.
fn decimal(value: f64) -> String {
    if value.is_infinite() { if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned() } else { value.to_string() }
}

/// The samples of an expression.
pub(super) fn samples(samples: &[(Labels, f64)]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let samples: Vec<String> = samples.iter().map(|(labels, value)| format!("{labels} {}", number(*value))).collect();
    samples.join(", ")
}

/// As Go's `FormatFloat` with `E` and the fewest digits.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}E{sign}{exponent:0>2}")
        }
        None => text,
    }
}

/// A length of time as Go prints it, such as `1h2m3s`.
pub(super) fn go_duration(millis: i64) -> String {
    let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
    let seconds = rest as f64 / 1000.0;
    match (hours, minutes) {
        (0, 0) if (1..1000).contains(&rest) => format!("{rest}ms"),
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go() {
        for (value, expected) in
            [(1.0, "1E+00"), (0.0, "0E+00"), (-1.5e-7, "-1.5E-07"), (1e100, "1E+100"), (f64::NAN, "NaN")]
        {
            assert_eq!(number(value), expected);
        }
        for (value, expected) in [(0, "0s"), (500, "500ms"), (1500, "1.5s"), (60_000, "1m0s"), (3_723_000, "1h2m3s")] {
            assert_eq!(go_duration(value), expected);
        }
    }
}
