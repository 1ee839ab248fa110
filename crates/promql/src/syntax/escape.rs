//! Quoted strings: PromQL's escapes are Go's, in both directions.

use std::fmt::Write;

/// Decodes the inside of a string in `"` or `'`. The lexer has already refused what is malformed, so a damaged escape is
/// kept as it stands. The result holds bytes: `\xff` is one byte.
pub(super) fn unescape(inside: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = push_escape(&rest[at + 1..], &mut out);
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Decodes one escape whose backslash is gone; returns what follows it.
fn push_escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> &'a str {
    let Some(first) = rest.chars().next() else {
        out.push(b'\\');
        return rest;
    };
    let simple = match first {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        '\\' | '"' | '\'' => Some(first as u8),
        _ => None,
    };
    if let Some(byte) = simple {
        out.push(byte);
        return &rest[1..];
    }
    let (skip, digits, radix) = match first {
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        _ => (0, 3, 8),
    };
    let end = skip + digits;
    let Some(code) = rest.get(skip..end).and_then(|code| u32::from_str_radix(code, radix).ok()) else {
        out.push(b'\\');
        return rest;
    };
    match (first, char::from_u32(code)) {
        ('u' | 'U', Some(c)) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        _ => out.push(code as u8),
    }
    &rest[end..]
}

/// Quotes as Go's `strconv.Quote`: printable characters stay, the rest is escaped, bytes that are not UTF-8 as `\xff`.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_quoted(c, &mut out));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

fn push_quoted(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x80 => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        c if u32::from(c) < 0x1_0000 => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        c => {
            let _ = write!(out, "\\U{:08x}", u32::from(c));
        }
    }
}

/// Whether Go prints the character as it is. `char::escape_debug` knows the same tables of printable characters; of the
/// combining marks, which it escapes at the start of a text, Go prints all.
fn is_printable(c: char) -> bool {
    if matches!(c, '\'' | '"' | '\\') {
        return true;
    }
    // A letter in front keeps `str::escape_debug` from escaping a combining mark.
    let mut text = String::with_capacity(5);
    text.push('a');
    text.push(c);
    text.escape_debug().count() == 2 && !(c.is_whitespace() && c != ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescapes() {
        let cases: [(&str, &[u8]); 8] = [
            (r"a\nb", b"a\nb"),
            (r"\xff", b"\xff"),
            (r"\377\101", b"\xffA"),
            (r"\u00e9\U0001F600", "é😀".as_bytes()),
            (r#"\"\'\\"#, b"\"'\\"),
            ("é", "é".as_bytes()),
            (r"\x4", b"\\x4"),
            ("", b""),
        ];
        for (text, expected) in cases {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    #[test]
    fn quotes() {
        let cases: [(&[u8], &str); 5] = [
            (b"a\"b", r#""a\"b""#),
            (b"\xff\x00", r#""\xff\x00""#),
            ("é\u{301}😀".as_bytes(), "\"é\u{301}😀\""),
            ("\u{a0}\u{200b}".as_bytes(), r#""\u00a0\u200b""#),
            (b"'\n\x7f", r#""'\n\x7f""#),
        ];
        for (bytes, expected) in cases {
            assert_eq!(quote(bytes), expected);
        }
    }
}
