//! What is encoded is read by a decoder that was written from the format alone.

use proptest::prelude::*;

use super::*;

/// Reads bits from the highest on.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: u32) -> u64 {
        (0..count).fold(0, |number, _| {
            let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
            self.at += 1;
            number << 1 | u64::from(bit)
        })
    }

    fn varint(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.take(8);
            number |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    fn change(&mut self) -> i64 {
        let ones = (0..4).take_while(|_| self.take(1) == 1).count();
        let width = [0, 14, 17, 20, 64][ones];
        let bits = self.take(width);
        // The upper half stands for negative numbers, its first one excepted.
        if width > 0 && width < 64 && bits > 1 << (width - 1) { bits as i64 - (1 << width) } else { bits as i64 }
    }
}

fn decode(bytes: &[u8]) -> Vec<(i64, u64)> {
    let mut reader = Reader { bytes, at: 16 };
    let (mut time, mut difference, mut value, mut window) = (0i64, 0i64, 0u64, (0, 0));
    (0..u16::from_be_bytes([bytes[0], bytes[1]]))
        .map(|i| {
            if i == 0 {
                let zigzag = reader.varint();
                time = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                value = reader.take(64);
                return (time, value);
            }
            difference = if i == 1 { reader.varint() as i64 } else { difference.wrapping_add(reader.change()) };
            time = time.wrapping_add(difference);
            if reader.take(1) == 1 {
                if reader.take(1) == 1 {
                    let leading = reader.take(5) as u32;
                    let width = reader.take(6) as u32;
                    window = (leading, 64 - leading - if width == 0 { 64 } else { width });
                }
                value ^= reader.take(64 - window.0 - window.1) << window.1;
            }
            (time, value)
        })
        .collect()
}

fn check(samples: &[(i64, u64)]) {
    let times: Vec<i64> = samples.iter().map(|s| s.0).collect();
    let values: Vec<f64> = samples.iter().map(|s| f64::from_bits(s.1)).collect();
    let bytes = Chunk::encode(&times, &values);
    assert_eq!(decode(&bytes), samples);
}

#[test]
fn bytes_as_the_format_has_them() {
    let bytes = Chunk::encode(&[1000, 2000, 3000], &[1.0, 1.0, 2.0]);
    // 3 samples; 1000 as a signed varint; 1.0; 1000 as a varint; same value; same difference; changed value: a new window
    // of 1 leading zero and 11 bits.
    let expected: [u8; 18] = [
        0,
        3,
        0xd0,
        0x0f,
        0x3f,
        0xf0,
        0,
        0,
        0,
        0,
        0,
        0,
        0xe8,
        0x07,
        0b0011_0000,
        0b1001_0111,
        0b1111_1111,
        0b1100_0000,
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn extremes() {
    check(&[]);
    check(&[(i64::MIN, 0)]);
    check(&[(0, 0), (i64::MAX, u64::MAX)]);
    for change in [8192, 8193, -8191, -8192, 65536, 65537, -65535, -65536, 524_288, 524_289, -524_287, -524_288] {
        check(&[(0, 1), (1_000_000, 2), (2_000_000 + change, 3), (9_000_000, 3)]);
    }
    check(&[(0, 0), (1, 1), (2, 1 << 63), (3, u64::MAX), (4, 0), (5, f64::NAN.to_bits())]);
}

proptest! {
    #[test]
    fn any_samples(
        start in -1_000_000_000_000i64..1_000_000_000_000,
        steps in proptest::collection::vec((1i64..2_000_000, prop_oneof![any::<u64>(), (0u64..4).prop_map(|n| (n as f64).to_bits())]), 0..SAMPLES_MAX),
    ) {
        let mut time = start;
        let samples: Vec<_> = steps.into_iter().map(|(step, value)| { time += step; (time, value) }).collect();
        check(&samples);
    }
}
