//! The protobuf messages of remote write 1.0, read in place: nothing is copied, nothing is allocated.
//!
//! `WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3 }`
//! `TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; repeated Exemplar exemplars = 3;
//! repeated Histogram histograms = 4 }`
//! `Label { string name = 1; string value = 2 }` · `Sample { double value = 1; int64 timestamp = 2 }`
//! `Exemplar { repeated Label labels = 1; double value = 2; int64 timestamp = 3 }`
//! `MetricMetadata { MetricType type = 1; string metric_family_name = 2; string help = 4; string unit = 5 }`
//!
//! As protobuf demands, unknown fields are passed over (those of remote write 2.0 excepted), absent ones are zero, and of a scalar that stands twice the
//! last one holds.

use model::{MetricKind, Sample, Timestamp};
use thiserror::Error;

/// The bytes are not a protobuf message of the type that is read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum WireError {
    /// Fields that only remote write 2.0 has: passed over, all of its samples would be acknowledged and lost.
    #[error("the body is an io.prometheus.write.v2.Request, which the proto parameter of Content-Type has to name")]
    OtherMessage,
    /// A length or a number reaches past the end.
    #[error("unexpected EOF")]
    UnexpectedEnd,
    /// A number of more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A field number of zero, or one that is too large.
    #[error("proto: illegal tag {0}")]
    IllegalTag(u64),
    /// A known field in an encoding it cannot have, or an encoding that is not known.
    #[error("proto: wrong wireType = {wire_type} for field {field}")]
    WireType {
        /// The field's number.
        field: u32,
        /// The encoding found.
        wire_type: u8,
    },
}

/// The value of a field, by its encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
}

/// Walks the fields of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

/// A series of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeSeries<'a> {
    /// Fields among which the labels are.
    labels: &'a [u8],
    /// Fields among which everything else is.
    others: &'a [u8],
    /// Whether `labels` holds the labels alone.
    labels_are_first: bool,
}

/// A label as it was sent; its bytes need not be UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Label<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Tags of fields as encoders write them, number and encoding in one byte.
mod tag {
    pub(super) const LABEL: u8 = 1 << 3 | 2;
    pub(super) const SAMPLE: u8 = 2 << 3 | 2;
    pub(super) const EXEMPLAR: u8 = 3 << 3 | 2;
    pub(super) const HISTOGRAM: u8 = 4 << 3 | 2;
    /// Of a sample.
    pub(super) const VALUE: u8 = 1 << 3 | 1;
    pub(super) const TIMESTAMP: u8 = 2 << 3;
}

/// What a series has beside its labels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item<'a> {
    Sample(Sample),
    Exemplar(Exemplar<'a>),
    Histogram,
}

/// Walks what a series has beside its labels.
#[derive(Clone, Debug)]
pub(crate) struct Items<'a> {
    fields: Fields<'a>,
}

/// An exemplar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exemplar<'a> {
    message: &'a [u8],
    pub(crate) value: f64,
    pub(crate) timestamp: Timestamp,
}

/// What a request says of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Metadata<'a> {
    pub(crate) kind: MetricKind,
    pub(crate) family: &'a [u8],
    pub(crate) help: &'a [u8],
    pub(crate) unit: &'a [u8],
}

/// What stands in a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry<'a> {
    /// The message of a [`TimeSeries`].
    Series(&'a [u8]),
    Metadata(Metadata<'a>),
}

/// Walks a `WriteRequest`.
pub(crate) fn entries(message: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, WireError>> {
    Fields::new(message).filter_map(|field| {
        let entry = field.and_then(|field| match field.number {
            1 => field.bytes().map(|message| Some(Entry::Series(message))),
            3 => Ok(Some(Entry::Metadata(Metadata::read(field.bytes()?)?))),
            4 | 5 => Err(WireError::OtherMessage),
            _ => Ok(None),
        });
        entry.transpose()
    })
}

impl<'a> TimeSeries<'a> {
    /// Splits the message behind its leading labels. Every encoder writes the labels first; where one does not, both
    /// parts are the whole message.
    pub(crate) fn new(message: &'a [u8]) -> Result<Self, WireError> {
        let labels_end = pass_short(message, |tag| tag == tag::LABEL);
        Self::after(message, labels_end).map_or_else(|| Self::split(message), Ok)
    }

    /// A series of these labels, and of nothing else yet.
    pub(crate) fn of_labels(labels: &'a [u8]) -> Self {
        Self { labels, others: &[], labels_are_first: true }
    }

    /// A message that is known to begin with so many bytes of labels. `None` if there may be further ones.
    pub(crate) fn after(message: &'a [u8], labels_end: usize) -> Option<Self> {
        let (labels, others) = message.split_at_checked(labels_end)?;
        let passed = pass_short(others, |tag| matches!(tag, tag::SAMPLE | tag::EXEMPLAR | tag::HISTOGRAM));
        (passed == others.len()).then_some(Self { labels, others, labels_are_first: true })
    }

    /// As [`TimeSeries::new`], whatever the fields are.
    fn split(message: &'a [u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(message);
        let mut labels_end = 0;
        let mut labels_are_first = true;
        while let Some(field) = fields.next() {
            let is_label = field?.number == 1;
            let read_to = message.len() - fields.rest.len();
            if is_label && labels_are_first {
                labels_end = read_to;
            } else if is_label {
                return Ok(Self { labels: message, others: message, labels_are_first });
            } else {
                labels_are_first = false;
            }
        }
        let (labels, others) = message.split_at(labels_end);
        Ok(Self { labels, others, labels_are_first: true })
    }

    /// The bytes of the labels: equal bytes mean equal labels in equal order. `None` where other fields stand between.
    pub(crate) fn label_bytes(&self) -> Option<&'a [u8]> {
        self.labels_are_first.then_some(self.labels)
    }

    /// The labels in the order in which they were sent.
    pub(crate) fn labels(&self) -> impl Iterator<Item = Result<Label<'a>, WireError>> {
        labels(self.labels)
    }

    /// Samples, exemplars and histograms in the order in which they were sent.
    pub(crate) fn items(&self) -> Items<'a> {
        Items { fields: Fields::new(self.others) }
    }
}

impl Items<'_> {
    /// Takes the samples that come next, as far as they are encoded as encoders do it. What stops it, the iterator reads.
    pub(crate) fn take_samples(&mut self, into: &mut Vec<Sample>) {
        while let Some((sample, rest)) = plain_sample(self.fields.rest) {
            into.push(sample);
            self.fields.rest = rest;
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fields.by_ref().find_map(|field| {
            let item = field.and_then(|field| match field.number {
                2 => Ok(Some(Item::Sample(read_sample(field.bytes()?)?))),
                3 => Ok(Some(Item::Exemplar(Exemplar::read(field.bytes()?)?))),
                4 => field.bytes().map(|_| Some(Item::Histogram)),
                _ => Ok(None),
            });
            item.transpose()
        })
    }
}

/// Where the leading fields end that are wanted by their tags, and shorter than 128 bytes, as nearly all are.
fn pass_short(message: &[u8], is_wanted: impl Fn(u8) -> bool) -> usize {
    let mut rest = message;
    while let [tag, length @ ..0x80, after @ ..] = rest
        && is_wanted(*tag)
        && let Some(next) = after.get(usize::from(*length)..)
    {
        rest = next;
    }
    message.len() - rest.len()
}

/// A sample whose value, unless it is zero, stands before its timestamp, and what follows it.
fn plain_sample(bytes: &[u8]) -> Option<(Sample, &[u8])> {
    let [tag::SAMPLE, length @ ..0x80, rest @ ..] = bytes else { return None };
    let (message, rest) = rest.split_at_checked(usize::from(*length))?;
    let (value, message) = match message.split_first_chunk::<9>() {
        Some(([tag::VALUE, value @ ..], message)) => (f64::from_le_bytes(*value), message),
        _ => (0.0, message),
    };
    let [tag::TIMESTAMP, number @ ..] = message else { return None };
    Some((Sample { timestamp: plain_number(number)?, value }, rest))
}

/// A number that takes all of the bytes, and no more than 63 bits.
fn plain_number(bytes: &[u8]) -> Option<i64> {
    let (last, others) = bytes.split_last()?;
    if bytes.len() > 9 || *last >= 0x80 || others.iter().any(|&byte| byte < 0x80) {
        return None;
    }
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 7 | i64::from(byte & 0x7f)))
}

fn labels(message: &[u8]) -> impl Iterator<Item = Result<Label<'_>, WireError>> {
    Fields::new(message).filter_map(|field| match field {
        Ok(field) if field.number == 1 => Some(field.bytes().and_then(Label::read)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

impl<'a> Label<'a> {
    fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut label = Self::default();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => label.name = field.bytes()?,
                2 => label.value = field.bytes()?,
                _ => {}
            }
        }
        Ok(label)
    }
}

pub(crate) fn read_sample(message: &[u8]) -> Result<Sample, WireError> {
    let mut sample = Sample { timestamp: 0, value: 0.0 };
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => sample.value = field.double()?,
            2 => sample.timestamp = field.integer()?,
            _ => {}
        }
    }
    Ok(sample)
}

impl<'a> Exemplar<'a> {
    fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut exemplar = Self { message, value: 0.0, timestamp: 0 };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                2 => exemplar.value = field.double()?,
                3 => exemplar.timestamp = field.integer()?,
                _ => {}
            }
        }
        Ok(exemplar)
    }

    /// Its own labels.
    pub(crate) fn labels(&self) -> impl Iterator<Item = Result<Label<'a>, WireError>> {
        labels(self.message)
    }
}

impl<'a> Metadata<'a> {
    fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut metadata = Self::default();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => metadata.kind = kind(field.integer()?),
                2 => metadata.family = field.bytes()?,
                4 => metadata.help = field.bytes()?,
                5 => metadata.unit = field.bytes()?,
                _ => {}
            }
        }
        Ok(metadata)
    }
}

pub(crate) fn kind(number: i64) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

impl<'a> Field<'a> {
    pub(crate) fn bytes(self) -> Result<&'a [u8], WireError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong_type()),
        }
    }

    pub(crate) fn double(self) -> Result<f64, WireError> {
        match self.value {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(self.wrong_type()),
        }
    }

    pub(crate) fn integer(self) -> Result<i64, WireError> {
        match self.value {
            Value::Varint(number) => Ok(number.cast_signed()),
            _ => Err(self.wrong_type()),
        }
    }

    fn wrong_type(self) -> WireError {
        let wire_type = match self.value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32 => 5,
        };
        WireError::WireType { field: self.number, wire_type }
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next of numbers that stand packed, without tags; `None` at the end.
    pub(crate) fn next_number(&mut self) -> Result<Option<u64>, WireError> {
        if self.rest.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn read(&mut self) -> Result<Field<'a>, WireError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|&n| n != 0 && n < 1 << 29);
        let number = number.ok_or(WireError::IllegalTag(tag >> 3))?;
        let value = match (tag & 7) as u8 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::UnexpectedEnd)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.array::<4>().map(|_| Value::Fixed32)?,
            wire_type => return Err(WireError::WireType { field: number, wire_type }),
        };
        Ok(Field { number, value })
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0u64;
        for (i, &byte) in self.rest.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if i == 9 && byte > 1 {
                    return Err(WireError::Overflow);
                }
                self.rest = &self.rest[i + 1..];
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 { WireError::UnexpectedEnd } else { WireError::Overflow })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(WireError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    /// The next field; after an error there is none.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests;
