//! A cursor over the text of a page.

/// Whole numbers with so many digits are exact in a float.
const WHOLE_DIGITS_MAX: usize = 15;

/// Reads forward; every slice it gives ends on a character boundary, because it stops only at ASCII bytes.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The text from a position that [`Scanner::position`] gave before up to here.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes one byte on; only after an ASCII byte was seen by [`Scanner::peek`].
    pub(crate) fn bump(&mut self) {
        self.at += 1;
    }

    /// Returns to a position that [`Scanner::position`] gave before.
    pub(crate) fn back_to(&mut self, position: usize) {
        self.at = position;
    }

    /// Whether the byte was next; then it is taken.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// Whether the text was next; then it is taken.
    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        let next = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if next { word.len() } else { 0 };
        next
    }

    /// Whether the text of this series was next, to its end; then it is taken, with the blanks behind it. A name alone
    /// must not be the beginning of a longer name, nor of labels.
    pub(crate) fn eat_series(&mut self, expected: &[u8]) -> Option<&'a str> {
        let mut ahead = self.clone();
        if expected.is_empty() || !self.text.as_bytes()[self.at..].starts_with(expected) {
            return None;
        }
        ahead.at += expected.len();
        if !ahead.peek().is_some_and(is_blank) {
            return None;
        }
        let raw = ahead.since(self.at);
        ahead.skip(is_blank);
        if ahead.peek() == Some(b'{') {
            return None;
        }
        *self = ahead;
        Some(raw)
    }

    /// Takes bytes while the condition holds. It must hold for every byte of a character beyond ASCII, or for none.
    pub(crate) fn take(&mut self, holds: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        self.at += rest.iter().position(|&b| !holds(b)).unwrap_or(rest.len());
        self.since(start)
    }

    /// Takes digits up to a blank or line feed, where they are so few that the number is exact as a float. Most values of
    /// most pages are such.
    pub(crate) fn take_whole_number(&mut self) -> Option<f64> {
        let rest = &self.text.as_bytes()[self.at..];
        let mut number = 0u64;
        for (len, &byte) in rest.iter().enumerate().take(WHOLE_DIGITS_MAX + 1) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                let ends = len > 0 && (byte == b'\n' || is_blank(byte));
                self.at += if ends { len } else { 0 };
                return ends.then_some(number as f64);
            }
            number = number * 10 + u64::from(digit);
        }
        None
    }

    /// Takes up to where the text stands next, or all.
    pub(crate) fn take_before(&mut self, text: &str) -> &'a str {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        self.at += rest.find(text).unwrap_or(rest.len());
        self.since(start)
    }

    pub(crate) fn skip(&mut self, holds: impl Fn(u8) -> bool) {
        self.take(holds);
    }

    /// Takes up to the line feed, which stays.
    pub(crate) fn take_line(&mut self) -> &'a str {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.since(start)
    }

    /// Takes the name of a metric family, bare or in quotation marks.
    pub(crate) fn family(&mut self) -> Option<&'a str> {
        match self.peek()? {
            b'"' => self.quoted(),
            byte if begins_metric(byte) => Some(self.take(in_metric)),
            _ => None,
        }
    }

    /// Takes a text in quotation marks and gives what stands between them, escapes kept. `None` where it does not
    /// begin here or does not end; a backslash before a line feed ends nothing, it is an error.
    pub(crate) fn quoted(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let open = self.at;
        if self.peek() != Some(b'"') {
            return None;
        }
        let mut at = open + 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
            match bytes[at] {
                b'"' => break,
                _ if bytes.get(at + 1) == Some(&b'\n') => return None,
                _ => at += 2,
            }
        }
        self.at = at + 1;
        self.text.get(open + 1..at)
    }
}

/// Blank or tabulator.
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// First letter of a label name.
pub(crate) fn begins_label(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Letter of a label name.
pub(crate) fn in_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// First letter of a metric name.
pub(crate) fn begins_metric(byte: u8) -> bool {
    begins_label(byte) || byte == b':'
}

/// Letter of a metric name.
pub(crate) fn in_metric(byte: u8) -> bool {
    in_label(byte) || byte == b':'
}
