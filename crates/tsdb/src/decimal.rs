//! Doubles as decimal numbers: 12.34 is 1234 at 10^-2, where the way back gives the same bits.

/// More digits than nanoseconds of CPU time need are random mantissas; trying further costs time and finds nothing.
pub(crate) const EXPONENT_MAX: u8 = 12;

/// Integers up to here are exact in a double, so that `mantissa / 10^exponent` is rounded once, as a parser would.
const MANTISSA_MAX: f64 = (1u64 << 53) as f64;

const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];

/// The number behind a mantissa and an exponent.
pub(crate) fn value(mantissa: i64, exponent: u8) -> f64 {
    at(mantissa as f64, exponent)
}

/// As [`value`] for a mantissa that is a double already.
pub(crate) fn at(mantissa: f64, exponent: u8) -> f64 {
    mantissa / POWERS[usize::from(exponent)]
}

/// A sum with this has no fraction, and is rounded as sums are: to the nearest, a tie to the even one.
const WHOLE: f64 = 1.5 * (1u64 << 52) as f64;

/// Numbers below this one may be added to [`WHOLE`].
const SMALL_MAX: f64 = (1u64 << 51) as f64;

/// As `round_ties_even`, which is a call into a library where the processor is not known to have an instruction for it.
fn round(number: f64) -> f64 {
    if number.abs() < SMALL_MAX { (number + WHOLE) - WHOLE } else { number.round_ties_even() }
}

/// The mantissa at this exponent, if it gives back the same bits; `None` for NaN, infinities and -0.0.
pub(crate) fn mantissa_at(number: f64, exponent: u8) -> Option<i64> {
    let scaled = round(number * POWERS[usize::from(exponent)]);
    if scaled.abs() > MANTISSA_MAX {
        return None;
    }
    let mantissa = scaled as i64;
    (value(mantissa, exponent).to_bits() == number.to_bits()).then_some(mantissa)
}

/// The shortest decimal of a number, `hint` tried first.
pub(crate) fn shortest(number: f64, hint: u8) -> Option<(i64, u8)> {
    if let Some(mantissa) = mantissa_at(number, hint) {
        return Some((mantissa, hint));
    }
    if !number.is_finite() {
        return None;
    }
    (0..=EXPONENT_MAX)
        .take_while(|&e| number.abs() * POWERS[usize::from(e)] <= MANTISSA_MAX)
        .find_map(|e| mantissa_at(number, e).map(|m| (m, e)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rounds_as_the_library_does(number in any::<f64>(), half in -100_000i64..100_000) {
            for number in [number, half as f64 / 2.0, half as f64 + number.fract()] {
                prop_assert!(round(number) == number.round_ties_even() || number.is_nan(), "{number}");
            }
        }
    }

    #[test]
    fn finds_the_shortest() {
        let cases = [
            (0.0, Some((0, 0))),
            (12.34, Some((1234, 2))),
            (-0.1, Some((-1, 1))),
            (1e15, Some((1_000_000_000_000_000, 0))),
            (1.5e300, None),
            (-0.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (std::f64::consts::PI, None),
            (1234.567890123, Some((1_234_567_890_123, 9))),
        ];
        for (number, expected) in cases {
            assert_eq!(shortest(number, 0), expected, "{number}");
        }
        assert_eq!(shortest(3.0, 2), Some((300, 2)));
    }
}
