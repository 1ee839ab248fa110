//! The wire format: fields of a message one after the other. Nothing is copied and nothing nests, so a message needs no
//! limit but its own length.

/// A varint has at most so many bytes.
const VARINT_BYTES_MAX: usize = 10;

/// Walks the fields of a message.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// No field of ours has it.
    Fixed32,
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Number and value of the next field.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = varint(&mut self.rest).ok_or("unexpected EOF in a tag")?;
        let value = match tag & 7 {
            0 => varint(&mut self.rest).map(Value::Varint),
            1 => self.take(8).map(|bytes| Value::Fixed64(fixed64(bytes))),
            2 => varint(&mut self.rest).and_then(|length| self.take(usize::try_from(length).ok()?)).map(Value::Bytes),
            5 => self.take(4).map(|_| Value::Fixed32),
            other => return Err(format!("illegal wire type {other}")),
        };
        match (tag >> 3, value) {
            (0, _) => Err("illegal tag 0".to_owned()),
            (number, Some(value)) => Ok(Some((number, value))),
            (number, None) => Err(format!("unexpected EOF in field {number}")),
        }
    }

    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(size)?;
        self.rest = rest;
        Some(bytes)
    }
}

fn fixed64(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).unwrap_or_default()
}

/// Seven bits a byte, the lowest first. `None` where it breaks off or goes on beyond what 64 bits hold.
pub(super) fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (i, &byte) in from.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *from = &from[i + 1..];
            return (i < VARINT_BYTES_MAX - 1 || byte <= 1).then_some(value);
        }
    }
    None
}
