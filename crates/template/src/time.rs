//! Times and durations as Go spells them, and Go's layouts: a layout is the moment 2006-01-02 15:04:05 -0700 MST, written
//! as other moments shall be.

use std::fmt::Write;

use jiff::Zoned;

/// What `print` makes of a time.
pub(crate) fn show(time: &Zoned) -> String {
    format(time, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// What `print` makes of a duration in nanoseconds: `1h2m3.5s`.
pub(crate) fn duration(nanoseconds: i64) -> String {
    let (sign, total) = (if nanoseconds < 0 { "-" } else { "" }, nanoseconds.unsigned_abs());
    let small = |unit: u64, digits: usize, name: &str| format!("{sign}{}{name}", decimal(total, unit, digits));
    match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => small(1_000, 3, "µs"),
        1_000_000..1_000_000_000 => small(1_000_000, 6, "ms"),
        _ => {
            let (minutes, hours) = (total / 60_000_000_000 % 60, total / 3_600_000_000_000);
            let seconds = decimal(total % 60_000_000_000, 1_000_000_000, 9);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, _) => format!("{sign}{minutes}m{seconds}s"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// A number of units with its fraction, without trailing zeros.
fn decimal(total: u64, unit: u64, digits: usize) -> String {
    let fraction = format!("{:0digits$}", total % unit);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{}{dot}{fraction}", total / unit)
}

/// The pieces of a layout, those first that begin with others.
const PIECES: [&str; 34] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "002",
    "2006",
    "-070000",
    "-07:00:00",
    "-0700",
    "-07:00",
    "-07",
    "Z070000",
    "Z07:00:00",
    "Z0700",
    "Z07:00",
    "Z07",
    "15",
    "PM",
    "pm",
    "__2",
    "_2006",
    "_2",
    "1",
    "2",
    "3",
    "4",
    "5",
];

/// Writes a time by a layout.
pub(crate) fn format(time: &Zoned, layout: &str) -> String {
    let mut output = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let piece = PIECES.iter().filter(|piece| rest.starts_with(**piece)).max_by_key(|piece| piece.len());
        let length = match (piece, fraction(rest)) {
            (_, Some(length)) => {
                push_fraction(&mut output, time, &rest[..length]);
                length
            }
            // `Jan` is no month inside a word that goes on in small letters.
            (Some(&"Jan"), _) if continues(rest) => push(&mut output, c),
            (Some(&"_2006"), _) => push(&mut output, '_'),
            (Some(piece), _) => {
                let _ = output.write_str(&piece_of(time, piece));
                piece.len()
            }
            (None, _) => push(&mut output, c),
        };
        rest = &rest[length..];
    }
    output
}

fn push(output: &mut String, c: char) -> usize {
    output.push(c);
    c.len_utf8()
}

fn continues(rest: &str) -> bool {
    rest[3..].starts_with(|c: char| c.is_ascii_lowercase())
}

/// The length of a fraction of a second: `.000` or `,999`, and no digit behind it.
fn fraction(rest: &str) -> Option<usize> {
    let digits = rest.strip_prefix(['.', ','])?;
    let digit = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = digits.chars().take_while(|c| *c == digit).count();
    let behind = digits[count..].starts_with(|c: char| c.is_ascii_digit());
    (!behind && count <= 9).then_some(count + 1)
}

fn push_fraction(output: &mut String, time: &Zoned, piece: &str) {
    let digits = &format!("{:09}", time.subsec_nanosecond())[..piece.len() - 1];
    let digits = if piece.contains('9') { digits.trim_end_matches('0') } else { digits };
    if !digits.is_empty() {
        let _ = write!(output, "{}{digits}", &piece[..1]);
    }
}

fn piece_of(time: &Zoned, piece: &str) -> String {
    let hour12 = (time.hour() + 11) % 12 + 1;
    match piece {
        "January" => time.strftime("%B").to_string(),
        "Jan" => time.strftime("%b").to_string(),
        "Monday" => time.strftime("%A").to_string(),
        "Mon" => time.strftime("%a").to_string(),
        "MST" => time.strftime("%Z").to_string(),
        "01" => format!("{:02}", time.month()),
        "1" => time.month().to_string(),
        "02" => format!("{:02}", time.day()),
        "_2" => format!("{:2}", time.day()),
        "2" => time.day().to_string(),
        "002" => format!("{:03}", time.day_of_year()),
        "__2" => format!("{:3}", time.day_of_year()),
        "15" => format!("{:02}", time.hour()),
        "03" => format!("{hour12:02}"),
        "3" => hour12.to_string(),
        "04" => format!("{:02}", time.minute()),
        "4" => time.minute().to_string(),
        "05" => format!("{:02}", time.second()),
        "5" => time.second().to_string(),
        "2006" => format!("{:04}", time.year()),
        "06" => format!("{:02}", time.year().rem_euclid(100)),
        "PM" => if time.hour() >= 12 { "PM" } else { "AM" }.to_owned(),
        "pm" => if time.hour() >= 12 { "pm" } else { "am" }.to_owned(),
        zone => offset(time, zone),
    }
}

/// The distance from UTC; `Z` is UTC where the piece begins with it.
fn offset(time: &Zoned, piece: &str) -> String {
    let seconds = time.offset().seconds();
    if piece.starts_with('Z') && seconds == 0 {
        return "Z".to_owned();
    }
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let colon = if piece.contains(':') { ":" } else { "" };
    let mut text = format!("{sign}{:02}", seconds / 3600);
    let digits = piece.bytes().filter(u8::is_ascii_digit).count();
    if digits > 2 {
        let _ = write!(text, "{colon}{:02}", seconds / 60 % 60);
    }
    if digits > 4 {
        let _ = write!(text, "{colon}{:02}", seconds % 60);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(zone: &str, layout: &str, expected: &str) {
        let time: jiff::Timestamp = "2026-03-04T15:06:07.0123Z".parse().unwrap();
        assert_eq!(format(&time.in_tz(zone).unwrap(), layout), expected, "{layout}");
    }

    #[test]
    fn writes_times_as_go_does() {
        check("UTC", "2006-01-02 15:04:05 MST", "2026-03-04 15:06:07 UTC");
        check("Europe/Berlin", "Mon, 02 Jan 2006 15:04:05 -0700 MST", "Wed, 04 Mar 2026 16:06:07 +0100 CET");
        check("America/New_York", "Monday January _2 3:04PM Z07:00", "Wednesday March  4 10:06AM -05:00");
        check("UTC", "1/2/06 03:4:5.000 pm Z0700", "3/4/26 03:6:7.012 pm Z");
        check("UTC", "05.999999999|.9|,00|002|Janus", "07.0123||,01|063|Janus");
        let time: jiff::Timestamp = "2026-03-04T15:06:07.5Z".parse().unwrap();
        assert_eq!(show(&time.in_tz("UTC").unwrap()), "2026-03-04 15:06:07.5 +0000 UTC");
    }

    #[test]
    fn writes_durations_as_go_does() {
        let check = |nanoseconds, expected| assert_eq!(duration(nanoseconds), expected);
        check(0, "0s");
        check(999, "999ns");
        check(1_500, "1.5µs");
        check(-2_000_000, "-2ms");
        check(90_500_000_000, "1m30.5s");
        check(3_600_000_000_000, "1h0m0s");
        check(i64::MIN, "-2562047h47m16.854775808s");
    }
}
