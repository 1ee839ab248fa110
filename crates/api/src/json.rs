//! JSON written straight into bytes, as Prometheus' encoder writes it.

use model::{Exemplar, Labels, Timestamp};

use crate::number::{push_integer, push_plain, push_value};

/// A text. `<`, `>` and `&` are escaped, as Go does for texts that might end up in a page.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text, true);
    out.push(b'"');
}

/// A text of bytes; those that are not UTF-8 are each written as U+FFFD, escaped.
pub(crate) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        push_escaped(out, chunk.valid(), true);
        out.extend(chunk.invalid().iter().flat_map(|_| b"\\ufffd"));
    }
    out.push(b'"');
}

/// A label's name or value, in which Prometheus escapes only what JSON demands.
pub(crate) fn push_label_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text, false);
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, text: &str, for_pages: bool) {
    let bytes = text.as_bytes();
    if is_plain(bytes, for_pages) {
        out.extend_from_slice(bytes);
        return;
    }
    let mut done = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        let special = byte < 0x20 || byte == b'"' || byte == b'\\';
        let page = for_pages && (matches!(byte, b'<' | b'>' | b'&') || is_separator(&bytes[i..]));
        if special || page {
            out.extend_from_slice(&bytes[done..i]);
            done = i + push_escape(out, &bytes[i..]);
        }
    }
    out.extend_from_slice(&bytes[done..]);
}

/// Whether surely nothing has to be escaped. Nearly all texts are such, so that eight bytes are looked at together.
fn is_plain(bytes: &[u8], for_pages: bool) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [b'x'; 8];
    last[..rest.len()].copy_from_slice(rest);
    let is_special = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let special = below(word, 0x20) | equal(word, b'"') | equal(word, b'\\');
        let page = equal(word, b'<') | equal(word, b'>') | equal(word, b'&') | equal(word, SEPARATOR_FIRST_BYTE);
        special | if for_pages { page } else { 0 } != 0
    };
    !words.iter().chain([&last]).any(is_special)
}

/// A byte in each of the eight bytes of a word.
const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Not zero where some byte of the word is below `limit`, which is at most 0x80.
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(repeated(limit)) & !word & repeated(0x80)
}

/// Not zero where some byte of the word is this one.
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ repeated(byte), 1)
}

/// With it begin U+2028 and U+2029.
const SEPARATOR_FIRST_BYTE: u8 = 0xe2;

/// Whether U+2028 or U+2029 begins here, line ends in JavaScript.
fn is_separator(bytes: &[u8]) -> bool {
    matches!(bytes, [0xe2, 0x80, 0xa8 | 0xa9, ..])
}

/// Escapes the first character; returns its bytes.
fn push_escape(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    match bytes[0] {
        byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0xe2 => {
            let last = if bytes[2] == 0xa8 { b'8' } else { b'9' };
            out.extend_from_slice(b"\\u202");
            out.push(last);
            return 3;
        }
        byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
    }
    1
}

/// A label set as an object.
pub(crate) fn push_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_label_text(out, name);
        out.push(b':');
        push_label_text(out, value);
    }
    out.push(b'}');
}

/// A time as seconds, with three decimals where they are not zero.
pub(crate) fn push_timestamp(out: &mut Vec<u8>, timestamp: Timestamp) {
    if timestamp < 0 {
        out.push(b'-');
    }
    let millis = timestamp.unsigned_abs();
    push_integer(out, (millis / 1000).cast_signed());
    let fraction = millis % 1000;
    if fraction != 0 {
        let digit = |n: u64| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[b'.', digit(fraction / 100), digit(fraction / 10), digit(fraction)]);
    }
}

/// `[time,"value"]`.
pub(crate) fn push_point(out: &mut Vec<u8>, timestamp: Timestamp, value: f64) {
    out.push(b'[');
    push_timestamp(out, timestamp);
    out.extend_from_slice(b",\"");
    push_value(out, value);
    out.extend_from_slice(b"\"]");
}

/// The pair of a scalar or a string: its time is a float, the quoted text comes from `text`.
pub(crate) fn push_pair(out: &mut Vec<u8>, timestamp: Timestamp, text: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    push_plain(out, timestamp as f64 / 1000.0);
    out.push(b',');
    text(out);
    out.push(b']');
}

/// An exemplar; `timestamp` of one that has none is zero.
pub(crate) fn push_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    out.extend_from_slice(b"{\"labels\":");
    push_labels(out, &exemplar.labels);
    out.extend_from_slice(b",\"value\":\"");
    push_value(out, exemplar.value);
    out.extend_from_slice(b"\",\"timestamp\":");
    push_timestamp(out, exemplar.timestamp.unwrap_or_default());
    out.push(b'}');
}

/// Fields of an object, one after the other.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Opens the object.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// A field whose value is written into what is returned.
    pub(crate) fn field(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        push_text(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// A field with a text.
    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        push_text(self.field(name), text);
        self
    }

    /// A field with an integer.
    pub(crate) fn integer(&mut self, name: &str, value: i64) -> &mut Self {
        push_integer(self.field(name), value);
        self
    }

    /// A field with a float.
    pub(crate) fn float(&mut self, name: &str, value: f64) -> &mut Self {
        crate::number::push_json(self.field(name), value);
        self
    }

    /// A field with `true`, `false` or `null`.
    pub(crate) fn word(&mut self, name: &str, word: &str) -> &mut Self {
        self.field(name).extend_from_slice(word.as_bytes());
        self
    }

    /// A field with `true` or `false`.
    pub(crate) fn bool(&mut self, name: &str, value: bool) -> &mut Self {
        self.word(name, if value { "true" } else { "false" })
    }

    /// A field with a label set.
    pub(crate) fn labels(&mut self, name: &str, labels: &Labels) -> &mut Self {
        push_labels(self.field(name), labels);
        self
    }

    /// A field with an array of what `push` writes.
    pub(crate) fn array<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        push: impl Fn(&mut Vec<u8>, T),
    ) -> &mut Self {
        push_array(self.field(name), items, push);
        self
    }

    /// Closes the object.
    pub(crate) fn end(&mut self) {
        self.out.push(b'}');
    }
}

/// An array of what `push` writes.
pub(crate) fn push_array<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, push: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn texts() {
        let odd = "<&>\"\\\n\r\t\u{8}\u{c}\u{7f}\u{2028}\u{2029}é\u{1}";
        check("\"<&>\\\"\\\\\\n\\r\\t\\u0008\\u000c\u{7f}\u{2028}\u{2029}é\\u0001\"", |out| push_label_text(out, odd));
        let page = "\"\\u003c\\u0026\\u003e\\\"\\\\\\n\\r\\t\\u0008\\u000c\u{7f}\\u2028\\u2029é\\u0001\"";
        check(page, |out| push_text(out, odd));
        check("\"\"", |out| push_text(out, ""));
        check(r#""a\ufffd\ufffdé\u003c""#, |out| push_bytes(out, b"a\xff\xfe\xc3\xa9<"));
    }

    #[test]
    fn what_is_escaped_is_found_at_every_place() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(!is_plain(&text, false), special, "{byte} at {at} of {length}");
                    let page = special || matches!(byte, b'<' | b'>' | b'&' | 0xe2);
                    assert_eq!(!is_plain(&text, true), page, "{byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn timestamps() {
        let cases = [
            (0, "0"),
            (1, "0.001"),
            (10, "0.010"),
            (3500, "3.500"),
            (-1, "-0.001"),
            (-1500, "-1.500"),
            (1_700_000_000_123, "1700000000.123"),
            (i64::MIN, "-9223372036854775.808"),
        ];
        for (timestamp, expected) in cases {
            check(expected, |out| push_timestamp(out, timestamp));
        }
        check("[-1.5,\"x\"]", |out| push_pair(out, -1500, |out| push_text(out, "x")));
        check("[3.500,\"1e-07\"]", |out| push_point(out, 3500, 1e-7));
    }

    #[test]
    fn objects() {
        check("{}", |out| Object::new(out).end());
        check(r#"{"a":1,"b":"x","c":[1,2]}"#, |out| {
            let mut object = Object::new(out);
            object.integer("a", 1).text("b", "x").array("c", [1, 2], push_integer);
            object.end();
        });
    }
}
