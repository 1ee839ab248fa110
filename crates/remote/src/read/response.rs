//! The answers of remote read, written field by field.
//!
//! `ReadResponse { repeated QueryResult results = 1 }` · `QueryResult { repeated TimeSeries timeseries = 1 }` ·
//! `TimeSeries { repeated Label labels = 1; repeated Sample samples = 2 }`
//!
//! `ChunkedReadResponse { repeated ChunkedSeries chunked_series = 1; int64 query_index = 2 }` ·
//! `ChunkedSeries { repeated Label labels = 1; repeated Chunk chunks = 2 }` ·
//! `Chunk { int64 min_time_ms = 1; int64 max_time_ms = 2; Encoding type = 3; bytes data = 4 }`, each in a frame: its length
//! as a varint, its CRC-32C in four bytes, high byte first, and the message.

use model::{Labels, Samples};

use super::chunk::{Chunk, SAMPLES_MAX};
use crate::put::{put_bytes, put_label, put_number, put_sample, put_varint};

/// `Chunk.Encoding` of XOR chunks.
const XOR: u64 = 1;

/// A frame's length, at most, and its checksum.
const FRAME_HEAD_BYTES: usize = 10 + 4;

/// Writes a `TimeSeries` of the message of a query's result.
pub(super) fn put_series(into: &mut Vec<u8>, labels: &[u8], samples: &Samples) {
    let mut series = labels.to_vec();
    samples.iter().for_each(|sample| put_sample(&mut series, sample.timestamp, sample.value));
    put_bytes(into, 1, &series);
}

/// Fields of labels, sorted: the series' own, and those that it lacks of `external`.
pub(super) fn labels(labels: &Labels, external: &Labels) -> Vec<u8> {
    let missing = external.iter().filter(|(name, _)| labels.get(name).is_none());
    let mut pairs: Vec<(&str, &str)> = labels.iter().chain(missing).collect();
    pairs.sort_unstable();
    let mut message = Vec::new();
    pairs.iter().for_each(|(name, value)| put_label(&mut message, name.as_bytes(), value.as_bytes()));
    message
}

/// The frames of one series, each as long as may be; chunks are not cut, so that one may be longer by a chunk.
pub(super) struct Frames {
    labels: Vec<u8>,
    samples: Samples,
    /// Samples that were sent.
    done: usize,
    query: u64,
    bytes_max: usize,
}

impl Frames {
    pub(super) fn new(labels: Vec<u8>, samples: Samples, query: u64, bytes_max: usize) -> Self {
        Self { labels, samples, done: 0, query, bytes_max }
    }
}

impl Iterator for Frames {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.done == self.samples.len() {
            return None;
        }
        let mut series = self.labels.clone();
        while self.done < self.samples.len() {
            let part = self.done..self.samples.len().min(self.done + SAMPLES_MAX);
            self.done = part.end;
            put_chunk(&mut series, &self.samples.timestamps[part.clone()], &self.samples.values[part]);
            if series.len() >= self.bytes_max {
                break;
            }
        }
        let mut message = Vec::with_capacity(series.len() + FRAME_HEAD_BYTES);
        put_bytes(&mut message, 1, &series);
        put_number(&mut message, 2, self.query);
        let mut frame = Vec::with_capacity(message.len() + FRAME_HEAD_BYTES);
        put_varint(&mut frame, message.len() as u64);
        frame.extend(crc32c::crc32c(&message).to_be_bytes());
        frame.extend(message);
        Some(frame)
    }
}

fn put_chunk(into: &mut Vec<u8>, timestamps: &[i64], values: &[f64]) {
    let (Some(first), Some(last)) = (timestamps.first(), timestamps.last()) else { return };
    let mut fields = Vec::new();
    put_number(&mut fields, 1, first.cast_unsigned());
    put_number(&mut fields, 2, last.cast_unsigned());
    put_number(&mut fields, 3, XOR);
    put_bytes(&mut fields, 4, &Chunk::encode(timestamps, values));
    put_bytes(into, 2, &fields);
}
