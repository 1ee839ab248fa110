//! Messages of `io.prometheus.client`, as their libraries write them.

#![allow(dead_code, reason = "each test program uses its part")]

fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(crate) fn varint(field: u64, value: u64) -> Vec<u8> {
    [number(field << 3), number(value)].concat()
}

pub(crate) fn double(field: u64, value: f64) -> Vec<u8> {
    [number(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

pub(crate) fn message(field: u64, bytes: &[u8]) -> Vec<u8> {
    [number(field << 3 | 2), number(bytes.len() as u64), bytes.to_vec()].concat()
}

pub(crate) fn label(name: &str, value: &str) -> Vec<u8> {
    message(1, &[message(1, name.as_bytes()), message(2, value.as_bytes())].concat())
}

/// An exemplar with the label `trace="x"`, and a time in seconds and milliseconds.
pub(crate) fn exemplar(value: f64, time: Option<(u64, u64)>) -> Vec<u8> {
    let time = time.map(|(seconds, millis)| message(3, &[varint(1, seconds), varint(2, millis * 1_000_000)].concat()));
    [label("trace", "x"), double(2, value), time.unwrap_or_default()].concat()
}

pub(crate) fn bucket(count: u64, bound: f64, with_exemplar: Option<f64>) -> Vec<u8> {
    let example = with_exemplar.map(|value| message(3, &exemplar(value, Some((1, 5))))).unwrap_or_default();
    message(3, &[varint(1, count), double(2, bound), example].concat())
}

/// A family behind its length.
pub(crate) fn family(name: &str, kind: u64, metrics: &[Vec<u8>]) -> Vec<u8> {
    let metrics: Vec<u8> = metrics.iter().flat_map(|metric| message(4, metric)).collect();
    let fields = [message(1, name.as_bytes()), message(2, b"Help."), varint(3, kind), metrics].concat();
    [number(fields.len() as u64), fields].concat()
}
