//! Bodies that come compressed. Both decoders are written in Rust: the bytes are a stranger's.
//!
//! Measured on the fixture pages, plain megabytes per second of one core: flate2 (gzip) 570 to 2,600, ruzstd 360 to 1,400, the C
//! library zstd 410 to 5,700. Gzip is asked for first, so the C library would gain little and bring C to hostile input.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use crate::error::ScrapeError;

/// `Accept-Encoding`, the dearer first.
pub(super) const ACCEPTED: &str = "gzip, zstd";

/// Decompression asks for room in steps of this size.
const CHUNK_SIZE_BYTES: u64 = 256 << 10;

/// The largest window that zstd may use in HTTP (RFC 9659); the decoder takes that much memory before the first byte.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    /// Out of the header `Content-Encoding`; `None` for what is not known, several layers among it.
    pub(super) fn of(encoding: &str) -> Option<Self> {
        match encoding.to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::None),
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Decompresses at most `size_max` bytes, asking `grow` for each further step of them.
    pub(super) fn unpack(
        self,
        body: &[u8],
        into: &mut Vec<u8>,
        size_max: u64,
        grow: impl FnMut(usize) -> Result<(), ScrapeError>,
    ) -> Result<(), ScrapeError> {
        match self {
            Self::None => {
                into.extend_from_slice(body);
                Ok(())
            }
            Self::Gzip => {
                let reader = MultiGzDecoder::new(body);
                read(reader, into, size_max, grow, |reason| ScrapeError::Packing("gzip", reason))
            }
            Self::Zstd => {
                let reader = Frames { rest: body, decoder: None };
                read(reader, into, size_max, grow, |reason| ScrapeError::Packing("zstd", reason))
            }
        }
    }
}

fn read(
    reader: impl Read,
    into: &mut Vec<u8>,
    size_max: u64,
    mut grow: impl FnMut(usize) -> Result<(), ScrapeError>,
    broken: impl Fn(String) -> ScrapeError,
) -> Result<(), ScrapeError> {
    let mut reader = reader.take(size_max);
    loop {
        let chunk = reader.by_ref().take(CHUNK_SIZE_BYTES).read_to_end(into);
        match chunk.map_err(|error| broken(error.to_string()))? {
            0 => return Ok(()),
            size => grow(size)?,
        }
    }
}

/// The frames of a zstd stream one after the other.
struct Frames<'a> {
    rest: &'a [u8],
    decoder: Option<Box<StreamingDecoder<&'a [u8], ruzstd::decoding::FrameDecoder>>>,
}

impl Read for Frames<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                let size = decoder.read(into)?;
                if size > 0 || into.is_empty() {
                    return Ok(size);
                }
                let frame = &decoder.decoder;
                let told = frame.get_checksum_from_data();
                if told.is_some() && told != frame.get_calculated_checksum() {
                    return Err(std::io::Error::other("wrong checksum"));
                }
                self.rest = decoder.get_ref();
                self.decoder = None;
            }
            if self.rest.is_empty() {
                return Ok(0);
            }
            if let Some(behind) = skippable(self.rest) {
                self.rest = behind;
                continue;
            }
            check_window(self.rest).map_err(std::io::Error::other)?;
            let decoder = StreamingDecoder::new(self.rest).map_err(std::io::Error::other)?;
            self.decoder = Some(Box::new(decoder));
        }
    }
}

/// What lies behind a frame that holds no content (RFC 8878, section 3.1.2), where one is next.
fn skippable(body: &[u8]) -> Option<&[u8]> {
    let (magic, rest) = body.split_first_chunk()?;
    if u32::from_le_bytes(*magic) & !0xf != 0x184d_2a50 {
        return None;
    }
    let (size, rest) = rest.split_first_chunk()?;
    rest.get(usize::try_from(u32::from_le_bytes(*size)).ok()?..)
}

/// The window that a frame's header asks for (RFC 8878, section 3.1.1.1); one that breaks off is left to the decoder.
fn check_window(frame: &[u8]) -> Result<(), String> {
    let Some((&descriptor, header)) = frame.get(4..).and_then(<[u8]>::split_first) else { return Ok(()) };
    let is_single = descriptor & 0x20 != 0;
    let window = if is_single {
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
        let Some(bytes) = header.get(dictionary..dictionary + size) else { return Ok(()) };
        let mut whole = [0; 8];
        whole[..size].copy_from_slice(bytes);
        u64::from_le_bytes(whole)
    } else {
        let Some(&byte) = header.first() else { return Ok(()) };
        let base = 1u64 << (10 + (byte >> 3));
        base + base / 8 * u64::from(byte & 7)
    };
    if window > WINDOW_BYTES_MAX && !(is_single && window <= SINGLE_BYTES_MAX) {
        return Err(format!("it asks for a window of {window} bytes, {WINDOW_BYTES_MAX} are the most"));
    }
    Ok(())
}

/// A frame may be its own window; a larger one would be a page beyond what targets send.
const SINGLE_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(plain: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// What comes out, or the error; the limit is a megabyte.
    fn check(packing: Packing, body: &[u8], expected: Result<&[u8], &str>) {
        let mut plain = Vec::new();
        let mut held = 0;
        let grow = |size| {
            held += size;
            Ok(())
        };
        let result = packing.unpack(body, &mut plain, 1 << 20, grow);
        let got = result.map(|()| plain.clone()).map_err(|error| error.to_string());
        assert_eq!(got, expected.map(<[u8]>::to_vec).map_err(str::to_owned), "{packing:?} {:?}", body.get(..20));
        assert!(expected.is_err() || packing == Packing::None || held == plain.len());
    }

    #[test]
    fn bodies_come_back() {
        let page = b"a 1\nb 2\n".repeat(1000);
        let twice = [page.clone(), page.clone()].concat();
        check(Packing::None, &page, Ok(&page));
        check(Packing::Gzip, &gzip(&page), Ok(&page));
        check(Packing::Gzip, &[gzip(&page), gzip(&page)].concat(), Ok(&twice));
        check(Packing::Zstd, &zstd(&page), Ok(&page));
        check(Packing::Zstd, &[zstd(&page), zstd(&page)].concat(), Ok(&twice));
        let skipped = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9].to_vec();
        check(Packing::Zstd, &[skipped, zstd(&page)].concat(), Ok(&page));
        check(Packing::Zstd, b"", Ok(b""));
    }

    #[test]
    fn bombs_end_at_the_limit() {
        let large = vec![b'a'; 3 << 20];
        let end = &large[..1 << 20];
        check(Packing::Gzip, &gzip(&large), Ok(end));
        check(Packing::Zstd, &zstd(&large), Ok(end));
        let window = "the page is not valid zstd: it asks for a window of 2147483648 bytes, 8388608 are the most";
        check(Packing::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0, 0], Err(window));
        let single = "the page is not valid zstd: it asks for a window of 4294967295 bytes, 8388608 are the most";
        check(Packing::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0xff], Err(single));
    }

    #[test]
    fn damage_is_told() {
        let fails = |packing: Packing, body: &[u8]| {
            let result = packing.unpack(body, &mut Vec::new(), 1 << 20, |_| Ok(()));
            assert!(matches!(result, Err(ScrapeError::Packing(..))), "{packing:?} {result:?}");
        };
        let page = b"a 1\nb 2\n".repeat(1000);
        fails(Packing::Gzip, &page);
        fails(Packing::Zstd, &page);
        for packed in [(Packing::Gzip, gzip(&page)), (Packing::Zstd, zstd(&page))] {
            fails(packed.0, &packed.1[..packed.1.len() / 2]);
        }
        let mut wrong = zstd(&page);
        if let Some(last) = wrong.last_mut() {
            *last ^= 1;
        }
        fails(Packing::Zstd, &wrong);
        assert!(Packing::of("gzip, gzip").is_none());
    }
}
