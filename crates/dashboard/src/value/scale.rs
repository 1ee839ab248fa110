//! Numbers with a letter for their size: `1.50 K`, `3 GiB`.

use super::Formatted;
use super::number::to_fixed;
use super::recipe::{Recipe, Rung};

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

/// Rungs of letters that are `factor` apart and begin `zero` below none.
fn rungs(factor: f64, letters: &[&str], zero: i32, suffix: impl Fn(&str) -> String) -> Vec<Rung> {
    let size = |at: usize| factor.powi(at as i32 - zero);
    letters.iter().enumerate().map(|(at, letter)| Rung::new(size(at), size(at), suffix(letter))).collect()
}

/// [`decimal`] as data.
pub(super) fn decimal_recipe(decimals: Option<u32>, unit: &str, offset: i32) -> Recipe {
    let zero = DECIMAL_ZERO + offset;
    let rungs = rungs(1_000.0, &DECIMAL, zero, |letter| format!(" {letter}{unit}"));
    let place = zero.clamp(0, rungs.len() as i32 - 1) as usize;
    Recipe::ladder(rungs, place, &format!(" {unit}"), decimals)
}

/// [`binary`] as data.
pub(super) fn binary_recipe(decimals: Option<u32>, unit: &str, offset: i32) -> Recipe {
    let rungs = rungs(1_024.0, &BINARY, offset, |letter| format!(" {letter}{unit}"));
    let place = offset.clamp(0, rungs.len() as i32 - 1) as usize;
    Recipe::ladder(rungs, place, &format!(" {unit}"), decimals)
}

/// [`short`] as data.
pub(super) fn short_recipe(decimals: Option<u32>) -> Recipe {
    Recipe::ladder(rungs(1_000.0, &SHORT, 0, str::to_owned), 0, "", decimals)
}

/// [`count`] as data.
pub(super) fn count_recipe(decimals: Option<u32>, unit: &str) -> Recipe {
    let rungs = rungs(1_000.0, &COUNT, 0, |letter| format!("{letter} {unit}"));
    Recipe::ladder(rungs, 0, &format!(" {unit}"), decimals)
}

/// [`currency`] as data.
pub(super) fn currency_recipe(decimals: Option<u32>, sign: &str, behind: bool) -> Recipe {
    let (prefix, odd) = if behind { ("", sign) } else { (sign, "") };
    let rungs = rungs(1_000.0, &COUNT, 0, |letter| format!("{letter}{odd}"));
    Recipe::Ladder { prefix: prefix.to_owned(), minus_first: true, rungs, zero: 0, odd: odd.to_owned(), decimals }
}
