//! What is wrong with a page, first as a place in its text, then as line and column.

use crate::ParseError;
use crate::scan::Scanner;

/// Unusual text is cut in messages.
const SHOWN_CHARS_MAX: usize = 40;

/// What a line lacks, and where in the scanner's text.
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) message: String,
}

pub(crate) type Parsed<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// Something else stands where the scanner is.
    pub(crate) fn expected(what: &str, scan: &Scanner<'_>) -> Self {
        let mut ahead = scan.clone();
        let found = match ahead.take_line() {
            "" if ahead.peek().is_none() => "end of page".to_owned(),
            "" => "end of line".to_owned(),
            rest => format!("{:?}", shorten(rest)),
        };
        Self { at: scan.position(), message: format!("{what}, got {found}") }
    }

    /// Line and column are counted only here: no page pays for them until it breaks. `offset` is where the scanner's
    /// text begins in the page.
    pub(crate) fn locate(self, page: &[u8], offset: usize) -> ParseError {
        let before = &page[..(offset + self.at).min(page.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        ParseError {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
            message: self.message,
        }
    }
}

pub(crate) fn shorten(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}
