//! Columns of doubles that are no decimals, by pco.

use pco::errors::PcoResult;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use crate::bytes::{Damage, Reader};
use crate::numbers;

/// The level at which the sizes of all column lengths stop falling.
const LEVEL: usize = 8;

/// The header of pco's wrapped format as its version 1.1 writes it. A column leaves it out.
const PCO_HEADER: [u8; 2] = [4, 1];

/// pco's variants of modes and of differences that a column may have, as its format numbers them.
const MODE_CLASSIC: u8 = 0;
const MODE_FLOAT_MULT: u8 = 2;
const MODE_FLOAT_QUANT: u8 = 3;
const DELTA_CONSECUTIVE: u8 = 1;

/// Writes doubles by pco's own ways of looking at them: multiples of something, or few significant bits. `None` if it
/// refuses them or does not give back every bit.
pub(crate) fn pack(values: &[f64], out: &mut Vec<u8>) -> Option<()> {
    let places: Vec<i64> = values.iter().map(|v| numbers::ordered(v.to_bits() as i64)).collect();
    let order = numbers::best_order(&places);
    let delta = if order == 0 { DeltaSpec::NoOp } else { DeltaSpec::TryConsecutive(order) };
    let (headed, bytes) = encode(values, delta)?;
    let back = decode(headed, &bytes, values.len()).ok()?;
    let exact = back.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits());
    exact.then(|| {
        out.push(u8::from(headed));
        out.extend_from_slice(&bytes);
    })
}

/// Reads `count` doubles, which take all bytes that are left.
pub(crate) fn unpack(mut reader: Reader<'_>, count: usize) -> Result<Vec<f64>, Damage> {
    let headed = match reader.byte()? {
        0 => false,
        1 => true,
        _ => return Err(Damage("unknown form of doubles")),
    };
    decode(headed, reader.0, count)
}

/// Whether pco's header is in front, and its bytes: the chunk's tables and one page.
fn encode(values: &[f64], delta: DeltaSpec) -> Option<(bool, Vec<u8>)> {
    let config =
        ChunkConfig::default().with_compression_level(LEVEL).with_mode_spec(ModeSpec::Auto).with_delta_spec(delta);

    let file = FileCompressor::default();
    let mut out = Vec::new();
    file.write_header(&mut out).ok()?;
    let headed = out != PCO_HEADER;
    if !headed {
        out.clear();
    }
    let mut chunk = file.chunk_compressor(values, &config).ok()?;
    chunk.write_meta(&mut out).ok()?;
    chunk.write_page(0, &mut out).ok()?;
    Some((headed, out))
}

/// Whether the chunk's first bits, behind the header, are of the kinds that [`encode`] makes: no dictionary of up to
/// 2^25 values, and no window of up to 2^24 numbers to look back at. pco makes room for both before it has read anything,
/// a quarter of a gigabyte for a column of a few bytes.
fn is_bounded(chunk: &[u8]) -> bool {
    let mode = chunk.first().map_or(u8::MAX, |first| first & 0xf);
    // The mode's variant takes four bits, what it says more none, 64 or 8, and then four bits tell the differences.
    let delta_at = match mode {
        MODE_CLASSIC => 0,
        MODE_FLOAT_MULT => 8,
        MODE_FLOAT_QUANT => 1,
        _ => return false,
    };
    chunk.get(delta_at).is_some_and(|byte| byte >> 4 <= DELTA_CONSECUTIVE)
}

fn decode(headed: bool, bytes: &[u8], count: usize) -> Result<Vec<f64>, Damage> {
    let mut values = vec![0.0; count];
    let undecodable = Damage("pco column does not decode");
    let (file, after) = FileDecompressor::new(if headed { bytes } else { &PCO_HEADER }).map_err(|_| undecodable)?;
    let rest = if headed { after } else { bytes };
    if !is_bounded(rest) {
        return Err(Damage("pco column is of a kind that no column has"));
    }
    let mut decode = || -> PcoResult<usize> {
        let (mut chunk, rest) = file.chunk_decompressor::<f64, _>(rest)?;
        let progress = chunk.page_decompressor(rest, count)?.read(&mut values)?;
        Ok(progress.n_processed)
    };
    match decode() {
        Ok(processed) if processed == count => Ok(values),
        Ok(_) => Err(Damage("pco column has another length")),
        Err(_) => Err(undecodable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, pco writes another version of its format: columns carry the header from then on, and what is
    /// written without one still says the version above.
    #[test]
    fn the_header_is_the_known_one() {
        assert!(!encode(&[1.0, 2.0, 3.0], DeltaSpec::NoOp).unwrap().0);
    }

    /// A dictionary of 2^25 values, windows of 2^24 numbers, and what pco does not know.
    #[test]
    fn what_takes_memory_without_bound_is_refused() {
        let refused = |chunk: &[u8]| {
            let bytes = [chunk, &[0xff; 40]].concat();
            assert_eq!(decode(false, &bytes, 10), Err(Damage("pco column is of a kind that no column has")));
        };
        let mut behind_base = [0; 9];
        (behind_base[0], behind_base[8]) = (MODE_FLOAT_MULT, 0x20);
        let cases: [&[u8]; 7] = [&[4], &[1], &[5], &[0x20], &[0x30], &[MODE_FLOAT_QUANT, 0x20], &behind_base];
        cases.into_iter().for_each(refused);
        assert!(!is_bounded(&[]) && !is_bounded(&[MODE_FLOAT_MULT, 1, 2]));
    }
}
