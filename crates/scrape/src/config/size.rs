//! Sizes such as `10MB`, in powers of 1,024 whichever way the unit is spelled, as Prometheus reads them.

const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];

/// Reads a size in bytes: `0`, or terms of a decimal number and a unit (`B`, `KB`, `KiB`, `MB`, ...), added up.
/// `None` where it is none; negative sizes mean 0, no limit.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    loop {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..number_end].parse().ok()?;
        let after = &rest[number_end..];
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        total += number * unit_bytes(&after[..unit_end])?;
        rest = &after[unit_end..];
        if rest.is_empty() {
            // Upstream counts in 64 bits with a sign.
            let fits = total < i64::MAX as f64;
            return fits.then_some(if negative { 0 } else { total as u64 });
        }
    }
}

fn unit_bytes(unit: &str) -> Option<f64> {
    let prefix = unit.strip_suffix("iB").or_else(|| unit.strip_suffix('B'))?;
    let mut letters = prefix.chars();
    match (letters.next(), letters.next()) {
        (None, _) => (unit == "B").then_some(1.0),
        (Some(letter), None) => {
            let power = UNITS.iter().position(|&unit| unit == letter)? as i32 + 1;
            Some(1024f64.powi(power))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        let cases = [
            ("0", Some(0)),
            ("10B", Some(10)),
            ("15MB", Some(15 << 20)),
            ("10MiB", Some(10 << 20)),
            ("1.5KB", Some(1536)),
            ("1MB5KB", Some((1 << 20) + (5 << 10))),
            ("1GB", Some(1 << 30)),
            ("-1MB", Some(0)),
            ("10", None),
            ("10mb", None),
            ("MB", None),
            ("1iB", None),
            ("", None),
            ("1.2.3MB", None),
            ("99999999EB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }
}
