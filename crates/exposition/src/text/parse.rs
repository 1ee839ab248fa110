//! A page as events. The grammar is the one that Prometheus' scraper accepts, which is wider than the documented one.

use model::MetricKind;

use crate::fault::{Fault, Parsed, shorten};
use crate::scan::{Scanner, begins_label, begins_metric, in_label, in_metric, is_blank};
use crate::{Event, ParseError, RawExemplar, Series, parse_float};

/// Walks a page. After an error it ends.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    page: &'a [u8],
    /// The part of the page that is known to be UTF-8 and not walked yet, and where it starts in the page.
    scan: Scanner<'a>,
    offset: usize,
    kind: MetricKind,
    /// Whether the last series had the expected text.
    met: bool,
    ended: bool,
}

impl<'a> Parser<'a> {
    /// A parser at the start of a page.
    pub fn new(page: &'a [u8]) -> Self {
        let mut parser =
            Self { page, scan: Scanner::new(""), offset: 0, kind: MetricKind::Unknown, met: false, ended: false };
        parser.enter(0);
        parser
    }

    /// Takes the longest run of valid UTF-8 from `offset` on; where it ends early, it ends with a line.
    fn enter(&mut self, offset: usize) {
        let rest = &self.page[offset..];
        let text = match std::str::from_utf8(rest) {
            Ok(text) => text,
            Err(error) => {
                let valid = &rest[..error.valid_up_to()];
                let lines = memchr::memrchr(b'\n', valid).map_or(0, |at| at + 1);
                std::str::from_utf8(&valid[..lines]).unwrap_or_default()
            }
        };
        self.offset = offset;
        self.scan = Scanner::new(text);
    }

    /// The next event. Where the page goes on with the `expected` text of a series, one that a parser accepted before,
    /// name and labels are compared rather than parsed.
    pub fn next_expecting(&mut self, expected: &[u8]) -> Option<Result<Event<'a>, ParseError>> {
        if self.ended {
            return None;
        }
        let step = self.step(expected).map_err(|fault| fault.locate(self.page, self.offset)).transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }

    /// Whether the last series that was told had the expected text.
    pub fn met_expectation(&self) -> bool {
        self.met
    }

    fn step(&mut self, expected: &[u8]) -> Parsed<Option<Event<'a>>> {
        loop {
            self.scan.skip(|b| is_blank(b) || b == b'\n');
            match self.scan.peek() {
                Some(b'#') => return self.hash().map(Some),
                Some(_) => return self.series(expected).map(|series| Some(Event::Series(series))),
                None if self.offset + self.scan.text().len() == self.page.len() => return Ok(None),
                None => self.enter_damaged_line()?,
            }
        }
    }

    /// The next line holds a byte that is not UTF-8: a comment may, nothing else.
    fn enter_damaged_line(&mut self) -> Parsed<()> {
        let start = self.offset + self.scan.text().len();
        let rest = &self.page[start..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        let head = String::from_utf8_lossy(line);
        if !is_plain_comment(head.trim_start_matches([' ', '\t'])) {
            let at = std::str::from_utf8(line).err().map_or(0, |e| e.valid_up_to());
            return Err(Fault::new(self.scan.text().len() + at, "invalid UTF-8"));
        }
        self.enter(start + line.len());
        Ok(())
    }

    fn hash(&mut self) -> Parsed<Event<'a>> {
        let start = self.scan.position();
        self.scan.bump();
        if self.scan.peek().is_some_and(is_blank) {
            self.scan.skip(is_blank);
            if self.keyword("HELP") {
                let (family, text) = self.metadata("HELP")?;
                return Ok(Event::Help { family, text });
            }
            if self.keyword("TYPE") {
                let at = self.scan.position();
                let (family, word) = self.metadata("TYPE")?;
                self.kind =
                    kind_of(word).ok_or_else(|| Fault::new(at, format!("invalid metric type {:?}", shorten(word))))?;
                return Ok(Event::Type { family, kind: self.kind });
            }
        }
        self.scan.take_line();
        Ok(Event::Comment(self.scan.since(start)))
    }

    /// A keyword counts only with a blank after it; without one the line is a comment.
    fn keyword(&mut self, word: &str) -> bool {
        let mut ahead = self.scan.clone();
        let found = ahead.eat_word(word) && ahead.peek().is_some_and(is_blank);
        if found {
            ahead.skip(is_blank);
            self.scan = ahead;
        }
        found
    }

    /// Family and text of a metadata line. One byte between them is dropped, more of them are part of the text.
    fn metadata(&mut self, keyword: &str) -> Parsed<(&'a str, &'a str)> {
        let family =
            self.scan.family().ok_or_else(|| self.expected(&format!("expected metric name after {keyword}")))?;
        let line = self.scan.take_line();
        let mut rest = line.chars();
        rest.next();
        Ok((family, rest.as_str()))
    }

    fn series(&mut self, expected: &[u8]) -> Parsed<Series<'a>> {
        let expected = self.scan.eat_series(expected);
        self.met = expected.is_some();
        let raw = expected.map_or_else(|| self.name_and_labels(), Ok)?;
        let value = self.value()?;
        let timestamp = self.timestamp()?;
        self.line_end()?;
        Ok(Series { raw, value, timestamp, exemplar: None::<RawExemplar<'a>>, kind: self.kind })
    }

    /// The text of name and labels; blanks after it are skipped.
    fn name_and_labels(&mut self) -> Parsed<&'a str> {
        let start = self.scan.position();
        let mut named = false;
        match self.scan.peek() {
            Some(b'{') => {}
            Some(byte) if begins_metric(byte) => {
                self.scan.skip(in_metric);
                named = true;
            }
            _ => return Err(self.expected("expected a metric name, a brace or a comment")),
        }
        let mut end = self.scan.position();
        self.scan.skip(is_blank);
        if self.scan.eat(b'{') {
            self.labels(&mut named)?;
            end = self.scan.position();
            self.scan.skip(is_blank);
        }
        if !named {
            return Err(Fault::new(start, "metric name not set"));
        }
        Ok(self.scan.text().get(start..end).unwrap_or_default())
    }

    /// The inside of the braces: labels, and at most one bare quoted text, which is the metric's name. Commas are free.
    fn labels(&mut self, named: &mut bool) -> Parsed<()> {
        loop {
            self.scan.skip(is_blank);
            let at = self.scan.position();
            let quoted = match self.scan.peek() {
                Some(b'}') => {
                    self.scan.bump();
                    return Ok(());
                }
                Some(b'"') => {
                    self.scan.quoted().ok_or_else(|| self.expected("unterminated quoted name"))?;
                    true
                }
                Some(byte) if begins_label(byte) => {
                    self.scan.skip(in_label);
                    false
                }
                _ => return Err(self.expected("expected label name")),
            };
            self.scan.skip(is_blank);
            match self.scan.peek() {
                Some(b'=') => self.label_value()?,
                Some(b',' | b'}') if quoted && *named => {
                    return Err(Fault::new(at, "metric name already set"));
                }
                Some(b',' | b'}') if quoted => *named = true,
                _ => return Err(self.expected("expected equal")),
            }
            self.scan.skip(is_blank);
            self.scan.eat(b',');
        }
    }

    fn label_value(&mut self) -> Parsed<()> {
        self.scan.bump();
        self.scan.skip(is_blank);
        match self.scan.quoted() {
            Some(_) => Ok(()),
            None => Err(self.expected("expected label value in quotation marks")),
        }
    }

    fn value(&mut self) -> Parsed<f64> {
        if let Some(value) = self.scan.take_whole_number() {
            return Ok(value);
        }
        let at = self.scan.position();
        let text = self.scan.take(|b| b != b'{' && b != b'\n' && !is_blank(b));
        if text.is_empty() {
            return Err(self.expected("expected value after metric"));
        }
        parse_float(text).ok_or_else(|| Fault::new(at, format!("invalid value {:?}", shorten(text))))
    }

    fn timestamp(&mut self) -> Parsed<Option<i64>> {
        self.scan.skip(is_blank);
        let at = self.scan.position();
        let digits = self.scan.take(|b| b.is_ascii_digit());
        if digits.is_empty() {
            return Ok(None);
        }
        let millis = digits.parse().map_err(|_| Fault::new(at, format!("timestamp {digits} out of range")))?;
        Ok(Some(millis))
    }

    fn line_end(&mut self) -> Parsed<()> {
        self.scan.skip(is_blank);
        match self.scan.peek() {
            None | Some(b'\n') => Ok(()),
            _ => Err(self.expected("expected timestamp or end of line")),
        }
    }

    fn expected(&self, what: &str) -> Fault {
        Fault::expected(what, &self.scan)
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Event<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_expecting(b"")
    }
}

fn kind_of(word: &str) -> Option<MetricKind> {
    match word {
        "counter" | "gauge" | "histogram" | "summary" | "untyped" => MetricKind::from_word(word),
        _ => None,
    }
}

/// Whether a line is a comment that carries no metadata.
fn is_plain_comment(line: &str) -> bool {
    let Some(rest) = line.strip_prefix('#') else { return false };
    let words = rest.trim_start_matches([' ', '\t']);
    let metadata = ["HELP", "TYPE"]
        .iter()
        .any(|keyword| words.strip_prefix(keyword).is_some_and(|rest| rest.starts_with([' ', '\t'])));
    words.len() == rest.len() || !metadata
}
