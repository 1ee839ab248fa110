//! Matchers as people write them: `team="x"`, `severity=~"warn.*"`, `{a!="b", c=d}`.
//!
//! Alertmanager has two grammars: the first one, which takes nearly everything for a value, and one with UTF-8 names. It
//! reads a text by both; where the first one takes it, its reading counts, else the second's.

use model::{MatchOp, Matcher};

/// Characters that cannot stand in an unquoted name or value, beside white space.
const RESERVED: &str = "{}!=~,\\\"'`";

const OPERATORS: [(&str, MatchOp); 4] =
    [("=~", MatchOp::Match), ("!~", MatchOp::NotMatch), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];

/// Reads one text with any number of matchers. The error is for people.
pub(crate) fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    classic(text).or_else(|refused| Reader { rest: text }.matchers().map_err(|_| refused))
}

/// Reads one matcher without braces, as the API's filters are.
pub(crate) fn parse_one(text: &str) -> Result<Matcher, String> {
    if text.starts_with('{') || text.ends_with('}') {
        return Err(format!("unexpected open or close brace: {text}"));
    }
    classic_one(text).or_else(|refused| {
        let mut matchers = Reader { rest: text }.matchers().unwrap_or_default();
        if matchers.len() == 1 { matchers.pop().ok_or(refused) } else { Err(refused) }
    })
}

/// The first grammar: commas outside quotes separate matchers; braces around them are no more than decoration.
fn classic(text: &str) -> Result<Vec<Matcher>, String> {
    let inner = text.strip_prefix('{').unwrap_or(text);
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let mut parts = split(inner);
    if parts.last().is_some_and(|last| last.trim().is_empty()) {
        parts.pop();
    }
    parts.into_iter().map(classic_one).collect()
}

/// Cuts at commas that stand outside quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (i, c) in text.char_indices() {
        match c {
            ',' if !quoted => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        // A comma leaves a backslash before it in force, as upstream.
        escaped = if c == ',' { escaped } else { c == '\\' && !escaped };
    }
    parts.push(&text[start..]);
    parts
}

fn classic_one(text: &str) -> Result<Matcher, String> {
    let bad = || format!("bad matcher format: {}", text.trim());
    let trimmed = text.trim();
    let name_len = trimmed.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':')).count();
    let (name, rest) = trimmed.split_at(name_len);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let rest = rest.trim_start();
    let (op, value) = OPERATORS.iter().find_map(|(sign, op)| Some((*op, rest.strip_prefix(sign)?))).ok_or_else(bad)?;
    let value = classic_value(value.trim_start())?;
    Matcher::new(op, name, value).map_err(|e| e.to_string())
}

/// A value with or without quotes around it; only some escapes mean anything.
fn classic_value(raw: &str) -> Result<String, String> {
    let stray = || format!("matcher value contains unescaped double quote: {raw}");
    let (body, mut open) = match raw.strip_prefix('"') {
        Some(body) => (body, true),
        None => (raw, false),
    };
    let mut value = String::new();
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('\\', Some(next)) => {
                chars.next();
                match next {
                    'n' => value.push('\n'),
                    '"' | '\\' => value.push(next),
                    other => value.extend(['\\', other]),
                }
            }
            ('"', None) if open => open = false,
            ('"', _) => return Err(stray()),
            (c, _) => value.push(c),
        }
    }
    if open { Err(stray()) } else { Ok(value) }
}

/// The second grammar.
struct Reader<'a> {
    rest: &'a str,
}

/// Not of the second grammar; the first one's words are told.
struct Refused;

impl<'a> Reader<'a> {
    fn matchers(mut self) -> Result<Vec<Matcher>, Refused> {
        let braces = self.take("{");
        let mut matchers = Vec::new();
        while !self.is_at_end(braces) {
            matchers.push(self.matcher()?);
            if !self.take(",") {
                break;
            }
        }
        if braces && !self.take("}") {
            return Err(Refused);
        }
        if self.rest.trim_start().is_empty() { Ok(matchers) } else { Err(Refused) }
    }

    fn is_at_end(&self, braces: bool) -> bool {
        let rest = self.rest.trim_start();
        rest.is_empty() || (braces && rest.starts_with('}'))
    }

    /// Takes a sign that may stand next.
    fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn matcher(&mut self) -> Result<Matcher, Refused> {
        let name = self.word()?;
        let op = OPERATORS.iter().find(|(sign, _)| self.take(sign)).map(|(_, op)| *op).ok_or(Refused)?;
        let value = self.word()?;
        Matcher::new(op, name, value).map_err(|_| Refused)
    }

    /// A name or value, quoted or not.
    fn word(&mut self) -> Result<String, Refused> {
        let rest = self.rest.trim_start();
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = closing_quote(quoted).ok_or(Refused)?;
            self.rest = &quoted[end + 1..];
            return unquote(&quoted[..end]).ok_or(Refused);
        }
        let end = rest.find(is_reserved).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.rest = after;
        if word.is_empty() { Err(Refused) } else { Ok(word.to_owned()) }
    }
}

fn is_reserved(c: char) -> bool {
    c.is_whitespace() || RESERVED.contains(c)
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    })
}

/// Resolves Go's escapes of a quoted text.
fn unquote(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\n' => return None,
            '\\' => match chars.next()? {
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                c @ ('\\' | '"') => c,
                'x' => {
                    bytes.push(u8::try_from(digits(&mut chars, 2, 16)?).ok()?);
                    continue;
                }
                'u' => char::from_u32(digits(&mut chars, 4, 16)?)?,
                'U' => char::from_u32(digits(&mut chars, 8, 16)?)?,
                first @ '0'..='7' => {
                    let high = first.to_digit(8)? << 6;
                    bytes.push(u8::try_from(high + digits(&mut chars, 2, 8)?).ok()?);
                    continue;
                }
                _ => return None,
            },
            c => c,
        };
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    String::from_utf8(bytes).ok()
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    (0..count).try_fold(0, |value, _| Some(value * radix + chars.next()?.to_digit(radix)?))
}

/// Matchers as group keys and tools spell them: `{team="x",severity=~"warn.*"}`, sorted.
pub(crate) fn spell(matchers: &[Matcher]) -> String {
    let mut parts: Vec<&Matcher> = matchers.iter().collect();
    parts.sort_by(|a, b| (a.name(), a.value()).cmp(&(b.name(), b.value())));
    let parts: Vec<String> = parts.into_iter().map(spell_one).collect();
    format!("{{{}}}", parts.join(","))
}

/// One matcher: the name in quotes where it needs them, the value always.
fn spell_one(matcher: &Matcher) -> String {
    let (name, op) = (matcher.name(), matcher.op());
    let value = matcher.value().replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
    match name.contains(is_reserved) {
        true => format!("{}{op}\"{value}\"", template::quote(name)),
        false => format!("{name}{op}\"{value}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let got = parse(text).map(|matchers| spell(&matchers));
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{text}");
    }

    /// What `amtool config routes show` of Alertmanager 0.33.1 prints.
    #[test]
    fn reads_what_alertmanager_reads() {
        check(r#"team="x""#, Ok(r#"{team="x"}"#));
        check("team = x", Ok(r#"{team="x"}"#));
        check(r#"{b!="2", a=~"1|2",}"#, Ok(r#"{a=~"1|2",b!="2"}"#));
        check(r#""quoted name" !~ "a\"b""#, Ok(r#"{"quoted name"!~"a\"b"}"#));
        check("severity=", Ok(r#"{severity=""}"#));
        check("", Ok("{}"));
        check("{}", Ok("{}"));
        check("{a=b", Ok(r#"{a="b"}"#));
        check("a=b}", Ok(r#"{a="b"}"#));
        check("a=b c=d", Ok(r#"{a="b c=d"}"#));
        check("a=b,c=d", Ok(r#"{a="b",c="d"}"#));
        check(r#"a="b" ,"#, Ok(r#"{a="b"}"#));
        check("a='b'", Ok(r#"{a="'b'"}"#));
        check("a=`b`", Ok(r#"{a="`b`"}"#));
        check(r"a=b\nc", Ok(r#"{a="b\nc"}"#));
        check(r#"a="b\tc""#, Ok(r#"{a="b\\tc"}"#));
        check(r#"a="b\xc""#, Ok(r#"{a="b\\xc"}"#));
        check(r#""a\u00e9"=b"#, Ok(r#"{aé="b"}"#));
        check("é=b", Ok(r#"{é="b"}"#));
        check("a:b=c", Ok(r#"{a:b="c"}"#));
        check("1a=b", Ok(r#"{1a="b"}"#));
        check("{a=b,}", Ok(r#"{a="b"}"#));
        check("a==b", Ok(r#"{a="=b"}"#));
        check("a=!b", Ok(r#"{a="!b"}"#));
        check("a=~b~c", Ok(r#"{a=~"b~c"}"#));
        check("a={b}", Ok(r#"{a="{b"}"#));
        check(r#"a="{b}""#, Ok(r#"{a="{b}"}"#));
        check(r#"foo=bar,baz!~"a|b""#, Ok(r#"{baz!~"a|b",foo="bar"}"#));
    }

    /// What it refuses, too.
    #[test]
    fn refuses_what_alertmanager_refuses() {
        check("team", Err("bad matcher format: team"));
        check(r#"team="x"#, Err("matcher value contains unescaped double quote: \"x"));
        check("=x", Err("bad matcher format: =x"));
        check(",a=b", Err("bad matcher format: "));
        check("a=b,,c=d", Err("bad matcher format: "));
        check("a=b\"c", Err("matcher value contains unescaped double quote: b\"c"));
        check("{}a=b", Err("bad matcher format: }a=b"));
        check("a!b", Err("bad matcher format: a!b"));
        check("a=\"b\"c", Err("matcher value contains unescaped double quote: \"b\"c"));
        check("\"a\"b=c", Err("bad matcher format: \"a\"b=c"));
        check("\"a=b", Err("bad matcher format: \"a=b"));
        assert!(parse("a=~(").is_err());
        assert!(parse("a=~\"(\"").is_err());
    }
}
