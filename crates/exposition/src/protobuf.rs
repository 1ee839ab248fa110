//! Families as protobuf messages (`io.prometheus.client.MetricFamily`), each behind its length.
//!
//! The message is walked where it lies. The text of a series is put together as the text format would have it, in a buffer that
//! is used again, so that whoever remembers series by their text remembers these the same way.

mod wire;

use model::{BUCKET_BOUND, MetricKind, QUANTILE, is_valid_label_name, is_valid_metric_name};
use thiserror::Error;

use self::wire::{Fields, Value};
use crate::fault::shorten;
use crate::openmetrics::has_unit;
use crate::text::push_quoted;
use crate::{Event, RawExemplar, Series, format_float_with_point};

/// A page breaks its format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("family {family} (from byte {byte}): {message}")]
pub struct ProtobufError {
    /// The message of which family, from 1.
    pub family: usize,
    /// Where it begins in the page, from 0.
    pub byte: usize,
    /// What is wrong there.
    pub message: String,
}

/// Walks a page. After an error it ends.
#[derive(Debug)]
pub struct Parser<'a> {
    page: &'a [u8],
    at: usize,
    /// Families so far, and where the last one began.
    families: usize,
    began: usize,
    family: Option<Family<'a>>,
    /// Samples of the metric that is being told, and which is next.
    points: Vec<Point<'a>>,
    next: usize,
    timestamp: Option<i64>,
    /// Labels of that metric, between commas.
    labels: String,
    series: String,
    exemplar: String,
    native: u64,
    native_alone: u64,
    ended: bool,
}

#[derive(Debug)]
struct Family<'a> {
    name: &'a str,
    is_plain: bool,
    kind: MetricKind,
    help: Option<&'a str>,
    unit: Option<&'a str>,
    type_told: bool,
    fields: Fields<'a>,
}

/// A sample of a metric.
#[derive(Clone, Copy, Debug)]
struct Point<'a> {
    suffix: &'static str,
    bound: Option<(&'static str, f64)>,
    value: f64,
    exemplar: Option<&'a [u8]>,
}

type Parsed<T> = Result<T, String>;

impl<'a> Parser<'a> {
    /// A parser at the start of a page.
    pub fn new(page: &'a [u8]) -> Self {
        Self {
            page,
            at: 0,
            families: 0,
            began: 0,
            family: None,
            points: Vec::new(),
            next: 0,
            timestamp: None,
            labels: String::new(),
            series: String::new(),
            exemplar: String::new(),
            native: 0,
            native_alone: 0,
            ended: false,
        }
    }

    /// Native histograms so far. Their buckets are not told; classic buckets beside them are.
    pub fn native_histograms(&self) -> u64 {
        self.native
    }

    /// Those of them without classic buckets, of which no sample is told at all.
    pub fn native_histograms_alone(&self) -> u64 {
        self.native_alone
    }

    /// The next event. The texts of a series last until the one after it.
    pub fn next_event(&mut self) -> Option<Result<Event<'_>, ProtobufError>> {
        if self.ended {
            return None;
        }
        match self.advance() {
            Ok(None) => {
                self.ended = true;
                None
            }
            Ok(Some(Told::Series)) => Some(self.tell_series().map(Event::Series)),
            Ok(Some(Told::Metadata(event))) => Some(Ok(event)),
            Err(message) => {
                self.ended = true;
                Some(Err(self.error(message)))
            }
        }
    }

    fn error(&self, message: String) -> ProtobufError {
        ProtobufError { family: self.families, byte: self.began, message }
    }

    fn advance(&mut self) -> Parsed<Option<Told<'a>>> {
        loop {
            if self.next < self.points.len() {
                return Ok(Some(Told::Series));
            }
            let Some(family) = &mut self.family else {
                if !self.enter_family()? {
                    return Ok(None);
                }
                continue;
            };
            if let Some(event) = family.metadata() {
                return Ok(Some(Told::Metadata(event)));
            }
            match family.next_metric()? {
                Some(metric) => self.enter_metric(metric)?,
                None => self.family = None,
            }
        }
    }

    /// Goes to the next message. `false` at the end of the page.
    fn enter_family(&mut self) -> Parsed<bool> {
        if self.at == self.page.len() {
            return Ok(false);
        }
        self.began = self.at;
        self.families += 1;
        let rest = self.page.get(self.at..).unwrap_or_default();
        let mut behind = rest;
        let length = wire::varint(&mut behind).ok_or("the length of the message breaks off")?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let message = behind.get(..length).ok_or_else(|| {
            format!("insufficient length of buffer, expected at least {length} bytes, got {} bytes", behind.len())
        })?;
        self.at += rest.len() - behind.len() + length;
        self.family = Family::read(message)?;
        Ok(true)
    }

    fn enter_metric(&mut self, metric: &'a [u8]) -> Parsed<()> {
        let Some(family) = &self.family else { return Ok(()) };
        self.points.clear();
        self.next = 0;
        self.labels.clear();
        self.timestamp = None;
        let wanted = field_of(family.kind);
        let mut value = None;
        let mut fields = Fields::new(metric);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Value::Bytes(pair)) => push_label(pair, &mut self.labels)?,
                (6, Value::Varint(millis)) => self.timestamp = Some(millis as i64).filter(|&millis| millis != 0),
                (number, Value::Bytes(bytes)) if number == wanted => value = Some(bytes),
                _ => {}
            }
        }
        let value = value.unwrap_or_default();
        match family.kind {
            MetricKind::Summary => summary(value, &mut self.points),
            MetricKind::Histogram | MetricKind::GaugeHistogram => {
                let native = histogram(value, &mut self.points)?;
                self.native += u64::from(native);
                self.native_alone += u64::from(native && self.points.is_empty());
                Ok(())
            }
            _ => single(value, &mut self.points),
        }
    }

    fn tell_series(&mut self) -> Result<Series<'_>, ProtobufError> {
        let (Some(point), Some(family)) = (self.points.get(self.next).copied(), &self.family) else {
            return Err(self.error("no sample".to_owned()));
        };
        self.next += 1;
        write_series(family, &point, &self.labels, &mut self.series);
        let kind = family.kind;
        let exemplar = match point.exemplar.map(|bytes| exemplar(bytes, &mut self.exemplar)).transpose() {
            Ok(exemplar) => exemplar,
            Err(message) => {
                self.ended = true;
                return Err(self.error(message));
            }
        };
        let exemplar = exemplar.map(|(value, timestamp)| RawExemplar { raw: &self.exemplar, value, timestamp });
        Ok(Series { raw: &self.series, value: point.value, timestamp: self.timestamp, exemplar, kind })
    }
}

enum Told<'a> {
    Metadata(Event<'a>),
    Series,
}

impl<'a> Family<'a> {
    /// `None` for a family without metrics, which is passed over whatever else it says.
    fn read(message: &'a [u8]) -> Parsed<Option<Self>> {
        let (mut name, mut help, mut unit, mut kind, mut metrics) = (&b""[..], None, None, 0, 0);
        let mut fields = Fields::new(message);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(bytes)) => name = bytes,
                (2, Value::Bytes(bytes)) => help = Some(bytes),
                (3, Value::Varint(value)) => kind = value,
                (4, Value::Bytes(_)) => metrics += 1,
                (5, Value::Bytes(bytes)) => unit = Some(bytes),
                _ => {}
            }
        }
        if metrics == 0 {
            return Ok(None);
        }
        let name = utf8(name, "metric name")?;
        if name.is_empty() {
            return Err("invalid metric name: it is empty".to_owned());
        }
        let help = help.map(|help| utf8(help, "help text")).transpose()?;
        let unit = unit.map(|unit| utf8(unit, "unit")).transpose()?.filter(|unit| !unit.is_empty());
        if let Some(unit) = unit.filter(|unit| !has_unit(name, unit)) {
            return Err(format!("unit {:?} not a suffix of metric {:?}", shorten(unit), shorten(name)));
        }
        let kind =
            kind_of(kind).ok_or_else(|| format!("unknown metric type for metric {:?}: {kind}", shorten(name)))?;
        let is_plain = is_valid_metric_name(name);
        Ok(Some(Self { name, is_plain, kind, help, unit, type_told: false, fields: Fields::new(message) }))
    }

    /// What is still to be told of the family itself.
    fn metadata(&mut self) -> Option<Event<'a>> {
        let family = self.name;
        if let Some(text) = self.help.take() {
            return Some(Event::Help { family, text });
        }
        if !self.type_told {
            self.type_told = true;
            return Some(Event::Type { family, kind: self.kind });
        }
        self.unit.take().map(|unit| Event::Unit { family, unit })
    }

    fn next_metric(&mut self) -> Parsed<Option<&'a [u8]>> {
        while let Some((number, value)) = self.fields.next()? {
            if let (4, Value::Bytes(metric)) = (number, value) {
                return Ok(Some(metric));
            }
        }
        Ok(None)
    }
}

fn kind_of(number: u64) -> Option<MetricKind> {
    use MetricKind::{Counter, Gauge, GaugeHistogram, Histogram, Summary, Unknown};
    let kinds = [Counter, Gauge, Summary, Unknown, Histogram, GaugeHistogram];
    kinds.get(usize::try_from(number).ok()?).copied()
}

/// The field of a metric that holds the value of this kind.
fn field_of(kind: MetricKind) -> u64 {
    match kind {
        MetricKind::Gauge => 2,
        MetricKind::Counter => 3,
        MetricKind::Summary => 4,
        MetricKind::Histogram | MetricKind::GaugeHistogram => 7,
        _ => 5,
    }
}

fn utf8<'a>(bytes: &'a [u8], what: &str) -> Parsed<&'a str> {
    std::str::from_utf8(bytes).map_err(|_| format!("invalid {what}: it is not UTF-8"))
}

/// A counter, a gauge or what has no type: the value is field 1, an exemplar field 2.
fn single<'a>(message: &'a [u8], points: &mut Vec<Point<'a>>) -> Parsed<()> {
    let mut point = Point { suffix: "", bound: None, value: 0.0, exemplar: None };
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Fixed64(bits)) => point.value = number_of(bits),
            (2, Value::Bytes(bytes)) => point.exemplar = Some(bytes),
            _ => {}
        }
    }
    points.push(point);
    Ok(())
}

fn summary(message: &[u8], points: &mut Vec<Point<'_>>) -> Parsed<()> {
    let (mut count, mut sum) = (0.0, 0.0);
    points.extend(TOTALS);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Varint(value)) => count = value as f64,
            (2, Value::Fixed64(bits)) => sum = number_of(bits),
            (3, Value::Bytes(bytes)) => {
                let (quantile, value) = pair(bytes)?;
                points.push(Point { suffix: "", bound: Some((QUANTILE, quantile)), value, exemplar: None });
            }
            _ => {}
        }
    }
    set_totals(points, count, sum);
    Ok(())
}

fn pair(message: &[u8]) -> Parsed<(f64, f64)> {
    let mut pair = [0.0; 2];
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Fixed64(bits)) => pair[0] = number_of(bits),
            (2, Value::Fixed64(bits)) => pair[1] = number_of(bits),
            _ => {}
        }
    }
    Ok(pair.into())
}

/// Gives classic buckets, sum and count, and says whether there is a native histogram too. One that is only native gives
/// nothing.
fn histogram<'a>(message: &'a [u8], points: &mut Vec<Point<'a>>) -> Parsed<bool> {
    let (mut count, mut sum, mut float_count, mut native) = (0.0, 0.0, 0.0, false);
    let mut has_infinity = false;
    points.extend(TOTALS);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Varint(value)) => count = value as f64,
            (2, Value::Fixed64(bits)) => sum = number_of(bits),
            (3, Value::Bytes(bytes)) => {
                let point = bucket(bytes)?;
                has_infinity |= point.bound.is_some_and(|(_, bound)| bound == f64::INFINITY);
                points.push(point);
            }
            (4, Value::Fixed64(bits)) => float_count = number_of(bits),
            // Threshold and spans: what Prometheus tells a native histogram by.
            (6, Value::Fixed64(bits)) => native |= number_of(bits) > 0.0,
            (7, Value::Varint(value)) => native |= value > 0,
            (9 | 12, _) => native = true,
            _ => {}
        }
    }
    if native && points.len() == TOTALS.len() {
        points.clear();
        return Ok(true);
    }
    let count = if float_count > 0.0 { float_count } else { count };
    if !has_infinity {
        points.push(bucket_point(f64::INFINITY, count, None));
    }
    set_totals(points, count, sum);
    Ok(native)
}

fn bucket(message: &[u8]) -> Parsed<Point<'_>> {
    let (mut count, mut float_count, mut bound, mut exemplar) = (0.0, 0.0, 0.0, None);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Varint(value)) => count = value as f64,
            (2, Value::Fixed64(bits)) => bound = number_of(bits),
            (3, Value::Bytes(bytes)) => exemplar = Some(bytes),
            (4, Value::Fixed64(bits)) => float_count = number_of(bits),
            _ => {}
        }
    }
    Ok(bucket_point(bound, if float_count > 0.0 { float_count } else { count }, exemplar))
}

fn bucket_point(bound: f64, value: f64, exemplar: Option<&[u8]>) -> Point<'_> {
    Point { suffix: "_bucket", bound: Some((BUCKET_BOUND, bound)), value, exemplar }
}

/// Count and sum are told first, as Prometheus does: a page that is refused at a bucket has counted them.
const TOTALS: [Point<'_>; 2] = [
    Point { suffix: "_count", bound: None, value: 0.0, exemplar: None },
    Point { suffix: "_sum", bound: None, value: 0.0, exemplar: None },
];

fn set_totals(points: &mut [Point<'_>], count: f64, sum: f64) {
    for (point, value) in points.iter_mut().zip([count, sum]) {
        point.value = value;
    }
}

/// A double; every NaN is the one that Prometheus stores.
fn number_of(bits: u64) -> f64 {
    crate::number::normal(f64::from_bits(bits))
}

fn push_label(pair: &[u8], into: &mut String) -> Parsed<()> {
    let (mut name, mut text) = (&b""[..], &b""[..]);
    let mut fields = Fields::new(pair);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Bytes(bytes)) => text = bytes,
            _ => {}
        }
    }
    let name = utf8(name, "label name")?;
    if name.is_empty() {
        return Err("invalid label name: it is empty".to_owned());
    }
    if !into.is_empty() {
        into.push(',');
    }
    if is_valid_label_name(name) {
        into.push_str(name);
    } else {
        push_quoted(name, "", into);
    }
    into.push('=');
    push_quoted(utf8(text, "label value")?, "", into);
    Ok(())
}

fn write_series(family: &Family<'_>, point: &Point<'_>, labels: &str, into: &mut String) {
    into.clear();
    if family.is_plain {
        into.push_str(family.name);
        into.push_str(point.suffix);
        if labels.is_empty() && point.bound.is_none() {
            return;
        }
    }
    into.push('{');
    if !family.is_plain {
        push_quoted(family.name, point.suffix, into);
        if !labels.is_empty() || point.bound.is_some() {
            into.push(',');
        }
    }
    into.push_str(labels);
    if let Some((name, bound)) = point.bound {
        if !labels.is_empty() {
            into.push(',');
        }
        into.push_str(name);
        into.push_str("=\"");
        format_float_with_point(bound, into);
        into.push('"');
    }
    into.push('}');
}

/// Value and timestamp of an exemplar; its labels go into the text.
fn exemplar(message: &[u8], text: &mut String) -> Parsed<(f64, Option<i64>)> {
    text.clear();
    let (mut value, mut timestamp) = (0.0, None);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Value::Bytes(pair)) => push_label(pair, text)?,
            (2, Value::Fixed64(bits)) => value = number_of(bits),
            (3, Value::Bytes(bytes)) => timestamp = Some(millis(bytes)?),
            _ => {}
        }
    }
    text.insert(0, '{');
    text.push('}');
    Ok((value, timestamp))
}

/// `google.protobuf.Timestamp`, to milliseconds.
fn millis(message: &[u8]) -> Parsed<i64> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Varint(value)) => seconds = value as i64,
            (2, Value::Varint(value)) => nanos = value as i64,
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000))
}
