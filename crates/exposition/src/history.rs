//! History as text, line by line: OpenMetrics or Prometheus text with a timestamp on each sample, and what
//! `promtool tsdb dump-openmetrics` prints, which is neither.
//!
//! A file of history is larger than memory, so that nothing is kept between lines but the text of the last series.
//!
//! | | OpenMetrics, Prometheus text | a dump |
//! |---|---|---|
//! | escapes in label values | `\\`, `\"`, `\n`; any other backslash stays | those of Go's `strconv.Quote`: `\t`, `\u00a0`, `\xff`, ... too |
//! | names beyond the classic alphabet | in quotation marks, in the braces | as they are, before the braces |
//! | `# TYPE` and other comments | yes | none before `# EOF` |
//! | staleness markers | none | `NaN`, like every other NaN |
//!
//! So text is read as a dump until its first comment. Timestamps are seconds where they have a fraction, and where they
//! are whole numbers too small to be milliseconds of any time since 1973; the others are milliseconds.

use std::borrow::Cow;

use model::{BUCKET_BOUND, Exemplar, Labels, METRIC_NAME, MetricKind, QUANTILE, Timestamp};

use crate::fault::{Fault, Parsed, shorten};
use crate::scan::{Scanner, begins_label, begins_metric, in_label, in_metric, is_blank};
use crate::{ParseError, format_float_with_point, parse_float, unescape};

/// A whole number from here on counts milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973.
const MILLIS_MIN: u64 = 100_000_000_000;

/// Which unit a timestamp without a fraction has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Decided by its size.
    #[default]
    Guess,
    /// Seconds, as in OpenMetrics.
    Seconds,
    /// Milliseconds, as in the text format of Prometheus.
    Milliseconds,
}

/// Reads line after line.
#[derive(Clone, Debug, Default)]
pub struct LineParser {
    unit: TimeUnit,
    line: usize,
    /// A comment was seen: this is no dump.
    commented: bool,
    kind: MetricKind,
    /// Text of name and labels of the last sample.
    series: String,
    seconds_seen: bool,
    ended: bool,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// Nothing: blank, or a comment without meaning.
    Nothing,
    /// A sample.
    Sample(Sample),
    /// `# TYPE`.
    Type {
        /// The family's name.
        family: Cow<'a, str>,
        /// The type.
        kind: MetricKind,
    },
    /// `# HELP`, escapes resolved.
    Help {
        /// The family's name.
        family: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
    },
    /// `# UNIT`.
    Unit {
        /// The family's name.
        family: Cow<'a, str>,
        /// The unit.
        unit: &'a str,
    },
    /// `# EOF`.
    End,
}

/// A sample of history.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its series; `None` where it is that of the sample before, told by equal text.
    pub labels: Option<Labels>,
    /// The value; every NaN is the one that Prometheus stores for a NaN of a page.
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: Timestamp,
    /// The example behind it.
    pub exemplar: Option<Exemplar>,
}

impl LineParser {
    /// A parser before the first line.
    pub fn new(unit: TimeUnit) -> Self {
        Self { unit, ..Self::default() }
    }

    /// How many lines were read.
    pub fn lines(&self) -> usize {
        self.line
    }

    /// Whether `# EOF` should have come but has not: text with times in seconds is OpenMetrics or a dump, and both end
    /// with it, so that its end says that nothing was cut off.
    pub fn is_cut(&self) -> bool {
        self.seconds_seen && !self.ended
    }

    /// Reads the next line, with or without its line feed. After an error the next line can be read.
    pub fn read<'a>(&mut self, line: &'a [u8]) -> Result<Line<'a>, ParseError> {
        self.line += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|e| Fault::new(e.valid_up_to(), "invalid UTF-8"));
        let read = text.and_then(|text| self.text(text));
        read.map_err(|fault| ParseError { line: self.line, ..fault.locate(line, 0) })
    }

    fn text<'a>(&mut self, text: &'a str) -> Parsed<Line<'a>> {
        let mut scan = Scanner::new(text);
        scan.skip(is_blank);
        match scan.peek() {
            None => Ok(Line::Nothing),
            Some(_) if self.ended => Err(Fault::expected("unexpected data after # EOF", &scan)),
            Some(b'#') => self.comment(scan),
            // The next line may be told by the series of this one only if the caller has heard of it.
            Some(_) => self.sample(scan).map(Line::Sample).inspect_err(|_| self.series.clear()),
        }
    }

    fn comment<'a>(&mut self, mut scan: Scanner<'a>) -> Parsed<Line<'a>> {
        scan.bump();
        scan.skip(is_blank);
        let rest = &scan.text()[scan.position()..];
        if rest.trim_end() == "EOF" {
            self.ended = true;
            return Ok(Line::End);
        }
        self.commented = true;
        let keyword = ["HELP", "TYPE", "UNIT"]
            .into_iter()
            .find(|keyword| rest.strip_prefix(keyword).is_some_and(|after| after.starts_with([' ', '\t'])));
        let Some(keyword) = keyword else { return Ok(Line::Nothing) };
        scan.eat_word(keyword);
        scan.skip(is_blank);
        let family =
            scan.family().ok_or_else(|| Fault::expected(&format!("expected metric name after {keyword}"), &scan));
        let family = unescape(family?);
        scan.skip(is_blank);
        let at = scan.position();
        let text = scan.take_line();
        match keyword {
            "HELP" => Ok(Line::Help { family, text: unescape(text) }),
            "UNIT" => Ok(Line::Unit { family, unit: text.trim_end() }),
            _ => {
                let word = text.trim_end();
                let unknown = || Fault::new(at, format!("invalid metric type {:?}", shorten(word)));
                self.kind = MetricKind::from_word(word).ok_or_else(unknown)?;
                Ok(Line::Type { family, kind: self.kind })
            }
        }
    }

    fn sample(&mut self, mut scan: Scanner<'_>) -> Parsed<Sample> {
        let labels = match scan.eat_series(self.series.as_bytes()) {
            Some(_) => None,
            None => Some(self.new_series(&mut scan)?),
        };
        scan.skip(is_blank);
        let value = number(&mut scan, "value")?;
        let timestamp = self.timestamp(&mut scan)?;
        let exemplar = self.exemplar(&mut scan)?;
        if scan.peek().is_some() {
            return Err(Fault::expected("expected end of line", &scan));
        }
        Ok(Sample { labels, value, timestamp, exemplar })
    }

    fn new_series(&mut self, scan: &mut Scanner<'_>) -> Parsed<Labels> {
        let start = scan.clone();
        let read = self.series_text(scan, false);
        // Only a dump writes names as they are; what is wrong otherwise is told by the usual grammar.
        let read = match read {
            Err(fault) if !self.commented => {
                *scan = start.clone();
                self.series_text(scan, true).map_err(|_| fault)
            }
            read => read,
        };
        self.series.clear();
        let labels = read?;
        self.series.push_str(scan.since(start.position()));
        Ok(labels)
    }

    /// Name and labels. `loose` names are all that stands before a brace, or before an equal sign and a quotation mark.
    fn series_text(&self, scan: &mut Scanner<'_>, loose: bool) -> Parsed<Labels> {
        let start = scan.position();
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        if loose {
            pairs.push((METRIC_NAME.into(), scan.take(|b| b != b'{').into()));
        } else if scan.peek().is_some_and(begins_metric) {
            pairs.push((METRIC_NAME.into(), scan.take(in_metric).into()));
        }
        let end = scan.position();
        if !loose {
            scan.skip(is_blank);
        }
        if scan.eat(b'{') {
            self.labels(scan, loose, &mut pairs)?;
        } else if loose {
            return Err(Fault::expected("expected labels in braces", scan));
        } else {
            // A name alone ends before the blanks.
            scan.back_to(end);
        }
        if pairs.is_empty() {
            return Err(Fault::expected("expected a metric name, a brace or a comment", scan));
        }
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(two) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(Fault::new(start, format!("label {:?} stands twice", shorten(&two[0].0))));
        }
        let after = scan.peek();
        if after.is_some_and(|byte| !is_blank(byte)) {
            return Err(Fault::expected("expected a blank and a value", scan));
        }
        Ok(Labels::from_pairs(pairs))
    }

    fn labels<'a>(
        &self,
        scan: &mut Scanner<'a>,
        loose: bool,
        pairs: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>,
    ) -> Parsed<()> {
        loop {
            scan.skip(is_blank);
            let name = match scan.peek() {
                Some(b'}') => {
                    scan.bump();
                    return Ok(());
                }
                Some(b'"') => {
                    let at = scan.clone();
                    let name = scan.quoted().ok_or_else(|| Fault::expected("unterminated quoted name", &at))?;
                    self.resolve(name, at.position())?
                }
                Some(_) if loose => Cow::Borrowed(scan.take_before("=\"")),
                Some(byte) if begins_label(byte) => Cow::Borrowed(scan.take(in_label)),
                _ => return Err(Fault::expected("expected label name", scan)),
            };
            scan.skip(is_blank);
            if scan.eat(b'=') {
                scan.skip(is_blank);
                let at = scan.clone();
                let expected = || Fault::expected("expected label value in quotation marks", &at);
                let value = self.resolve(scan.quoted().ok_or_else(expected)?, at.position() + 1)?;
                let value = self.normalized(&name, value);
                pairs.push((name, value));
            } else if scan.text().as_bytes()[..scan.position()].ends_with(b"\"") {
                pairs.push((METRIC_NAME.into(), name));
            } else {
                return Err(Fault::expected("expected equal", scan));
            }
            scan.skip(is_blank);
            if !scan.eat(b',') && scan.peek() != Some(b'}') {
                return Err(Fault::expected("expected comma or closing brace", scan));
            }
        }
    }

    /// Resolves the escapes of a text in quotation marks that begins at this byte of the line.
    fn resolve<'a>(&self, text: &'a str, at: usize) -> Parsed<Cow<'a, str>> {
        if self.commented || !text.contains('\\') {
            return Ok(unescape(text));
        }
        match unquote(text) {
            Some(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Cow::Owned(text)),
                Err(_) => Err(Fault::new(at, "a label with bytes that are not UTF-8 cannot be kept")),
            },
            None => Ok(unescape(text)),
        }
    }

    /// As a page of that type is stored: `1` and `1.0` are one bucket.
    fn normalized<'a>(&self, name: &str, value: Cow<'a, str>) -> Cow<'a, str> {
        let numeric = match self.kind {
            MetricKind::Histogram => name == BUCKET_BOUND,
            MetricKind::Summary => name == QUANTILE,
            _ => false,
        };
        let Some(number) = numeric.then(|| parse_float(&value)).flatten() else { return value };
        let mut text = String::new();
        format_float_with_point(number, &mut text);
        Cow::Owned(text)
    }

    fn timestamp(&mut self, scan: &mut Scanner<'_>) -> Parsed<Timestamp> {
        scan.skip(is_blank);
        if matches!(scan.peek(), None | Some(b'#')) {
            return Err(Fault::expected("expected a timestamp, without which history has no place", scan));
        }
        let at = scan.position();
        let text = scan.take(|b| !is_blank(b));
        let invalid = || Fault::new(at, format!("invalid timestamp {:?}", shorten(text)));
        let whole = text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit());
        let in_millis = match self.unit {
            TimeUnit::Guess => whole && text.parse::<i64>().is_ok_and(|n| n.unsigned_abs() >= MILLIS_MIN),
            TimeUnit::Seconds => false,
            TimeUnit::Milliseconds => true,
        };
        if in_millis {
            return text.parse().map_err(|_| invalid());
        }
        self.seconds_seen = true;
        millis_of_seconds(text).ok_or_else(invalid)
    }

    fn exemplar(&self, scan: &mut Scanner<'_>) -> Parsed<Option<Exemplar>> {
        scan.skip(is_blank);
        if !scan.eat(b'#') {
            return Ok(None);
        }
        scan.skip(is_blank);
        if !scan.eat(b'{') {
            return Err(Fault::expected("expected the labels of an exemplar", scan));
        }
        let mut pairs = Vec::new();
        self.labels(scan, false, &mut pairs)?;
        scan.skip(is_blank);
        let value = number(scan, "value of the exemplar")?;
        scan.skip(is_blank);
        let at = scan.position();
        let text = scan.take(|b| !is_blank(b));
        let invalid = || Fault::new(at, format!("invalid timestamp {:?}", shorten(text)));
        let timestamp = if text.is_empty() { None } else { Some(millis_of_seconds(text).ok_or_else(invalid)?) };
        scan.skip(is_blank);
        Ok(Some(Exemplar { labels: Labels::from_pairs(pairs), value, timestamp }))
    }
}

fn number(scan: &mut Scanner<'_>, what: &str) -> Parsed<f64> {
    let at = scan.position();
    let text = scan.take(|b| !is_blank(b));
    if text.is_empty() {
        return Err(Fault::expected(&format!("expected a {what}"), scan));
    }
    parse_float(text).ok_or_else(|| Fault::new(at, format!("invalid {what} {:?}", shorten(text))))
}

/// Seconds to the nearest millisecond. The digits are read as they stand: as a double, `1795228627.797` is a little
/// less than that, and cutting it would move the sample by a millisecond.
fn millis_of_seconds(text: &str) -> Option<Timestamp> {
    exact_millis(text).or_else(|| {
        let millis = (parse_float(text)? * 1000.0).round();
        (millis.abs() < 2f64.powi(63)).then_some(millis as i64)
    })
}

/// Digits, and at most three after a point.
fn exact_millis(text: &str) -> Option<Timestamp> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 3 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let padded = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = padded.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(thousandths)?.checked_mul(sign)
}

/// What stands between the quotation marks of Go's `strconv.Quote`; `None` where it cannot have written it.
fn unquote(text: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        let (letter, after) = rest[at + 1..].split_first()?;
        rest = after;
        let digits = match letter {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            letter => {
                plain.push(escaped(*letter)?);
                continue;
            }
        };
        let hex = std::str::from_utf8(rest.get(..digits)?).ok()?;
        let code = u32::from_str_radix(hex, 16).ok()?;
        match (digits, u8::try_from(code)) {
            (2, Ok(byte)) => plain.push(byte),
            _ => plain.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = &rest[digits..];
    }
    plain.extend_from_slice(rest);
    Some(plain)
}

fn escaped(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'"' => letter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all lines; what they say, one text a line, an error with its place.
    fn check(page: &str, expected: &[&str]) {
        let mut parser = LineParser::default();
        let got: Vec<String> = page.lines().map(|line| show(parser.read(line.as_bytes()))).collect();
        assert_eq!(got, expected, "{page}");
    }

    fn show(line: Result<Line<'_>, ParseError>) -> String {
        match line {
            Ok(Line::Sample(sample)) => {
                let labels = sample.labels.map_or_else(|| "same".to_owned(), |labels| labels.to_string());
                let exemplar = sample.exemplar.map(|e| format!(" # {} {} {:?}", e.labels, e.value, e.timestamp));
                format!("{labels} {} {}{}", sample.value, sample.timestamp, exemplar.unwrap_or_default())
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_promtool_dumps() {
        check(
            "up{instance=\"a:1\",job=\"b\"} 1 1795228627.797\n\
             up{instance=\"a:1\",job=\"b\"} NaN 1795228628.797\n\
             up{} 1e+06 -1.500\n\
             utf8.name with space{job=\"weird\",utf8 label=\"x\"} 1 1795228627.797\n\
             utf8.name with space{job=\"weird\",utf8 label=\"x\"} -0 1795228628.001\n\
             w{a=\"tab\\tnbsp\\u00a0q\\\"back\\\\slash\\nline\\x07\"} +Inf 0.000\n\
             w{a=\"\\xff\"} 1 0.000\n\
             # EOF\n",
            &[
                "{__name__=\"up\", instance=\"a:1\", job=\"b\"} 1 1795228627797",
                "same NaN 1795228628797",
                "{__name__=\"up\"} 1000000 -1500",
                "{__name__=\"utf8.name with space\", job=\"weird\", \"utf8 label\"=\"x\"} 1 1795228627797",
                "same -0 1795228628001",
                "{__name__=\"w\", a=\"tab\\tnbsp\\u{a0}q\\\"back\\\\slash\\nline\\u{7}\"} inf 0",
                "7:6: a label with bytes that are not UTF-8 cannot be kept",
                "End",
            ],
        );
    }

    #[test]
    fn openmetrics() {
        check(
            "# TYPE foo histogram\n# UNIT foo seconds\n# HELP foo a \\\"b\\\"\n\
             foo_bucket{le=\"1\"} 17 1520879607.789 # {trace_id=\"KOO5\"} 0.67 1520879607.7\n\
             foo_bucket{le=\"+Inf\",path=\"C:\\temp\"} 18 1520879607\n\
             {\"foo.bar\",\"x y\"=\"z\"} 1 1520879607\n# EOF\nx 1 1",
            &[
                "Type { family: \"foo\", kind: Histogram }",
                "Unit { family: \"foo\", unit: \"seconds\" }",
                "Help { family: \"foo\", text: \"a \\\"b\\\"\" }",
                "{__name__=\"foo_bucket\", le=\"1.0\"} 17 1520879607789 # {trace_id=\"KOO5\"} 0.67 Some(1520879607700)",
                "{__name__=\"foo_bucket\", le=\"+Inf\", path=\"C:\\\\temp\"} 18 1520879607000",
                "{__name__=\"foo.bar\", \"x y\"=\"z\"} 1 1520879607000",
                "End",
                "8:1: unexpected data after # EOF, got \"x 1 1\"",
            ],
        );
    }

    #[test]
    fn prometheus_text() {
        check(
            "# any comment\n  http_requests_total{ method = \"post\" , code=\"200\", } 1027 1395066363000\n\
             metric_without_labels 12.47 1395066363000\nmetric_without_labels 12.5 1395066378000\n\n",
            &[
                "Nothing",
                "{__name__=\"http_requests_total\", code=\"200\", method=\"post\"} 1027 1395066363000",
                "{__name__=\"metric_without_labels\"} 12.47 1395066363000",
                "same 12.5 1395066378000",
                "Nothing",
            ],
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        check(
            "up{job=\"a\"} 1\nup{job=\"a\"} 1 1\nup{job=\"a\"} one 1\nup{job=\"a} 1 1\nup{job=\"a\",job=\"b\"} 1 1\nup 1 1 1\n\
             up{job=\"a\" 1 1\n9up 1 1\nup 1 tomorrow\nup 1 99999999999999999999\n# TYPE up countr\n",
            &[
                "1:14: expected a timestamp, without which history has no place, got end of page",
                "{__name__=\"up\", job=\"a\"} 1 1000",
                "3:13: invalid value \"one\"",
                "4:8: expected label value in quotation marks, got \"\\\"a} 1 1\"",
                "5:1: label \"job\" stands twice",
                "6:8: expected end of line, got \"1\"",
                "7:12: expected comma or closing brace, got \"1 1\"",
                "8:1: expected a metric name, a brace or a comment, got \"9up 1 1\"",
                "9:6: invalid timestamp \"tomorrow\"",
                "10:6: invalid timestamp \"99999999999999999999\"",
                "11:11: invalid metric type \"countr\"",
            ],
        );
    }

    #[test]
    fn the_end_of_openmetrics_is_missed() {
        let check = |page: &str, expected: bool| {
            let mut parser = LineParser::default();
            page.lines().for_each(|line| drop(parser.read(line.as_bytes())));
            assert_eq!(parser.is_cut(), expected, "{page}");
        };
        check("", false);
        check("up 1 1395066363000", false);
        check("up 1 1395066363.000", true);
        check("up 1 1395066363.000\n# EOF", false);
    }

    #[test]
    fn seconds_become_the_nearest_millisecond() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(millis_of_seconds(text), expected, "{text}");
        for millis in [1_795_228_627_797i64, 1_795_228_627_001, 999, 1, 0] {
            check(&format!("{}.{:03}", millis / 1000, millis % 1000), Some(millis));
        }
        check("1.5", Some(1500));
        check("-0.001", Some(-1));
        check("1.0009", Some(1001));
        check("1.5e3", Some(1_500_000));
        check("1e300", None);
        check("NaN", None);
        check("", None);
        check(".", None);
    }
}
