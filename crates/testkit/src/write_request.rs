//! A remote-write 1.0 request, written by hand so that the receiver is not tested with its own code.

/// Collects series and gives the body of a request.
#[derive(Debug, Default)]
pub struct WriteRequest {
    message: Vec<u8>,
}

/// Wire type 1: eight bytes. Wire type 2: a length and that many bytes. Wire type 0: a variable-length number.
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const VARINT: u8 = 0;

impl WriteRequest {
    /// Adds a series with its samples, `(timestamp in ms, value)`. Labels must be sorted by name.
    pub fn series(self, labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Self {
        self.series_with_exemplars(labels, samples, &[])
    }

    /// The same with exemplars, `(trace, timestamp in ms, value)`, which have the one label `trace_id`.
    pub fn series_with_exemplars(
        mut self,
        labels: &[(&str, &str)],
        samples: &[(i64, f64)],
        exemplars: &[(&str, i64, f64)],
    ) -> Self {
        let mut series = Vec::new();
        for (name, value) in labels {
            field(&mut series, 1, &label(name, value));
        }
        for (timestamp, value) in samples {
            let mut sample = vec![1 << 3 | FIXED64];
            sample.extend(value.to_le_bytes());
            sample.push(2 << 3 | VARINT);
            varint(&mut sample, timestamp.cast_unsigned());
            field(&mut series, 2, &sample);
        }
        for (trace, timestamp, value) in exemplars {
            let mut exemplar = Vec::new();
            field(&mut exemplar, 1, &label("trace_id", trace));
            exemplar.push(2 << 3 | FIXED64);
            exemplar.extend(value.to_le_bytes());
            exemplar.push(3 << 3 | VARINT);
            varint(&mut exemplar, timestamp.cast_unsigned());
            field(&mut series, 3, &exemplar);
        }
        field(&mut self.message, 1, &series);
        self
    }

    /// The compressed body.
    pub fn body(&self) -> Vec<u8> {
        // Only a message over 4 GiB cannot be compressed.
        snap::raw::Encoder::new().compress_vec(&self.message).unwrap_or_default()
    }

    /// The headers that belong to the body.
    pub const HEADERS: [(&'static str, &'static str); 3] = [
        ("Content-Encoding", "snappy"),
        ("Content-Type", "application/x-protobuf"),
        ("X-Prometheus-Remote-Write-Version", "0.1.0"),
    ];
}

fn label(name: &str, value: &str) -> Vec<u8> {
    let mut label = Vec::new();
    field(&mut label, 1, name.as_bytes());
    field(&mut label, 2, value.as_bytes());
    label
}

fn field(into: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    into.push(number << 3 | BYTES);
    varint(into, bytes.len() as u64);
    into.extend(bytes);
}

fn varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}
