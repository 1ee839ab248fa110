//! A `WriteRequest` of remote write 1.0, built field by field without an intermediate tree.

use model::{Exemplar, Labels, Metadata, MetricKind, Timestamp};

/// Wire types of protobuf.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

/// Collects series, their samples and what families are.
#[derive(Clone, Debug, Default)]
pub struct Message {
    whole: Vec<u8>,
    /// Fields of the series that is open; they follow their length, so that they are kept apart until it is known.
    series: Vec<u8>,
    samples: usize,
}

impl Message {
    /// Begins a series; samples and exemplars that follow are its.
    pub fn series(&mut self, labels: &Labels) {
        self.close();
        for (name, value) in labels {
            put_label(&mut self.series, name, value);
        }
    }

    /// Adds a sample of the series.
    pub fn sample(&mut self, timestamp: Timestamp, value: f64) {
        let at = begin(&mut self.series, 2);
        put_double(&mut self.series, 1, value);
        put_time(&mut self.series, 2, timestamp);
        end(&mut self.series, at);
        self.samples += 1;
    }

    /// Adds an exemplar of the series; `timestamp` is its sample's, for one that does not say its own.
    pub fn exemplar(&mut self, exemplar: &Exemplar, timestamp: Timestamp) {
        let mut fields = Vec::new();
        for (name, value) in &exemplar.labels {
            put_label(&mut fields, name, value);
        }
        put_double(&mut fields, 2, exemplar.value);
        put_time(&mut fields, 3, exemplar.timestamp.unwrap_or(timestamp));
        put_bytes(&mut self.series, 3, &fields);
    }

    /// Says what a family is.
    pub fn metadata(&mut self, family: &str, metadata: &Metadata) {
        self.close();
        let mut fields = vec![1 << 3 | VARINT, kind_number(metadata.kind)];
        put_bytes(&mut fields, 2, family.as_bytes());
        put_bytes(&mut fields, 4, metadata.help.as_bytes());
        put_bytes(&mut fields, 5, metadata.unit.as_bytes());
        put_bytes(&mut self.whole, 3, &fields);
    }

    /// Samples so far.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Bytes so far, before packing.
    pub fn len(&self) -> usize {
        self.whole.len() + self.series.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The packed body; the message is empty then.
    pub fn take_body(&mut self) -> Vec<u8> {
        self.close();
        let whole = std::mem::take(&mut self.whole);
        self.samples = 0;
        // Only a message over 4 GiB cannot be packed.
        snap::raw::Encoder::new().compress_vec(&whole).unwrap_or_default()
    }

    fn close(&mut self) {
        if !self.series.is_empty() {
            put_bytes(&mut self.whole, 1, &self.series);
            self.series.clear();
        }
    }
}

/// Numbers of `MetricMetadata.MetricType`.
fn kind_number(kind: MetricKind) -> u8 {
    match kind {
        MetricKind::Unknown => 0,
        MetricKind::Counter => 1,
        MetricKind::Gauge => 2,
        MetricKind::Histogram => 3,
        MetricKind::GaugeHistogram => 4,
        MetricKind::Summary => 5,
        MetricKind::Info => 6,
        MetricKind::StateSet => 7,
    }
}

fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut label = Vec::with_capacity(name.len() + value.len() + 6);
    put_bytes(&mut label, 1, name.as_bytes());
    put_bytes(&mut label, 2, value.as_bytes());
    put_bytes(out, 1, &label);
}

fn put_double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_time(out: &mut Vec<u8>, field: u8, timestamp: Timestamp) {
    out.push(field << 3 | VARINT);
    put_varint(out, timestamp.cast_unsigned());
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Begins a field of fewer than 128 bytes, whose length is one byte.
fn begin(out: &mut Vec<u8>, field: u8) -> usize {
    out.extend_from_slice(&[field << 3 | BYTES, 0]);
    out.len()
}

fn end(out: &mut [u8], begun: usize) {
    out[begun - 1] = (out.len() - begun) as u8;
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
