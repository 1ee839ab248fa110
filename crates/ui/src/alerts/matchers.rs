//! The matchers of a silence, as people write them: one a line, `name="value"`, `!=`, `=~`, `!~`.

use model::status::SilenceLine;
use model::{Labels, MatchOp, Matcher};

use crate::format::literal;

/// Reads lines; empty ones count nothing.
pub(super) fn read(text: &str) -> Result<Vec<SilenceLine>, String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(line).collect()
}

fn line(text: &str) -> Result<SilenceLine, String> {
    let at = text.find(['=', '!']).ok_or_else(|| format!("{text}: a matcher is name=\"value\", !=, =~ or !~"))?;
    let (name, rest) = text.split_at(at);
    // Two letters before one.
    let operators = [("=~", true, true), ("!~", true, false), ("!=", false, false), ("=", false, true)];
    let operator = operators.into_iter().find(|(sign, _, _)| rest.starts_with(sign));
    let Some((sign, is_regex, is_equal)) = operator else {
        return Err(format!("{text}: {:?} is no operator; there are =, !=, =~ and !~", rest.chars().next()));
    };
    let value = unquote(rest[sign.len()..].trim())?;
    let name = name.trim().to_owned();
    if name.is_empty() {
        return Err(format!("{text}: the name of the label is missing"));
    }
    let line = SilenceLine { name, value, is_regex, is_equal };
    matcher(&line)?;
    Ok(line)
}

fn unquote(text: &str) -> Result<String, String> {
    let Some(inner) = text.strip_prefix('"') else { return Ok(text.to_owned()) };
    let inner = inner.strip_suffix('"').ok_or_else(|| format!("{text}: the quotation mark at the end is missing"))?;
    let mut value = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => value.push('\n'),
                Some(other @ ('\\' | '"')) => value.push(other),
                Some(other) => value.extend(['\\', other]),
                None => return Err(format!("{text}: a backslash at the end escapes nothing")),
            },
            '"' => return Err(format!("{text}: a quotation mark inside needs a backslash before it")),
            letter => value.push(letter),
        }
    }
    Ok(value)
}

/// The line as people write it.
pub(super) fn spell(line: &SilenceLine) -> String {
    let sign = match (line.is_regex, line.is_equal) {
        (false, true) => "=",
        (false, false) => "!=",
        (true, true) => "=~",
        (true, false) => "!~",
    };
    format!("{}{sign}{}", line.name, literal(&line.value))
}

fn matcher(line: &SilenceLine) -> Result<Matcher, String> {
    let op = match (line.is_regex, line.is_equal) {
        (false, true) => MatchOp::Equal,
        (false, false) => MatchOp::NotEqual,
        (true, true) => MatchOp::Match,
        (true, false) => MatchOp::NotMatch,
    };
    Matcher::new(op, &line.name, &line.value).map_err(|e| e.to_string())
}

/// Whether labels fit all lines.
pub(super) fn fits(lines: &[SilenceLine], labels: &Labels) -> bool {
    lines.iter().all(|line| matcher(line).is_ok_and(|matcher| matcher.matches_labels(labels)))
}

/// Matchers for exactly these labels.
pub(super) fn exactly(labels: &Labels) -> impl Iterator<Item = String> {
    let equal = |(name, value): (&str, &str)| SilenceLine {
        name: name.to_owned(),
        value: value.to_owned(),
        is_regex: false,
        is_equal: true,
    };
    labels.iter().map(equal).map(|line| spell(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_written() {
        let check = |text: &str, expected: &str| {
            let lines = read(text).map(|lines| lines.iter().map(spell).collect::<Vec<_>>().join(" "));
            assert_eq!(lines.unwrap_or_else(|error| error), expected, "{text}");
        };
        check("a=\"b\"\n\n c != d", "a=\"b\" c!=\"d\"");
        check("a=~x|y", "a=~\"x|y\"");
        check("a!~\"x\"", "a!~\"x\"");
        check("a=\"q\\\"\\n\\\\d\"", "a=\"q\\\"\\n\\\\d\"");
        check("a=~\"\\d+\"", "a=~\"\\\\d+\"");
        check("a=", "a=\"\"");
        check("a", "a: a matcher is name=\"value\", !=, =~ or !~");
        check("=b", "=b: the name of the label is missing");
        check("a!b", "a!b: Some('!') is no operator; there are =, !=, =~ and !~");
        check("a=\"b", "\"b: the quotation mark at the end is missing");
        assert!(read("a=~(").is_err());
    }

    #[test]
    fn labels_fit() {
        let labels = Labels::from_pairs([("a", "1"), ("b", "x\"y")]);
        let lines = read(&exactly(&labels).collect::<Vec<_>>().join("\n")).unwrap();
        assert!(fits(&lines, &labels));
        assert!(!fits(&lines, &Labels::from_pairs([("a", "1")])));
    }
}
