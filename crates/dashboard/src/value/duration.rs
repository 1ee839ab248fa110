//! Durations as people read them.

use super::Formatted;
use super::number::to_fixed;
use super::recipe::{Recipe, Rung};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;
const WEEK: f64 = 604_800.0;
const YEAR: f64 = 31_536_000.0;
/// A year of seconds as the unit `s` counts it.
const MEAN_YEAR: f64 = 3.155_69e7;

/// A step of a unit: values below `below` (of the unit itself) are divided by `by` and named so.
struct Step {
    below: f64,
    by: f64,
    name: &'static str,
    plural: bool,
}

const fn step(below: f64, by: f64, name: &'static str) -> Step {
    Step { below, by, name, plural: false }
}

const fn word(below: f64, by: f64, name: &'static str) -> Step {
    Step { below, by, name, plural: true }
}

const INF: f64 = f64::INFINITY;

const NANOSECONDS: [Step; 7] = [
    step(1e3, 1.0, " ns"),
    step(1e6, 1e3, " µs"),
    step(1e9, 1e6, " ms"),
    step(6e10, 1e9, " s"),
    word(3.6e12, 6e10, " min"),
    word(8.64e13, 3.6e12, " hour"),
    word(INF, 8.64e13, " day"),
];
const MICROSECONDS: [Step; 3] = [step(1e3, 1.0, " µs"), step(1e6, 1e3, " ms"), step(INF, 1e6, " s")];
const MILLISECONDS: [Step; 6] = [
    step(1e3, 1.0, " ms"),
    step(6e4, 1e3, " s"),
    word(3.6e6, 6e4, " min"),
    word(8.64e7, 3.6e6, " hour"),
    word(3.1536e10, 8.64e7, " day"),
    word(INF, 3.1536e10, " year"),
];
const SECONDS: [Step; 9] = [
    step(1e-6, 1e-9, " ns"),
    step(1e-3, 1e-6, " µs"),
    step(1.0, 1e-3, " ms"),
    step(MINUTE, 1.0, " s"),
    word(HOUR, MINUTE, " min"),
    word(DAY, HOUR, " hour"),
    word(WEEK, DAY, " day"),
    word(YEAR, WEEK, " week"),
    word(INF, MEAN_YEAR, " year"),
];
const MINUTES: [Step; 5] = [
    word(60.0, 1.0, " min"),
    word(1_440.0, 60.0, " hour"),
    word(10_080.0, 1_440.0, " day"),
    word(604_800.0, 10_080.0, " week"),
    word(INF, 5.259_48e5, " year"),
];
const HOURS: [Step; 4] =
    [word(24.0, 1.0, " hour"), word(168.0, 24.0, " day"), word(8_760.0, 168.0, " week"), word(INF, 8_760.0, " year")];
const DAYS: [Step; 3] = [word(7.0, 1.0, " day"), word(365.0, 7.0, " week"), word(INF, 365.0, " year")];

/// Units of durations that are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl Base {
    fn steps(self) -> &'static [Step] {
        match self {
            Self::Nanoseconds => &NANOSECONDS,
            Self::Microseconds => &MICROSECONDS,
            Self::Milliseconds => &MILLISECONDS,
            Self::Seconds => &SECONDS,
            Self::Minutes => &MINUTES,
            Self::Hours => &HOURS,
            Self::Days => &DAYS,
        }
    }
}

/// [`scaled`] as data, for values of which `parts` are one of the unit.
pub(super) fn recipe(decimals: Option<u32>, base: Base, parts: f64) -> Recipe {
    let steps = base.steps();
    let from = std::iter::once(0.0).chain(steps.iter().map(|step| step.below * parts));
    let rung = |(step, from): (&Step, f64)| Rung {
        from,
        times: if step.by < 1.0 { (1.0 / step.by).round() } else { 1.0 },
        divide: parts * step.by.max(1.0),
        suffix: step.name.to_owned(),
        plural: step.plural,
    };
    let rungs: Vec<Rung> = steps.iter().zip(from).map(rung).collect();
    let zero = if base == Base::Seconds { rungs.iter().position(|rung| rung.suffix == " s").unwrap_or(0) } else { 0 };
    let odd = rungs.last().map(|last| format!("{}{}", last.suffix, if last.plural { "s" } else { "" }));
    Recipe::ladder(rungs, zero, &odd.unwrap_or_default(), decimals)
}

/// `1.50 mins`: the largest unit that fits.
pub(super) fn scaled(value: f64, decimals: Option<u32>, base: Base) -> Formatted {
    let steps = base.steps();
    if value == 0.0 && base == Base::Seconds {
        return Formatted::with_suffix("0".to_owned(), " s");
    }
    let Some(step) = steps.iter().find(|step| value.abs() < step.below).or(steps.last()) else {
        return Formatted::default();
    };
    // A division by a power of ten below one would lose a digit that a multiplication keeps.
    let shown = if step.by < 1.0 { value * (1.0 / step.by).round() } else { value / step.by };
    let ending = if step.plural && shown != 1.0 { "s" } else { "" };
    Formatted::with_suffix(to_fixed(shown, decimals), format!("{}{ending}", step.name))
}

const PARTS: [(&str, f64); 8] = [
    ("year", YEAR * 1e3),
    ("month", 2_592_000e3),
    ("week", WEEK * 1e3),
    ("day", DAY * 1e3),
    ("hour", HOUR * 1e3),
    ("minute", MINUTE * 1e3),
    ("second", 1e3),
    ("millisecond", 1.0),
];

/// `1 day, 2 hours`: as many parts behind the first as there are decimals.
pub(super) fn spoken(value_ms: f64, decimals: Option<u32>, base: &str) -> Formatted {
    if value_ms == 0.0 {
        return Formatted::with_suffix("0".to_owned(), format!(" {base}s"));
    }
    if !value_ms.is_finite() {
        return Formatted::text(to_fixed(value_ms, None));
    }
    let ending = if value_ms < 0.0 { " ago" } else { "" };
    let mut rest = value_ms.abs();
    let mut parts = Vec::new();
    for (name, size) in PARTS {
        let count = (rest / size).floor();
        if (count < 1.0 && parts.is_empty()) || parts.len() > decimals.unwrap_or(0) as usize {
            continue;
        }
        let plural = if count == 1.0 { "" } else { "s" };
        parts.push(format!("{count} {name}{plural}"));
        rest %= size;
    }
    Formatted::with_suffix(parts.join(", "), ending)
}

/// `02:03:04`, or with `days` `1 d 02:03:04`.
pub(super) fn clocked(value_s: f64, days: bool) -> Formatted {
    if !value_s.is_finite() {
        return Formatted::text(to_fixed(value_s, None));
    }
    let sign = if value_s < 0.0 { "-" } else { "" };
    let whole = value_s.abs().floor();
    let (day, rest) = if days { ((whole / DAY).floor(), whole % DAY) } else { (0.0, whole) };
    let (hour, minute, second) = ((rest / HOUR).floor(), (rest % HOUR / MINUTE).floor(), rest % MINUTE);
    let day = if days { format!("{day} d ") } else { String::new() };
    Formatted::text(format!("{sign}{day}{hour:02}:{minute:02}:{second:02}"))
}

/// `01h:02m:03s:004ms`: as many parts behind the first as there are decimals, all where nobody says.
pub(super) fn clock(value_ms: f64, decimals: Option<u32>) -> Formatted {
    if !value_ms.is_finite() {
        return Formatted::text(to_fixed(value_ms, None));
    }
    let sign = if value_ms < 0.0 { "-" } else { "" };
    let ms = value_ms.abs().floor();
    let parts = [
        ((ms / 3.6e6).floor(), 2, "h"),
        ((ms % 3.6e6 / 6e4).floor(), 2, "m"),
        ((ms % 6e4 / 1e3).floor(), 2, "s"),
        ((ms % 1e3).floor(), 3, "ms"),
    ];
    let first = parts.iter().position(|(count, ..)| *count > 0.0).unwrap_or(3);
    let shown = decimals.map_or(4, |decimals| decimals as usize + 1);
    let part = |(count, digits, name): &(f64, usize, &str)| format!("{count:0digits$}{name}");
    let text = parts[first..].iter().take(shown).map(part).collect::<Vec<_>>().join(":");
    Formatted::text(format!("{sign}{text}"))
}
