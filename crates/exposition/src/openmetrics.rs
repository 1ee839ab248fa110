//! The text format of OpenMetrics 1.0. It is strict: single blanks, known comments only, `# EOF` at the end.

use model::MetricKind;

use crate::fault::{Fault, Parsed, shorten};
use crate::scan::{Scanner, begins_label, begins_metric, in_label, in_metric};
use crate::{Event, ParseError, RawExemplar, Series, parse_float};

const END: &str = "# EOF";

/// Walks a page. After an error, and after `# EOF`, it ends. Help texts escape quotation marks too, so that
/// [`crate::unescape`] resolves them.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    page: &'a [u8],
    scan: Scanner<'a>,
    kind: MetricKind,
    ended: bool,
}

impl<'a> Parser<'a> {
    /// A parser at the start of a page.
    pub fn new(page: &'a [u8]) -> Self {
        let text = match std::str::from_utf8(page) {
            Ok(text) => text,
            // The lines before the damage are told; then the end of the text is found to be no end of the page.
            Err(error) => {
                let valid = &page[..error.valid_up_to()];
                let lines = memchr::memrchr(b'\n', valid).map_or(0, |at| at + 1);
                std::str::from_utf8(&valid[..lines]).unwrap_or_default()
            }
        };
        Self { page, scan: Scanner::new(text), kind: MetricKind::Unknown, ended: false }
    }

    fn step(&mut self) -> Parsed<Option<Event<'a>>> {
        match self.scan.peek() {
            Some(b'#') if self.scan.eat_word(END) => self.end().map(|()| None),
            Some(b'#') => self.metadata().map(Some),
            Some(_) => self.series().map(|series| Some(Event::Series(series))),
            None if self.scan.text().len() < self.page.len() => {
                let rest = &self.page[self.scan.text().len()..];
                let valid = std::str::from_utf8(rest).err().map_or(0, |error| error.valid_up_to());
                Err(Fault::new(self.scan.text().len() + valid, "invalid UTF-8"))
            }
            None => Err(Fault::new(self.scan.position(), "data does not end with # EOF")),
        }
    }

    fn end(&mut self) -> Parsed<()> {
        self.scan.eat(b'\n');
        if self.scan.position() < self.page.len() {
            return Err(Fault::expected("unexpected data after # EOF", &self.scan));
        }
        Ok(())
    }

    fn metadata(&mut self) -> Parsed<Event<'a>> {
        let keyword = ["# HELP ", "# TYPE ", "# UNIT "].into_iter().find(|keyword| self.scan.eat_word(keyword));
        let Some(keyword) = keyword else { return Err(self.expected("expected # HELP, # TYPE, # UNIT or # EOF")) };
        let family = self.scan.family().ok_or_else(|| self.expected("expected metric name"))?;
        let at = self.scan.position();
        if !self.scan.eat(b' ') {
            return Err(self.expected("expected a blank and a text"));
        }
        let text = self.scan.take_line();
        self.line_end()?;
        match keyword {
            "# HELP " => Ok(Event::Help { family, text }),
            "# UNIT " if text.is_empty() || has_unit(family, text) => Ok(Event::Unit { family, unit: text }),
            "# UNIT " => {
                Err(Fault::new(at, format!("unit {:?} not a suffix of metric {:?}", shorten(text), shorten(family))))
            }
            _ => {
                self.kind =
                    kind_of(text).ok_or_else(|| Fault::new(at, format!("invalid metric type {:?}", shorten(text))))?;
                Ok(Event::Type { family, kind: self.kind })
            }
        }
    }

    fn series(&mut self) -> Parsed<Series<'a>> {
        let start = self.scan.position();
        let mut named = false;
        match self.scan.peek() {
            Some(b'{') => {}
            Some(byte) if begins_metric(byte) => {
                self.scan.skip(in_metric);
                named = true;
            }
            _ => return Err(self.expected("expected a metric name, a brace or metadata")),
        }
        if self.scan.eat(b'{') {
            self.labels(Some(&mut named))?;
        }
        if !named {
            return Err(Fault::new(start, "metric name not set"));
        }
        let raw = self.scan.since(start);
        let value = self.value()?;
        let timestamp = self.timestamp()?;
        let exemplar = self.exemplar()?;
        self.line_end()?;
        Ok(Series { raw, value, timestamp, exemplar, kind: self.kind })
    }

    /// The inside of the braces. A bare quoted text is the metric's name, where there may be one.
    fn labels(&mut self, mut named: Option<&mut bool>) -> Parsed<()> {
        loop {
            let at = self.scan.position();
            let quoted = match self.scan.peek() {
                Some(b'}') => {
                    self.scan.bump();
                    return Ok(());
                }
                Some(b'"') => self.scan.quoted().is_some(),
                Some(byte) if begins_label(byte) => {
                    self.scan.skip(in_label);
                    false
                }
                _ => return Err(self.expected("expected label name")),
            };
            if self.scan.eat(b'=') {
                self.label_value()?;
            } else {
                match named.as_deref_mut().filter(|_| quoted) {
                    Some(named) if !*named => *named = true,
                    Some(_) => return Err(Fault::new(at, "metric name already set")),
                    None => return Err(self.expected("expected equal")),
                }
            }
            if !self.scan.eat(b',') && self.scan.peek() != Some(b'}') {
                return Err(self.expected("expected comma or closing brace"));
            }
        }
    }

    /// Unlike a name, a value may not span lines.
    fn label_value(&mut self) -> Parsed<()> {
        let mut ahead = self.scan.clone();
        match ahead.quoted() {
            Some(value) if !value.contains('\n') => {
                self.scan = ahead;
                Ok(())
            }
            _ => Err(self.expected("expected label value in quotation marks")),
        }
    }

    fn value(&mut self) -> Parsed<f64> {
        if !self.scan.eat(b' ') {
            return Err(self.expected("expected a blank and a value"));
        }
        let at = self.scan.position();
        let text = self.scan.take(|byte| byte != b' ' && byte != b'\n');
        parse_float(text).ok_or_else(|| Fault::new(at, format!("invalid value {:?}", shorten(text))))
    }

    /// Seconds with a fraction, to milliseconds.
    fn timestamp(&mut self) -> Parsed<Option<i64>> {
        let at = self.scan.position();
        let mut ahead = self.scan.clone();
        if !ahead.eat(b' ') || ahead.peek() == Some(b'#') {
            return Ok(None);
        }
        self.scan = ahead;
        let text = self.scan.take(|byte| byte != b' ' && byte != b'\n');
        let seconds = parse_float(text).filter(|seconds| seconds.is_finite());
        let seconds = seconds.ok_or_else(|| Fault::new(at + 1, format!("invalid timestamp {:?}", shorten(text))))?;
        Ok(Some((seconds * 1000.0) as i64))
    }

    fn exemplar(&mut self) -> Parsed<Option<RawExemplar<'a>>> {
        if !self.scan.eat_word(" # ") {
            return Ok(None);
        }
        let start = self.scan.position();
        if !self.scan.eat(b'{') {
            return Err(self.expected("expected the labels of an exemplar"));
        }
        self.labels(None)?;
        let raw = self.scan.since(start);
        let value = self.value()?;
        let timestamp = self.timestamp()?;
        Ok(Some(RawExemplar { raw, value, timestamp }))
    }

    fn line_end(&mut self) -> Parsed<()> {
        if self.scan.eat(b'\n') { Ok(()) } else { Err(self.expected("expected end of line")) }
    }

    fn expected(&self, what: &str) -> Fault {
        Fault::expected(what, &self.scan)
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Event<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().map_err(|fault| fault.locate(self.page, 0)).transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

/// The words of OpenMetrics; `untyped` is not one of them.
fn kind_of(word: &str) -> Option<MetricKind> {
    MetricKind::from_word(word).filter(|_| word != "untyped")
}

pub(crate) fn has_unit(family: &str, unit: &str) -> bool {
    family.strip_suffix(unit).is_some_and(|name| name.ends_with('_'))
}
