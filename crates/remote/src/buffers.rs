//! Memory for unpacked messages that is used again.

use parking_lot::Mutex;

/// A buffer that grew further than this is not kept: usual requests need half of it, and one large request must not
/// leave its memory behind.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Buffers kept at once: as many requests are unpacked while others wait for the disk.
const KEPT_MAX: usize = 4;

/// Buffers that nobody uses now.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// A buffer of at least this length; what it holds is of no meaning.
    pub(crate) fn take(&self, length: usize) -> Vec<u8> {
        let mut buffer = self.0.lock().pop().unwrap_or_default();
        if buffer.len() < length {
            // What it holds need not be copied to where there is room for more.
            buffer = vec![0; length];
        }
        buffer
    }

    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock();
        if buffer.capacity() <= KEPT_BYTES_MAX && kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    }
}
