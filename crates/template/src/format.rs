//! `printf`: Go's verbs and flags.

use crate::value::TEXT_BYTES_MAX;
use crate::{Value, number};

/// A field wider than this is a mistake or an attack; Go's own bound.
const WIDTH_MAX: usize = 1_000_000;

/// Flags, width and precision of one verb.
#[derive(Clone, Copy, Debug, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats arguments by a pattern. Mistakes stand in the output, as Go puts them there.
pub(crate) fn format(pattern: &str, arguments: &[Value]) -> String {
    let mut output = String::new();
    let mut arguments_left = arguments.iter();
    let mut rest = pattern;
    while let Some(percent) = rest.find('%') {
        if output.len() > TEXT_BYTES_MAX {
            // Whoever called refuses a text of this length.
            return output;
        }
        output.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        let mut notes = String::new();
        let spec = spec(&mut rest, &mut arguments_left, &mut notes);
        output.push_str(&notes);
        let Some(verb) = rest.chars().next() else {
            output.push_str("%!(NOVERB)");
            break;
        };
        rest = &rest[verb.len_utf8()..];
        match (verb, verb == '%') {
            (_, true) => output.push('%'),
            (verb, false) => match arguments_left.next() {
                Some(value) => output.push_str(&one(verb, value, spec)),
                None => output.push_str(&format!("%!{verb}(MISSING)")),
            },
        }
    }
    output.push_str(rest);
    let extra: Vec<String> = arguments_left.map(|v| format!("{}={}", v.type_name(), v.show())).collect();
    if !extra.is_empty() {
        output.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    output
}

/// What stands between `%` and the verb.
fn spec<'a>(rest: &mut &str, arguments: &mut impl Iterator<Item = &'a Value>, notes: &mut String) -> Spec {
    let mut spec = Spec::default();
    while let Some(flag) = rest.chars().next() {
        match flag {
            '-' => spec.minus = true,
            '+' => spec.plus = true,
            '#' => spec.sharp = true,
            ' ' => spec.space = true,
            '0' => spec.zero = true,
            _ => break,
        }
        *rest = &rest[1..];
    }
    let (width, negative) = amount(rest, arguments, notes, "%!(BADWIDTH)");
    spec.width = width;
    spec.minus |= negative;
    if let Some(after) = rest.strip_prefix('.') {
        *rest = after;
        let (precision, negative) = amount(rest, arguments, notes, "%!(BADPREC)");
        spec.precision = if negative { None } else { Some(precision.unwrap_or(0)) };
    }
    spec
}

/// A number, or `*` for one of the arguments; whether it was negative.
fn amount<'a>(
    rest: &mut &str,
    arguments: &mut impl Iterator<Item = &'a Value>,
    notes: &mut String,
    bad: &str,
) -> (Option<usize>, bool) {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        return match arguments.next() {
            Some(Value::Int(n)) if n.unsigned_abs() <= WIDTH_MAX as u64 => (Some(n.unsigned_abs() as usize), *n < 0),
            _ => {
                notes.push_str(bad);
                (None, false)
            }
        };
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let amount = rest[..digits].parse().ok().filter(|n| *n <= WIDTH_MAX);
    *rest = &rest[digits..];
    (amount, false)
}

fn one(verb: char, value: &Value, spec: Spec) -> String {
    match (verb, value) {
        ('T', value) => pad(value.type_name().to_owned(), spec),
        ('v', Value::Nil) => pad("<nil>".to_owned(), spec),
        ('v' | 's', Value::List(_) | Value::Map(_) | Value::Object(_)) => pad(value.show(), spec),
        ('v' | 't', Value::Bool(b)) => pad(b.to_string(), spec),
        ('v' | 'd', Value::Int(i)) => integer(*i, 10, spec),
        ('b', Value::Int(i)) => integer(*i, 2, spec),
        ('o' | 'O', Value::Int(i)) => integer(*i, 8, spec),
        ('x', Value::Int(i)) => integer(*i, 16, spec),
        ('X', Value::Int(i)) => integer(*i, 16, spec).to_uppercase(),
        ('c', Value::Int(i)) => pad(character(*i).to_string(), spec),
        ('q', Value::Int(i)) => pad(format!("{:?}", character(*i)), spec),
        ('U', Value::Int(i)) => pad(format!("U+{i:04X}"), spec),
        ('v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(f)) => float(verb, *f, spec),
        ('v' | 's', Value::String(text)) => pad(cut(text, spec), spec),
        ('q', Value::String(text)) => pad(quoted(&cut(text, spec), spec.sharp), spec),
        ('x', Value::String(text)) => pad(text.bytes().map(|b| format!("{b:02x}")).collect(), spec),
        ('X', Value::String(text)) => pad(text.bytes().map(|b| format!("{b:02X}")).collect(), spec),
        (verb, Value::Nil) => format!("%!{verb}(<nil>)"),
        (verb, value) => format!("%!{verb}({}={})", value.type_name(), value.show()),
    }
}

fn character(code: i64) -> char {
    u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn cut(text: &str, spec: Spec) -> String {
    spec.precision.map_or_else(|| text.to_owned(), |most| text.chars().take(most).collect())
}

/// Go's quoting; `#` asks for backquotes where the text allows them.
fn quoted(text: &str, raw: bool) -> String {
    if raw && !text.contains(['`', '\u{feff}']) && !text.chars().any(|c| c.is_control() && c != '\t') {
        return format!("`{text}`");
    }
    go_quote(text)
}

/// A text in double quotes with Go's escapes, as `%q` writes it.
pub fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_printed(c) => quoted.push(c),
            c if u32::from(c) > 0xffff => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether Go takes a character for one that is seen: no control, no blank but the space, no mark of a format, nothing of
/// private use. What no version of Unicode has assigned counts as seen here.
fn is_printed(c: char) -> bool {
    const FORMATS: [(char, char); 12] = [
        ('\u{ad}', '\u{ad}'),
        ('\u{600}', '\u{605}'),
        ('\u{61c}', '\u{61c}'),
        ('\u{6dd}', '\u{6dd}'),
        ('\u{70f}', '\u{70f}'),
        ('\u{180e}', '\u{180e}'),
        ('\u{200b}', '\u{200f}'),
        ('\u{202a}', '\u{202e}'),
        ('\u{2060}', '\u{206f}'),
        ('\u{fff9}', '\u{fffb}'),
        ('\u{e000}', '\u{f8ff}'),
        ('\u{e0001}', '\u{10ffff}'),
    ];
    let is_format = c == '\u{feff}' || FORMATS.iter().any(|(first, last)| (*first..=*last).contains(&c));
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_format)
}

fn integer(value: i64, base: u32, spec: Spec) -> String {
    let magnitude = value.unsigned_abs();
    let mut digits = match base {
        2 => format!("{magnitude:b}"),
        8 => format!("{magnitude:o}"),
        16 => format!("{magnitude:x}"),
        _ => magnitude.to_string(),
    };
    if let Some(precision) = spec.precision {
        digits = fill(digits, precision, '0', false);
    }
    if spec.sharp {
        let prefix = match base {
            2 => "0b",
            8 => "0",
            16 => "0x",
            _ => "",
        };
        digits.insert_str(0, prefix);
    }
    let zero = spec.zero && spec.precision.is_none();
    number_in_field(value < 0, &digits, Spec { zero, ..spec })
}

fn float(verb: char, value: f64, spec: Spec) -> String {
    let magnitude = value.abs();
    let precision = spec.precision;
    let mut digits = match verb {
        'e' | 'E' => number::exponent(magnitude, Some(precision.unwrap_or(6))),
        'f' | 'F' => number::fixed(magnitude, Some(precision.unwrap_or(6))),
        _ => number::general(magnitude, precision),
    };
    if verb.is_ascii_uppercase() && verb != 'F' {
        digits = digits.replace('e', "E");
    }
    if value.is_nan() {
        let sign = if spec.plus { "+" } else { "" };
        return pad(format!("{sign}NaN"), Spec { zero: false, ..spec });
    }
    if value.is_infinite() {
        let sign = if value < 0.0 { '-' } else { '+' };
        return pad(format!("{sign}Inf"), Spec { zero: false, ..spec });
    }
    number_in_field(value.is_sign_negative(), &digits, spec)
}

/// Sign, zeros to fill the width, digits.
fn number_in_field(negative: bool, digits: &str, spec: Spec) -> String {
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    match spec.width.filter(|_| spec.zero && !spec.minus) {
        Some(width) => {
            let digits = fill(digits.to_owned(), width.saturating_sub(sign.len()), '0', false);
            format!("{sign}{digits}")
        }
        None => pad(format!("{sign}{digits}"), Spec { zero: false, ..spec }),
    }
}

fn pad(text: String, spec: Spec) -> String {
    let Some(width) = spec.width else { return text };
    let filler = if spec.zero && !spec.minus { '0' } else { ' ' };
    fill(text, width, filler, spec.minus)
}

/// Fills a text up to a width, which Rust's own formatting takes up to 65,535 only.
fn fill(text: String, width: usize, filler: char, behind: bool) -> String {
    let missing = width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    let filling: String = std::iter::repeat_n(filler, missing).collect();
    if behind { text + &filling } else { filling + &text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, arguments: &[Value], expected: &str) {
        assert_eq!(format(pattern, arguments), expected, "{pattern} {arguments:?}");
    }

    #[test]
    fn formats_as_go_does() {
        let (f, i, s) = (Value::Float, Value::Int, |s: &str| Value::string(s));
        check("%.2f%%", &[f(12.345)], "12.35%");
        check("%d", &[f(1.5)], "%!d(float64=1.5)");
        check("%s", &[f(3.0)], "%!s(float64=3)");
        check("%v %v", &[f(2e9)], "2e+09 %!v(MISSING)");
        check("%s", &[s("a"), i(1)], "a%!(EXTRA int=1)");
        check("%5s|%-5s|%05d|%+d|% d", &[s("ab"), s("ab"), i(-42), i(7), i(7)], "   ab|ab   |-0042|+7| 7");
        check("%q %.2s %x %X", &[s("a\"\n"), s("héllo"), s("hi"), i(255)], r#""a\"\n" hé 6869 FF"#);
        check(
            "%08.3f|%8.3g|%e|%g",
            &[f(-3.24159), f(1234567.0), f(0.5), f(f64::NEG_INFINITY)],
            "-003.242|1.23e+06|5.000000e-01|-Inf",
        );
        check(
            "%*d|%t|%T|%c|%#x|%b|%o|%U",
            &[i(4), i(5), Value::Bool(true), f(1.0), i(65), i(255), i(5), i(8), i(0x263a)],
            "   5|true|float64|A|0xff|101|10|U+263A",
        );
        for pattern in ["%999999d", "%-999999d", "%0999999d", "%.999999d"] {
            assert_eq!(format(pattern, &[i(1)]).len(), 999_999, "{pattern}");
        }
        for (pattern, length) in [("%.999999f", 1_000_001), ("%.999999e", 1_000_005), ("%.999999g", 3)] {
            assert_eq!(format(pattern, &[f(1.5)]).len(), length, "{pattern}");
        }
        check("%", &[], "%!(NOVERB)");
        check("%z", &[i(1)], "%!z(int=1)");
        check("%d", &[Value::Nil], "%!d(<nil>)");
        check("%s", &[Value::strings([("b", "2"), ("a", "1")])], "map[a:1 b:2]");
    }
}
