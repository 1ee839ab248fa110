//! The codings of answers that Prometheus knows: gzip, and `deflate`, which is zlib's format.

use std::io::Write;

use axum::http::{HeaderMap, HeaderValue, header};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// How an answer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// The first that the client takes, as upstream chooses.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).find_map(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = match parts.next()? {
                name if name.eq_ignore_ascii_case("gzip") || name == "*" => Self::Gzip,
                name if name.eq_ignore_ascii_case("deflate") => Self::Deflate,
                _ => return None,
            };
            let refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
            (!parts.any(refused)).then_some(named)
        })
    }

    /// Its name in headers.
    pub(crate) fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        })
    }
}

/// Packs an answer piece by piece.
pub(crate) enum Packer {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Packer {
    pub(crate) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Coding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
        }
    }

    /// Packs a piece. What comes out may be empty, because some is kept back.
    pub(crate) fn pack(&mut self, piece: &[u8]) -> Vec<u8> {
        // Writing into memory cannot fail.
        match self {
            Self::Gzip(packer) => {
                let _ = packer.write_all(piece);
                std::mem::take(packer.get_mut())
            }
            Self::Deflate(packer) => {
                let _ = packer.write_all(piece);
                std::mem::take(packer.get_mut())
            }
        }
    }

    /// What was kept back.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Gzip(packer) => packer.finish(),
            Self::Deflate(packer) => packer.finish(),
        }
        .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings() {
        let check = |value: &'static str, expected: Option<Coding>| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(Coding::of(&headers), expected, "{value}");
        };
        check("gzip", Some(Coding::Gzip));
        check("gzip, deflate", Some(Coding::Gzip));
        check("deflate, gzip;q=0.5", Some(Coding::Deflate));
        check("br, Deflate", Some(Coding::Deflate));
        check("*", Some(Coding::Gzip));
        check("gzip;q=0", None);
        check("gzip; q=0.0, deflate", Some(Coding::Deflate));
        check("br", None);
        check("", None);
    }
}
