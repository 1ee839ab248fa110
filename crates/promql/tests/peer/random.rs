//! Random expressions whose types fit.

use crate::data::Random;

/// Seeded, so that a difference can be found again.
pub(crate) fn expressions(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    (0..count)
        .map(|_| if random.next().is_multiple_of(8) { scalar(&mut random, 3) } else { vector(&mut random, 3) })
        .collect()
}

fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[(random.next() % of.len() as u64) as usize]
}

fn selector(random: &mut Random) -> String {
    let name =
        pick(random, &["cpu_seconds_total", "memory_bytes", "latency_bucket", "constant", "early", "late", "nothing"]);
    let matchers =
        pick(random, &["", "", "", "{instance=\"a\"}", "{instance!=\"b\"}", "{mode=~\"i.*|user\"}", "{job!~\"x\"}"]);
    format!("{name}{matchers}")
}

fn modifiers(random: &mut Random) -> &'static str {
    let of = ["", "", "", "", " offset 1m", " offset -40s", " @ 1700000800", " @ end()", " @ start() offset 10s"];
    pick(random, &of)
}

fn scalar(random: &mut Random, depth: u32) -> String {
    match random.next() % if depth == 0 { 3 } else { 6 } {
        0 => pick(random, &["1", "0.5", "-3", "2", "0", "1e3", "5m"]).to_owned(),
        1 => "time()".to_owned(),
        2 => "pi()".to_owned(),
        3 => format!("scalar({})", vector(random, depth - 1)),
        4 => format!("-({})", scalar(random, depth - 1)),
        _ => {
            let op = pick(random, &["+", "-", "*", "/", "%", "> bool", "== bool"]);
            format!("{} {op} {}", scalar(random, depth - 1), scalar(random, depth - 1))
        }
    }
}

fn range(random: &mut Random, depth: u32) -> String {
    let window = pick(random, &["30s", "1m", "100s", "5m", "1s"]);
    if depth > 0 && random.next().is_multiple_of(3) {
        let step = pick(random, &["", "10s", "33s", "1m"]);
        return format!("({})[{window}:{step}]{}", vector(random, depth - 1), modifiers(random));
    }
    format!("{}[{window}]{}", selector(random), modifiers(random))
}

fn grouping(random: &mut Random) -> &'static str {
    pick(random, &["", "", " by (instance)", " by (mode, job)", " without (instance)", " by ()", " by (le, __name__)"])
}

fn matching(random: &mut Random) -> &'static str {
    let of = [
        "",
        "",
        "on (instance) ",
        "on () ",
        "ignoring (mode, le) ",
        "on (instance) group_left () ",
        "on (instance) group_right (job) ",
        "ignoring (mode) group_left (le) ",
        "on (job, instance) ",
    ];
    pick(random, &of)
}

fn vector(random: &mut Random, depth: u32) -> String {
    if depth == 0 {
        return format!("{}{}", selector(random), modifiers(random));
    }
    let deeper = depth - 1;
    match random.next() % 12 {
        0 => format!("{}{}", selector(random), modifiers(random)),
        1 | 2 => {
            let of = [
                "rate",
                "increase",
                "delta",
                "irate",
                "idelta",
                "avg_over_time",
                "sum_over_time",
                "max_over_time",
                "min_over_time",
                "count_over_time",
                "stddev_over_time",
                "last_over_time",
                "changes",
                "resets",
                "deriv",
                "present_over_time",
                "absent_over_time",
                "mad_over_time",
            ];
            format!("{}({})", pick(random, &of), range(random, deeper))
        }
        3 | 4 => {
            let op = pick(random, &["sum", "avg", "min", "max", "count", "group"]);
            format!("{op}{} ({})", grouping(random), vector(random, deeper))
        }
        5 => {
            let of = ["quantile(0.3, ", "quantile(0.9, "];
            format!("{}{})", pick(random, &of), vector(random, deeper))
        }
        6 => {
            let of = ["abs", "ceil", "floor", "round", "sgn", "sqrt", "timestamp", "absent", "hour", "minute", "deg"];
            format!("{}({})", pick(random, &of), vector(random, deeper))
        }
        7 => {
            let op = pick(random, &["+", "-", "*", "/", "%", "==", "!=", ">", "<=", ">= bool"]);
            let (vector, scalar) = (vector(random, deeper), scalar(random, deeper));
            if random.next().is_multiple_of(2) {
                format!("({vector}) {op} ({scalar})")
            } else {
                format!("({scalar}) {op} ({vector})")
            }
        }
        8 => {
            let op = pick(random, &["+", "-", "*", "/", "==", "!=", ">", "<", ">= bool"]);
            let matching = matching(random);
            format!("({}) {op} {matching}({})", vector(random, deeper), vector(random, deeper))
        }
        9 => {
            let op = pick(random, &["and", "or", "unless"]);
            let matching = pick(random, &["", "on (instance) ", "on () ", "ignoring (mode, job) "]);
            format!("({}) {op} {matching}({})", vector(random, deeper), vector(random, deeper))
        }
        10 => {
            let of = [
                ("label_replace(", ", \"x\", \"$1\", \"instance\", \"(a|b)\")"),
                ("label_join(", ", \"y\", \"-\", \"job\", \"mode\")"),
                ("clamp(", ", 0, 50)"),
                ("-(", ")"),
                ("histogram_quantile(0.7, ", ")"),
                ("vector(scalar(", "))"),
            ];
            let (before, after) = of[(random.next() % of.len() as u64) as usize];
            format!("{before}{}{after}", vector(random, deeper))
        }
        _ => format!("({})", vector(random, deeper)),
    }
}

/// Texts of pieces that are mostly no expressions.
pub(crate) fn texts(count: usize, seed: u64) -> Vec<String> {
    const PIECES: [&str; 62] = [
        "foo",
        "up",
        "a:b",
        "{a=\"b\"}",
        "{\"x.y\"!~\"z|\"}",
        "{a=~\"(\"}",
        "{__name__=\"q\"}",
        "{}",
        "1",
        "0x1f",
        "1e3",
        "5m",
        "1h30m",
        "\"s\"",
        "`r`",
        "NaN",
        "+",
        "-",
        "*",
        "/",
        "^",
        "atan2",
        "==",
        ">",
        "bool",
        "and",
        "or",
        "unless",
        "on (a)",
        "ignoring (b)",
        "on",
        "group_left",
        "group_right (a)",
        "(",
        ")",
        "(",
        ")",
        "[5m]",
        "[5m:1m]",
        "[1h:]",
        "[",
        "]",
        "offset",
        "offset 5m",
        "offset -1m",
        "@",
        "@ 10",
        "@ start()",
        "start",
        "sum",
        "sum by (a)",
        "topk without (b)",
        "by",
        "rate(",
        "abs(",
        "nofunc(",
        "label_replace(",
        ",",
        "time()",
        "{",
        "}",
        "=",
    ];
    let mut random = Random(seed);
    let mut text = || {
        let length = 1 + random.next() % 7;
        (0..length).map(|_| pick(&mut random, &PIECES)).collect::<Vec<_>>().join(" ")
    };
    (0..count).map(|_| text()).collect()
}

/// A regular expression, often a wrong one.
fn pattern(random: &mut Random) -> String {
    const PIECES: [&str; 68] = [
        "a",
        "b",
        "ab",
        "é",
        ".",
        ".*",
        ".+",
        "|",
        "(",
        ")",
        "(",
        ")",
        "(?:",
        "(?i)",
        "(?s)",
        "(?-s:",
        "(?m)",
        "(?U)",
        "(?x)",
        "(?P<n>",
        "(?<n>",
        "(?=",
        "*",
        "+",
        "?",
        "{2}",
        "{1,2}",
        "{2,}",
        "{0,1001}",
        "{,2}",
        "{",
        "}",
        "[ab]",
        "[^a]",
        "[a-c]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[",
        "]",
        "[[:alpha:]]",
        "[[:x:]]",
        "[\\d-]",
        "[a\\-z]",
        "[&&a]",
        "[a--]",
        "\\d",
        "\\D",
        "\\w",
        "\\W",
        "\\s",
        "\\b",
        "\\B",
        "\\pL",
        "\\p{Greek}",
        "\\PL",
        "\\p{x}",
        "\\Qa.b\\E",
        "\\Q",
        "\\E",
        "\\x41",
        "\\x{e9}",
        "\\1",
        "\\07",
        "\\.",
        "^",
        "$",
        "\\z",
    ];
    let length = 1 + random.next() % 5;
    (0..length).map(|_| pick(random, &PIECES)).collect()
}

/// Selectors with a regular expression: which are read, and the errors of the others.
pub(crate) fn selectors(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    (0..count).map(|_| format!("foo{{a=~`{}`}}", pattern(&mut random))).collect()
}

/// Which values a regular expression matches, and what it captures. Wrong ones are left out, and open quotes: upstream puts
/// the text of `label_replace` between `^(?s:` and `)$` before it reads it, so that `\Q` swallows the end and `)(` is legal.
pub(crate) fn matches(count: usize, seed: u64) -> Vec<String> {
    const VALUES: [&str; 9] = ["a", "ab", "é", "aab", "a.b", "ba ", "A1", "{2}", "&]"];
    let mut random = Random(seed);
    let mut query = || {
        let (pattern, value) = (pattern(&mut random), pick(&mut random, &VALUES));
        let open_quote = pattern.rfind("\\Q").is_some_and(|quote| !pattern[quote..].contains("\\E"));
        (!open_quote && model::Pattern::new(&pattern).is_ok()).then(|| {
            let source = format!("label_replace(vector(1), \"s\", `{value}`, \"\", \"\")");
            format!("label_replace({source}, \"m\", \"yes$1$n\", \"s\", `{pattern}`)")
        })
    };
    (0..count).filter_map(|_| query()).collect()
}
