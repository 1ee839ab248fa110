//! Units by Grafana's names.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::Formatted;
use super::date::{format_time, from_now, zoned};
use super::duration::{self, Base};
use super::number::{grouped, javascript, to_fixed};
use super::recipe::Recipe;
use super::scale;

/// A unit: how a number of it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit(Kind);

/// Where and when a number is read, for those that are points in time.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The zone of the page.
    pub zone: TimeZone,
    /// Milliseconds since 1970.
    pub now_ms: f64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, now_ms: 0.0 }
    }
}

type Name = Cow<'static, str>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// The number, then a space and the name; nothing where it is empty.
    Fixed(Name),
    /// The name, then the number.
    Prefix(Name),
    /// Letters of powers of 1000; the letter of 1.
    Decimal(Name, i32),
    /// Letters of powers of 1024; the letter of 1.
    Binary(Name, i32),
    /// `K`, `M`, `B`, `T` before the name.
    Count(Name),
    /// Sign, and whether it stands behind.
    Currency(Name, bool),
    Short,
    Percent,
    PercentUnit,
    Locale,
    Scientific,
    Hex(bool),
    /// Words for nothing and for the rest.
    Flag(Name, Name),
    Duration(Base),
    /// Hundredths of a second.
    Ticks,
    /// Parts in words, of so many milliseconds, named so.
    Spoken(u32, &'static str),
    /// `hh:mm:ss`, with days or without.
    Clocked(bool),
    /// `01h:02m`, of so many milliseconds.
    ClockParts(u32),
    /// Milliseconds since 1970 by Moment's letters; what of them is left out today.
    Time(Name, Option<&'static str>),
    FromNow,
    Text,
}

impl Unit {
    /// Reads a unit's name. One that Grafana does not know is written behind the number.
    pub fn parse(name: &str) -> Self {
        Self(known(name).or_else(|| custom(name)).unwrap_or_else(|| Kind::Fixed(name.to_owned().into())))
    }

    /// Writes a number of the unit, with so many digits after the point, or with three in all.
    pub fn format(&self, value: f64, decimals: Option<u32>, clock: &Clock) -> Formatted {
        match &self.0 {
            Kind::Fixed(name) if name.is_empty() => Formatted::text(to_fixed(value, decimals)),
            Kind::Fixed(name) => Formatted::with_suffix(to_fixed(value, decimals), format!(" {name}")),
            Kind::Prefix(name) => Formatted { prefix: name.to_string(), ..Formatted::text(to_fixed(value, decimals)) },
            Kind::Decimal(name, letter) => scale::decimal(value, decimals, name, *letter),
            Kind::Binary(name, letter) => scale::binary(value, decimals, name, *letter),
            Kind::Count(name) => scale::count(value, decimals, name),
            Kind::Currency(sign, behind) => scale::currency(value, decimals, sign, *behind),
            Kind::Short => scale::short(value, decimals),
            Kind::Percent => Formatted::with_suffix(to_fixed(value, decimals), "%"),
            Kind::PercentUnit => Formatted::with_suffix(to_fixed(value * 100.0, decimals), "%"),
            Kind::Locale => Formatted::text(grouped(value, decimals)),
            Kind::Scientific => Formatted::text(scientific(value, decimals)),
            Kind::Hex(mark) => Formatted::text(hex(value, *mark)),
            Kind::Flag(no, yes) => Formatted::text(if value == 0.0 { no.clone() } else { yes.clone() }),
            Kind::Text => Formatted::text(javascript(value)),
            _ => self.format_time(value, decimals, clock),
        }
    }

    /// The same as data, for who writes numbers elsewhere.
    pub fn recipe(&self, decimals: Option<u32>) -> Recipe {
        match &self.0 {
            Kind::Fixed(name) if name.is_empty() => Recipe::flat(1.0, "", decimals),
            Kind::Fixed(name) => Recipe::flat(1.0, &format!(" {name}"), decimals),
            Kind::Prefix(name) => match Recipe::flat(1.0, "", decimals) {
                Recipe::Ladder { rungs, zero, odd, decimals, .. } => {
                    Recipe::Ladder { prefix: name.to_string(), minus_first: false, rungs, zero, odd, decimals }
                }
                other => other,
            },
            Kind::Decimal(name, letter) => scale::decimal_recipe(decimals, name, *letter),
            Kind::Binary(name, letter) => scale::binary_recipe(decimals, name, *letter),
            Kind::Count(name) => scale::count_recipe(decimals, name),
            Kind::Currency(sign, behind) => scale::currency_recipe(decimals, sign, *behind),
            Kind::Short => scale::short_recipe(decimals),
            Kind::Percent => Recipe::flat(1.0, "%", decimals),
            Kind::PercentUnit => Recipe::flat(100.0, "%", decimals),
            Kind::Locale => Recipe::Grouped { decimals },
            Kind::Scientific => Recipe::Scientific { decimals },
            Kind::Hex(mark) => Recipe::Hex { mark: *mark },
            Kind::Flag(no, yes) => Recipe::Flag { no: no.to_string(), yes: yes.to_string() },
            Kind::Text => Recipe::Plain,
            _ => self.recipe_time(decimals),
        }
    }

    fn recipe_time(&self, decimals: Option<u32>) -> Recipe {
        match &self.0 {
            Kind::Duration(base) => duration::recipe(decimals, *base, 1.0),
            Kind::Ticks => duration::recipe(decimals, Base::Seconds, 100.0),
            Kind::Spoken(factor, base) => {
                Recipe::Spoken { times: f64::from(*factor), base: (*base).to_owned(), decimals }
            }
            Kind::Clocked(days) => Recipe::Clock { days: *days },
            Kind::ClockParts(factor) => Recipe::Parts { times: f64::from(*factor), decimals },
            Kind::Time(letters, today) => {
                Recipe::Date { letters: letters.to_string(), today: today.map(str::to_owned) }
            }
            _ => Recipe::Ago,
        }
    }

    fn format_time(&self, value: f64, decimals: Option<u32>, clock: &Clock) -> Formatted {
        match &self.0 {
            Kind::Duration(base) => duration::scaled(value, decimals, *base),
            Kind::Ticks => duration::scaled(value / 100.0, decimals, Base::Seconds),
            Kind::Spoken(factor, base) => duration::spoken(value * f64::from(*factor), decimals, base),
            Kind::Clocked(days) => duration::clocked(value, *days),
            Kind::ClockParts(factor) => duration::clock(value * f64::from(*factor), decimals),
            Kind::Time(format, today) => Formatted::text(point(value, format, *today, clock)),
            _ => Formatted::text(from_now(value, clock.now_ms)),
        }
    }
}

fn point(value: f64, format: &str, today: Option<&str>, clock: &Clock) -> String {
    let date = |time| zoned(time, &clock.zone).map(|zoned| zoned.date());
    let format = today.filter(|_| date(value) == date(clock.now_ms)).unwrap_or(format);
    format_time(value, format, &clock.zone)
}

fn scientific(value: f64, decimals: Option<u32>) -> String {
    let text = match decimals {
        Some(decimals) => format!("{value:.*e}", decimals as usize),
        None => format!("{value:e}"),
    };
    match text.split_once('e') {
        Some((digits, power)) if !power.starts_with('-') => format!("{digits}e+{power}"),
        _ => text,
    }
}

fn hex(value: f64, mark: bool) -> String {
    if !value.is_finite() {
        return to_fixed(value, None);
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let mark = if mark { "0x" } else { "" };
    format!("{sign}{mark}{:X}", value.abs().round() as u128)
}

/// `prefix:`, `suffix:`, `si:`, `time:`, `count:`, `currency:` and `bool:` with what the user wrote behind.
fn custom(name: &str) -> Option<Kind> {
    let (key, rest) = name.split_once(':')?;
    let owned = || Cow::Owned(rest.to_owned());
    Some(match key {
        "prefix" => Kind::Prefix(owned()),
        "suffix" => Kind::Fixed(owned()),
        "time" => Kind::Time(owned(), None),
        "count" => Kind::Count(owned()),
        "currency" => Kind::Currency(owned(), false),
        "bool" => {
            let (yes, no) = rest.split_once('/').unwrap_or((rest, ""));
            Kind::Flag(no.to_owned().into(), yes.to_owned().into())
        }
        "si" => {
            let offset = rest.chars().next().and_then(si_offset).filter(|_| rest.chars().count() > 1);
            let unit = if offset.is_some() { rest.chars().skip(1).collect() } else { rest.to_owned() };
            Kind::Decimal(unit.into(), offset.unwrap_or(0))
        }
        _ => return None,
    })
}

fn si_offset(letter: char) -> Option<i32> {
    let place = "fpnµm kMGTPEZY".chars().position(|known| known == letter && letter != ' ')?;
    Some(place as i32 - 5)
}

/// Units by name. Those with letters say which letter a value of 1 has.
fn known(name: &str) -> Option<Kind> {
    let kind = plain(name).or_else(|| data(name)).or_else(|| time(name)).or_else(|| money(name));
    kind.or_else(|| physics(name)).or_else(|| rates(name))
}

fn plain(name: &str) -> Option<Kind> {
    Some(match name {
        "none" | "" => Kind::Fixed("".into()),
        "string" => Kind::Text,
        "short" => Kind::Short,
        "sishort" => Kind::Decimal("".into(), 0),
        "percent" => Kind::Percent,
        "percentunit" => Kind::PercentUnit,
        "locale" => Kind::Locale,
        "sci" => Kind::Scientific,
        "hex" => Kind::Hex(false),
        "hex0x" => Kind::Hex(true),
        "bool" => Kind::Flag("False".into(), "True".into()),
        "bool_yes_no" => Kind::Flag("No".into(), "Yes".into()),
        "bool_on_off" => Kind::Flag("Off".into(), "On".into()),
        _ => return None,
    })
}

fn data(name: &str) -> Option<Kind> {
    let binary = |unit: &'static str, letter| Some(Kind::Binary(unit.into(), letter));
    let decimal = |unit: &'static str, letter| Some(Kind::Decimal(unit.into(), letter));
    match name {
        "bytes" => binary("B", 0),
        "kbytes" => binary("B", 1),
        "mbytes" => binary("B", 2),
        "gbytes" => binary("B", 3),
        "tbytes" => binary("B", 4),
        "pbytes" => binary("B", 5),
        "bits" => binary("b", 0),
        "decbytes" => decimal("B", 0),
        "deckbytes" => decimal("B", 1),
        "decmbytes" => decimal("B", 2),
        "decgbytes" => decimal("B", 3),
        "dectbytes" => decimal("B", 4),
        "decpbytes" => decimal("B", 5),
        "decbits" => decimal("b", 0),
        "binBps" => binary("B/s", 0),
        "binbps" => binary("b/s", 0),
        "Bps" => decimal("B/s", 0),
        "bps" => decimal("b/s", 0),
        "KiBs" => binary("B/s", 1),
        "MiBs" => binary("B/s", 2),
        "GiBs" => binary("B/s", 3),
        "TiBs" => binary("B/s", 4),
        "PiBs" => binary("B/s", 5),
        "Kibits" => binary("b/s", 1),
        "Mibits" => binary("b/s", 2),
        "Gibits" => binary("b/s", 3),
        "Tibits" => binary("b/s", 4),
        "Pibits" => binary("b/s", 5),
        "KBs" => decimal("B/s", 1),
        "MBs" => decimal("B/s", 2),
        "GBs" => decimal("B/s", 3),
        "TBs" => decimal("B/s", 4),
        "PBs" => decimal("B/s", 5),
        "Kbits" => decimal("b/s", 1),
        "Mbits" => decimal("b/s", 2),
        "Gbits" => decimal("b/s", 3),
        "Tbits" => decimal("b/s", 4),
        "Pbits" => decimal("b/s", 5),
        "pps" => decimal("p/s", 0),
        "Hs" => decimal("H/s", 0),
        "KHs" => decimal("H/s", 1),
        "MHs" => decimal("H/s", 2),
        "GHs" => decimal("H/s", 3),
        "THs" => decimal("H/s", 4),
        "PHs" => decimal("H/s", 5),
        "EHs" => decimal("H/s", 6),
        _ => None,
    }
}

fn time(name: &str) -> Option<Kind> {
    let point = |format: &'static str, today| Some(Kind::Time(format.into(), today));
    match name {
        "ns" => Some(Kind::Duration(Base::Nanoseconds)),
        "µs" | "us" => Some(Kind::Duration(Base::Microseconds)),
        "ms" => Some(Kind::Duration(Base::Milliseconds)),
        "s" => Some(Kind::Duration(Base::Seconds)),
        "m" => Some(Kind::Duration(Base::Minutes)),
        "h" => Some(Kind::Duration(Base::Hours)),
        "d" => Some(Kind::Duration(Base::Days)),
        "timeticks" => Some(Kind::Ticks),
        "dtdurationms" => Some(Kind::Spoken(1, "millisecond")),
        "dtdurations" => Some(Kind::Spoken(1_000, "second")),
        "dthms" => Some(Kind::Clocked(false)),
        "dtdhms" => Some(Kind::Clocked(true)),
        "clockms" => Some(Kind::ClockParts(1)),
        "clocks" => Some(Kind::ClockParts(1_000)),
        "dateTimeAsIso" | "dateTimeAsLocal" | "dateTimeAsSystem" => point("YYYY-MM-DD HH:mm:ss", None),
        "dateTimeAsIsoNoDateIfToday" | "dateTimeAsLocalNoDateIfToday" => point("YYYY-MM-DD HH:mm:ss", Some("HH:mm:ss")),
        "dateTimeAsUS" => point("MM/DD/YYYY h:mm:ss a", None),
        "dateTimeAsUSNoDateIfToday" => point("MM/DD/YYYY h:mm:ss a", Some("h:mm:ss a")),
        "dateTimeFromNow" => Some(Kind::FromNow),
        _ => None,
    }
}

/// Codes of currencies, their signs, and whether those stand behind.
const SIGNS: [(&str, &str, bool); 32] = [
    ("USD", "$", false),
    ("GBP", "£", false),
    ("EUR", "€", false),
    ("JPY", "¥", false),
    ("CNY", "¥", false),
    ("RUB", "₽", false),
    ("UAH", "₴", false),
    ("BRL", "R$", false),
    ("DKK", "kr", true),
    ("ISK", "kr", true),
    ("NOK", "kr", true),
    ("SEK", "kr", true),
    ("CZK", "czk", false),
    ("CHF", "CHF", false),
    ("PLN", "PLN", false),
    ("BTC", "฿", false),
    ("mBTC", "mBTC", false),
    ("µBTC", "μBTC", false),
    ("μBTC", "μBTC", false),
    ("ZAR", "R", false),
    ("INR", "₹", false),
    ("KRW", "₩", false),
    ("IDR", "Rp", false),
    ("PHP", "PHP", false),
    ("VND", "đ", true),
    ("TRY", "₺", false),
    ("MYR", "RM", false),
    ("XPF", "XPF", false),
    ("BGN", "BGN", false),
    ("PYG", "₲", false),
    ("UYU", "UYU", false),
    ("ILS", "₪", false),
];

fn money(name: &str) -> Option<Kind> {
    let code = name.strip_prefix("currency")?;
    let (_, sign, behind) = SIGNS.iter().find(|(known, ..)| *known == code)?;
    Some(Kind::Currency((*sign).into(), *behind))
}

fn rates(name: &str) -> Option<Kind> {
    let unit = match name {
        "cps" => "c/s",
        "ops" => "ops/s",
        "reqps" => "req/s",
        "rps" => "rd/s",
        "wps" => "wr/s",
        "iops" => "io/s",
        "eps" => "evt/s",
        "mps" => "msg/s",
        "recps" => "rec/s",
        "rowsps" => "rows/s",
        "cpm" => "c/m",
        "opm" => "ops/m",
        "reqpm" => "req/m",
        "rpm" => "rd/m",
        "wpm" => "wr/m",
        "epm" => "evts/m",
        "mpm" => "msgs/m",
        "recpm" => "recs/m",
        "rowspm" => "rows/m",
        _ => return None,
    };
    Some(Kind::Count(unit.into()))
}

/// Units of nature with letters: the letter of 1.
const SCALED: [(&str, &str, i32); 77] = [
    ("hertz", "Hz", 0),
    ("rothz", "Hz", 0),
    ("flops", "FLOPS", 0),
    ("mflops", "FLOPS", 2),
    ("gflops", "FLOPS", 3),
    ("tflops", "FLOPS", 4),
    ("pflops", "FLOPS", 5),
    ("eflops", "FLOPS", 6),
    ("zflops", "FLOPS", 7),
    ("yflops", "FLOPS", 8),
    ("watt", "W", 0),
    ("kwatt", "W", 1),
    ("megwatt", "W", 2),
    ("gwatt", "W", 3),
    ("mwatt", "W", -1),
    ("voltamp", "VA", 0),
    ("kvoltamp", "VA", 1),
    ("voltampreact", "VAr", 0),
    ("kvoltampreact", "VAr", 1),
    ("watth", "Wh", 0),
    ("watthperkg", "Wh/kg", 0),
    ("kwatth", "Wh", 1),
    ("kwattm", "W-Min", 1),
    ("amph", "Ah", 0),
    ("kamph", "Ah", 1),
    ("mamph", "Ah", -1),
    ("joule", "J", 0),
    ("ev", "eV", 0),
    ("amp", "A", 0),
    ("kamp", "A", 1),
    ("mamp", "A", -1),
    ("volt", "V", 0),
    ("kvolt", "V", 1),
    ("mvolt", "V", -1),
    ("dBm", "dBm", 0),
    ("mohm", "Ω", -1),
    ("ohm", "Ω", 0),
    ("kohm", "Ω", 1),
    ("Mohm", "Ω", 2),
    ("farad", "F", 0),
    ("µfarad", "F", -2),
    ("nfarad", "F", -3),
    ("pfarad", "F", -4),
    ("ffarad", "F", -5),
    ("henry", "H", 0),
    ("mhenry", "H", -1),
    ("µhenry", "H", -2),
    ("massmg", "g", -1),
    ("massg", "g", 0),
    ("masskg", "g", 1),
    ("lengthmm", "m", -1),
    ("lengthm", "m", 0),
    ("lengthkm", "m", 1),
    ("litre", "L", 0),
    ("mlitre", "L", -1),
    ("lumens", "Lm", 0),
    ("forceNm", "Nm", 0),
    ("forcekNm", "Nm", 1),
    ("forceN", "N", 0),
    ("forcekN", "N", 1),
    ("pressurembar", "bar", -1),
    ("pressurebar", "bar", 0),
    ("pressurekbar", "bar", 1),
    ("pressurepa", "Pa", 0),
    ("radbq", "Bq", 0),
    ("radci", "Ci", 0),
    ("radgy", "Gy", 0),
    ("radrad", "rad", 0),
    ("radsv", "Sv", 0),
    ("radmsv", "Sv", -1),
    ("radusv", "Sv", -2),
    ("radrem", "rem", 0),
    ("radexpckg", "C/kg", 0),
    ("radr", "R", 0),
    ("radsvh", "Sv/h", 0),
    ("radmsvh", "Sv/h", -1),
    ("radusvh", "Sv/h", -2),
];

/// Units of nature without letters.
const FIXED: [(&str, &str); 60] = [
    ("celsius", "°C"),
    ("fahrenheit", "°F"),
    ("kelvin", "K"),
    ("humidity", "%H"),
    ("dB", "dB"),
    ("pixel", "px"),
    ("degree", "°"),
    ("radian", "rad"),
    ("grad", "grad"),
    ("arcmin", "arcmin"),
    ("arcsec", "arcsec"),
    ("rotrpm", "rpm"),
    ("rotrads", "rad/s"),
    ("rotdegs", "°/s"),
    ("velocityms", "m/s"),
    ("velocitykmh", "km/h"),
    ("velocitymph", "mph"),
    ("velocityknot", "kn"),
    ("accMS2", "m/sec²"),
    ("accFS2", "f/sec²"),
    ("accG", "g"),
    ("areaM2", "m²"),
    ("areaF2", "ft²"),
    ("areaMI2", "mi²"),
    ("masst", "t"),
    ("masslb", "lb"),
    ("lengthin", "in"),
    ("lengthft", "ft"),
    ("lengthmi", "mi"),
    ("m3", "m³"),
    ("Nm3", "Nm³"),
    ("dm3", "dm³"),
    ("gallons", "gal"),
    ("Wm2", "W/m²"),
    ("lux", "lx"),
    ("pressurehpa", "hPa"),
    ("pressurekpa", "kPa"),
    ("pressurehg", "\"Hg"),
    ("flowgpm", "gpm"),
    ("flowcms", "cms"),
    ("flowcfs", "cfs"),
    ("flowcfm", "cfm"),
    ("litreh", "L/h"),
    ("flowlpm", "L/min"),
    ("flowmlpm", "mL/min"),
    ("ppm", "ppm"),
    ("conppm", "ppm"),
    ("conppb", "ppb"),
    ("conngm3", "ng/m³"),
    ("conngNm3", "ng/Nm³"),
    ("conμgm3", "μg/m³"),
    ("conμgNm3", "μg/Nm³"),
    ("conmgm3", "mg/m³"),
    ("conmgNm3", "mg/Nm³"),
    ("congm3", "g/m³"),
    ("congNm3", "g/Nm³"),
    ("conmgdL", "mg/dL"),
    ("conmmolL", "mmol/L"),
    ("acres", "ac"),
    ("hectares", "ha"),
];

fn physics(name: &str) -> Option<Kind> {
    let scaled = SCALED.iter().find(|(known, ..)| *known == name);
    let scaled = scaled.map(|(_, unit, letter)| Kind::Decimal((*unit).into(), *letter));
    scaled.or_else(|| FIXED.iter().find(|(known, _)| *known == name).map(|(_, unit)| Kind::Fixed((*unit).into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of a unit, with the digits it decides on, then with given ones.
    fn check(unit: &str, cases: &[(f64, Option<u32>, &str)]) {
        let clock = Clock { zone: TimeZone::UTC, now_ms: 1_594_671_600_000.0 };
        for (value, decimals, expected) in cases {
            assert_eq!(Unit::parse(unit).format(*value, *decimals, &clock).to_string(), *expected, "{unit} {value}");
        }
    }

    #[test]
    fn plain_numbers() {
        check("none", &[(1234.5, None, "1235"), (0.5, Some(2), "0.50"), (f64::NAN, None, "NaN")]);
        check("short", &[(0.0, None, "0"), (999.0, None, "999"), (1_000.0, None, "1 K"), (1_500.0, None, "1.50 K")]);
        check("short", &[(2.5e6, None, "2.50 Mil"), (-1.5e9, None, "-1.50 Bil"), (0.123, None, "0.123")]);
        check("short", &[(1e30, None, "1000000 Sept"), (f64::INFINITY, None, "∞")]);
        check("sishort", &[(1_500.0, None, "1.50 k"), (0.0015, None, "1.50 m"), (0.0, None, "0 ")]);
        check("percent", &[(85.1234, Some(1), "85.1%"), (100.0, None, "100%")]);
        check("percentunit", &[(0.5, None, "50%"), (0.12345, None, "12.3%"), (1.0, Some(2), "100.00%")]);
        check("locale", &[(1_234_567.0, None, "1,234,567")]);
        check("sci", &[(1_234.0, Some(2), "1.23e+3"), (0.00012, None, "1.2e-4")]);
        check("hex", &[(255.0, None, "FF")]);
        check("hex0x", &[(-255.0, None, "-0xFF")]);
        check("bool", &[(0.0, None, "False"), (2.0, None, "True")]);
        check("bool_on_off", &[(1.0, None, "On")]);
    }

    #[test]
    fn data_and_rates() {
        check(
            "bytes",
            &[(0.0, None, "0 B"), (512.0, None, "512 B"), (1_024.0, None, "1 KiB"), (1_536.0, None, "1.50 KiB")],
        );
        check("bytes", &[(16_498_024_448.0, None, "15.4 GiB"), (-2_048.0, None, "-2 KiB"), (0.5, None, "0.500 B")]);
        check("bytes", &[(1e40, None, "8271806125530277 YiB")]);
        check("decbytes", &[(1_500_000.0, None, "1.50 MB")]);
        check("kbytes", &[(2_048.0, None, "2 MiB"), (1.0, None, "1 KiB"), (0.5, None, "512 B")]);
        check("decmbytes", &[(1_500.0, Some(0), "2 GB")]);
        check("bps", &[(12_345_678.0, None, "12.3 Mb/s"), (0.0, None, "0 b/s"), (0.005, None, "5 mb/s")]);
        check("Bps", &[(1_000.0, None, "1 kB/s")]);
        check("binBps", &[(1_024.0, None, "1 KiB/s")]);
        check("pps", &[(1_234.0, None, "1.23 kp/s"), (0.25, None, "250 mp/s")]);
        check("reqps", &[(1_500.0, None, "1.50K req/s"), (0.5, None, "0.500 req/s"), (2.0, None, "2 req/s")]);
        check("ops", &[(1_234_567.0, None, "1.23M ops/s")]);
        check("opm", &[(10.0, None, "10 ops/m")]);
        check("eps", &[(3.0, None, "3 evt/s")]);
        check("hertz", &[(2.4e9, None, "2.40 GHz")]);
    }

    #[test]
    fn nature_and_money() {
        check("celsius", &[(21.55, None, "21.6 °C")]);
        check("kwatth", &[(1_500.0, None, "1.50 MWh"), (0.5, None, "500 Wh")]);
        check("rotrpm", &[(1_200.0, None, "1200 rpm")]);
        check("currencyUSD", &[(1_532.82, None, "$1.53K"), (-5.0, None, "-$5")]);
        check("currencySEK", &[(1_500.0, Some(1), "1.5Kkr")]);
        check("suffix:files", &[(3.0, None, "3 files")]);
        check("prefix:~", &[(3.25, None, "~3.25")]);
        check("si:mF", &[(1_000_000.0, None, "1 kF")]);
        check("si:F", &[(1_000.0, None, "1 kF")]);
        check("count:pods", &[(1_500.0, None, "1.50K pods")]);
        check("currency:Kč", &[(2.0, None, "Kč2")]);
        check("bool:up/down", &[(1.0, None, "up"), (0.0, None, "down")]);
        check("widgets", &[(2.0, None, "2 widgets")]);
    }

    #[test]
    fn durations() {
        check("s", &[(0.0, None, "0 s"), (1e-7, None, "100 ns"), (0.000_02, None, "20 µs"), (0.05, None, "50 ms")]);
        check("s", &[(1.0, None, "1 s"), (59.5, None, "59.5 s"), (60.0, None, "1 min"), (90.0, None, "1.50 mins")]);
        check("s", &[(3_600.0, None, "1 hour"), (5_400.0, Some(2), "1.50 hours"), (172_800.0, None, "2 days")]);
        check("s", &[(1_209_600.0, None, "2 weeks"), (63_113_800.0, None, "2 years"), (-90.0, None, "-1.50 mins")]);
        check("ms", &[(500.0, None, "500 ms"), (1_500.0, None, "1.50 s"), (120_000.0, None, "2 mins")]);
        check("µs", &[(1_500.0, None, "1.50 ms"), (2e6, None, "2 s")]);
        check("ns", &[(100.0, None, "100 ns"), (6e10, None, "1 min")]);
        check("m", &[(90.0, None, "1.50 hours"), (0.5, None, "0.500 mins")]);
        check("h", &[(36.0, None, "1.50 days")]);
        check("d", &[(1.0, None, "1 day"), (10.5, None, "1.50 weeks")]);
        check("timeticks", &[(6_000.0, None, "1 min")]);
        check(
            "dtdurations",
            &[(0.0, None, "0 seconds"), (3_665.0, None, "1 hour"), (3_665.0, Some(1), "1 hour, 1 minute")],
        );
        check(
            "dtdurations",
            &[(3_665.0, Some(5), "1 hour, 1 minute, 5 seconds, 0 milliseconds"), (-60.0, None, "1 minute ago")],
        );
        check("dtdurationms", &[(1_500.0, Some(1), "1 second, 500 milliseconds")]);
        check("dthms", &[(3_665.0, None, "01:01:05"), (100_000.0, None, "27:46:40")]);
        check("dtdhms", &[(100_000.0, None, "1 d 03:46:40")]);
        check("clocks", &[(3_665.0, None, "01h:01m:05s:000ms"), (3_665.0, Some(1), "01h:01m")]);
        check("clockms", &[(1_004.0, None, "01s:004ms")]);
    }

    #[test]
    fn points_in_time() {
        check("dateTimeAsIso", &[(1_594_671_549_254.0, None, "2020-07-13 20:19:09")]);
        check(
            "dateTimeAsIsoNoDateIfToday",
            &[(1_594_671_549_254.0, None, "20:19:09"), (0.0, None, "1970-01-01 00:00:00")],
        );
        check("dateTimeAsUS", &[(1_594_671_549_254.0, None, "07/13/2020 8:19:09 pm")]);
        check("dateTimeFromNow", &[(1_594_671_000_000.0, None, "10 minutes ago")]);
        check("time:YYYY", &[(1_594_671_549_254.0, None, "2020"), (f64::NAN, None, "Invalid date")]);
    }
}
