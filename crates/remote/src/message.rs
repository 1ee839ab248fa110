//! A `WriteRequest` of remote write 1.0, built field by field without an intermediate tree.

use model::{Exemplar, Labels, Metadata, MetricKind, Timestamp};

use crate::put::{put_bytes, put_double, put_label, put_number, put_sample};

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
            put_label(&mut self.series, name.as_bytes(), value.as_bytes());
        }
    }

    /// Adds a sample of the series.
    pub fn sample(&mut self, timestamp: Timestamp, value: f64) {
        put_sample(&mut self.series, timestamp, value);
        self.samples += 1;
    }

    /// Adds an exemplar of the series; `timestamp` is its sample's, for one that does not say its own.
    pub fn exemplar(&mut self, exemplar: &Exemplar, timestamp: Timestamp) {
        let mut fields = Vec::new();
        for (name, value) in &exemplar.labels {
            put_label(&mut fields, name.as_bytes(), value.as_bytes());
        }
        put_double(&mut fields, 2, exemplar.value);
        put_number(&mut fields, 3, exemplar.timestamp.unwrap_or(timestamp).cast_unsigned());
        put_bytes(&mut self.series, 3, &fields);
    }

    /// Says what a family is.
    pub fn metadata(&mut self, family: &str, metadata: &Metadata) {
        self.close();
        let mut fields = Vec::new();
        put_number(&mut fields, 1, kind_number(metadata.kind));
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
fn kind_number(kind: MetricKind) -> u64 {
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
