//! Fields of protobuf messages, written one by one.

use model::Timestamp;

/// Wire types.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

/// A message of a label in field 1: name and value in its fields 1 and 2.
pub(crate) fn put_label(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let length = |text: &[u8]| 1 + varint_bytes(text.len() as u64) + text.len();
    out.push(1 << 3 | BYTES);
    put_varint(out, (length(name) + length(value)) as u64);
    put_bytes(out, 1, name);
    put_bytes(out, 2, value);
}

/// A sample: value and timestamp in fields 1 and 2 of a message in field 2.
pub(crate) fn put_sample(out: &mut Vec<u8>, timestamp: Timestamp, value: f64) {
    let at = begin(out, 2);
    put_double(out, 1, value);
    put_number(out, 2, timestamp.cast_unsigned());
    end(out, at);
}

pub(crate) fn put_double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_number(out: &mut Vec<u8>, field: u8, number: u64) {
    out.push(field << 3 | VARINT);
    put_varint(out, number);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Begins a field of fewer than 128 bytes, whose length is one byte.
fn begin(out: &mut Vec<u8>, field: u8) -> usize {
    out.extend_from_slice(&[field << 3 | BYTES, 0]);
    out.len()
}

fn end(out: &mut [u8], begun: usize) {
    out[begun - 1] = (out.len() - begun) as u8;
}

fn varint_bytes(number: u64) -> usize {
    number.max(1).ilog2() as usize / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_numbers() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(out.len(), varint_bytes(number), "{number}");
        }
    }

    #[test]
    fn labels_are_messages() {
        let long = [b'x'; 300];
        for (name, value) in [(&b"a"[..], &b""[..]), (b"name", b"value"), (&long, &long), (b"n", &long[..122])] {
            let mut fields = Vec::new();
            put_bytes(&mut fields, 1, name);
            put_bytes(&mut fields, 2, value);
            let (mut expected, mut label) = (Vec::new(), Vec::new());
            put_bytes(&mut expected, 1, &fields);
            put_label(&mut label, name, value);
            assert_eq!(label, expected);
        }
    }
}
