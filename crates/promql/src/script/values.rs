//! Series notation: `name{label="value"} 1 2+3x4 _x2 stale`.

use model::{Labels, MatchOp, stale_nan};

use crate::parse_selector;

/// One item of a sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item {
    /// `_`
    Gap,
    Value(f64),
    /// `{{...}}`, which is not built yet.
    Native,
}

/// A series and its sequence.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub(super) labels: Labels,
    pub(super) items: Vec<Item>,
}

/// Longest repetition; a longer one is a slip that would take all memory.
const REPEAT_MAX: usize = 1_000_000;

/// Reads a line of a `load` or of an expectation.
pub(super) fn parse_sequence(line: &str) -> Result<Sequence, String> {
    let (name, rest) = split_series(line)?;
    Ok(Sequence { labels: parse_labels(name)?, items: parse_items(rest)? })
}

/// The series of a line, whatever its sequence.
pub(super) fn series_labels(line: &str) -> Result<Labels, String> {
    parse_labels(split_series(line)?.0)
}

/// Splits a line behind the series, which may have blanks inside braces and quotes.
fn split_series(line: &str) -> Result<(&str, &str), String> {
    let (mut quote, mut escaped, mut braces) = (None, false, 0usize);
    for (i, c) in line.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some('`'), '`') => quote = None,
            (Some('`'), _) => {}
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => braces += 1,
            (None, '}') => braces = braces.saturating_sub(1),
            (None, c) if c.is_whitespace() && braces == 0 => return Ok((&line[..i], line[i..].trim())),
            _ => {}
        }
    }
    if quote.is_some() || braces > 0 {
        return Err(format!("the series {line:?} is not closed"));
    }
    Ok((line, ""))
}

fn parse_labels(series: &str) -> Result<Labels, String> {
    if series == "{}" {
        return Ok(Labels::empty());
    }
    // A selector reads the same text; a condition is added so that `{a=""}` is one, too.
    let (name, conditions) = series.split_once('{').unwrap_or((series, "}"));
    let text = format!("{name}{{__script__=~\".+\",{conditions}");
    let matchers = parse_selector(&text).map_err(|e| format!("bad series {series:?}: {e}"))?;
    let pairs = matchers.iter().filter(|m| m.name() != "__script__");
    if let Some(other) = pairs.clone().find(|m| m.op() != MatchOp::Equal) {
        return Err(format!("bad series {series:?}: {other} is not a label"));
    }
    Ok(Labels::from_pairs(pairs.map(|m| (m.name(), m.value()))))
}

fn parse_items(text: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && !rest.starts_with('#') {
        if rest.starts_with("{{") {
            let end = rest.find("}}").ok_or("a native histogram is not closed")?;
            rest = skip_native_suffix(&rest[end + 2..]);
            items.push(Item::Native);
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            parse_item(&rest[..end], &mut items)?;
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(items)
}

/// `{{...}}x5` and `{{...}}+{{...}}x5` repeat; how often does not matter while they are skipped.
fn skip_native_suffix(mut rest: &str) -> &str {
    if let Some(second) = rest.strip_prefix("+{{").or_else(|| rest.strip_prefix("-{{")) {
        rest = second.find("}}").map_or("", |end| &second[end + 2..]);
    }
    rest.trim_start_matches(|c: char| !c.is_whitespace())
}

fn parse_item(token: &str, items: &mut Vec<Item>) -> Result<(), String> {
    let bad = || format!("bad value {token:?}");
    if let Some(rest) = token.strip_prefix('_') {
        let count = if rest.is_empty() { 1 } else { repetition(rest).ok_or_else(bad)? };
        items.extend(std::iter::repeat_n(Item::Gap, count));
        return Ok(());
    }
    // A comment may follow without a blank.
    let token = token.split('#').next().unwrap_or_default();
    let (mut value, rest) = number(token).ok_or_else(bad)?;
    if rest.is_empty() {
        items.push(Item::Value(value));
        return Ok(());
    }
    let (change, rest) = if rest.starts_with('x') { (0.0, rest) } else { number(rest).ok_or_else(bad)? };
    let count = repetition(rest).ok_or_else(bad)?;
    for _ in 0..=count {
        items.push(Item::Value(value));
        value += change;
    }
    Ok(())
}

fn repetition(text: &str) -> Option<usize> {
    text.strip_prefix('x')?.parse().ok().filter(|count| *count <= REPEAT_MAX)
}

/// A number at the start of the text and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    if let Some(rest) = text.strip_prefix("stale") {
        return Some((stale_nan(), rest));
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    let sign_len = text.len() - unsigned.len();
    if sign_len > 1 {
        return None;
    }
    let digits = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let word = unsigned.get(..3).is_some_and(|w| w.eq_ignore_ascii_case("inf") || w.eq_ignore_ascii_case("nan"));
    let mut end = if word { 3 } else { digits };
    if !word && unsigned[end..].starts_with(['e', 'E']) {
        let exponent = unsigned[end + 1..].trim_start_matches(['+', '-']);
        let skipped = unsigned.len() - exponent.len();
        end = skipped + exponent.find(|c: char| !c.is_ascii_digit()).unwrap_or(exponent.len());
    }
    let value: f64 = text[..sign_len + end].parse().ok()?;
    Some((value, &text[sign_len + end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences() {
        let cases = [
            ("1 2", vec![1.0, 2.0]),
            ("1+2x2", vec![1.0, 3.0, 5.0]),
            ("10-5x1 -1e-2", vec![10.0, 5.0, -0.01]),
            ("0x2 +Inf", vec![0.0, 0.0, 0.0, f64::INFINITY]),
            (".5 1E+3", vec![0.5, 1000.0]),
        ];
        for (text, expected) in cases {
            let expected: Vec<Item> = expected.into_iter().map(Item::Value).collect();
            assert_eq!(parse_items(text), Ok(expected), "{text}");
        }
        assert_eq!(parse_items("_x2 _"), Ok(vec![Item::Gap; 3]));
        assert_eq!(parse_items("{{schema:1 sum:2}}x3 {{}}+{{count:1}}x2"), Ok(vec![Item::Native; 2]));
        assert!(parse_items("1x").is_err());
        assert!(parse_items("a").is_err());
    }

    #[test]
    fn series() {
        let sequence = parse_sequence(r#"up{a="x y", b="}"}  1"#).unwrap();
        assert_eq!(sequence.labels.to_string(), r#"{__name__="up", a="x y", b="}"}"#);
        assert_eq!(sequence.items, [Item::Value(1.0)]);
        assert!(parse_sequence("{} 1").unwrap().labels.is_empty());
        assert!(parse_sequence("up{a=\"x\" 1").is_err());
    }
}
