//! Samples in Prometheus' XOR chunks, the form in which remote read streams them.
//!
//! A chunk is a count of two bytes, high byte first, and a stream of bits, highest first. The first timestamp is a
//! signed varint, the second an unsigned varint of the difference, each later one the change of that difference behind a prefix
//! that tells its width. The first value stands as it is; of each later one stands what differs from the one before, as
//! in Facebook's Gorilla paper (Pelkonen et al., VLDB 2015).

use model::Timestamp;

/// Samples of a chunk: what Prometheus itself cuts at, and what its readers expect to decode at a time.
pub(crate) const SAMPLES_MAX: usize = 120;

/// How a changed difference is told: prefix, its bits, and the bits of the change behind it.
const CHANGES: [(u64, u32, u32); 3] = [(0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20)];

/// A value that shares no window with the one before tells its leading zeros in five bits.
const LEADING_MAX: u32 = 31;

/// Bits, written into bytes from the highest on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are free.
    free: u32,
}

/// Encodes the samples of one chunk.
pub(crate) struct Chunk {
    bits: Bits,
    samples: u16,
    timestamp: Timestamp,
    difference: i64,
    value: u64,
    /// Leading and trailing zeros of the window that is in use.
    window: Option<(u32, u32)>,
}

impl Bits {
    /// Writes the lowest `count` bits of a number.
    fn push(&mut self, number: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = left.min(self.free);
            let part = number >> (left - taken) & ((1 << taken) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (part as u8) << (self.free - taken);
            }
            self.free -= taken;
            left -= taken;
        }
    }

    fn push_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number & 0x7f | 0x80, 8);
            number >>= 7;
        }
        self.push(number, 8);
    }
}

impl Chunk {
    fn new() -> Self {
        let bits = Bits { bytes: vec![0; 2], free: 0 };
        Self { bits, samples: 0, timestamp: 0, difference: 0, value: 0, window: None }
    }

    /// The bytes of a chunk of these samples, whose timestamps rise; at most [`SAMPLES_MAX`] of them.
    pub(crate) fn encode(timestamps: &[Timestamp], values: &[f64]) -> Vec<u8> {
        let mut chunk = Self::new();
        for (&timestamp, &value) in timestamps.iter().zip(values).take(SAMPLES_MAX) {
            chunk.push(timestamp, value.to_bits());
        }
        let Self { mut bits, samples, .. } = chunk;
        bits.bytes[..2].copy_from_slice(&samples.to_be_bytes());
        bits.bytes
    }

    fn push(&mut self, timestamp: Timestamp, value: u64) {
        let difference = timestamp.wrapping_sub(self.timestamp);
        match self.samples {
            0 => {
                self.bits.push_varint((timestamp << 1 ^ timestamp >> 63).cast_unsigned());
                self.bits.push(value, 64);
            }
            1 => {
                self.bits.push_varint(difference.cast_unsigned());
                self.push_value(value);
            }
            _ => {
                self.push_change(difference.wrapping_sub(self.difference));
                self.push_value(value);
            }
        }
        if self.samples > 0 {
            self.difference = difference;
        }
        (self.timestamp, self.value) = (timestamp, value);
        self.samples += 1;
    }

    fn push_change(&mut self, change: i64) {
        if change == 0 {
            return self.bits.push(0, 1);
        }
        for (prefix, bits, width) in CHANGES {
            let most = 1i64 << (width - 1);
            if (1 - most..=most).contains(&change) {
                self.bits.push(prefix, bits);
                return self.bits.push(change.cast_unsigned(), width);
            }
        }
        self.bits.push(0b1111, 4);
        self.bits.push(change.cast_unsigned(), 64);
    }

    fn push_value(&mut self, value: u64) {
        let changed = value ^ self.value;
        if changed == 0 {
            return self.bits.push(0, 1);
        }
        self.bits.push(1, 1);
        let (leading, trailing) = (changed.leading_zeros().min(LEADING_MAX), changed.trailing_zeros());
        if let Some((before, after)) = self.window.filter(|&(before, after)| leading >= before && trailing >= after) {
            self.bits.push(0, 1);
            return self.bits.push(changed >> after, 64 - before - after);
        }
        self.window = Some((leading, trailing));
        let width = 64 - leading - trailing;
        self.bits.push(1, 1);
        self.bits.push(u64::from(leading), 5);
        // All 64 bits are told by 0: no window is empty.
        self.bits.push(u64::from(width), 6);
        self.bits.push(changed >> trailing, width);
    }
}

#[cfg(test)]
mod tests;
