//! Matchers as routes write them: `team="x"`, `severity=~"warn.*"`, `{a!="b", c=d}`.

use model::{MatchOp, Matcher};

/// Characters that cannot stand in an unquoted name or value.
const RESERVED: &str = "{}!=~,\\\"'` \t\r\n";

/// Reads one text with one or more matchers. The error is for people.
pub(crate) fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    let trimmed = text.trim();
    let inner = match trimmed.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(|| "the closing brace is missing".to_owned())?,
        None => trimmed,
    };
    let mut rest = inner.trim_start();
    let mut matchers = Vec::new();
    while !rest.is_empty() {
        matchers.push(one(&mut rest)?);
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return Err(format!("expected a comma before {rest:?}")),
        }
    }
    Ok(matchers)
}

fn one(rest: &mut &str) -> Result<Matcher, String> {
    let name = word(rest)?.filter(|name| !name.is_empty()).ok_or("a label name is missing")?;
    *rest = rest.trim_start();
    let operators =
        [("=~", MatchOp::Match), ("!~", MatchOp::NotMatch), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];
    let (text, op) = operators
        .into_iter()
        .find(|(text, _)| rest.starts_with(text))
        .ok_or_else(|| format!("expected one of '=', '!=', '=~' and '!~' behind {name:?}"))?;
    *rest = rest[text.len()..].trim_start();
    let value = word(rest)?.unwrap_or_default();
    Matcher::new(op, name, value).map_err(|e| e.to_string())
}

/// A word or a quoted text; `None` where neither begins.
fn word(rest: &mut &str) -> Result<Option<String>, String> {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(|c| RESERVED.contains(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        *rest = after;
        return Ok((!word.is_empty()).then(|| word.to_owned()));
    };
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => {
                *rest = &quoted[i + 1..];
                return Ok(Some(text));
            }
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, c @ ('"' | '\\'))) => text.push(c),
                Some((_, c)) => text.extend(['\\', c]),
                None => break,
            },
            c => text.push(c),
        }
    }
    Err("the closing quote is missing".to_owned())
}

/// Matchers as group keys spell them: `{team="x",severity=~"warn.*"}`, sorted.
pub(crate) fn spell(matchers: &[Matcher]) -> String {
    let mut parts: Vec<_> = matchers.iter().map(|m| (m.name(), m.value(), m.op())).collect();
    parts.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let parts: Vec<String> =
        parts.into_iter().map(|(name, value, op)| format!("{name}{op}{}", template::quote(value))).collect();
    format!("{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let got = parse(text).map(|matchers| spell(&matchers));
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn reads_what_routes_write() {
        check(r#"team="x""#, Ok(r#"{team="x"}"#));
        check("team = x", Ok(r#"{team="x"}"#));
        check(r#"{b!="2", a=~"1|2",}"#, Ok(r#"{a=~"1|2",b!="2"}"#));
        check(r#""quoted name" !~ "a\"b""#, Ok(r#"{quoted name!~"a\"b"}"#));
        check("severity=", Ok(r#"{severity=""}"#));
        check("", Ok("{}"));
        check("team", Err("expected one of '=', '!=', '=~' and '!~' behind \"team\""));
        check(r#"team="x"#, Err("the closing quote is missing"));
        check("{a=b", Err("the closing brace is missing"));
        check("=x", Err("a label name is missing"));
        check("a=b c=d", Err("expected a comma before \"c=d\""));
        assert!(parse("a=~\"(\"").is_err());
    }
}
