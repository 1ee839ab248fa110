//! How numbers of a unit are written, as data: for who writes them elsewhere, a page's script say.

use serde::Serialize;

/// How a number is written. [`Unit::recipe`](super::Unit::recipe) makes them; what they yield is what the unit itself writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Recipe {
    /// `prefix`, `value * times / divide` of the highest rung whose `from` is not above the value's size (the first one below
    /// all; rung `zero` for 0), the rung's suffix. Not finite: `NaN`, `∞` or `-∞` and the suffix `odd`.
    Ladder {
        /// Before the number.
        #[serde(skip_serializing_if = "String::is_empty")]
        prefix: String,
        /// Whether a minus stands before the prefix.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        minus_first: bool,
        /// From the smallest on; at least one.
        rungs: Vec<Rung>,
        /// The place of the rung for 0.
        zero: usize,
        /// The suffix of what is not finite.
        #[serde(skip_serializing_if = "String::is_empty")]
        odd: String,
        /// Digits after the point; absent, three in all and none for whole numbers.
        #[serde(skip_serializing_if = "Option::is_none")]
        decimals: Option<u32>,
    },
    /// Milliseconds since 1970 by Moment's letters.
    Date {
        /// The letters.
        letters: String,
        /// Those for a time of today.
        #[serde(skip_serializing_if = "Option::is_none")]
        today: Option<String>,
    },
    /// `3 hours ago`, of milliseconds since 1970.
    Ago,
    /// `1 day, 2 hours`: `decimals` more parts than one, of `times` milliseconds; 0 is `0 base` and an s.
    Spoken {
        /// Milliseconds of 1.
        times: f64,
        /// The unit's own word.
        base: String,
        /// How many parts more than one.
        #[serde(skip_serializing_if = "Option::is_none")]
        decimals: Option<u32>,
    },
    /// `02:03:04` of seconds.
    Clock {
        /// Whether days stand before it: `1 d 02:03:04`.
        days: bool,
    },
    /// `01h:02m:03s:004ms`: `decimals` more parts than one.
    Parts {
        /// Milliseconds of 1.
        times: f64,
        /// How many parts more than one; absent, all.
        #[serde(skip_serializing_if = "Option::is_none")]
        decimals: Option<u32>,
    },
    /// `1,234.5`.
    Grouped {
        /// Digits after the point; absent, up to three.
        #[serde(skip_serializing_if = "Option::is_none")]
        decimals: Option<u32>,
    },
    /// `1.2e+3`.
    Scientific {
        /// Digits after the point; absent, as many as there are.
        #[serde(skip_serializing_if = "Option::is_none")]
        decimals: Option<u32>,
    },
    /// `FF`.
    Hex {
        /// Whether it is `0xFF`.
        mark: bool,
    },
    /// Words in place of numbers.
    Flag {
        /// For 0.
        no: String,
        /// For anything else.
        yes: String,
    },
    /// As JavaScript writes it.
    Plain,
}

/// A step of a [`Recipe::Ladder`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// The size from which it holds.
    pub from: f64,
    /// The value is multiplied by this,
    pub times: f64,
    /// then divided by this.
    pub divide: f64,
    /// With the space before it.
    pub suffix: String,
    /// Whether an `s` follows where the number is not 1.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plural: bool,
}

impl Rung {
    /// A rung of numbers that are divided.
    pub(super) fn new(from: f64, divide: f64, suffix: String) -> Self {
        Self { from, times: 1.0, divide, suffix, plural: false }
    }
}

impl Recipe {
    /// One rung: the number as it is.
    pub(super) fn flat(times: f64, suffix: &str, decimals: Option<u32>) -> Self {
        Self::ladder(vec![Rung { times, ..Rung::new(0.0, 1.0, suffix.to_owned()) }], 0, suffix, decimals)
    }

    /// Rungs without a prefix.
    pub(super) fn ladder(rungs: Vec<Rung>, zero: usize, odd: &str, decimals: Option<u32>) -> Self {
        Self::Ladder { prefix: String::new(), minus_first: false, rungs, zero, odd: odd.to_owned(), decimals }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Clock, Unit, to_fixed};

    /// What a script makes of a ladder.
    fn written(recipe: &Recipe, value: f64) -> String {
        let Recipe::Ladder { prefix, minus_first, rungs, zero, odd, decimals } = recipe else {
            panic!("{recipe:?} is no ladder");
        };
        let minus = *minus_first && value < 0.0;
        let sign = if minus { "-" } else { "" };
        let value = if minus { -value } else { value };
        if !value.is_finite() {
            return format!("{sign}{prefix}{}{odd}", to_fixed(value, None));
        }
        let rung = match value == 0.0 {
            true => &rungs[*zero],
            false => rungs.iter().rev().find(|rung| value.abs() >= rung.from).unwrap_or(&rungs[0]),
        };
        let shown = value * rung.times / rung.divide;
        let plural = if rung.plural && shown != 1.0 { "s" } else { "" };
        format!("{sign}{prefix}{}{}{plural}", to_fixed(shown, *decimals), rung.suffix)
    }

    #[test]
    fn ladders_write_what_units_write() {
        let units = [
            "none",
            "",
            "short",
            "sishort",
            "percent",
            "percentunit",
            "bytes",
            "kbytes",
            "decbytes",
            "decgbytes",
            "bits",
            "binBps",
            "Bps",
            "pps",
            "ops",
            "reqps",
            "opm",
            "ns",
            "µs",
            "ms",
            "s",
            "m",
            "h",
            "d",
            "timeticks",
            "currencyUSD",
            "currencySEK",
            "hertz",
            "mwatt",
            "celsius",
            "rotrpm",
            "prefix:n=",
            "suffix:pods",
            "si:mV",
            "count:x",
            "cores",
        ];
        let sizes = [1e-9, 4.2e-7, 1e-6, 0.001, 0.0123, 0.5, 1.0, 1.5, 7.0, 59.9, 60.0, 999.0, 1000.0, 1023.9, 1024.0];
        let large = [3600.0, 86_400.0, 604_800.0, 123_456.789, 1e6, 31_536_000.0, 1e9, 1.5e12, 1e15, 1e18, 1e24, 1e30];
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0];
        let sizes: Vec<f64> = sizes.into_iter().chain(large).flat_map(|size| [size, -size]).chain(odd).collect();
        for (name, decimals) in units.iter().flat_map(|name| [None, Some(0), Some(2)].map(|decimals| (name, decimals)))
        {
            let unit = Unit::parse(name);
            let recipe = unit.recipe(decimals);
            for value in &sizes {
                // A zero of seconds has no digits, whatever is asked for; one division in place of two differs in the 16th digit.
                let is_exact = *name != "timeticks" || value.abs() < 1e15;
                if !is_exact || *value == 0.0 && matches!(*name, "s" | "timeticks") {
                    continue;
                }
                let expected = unit.format(*value, decimals, &Clock::default()).to_string();
                assert_eq!(written(&recipe, *value), expected, "{name:?} {value} {decimals:?}");
            }
        }
    }
}
