//! Samples and the staleness marker.

use crate::Timestamp;

/// The bits of Prometheus' staleness marker, a NaN that says "this series ended here".
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub timestamp: Timestamp,
    /// The value; its bits are kept, NaN payloads included.
    pub value: f64,
}

/// The staleness marker.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether a value is the staleness marker; other NaNs are not.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}
