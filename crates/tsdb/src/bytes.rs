//! Variable-length integers and a reader that never runs past the end.

use std::fmt;

/// Bytes that break the format; the reason goes into [`model::StorageError::Corrupt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const SHORT: Damage = Damage("it ends too early");

/// Seven bits a byte, lowest first, bit 7 set on all but the last.
pub(crate) fn put_uint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Zigzag, then as [`put_uint`]: small numbers of either sign are short.
pub(crate) fn put_int(out: &mut Vec<u8>, value: i64) {
    put_uint(out, zigzag(value));
}

/// A length, then the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Bytes that both begin with.
pub(crate) fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Reads from front to back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damage> {
        let (&first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(first)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, Damage> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damage("a number is longer than 64 bits"))
    }

    pub(crate) fn int(&mut self) -> Result<i64, Damage> {
        self.uint().map(unzigzag)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damage> {
        u32::try_from(self.uint()?).map_err(|_| Damage("a number is longer than 32 bits"))
    }

    /// A count of things that each take at least one byte of what is left; so it cannot ask for memory without bound.
    pub(crate) fn count(&mut self) -> Result<usize, Damage> {
        let count = usize::try_from(self.uint()?).map_err(|_| SHORT)?;
        if count <= self.0.len() { Ok(count) } else { Err(SHORT) }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let count = self.count()?;
        self.take(count)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damage("text is not UTF-8"))
    }

    pub(crate) fn fixed64(&mut self) -> Result<u64, Damage> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| SHORT)?))
    }
}

/// The 32-bit number at a place that is known to exist.
pub(crate) fn fixed32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for value in [0, 1, 127, 128, 1 << 32, u64::MAX] {
            let mut out = Vec::new();
            put_uint(&mut out, value);
            put_int(&mut out, value as i64);
            let mut reader = Reader(&out);
            assert_eq!((reader.uint(), reader.int()), (Ok(value), Ok(value as i64)));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn refuses_damage() {
        assert!(Reader(&[0x80]).uint().is_err());
        assert!(Reader(&[0xff; 11]).uint().is_err());
        assert!(Reader(&[5, 1]).bytes().is_err());
        assert!(Reader(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).count().is_err());
    }
}
