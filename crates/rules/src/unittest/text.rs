//! Expectations and results as promtool prints them.

use model::Labels;

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
