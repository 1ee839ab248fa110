//! Numbers with a letter for their size: `1.50 K`, `3 GiB`.

use super::Formatted;
use super::number::to_fixed;

const DECIMAL: [&str; 14] = ["f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y"];
const BINARY: [&str; 9] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const COUNT: [&str; 5] = ["", "K", "M", "B", "T"];
const SHORT: [&str; 9] = ["", " K", " Mil", " Bil", " Tri", " Quadr", " Quint", " Sext", " Sept"];

/// Where the letters of decimal sizes have none.
const DECIMAL_ZERO: i32 = 5;

/// A number, what its letter is, of letters that are `factor` apart and begin `zero` below none.
fn scaled(value: f64, decimals: Option<u32>, factor: f64, letters: &[&str], zero: i32) -> (String, String) {
    if !value.is_finite() {
        return (to_fixed(value, decimals), String::new());
    }
    let last = letters.len() as i32 - 1;
    let steps = if value == 0.0 { 0 } else { log_floor(value.abs(), factor) };
    let letter = (zero + steps).clamp(0, last);
    let size = factor.powi(letter - zero);
    (to_fixed(value / size, decimals), letters[letter as usize].to_owned())
}

/// The power of `factor` that a value reaches. A logarithm may be off by a hair right at a power.
fn log_floor(value: f64, factor: f64) -> i32 {
    let steps = (value.ln() / factor.ln()).floor() as i32;
    if value >= factor.powi(steps + 1) {
        steps + 1
    } else if value < factor.powi(steps) {
        steps - 1
    } else {
        steps
    }
}

/// `1.5 kB`: letters of powers of 1000, those below one too; `offset` says which letter a value of 1 has.
pub(super) fn decimal(value: f64, decimals: Option<u32>, unit: &str, offset: i32) -> Formatted {
    let (text, letter) = scaled(value, decimals, 1_000.0, &DECIMAL, DECIMAL_ZERO + offset);
    Formatted::with_suffix(text, format!(" {letter}{unit}"))
}

/// `1.5 KiB`: letters of powers of 1024.
pub(super) fn binary(value: f64, decimals: Option<u32>, unit: &str, offset: i32) -> Formatted {
    let (text, letter) = scaled(value, decimals, 1_024.0, &BINARY, offset);
    Formatted::with_suffix(text, format!(" {letter}{unit}"))
}

/// `1.50 K`, `2 Mil`.
pub(super) fn short(value: f64, decimals: Option<u32>) -> Formatted {
    let (text, suffix) = scaled(value, decimals, 1_000.0, &SHORT, 0);
    Formatted::with_suffix(text, suffix)
}

/// `1.50K ops/s`.
pub(super) fn count(value: f64, decimals: Option<u32>, unit: &str) -> Formatted {
    let (text, letter) = scaled(value, decimals, 1_000.0, &COUNT, 0);
    Formatted::with_suffix(text, format!("{letter} {unit}"))
}

/// `$1.50K`, or with the sign behind.
pub(super) fn currency(value: f64, decimals: Option<u32>, sign: &str, behind: bool) -> Formatted {
    let (text, letter) = scaled(value.abs(), decimals, 1_000.0, &COUNT, 0);
    let minus = if value < 0.0 { "-" } else { "" };
    match behind {
        true => Formatted { prefix: minus.to_owned(), text, suffix: format!("{letter}{sign}") },
        false => Formatted { prefix: format!("{minus}{sign}"), text, suffix: letter },
    }
}
