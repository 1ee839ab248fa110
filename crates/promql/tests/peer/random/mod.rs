//! Random expressions whose types fit, from the whole language, and random texts that are mostly no expressions.

mod aggregations;
pub(crate) mod calls;
mod patterns;
mod texts;

pub(crate) use patterns::{matches, selectors};
pub(crate) use texts::texts;

use std::time::Duration;

use model::Timestamp;
use promql::Range;

use crate::data::{Random, STEP};

/// One expression, and when and how both sides are asked for it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) query: String,
    pub(crate) at: Timestamp,
    pub(crate) range: Range,
    pub(crate) lookback: Option<Duration>,
}

/// Seeded, so that a difference can be found again. `base` is the time of the first sample.
pub(crate) fn cases(count: usize, seed: u64, base: Timestamp) -> Vec<Case> {
    let mut random = Random(seed);
    let mut case = || {
        let query = Generator { random: &mut random, base }.expression();
        let at = base + choose(&mut random, &[0, 1, 20, 47, 60, 80, 119, 125, 145]) * STEP;
        let start = base + choose(&mut random, &[-3, 0, 10, 45, 70]) * STEP;
        let steps = choose(&mut random, &[0, 1, 7, 19]);
        let step = choose(&mut random, &[1_000, 15_000, 47_000, 60_000, 100_001]);
        Case {
            query,
            at: at + choose(&mut random, &[0, 0, 1, 1234, -1]),
            range: Range {
                start: start + choose(&mut random, &[0, 0, 501]),
                end: start + steps * step + 502,
                step: Duration::from_millis(step.unsigned_abs()),
            },
            lookback: choose(&mut random, &[None, None, None, Some(1), Some(15), Some(40), Some(1000)])
                .map(Duration::from_secs),
        }
    };
    (0..count).map(|_| case()).collect()
}

fn choose<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[(random.next() % of.len() as u64) as usize]
}

fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    choose(random, of)
}

/// Metrics of the seeded data, and some that it has not.
const METRICS: [&str; 20] = [
    "cpu_seconds_total",
    "cpu_seconds_total",
    "memory_bytes",
    "memory_bytes",
    "latency_bucket",
    "broken_bucket",
    "strange_bucket",
    "constant",
    "early",
    "late",
    "flapping",
    "level",
    "level",
    "odd",
    "huge",
    "target_info",
    "build_info",
    "tiny_count",
    "nothing",
    "nan_only",
];

const MATCHERS: [&str; 17] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "{}",
    "{instance=\"a\"}",
    "{instance!=\"b\"}",
    "{instance=''}",
    "{instance=~`a|c`,}",
    "{mode=~\"i.*|user\"}",
    "{mode!~\"idle|\"}",
    "{job!~\"x\", instance=\"b\"}",
    "{\"größe.x\"=\"π\"}",
    "{'instance'!~\".\"}",
    "{le=~\".+\"}",
];

const NAMELESS: [&str; 9] = [
    "{\"cpu_seconds_total\"}",
    "{'näme.x', part=\"1\"}",
    "{\"näme.x\"}",
    "{__name__=\"level\"}",
    "{__name__=~\"early|late\"}",
    "{__name__=~\"memory_bytes|odd\", instance=\"a\"}",
    "{job=\"node\", mode=\"\"}",
    "{__name__!=\"huge\", instance=\"c\"}",
    "{part=~\"..?\"}",
];

const RANGES: [&str; 17] = [
    "30s", "1m", "100s", "5m", "1s", "90", "1.5", "1m30s", "0x3C", "1e2", "45001ms", "1ms", "15s", "2m", "3m", "10m",
    "1h",
];

const NUMBERS: [&str; 36] = [
    "1", "0", "2", "3", "0.5", ".5", "5.", "1e3", "1E-3", "0x1F", "0X1f", "1_000", "Inf", "+Inf", "-Inf", "inf", "NaN",
    "nan", "5m", "1h30m", "1d", "1y", "010", "-0", "1e308", "1e-320", "-3", "0.1", "0.3", "-0.5", "100", "1e10", "1.5",
    "-1", "50", "123ms",
];

const OFFSETS: [&str; 16] =
    ["1m", "-40s", "30", "-1.5", "+15s", "0", "1y", "7m", "- 2m", "0x10", "2m", "-1m", "10", "292y", "-292y", "1w2d"];

struct Generator<'r> {
    random: &'r mut Random,
    base: Timestamp,
}

impl Generator<'_> {
    fn chance(&mut self, one_in: u64) -> bool {
        self.random.next().is_multiple_of(one_in)
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        pick(self.random, of)
    }

    fn expression(&mut self) -> String {
        match self.random.next() % 20 {
            0 | 1 => self.scalar(3),
            2 => self.text(),
            3 => self.range(2),
            n => self.vector(1 + (n % 3) as u32),
        }
    }

    fn text(&mut self) -> String {
        let of =
            ["\"text\"", "'it\\'s'", "`a\\b`", "\"\\u00e4\\x41\\n\"", "\"\"", "(\"x\")", "\"\\101\"", "'\"'", "\"ä\""];
        self.pick(&of).to_owned()
    }

    fn number(&mut self) -> String {
        self.pick(&NUMBERS).to_owned()
    }

    fn selector(&mut self) -> String {
        if self.chance(6) {
            return self.pick(&NAMELESS).to_owned();
        }
        format!("{}{}", self.pick(&METRICS), self.pick(&MATCHERS))
    }

    /// `offset`, `@`, both in either order, or mostly nothing.
    fn modifiers(&mut self) -> String {
        let offset = match self.random.next() % 4 {
            0 => {
                format!(" offset {}", self.pick(&OFFSETS))
            }
            _ => String::new(),
        };
        let at = match self.random.next() % 8 {
            0 => format!(" @ {}", self.at()),
            1 => self.pick(&[" @ start()", " @ end()", " @end ( )"]).to_owned(),
            _ => String::new(),
        };
        if self.chance(2) { format!("{offset}{at}") } else { format!("{at}{offset}") }
    }

    fn at(&mut self) -> String {
        let seconds = self.base as f64 / 1e3;
        let shift = choose(self.random, &[0.0, 200.0, 800.0, 899.9995, 1234.5678, 5000.0, -100.0]);
        match self.random.next() % 10 {
            0 => "0".to_owned(),
            1 => "-100.5".to_owned(),
            2 => self
                .pick(&[
                    "1e3",
                    "0x10",
                    "1m",
                    "+5",
                    "- 5",
                    "1e10",
                    "-1e10",
                    "1e13",
                    "1e15",
                    "-1e15",
                    "1e17",
                    "9223372036",
                ])
                .to_owned(),
            _ => format!("{}", seconds + shift),
        }
    }

    fn scalar(&mut self, depth: u32) -> String {
        match self.random.next() % if depth == 0 { 3 } else { 8 } {
            0 => self.number(),
            1 => self.pick(&["time()", "pi()", "1", "2", "0.5"]).to_owned(),
            2 => self.number(),
            3 | 4 => format!("scalar({})", self.vector(depth - 1)),
            5 => format!("{}({})", self.pick(&["-", "+", "", "- -"]), self.scalar(depth - 1)),
            6 => format!("({})", self.scalar(depth - 1)),
            _ => {
                let of = ["+", "-", "*", "/", "%", "^", "atan2", "> bool", "== bool", "!= bool", "<= bool"];
                let op = self.pick(&of);
                format!("{} {op} {}", self.scalar(depth - 1), self.scalar(depth - 1))
            }
        }
    }

    /// A range vector: of a selector, or a subquery with or without step.
    fn range(&mut self, depth: u32) -> String {
        let window = self.pick(&RANGES);
        if depth > 0 && self.chance(3) {
            let step = self.pick(&["", "", "10s", "33s", "1m", "7", "1.5", "90s"]);
            // A short step of a long window takes its time on both sides.
            let window = if window == "1h" { "10m" } else { window };
            let (inner, modifiers) = (self.vector(depth - 1), self.modifiers());
            return match self.random.next() % 8 {
                0 => format!("({})[{window}:{step}]{modifiers}", self.scalar(depth - 1)),
                1 => {
                    let (outer, again) = (self.pick(&["2m", "100s", "5m"]), self.modifiers());
                    let over =
                        self.pick(&["max_over_time", "sum_over_time", "rate", "last_over_time", "absent_over_time"]);
                    format!("{over}(({inner})[{window}:{step}]{modifiers})[{outer}:{step}]{again}")
                }
                2 => format!("timestamp(vector(time()))[{window}:{step}]{modifiers}"),
                _ => format!("({inner})[{window}:{step}]{modifiers}"),
            };
        }
        let range = format!("{}[{window}]{}", self.selector(), self.modifiers());
        if self.chance(12) { format!("({range})") } else { range }
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return format!("{}{}", self.selector(), self.modifiers());
        }
        let deeper = depth - 1;
        match self.random.next() % 16 {
            0 => format!("{}{}", self.selector(), self.modifiers()),
            1..=3 => self.over_time(deeper),
            4..=6 => self.aggregation(deeper),
            7..=9 => self.call(deeper),
            10 => self.with_scalar(deeper),
            11 | 12 => self.joined(deeper),
            13 => self.set_operation(deeper),
            14 => {
                let sign = self.pick(&["-", "+", "-", ""]);
                format!("{sign}({})", self.vector(deeper))
            }
            _ => {
                // A chain without parentheses: precedence decides.
                let (a, b) =
                    (self.pick(&["+", "*", "^", ">", "and", "or"]), self.pick(&["-", "/", "^", "==", "unless"]));
                format!("{} {a} {} {b} {}", self.selector(), self.selector(), self.selector())
            }
        }
    }

    fn with_scalar(&mut self, depth: u32) -> String {
        let op = self.arithmetic_or_comparison();
        let (vector, scalar) = (self.vector(depth), self.scalar(depth.min(1)));
        if self.chance(2) { format!("({vector}) {op} ({scalar})") } else { format!("({scalar}) {op} ({vector})") }
    }

    fn arithmetic_or_comparison(&mut self) -> &'static str {
        self.pick(&[
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", "<=", ">=", ">= bool", "== bool", "!= bool",
            "< bool",
        ])
    }

    fn joined(&mut self, depth: u32) -> String {
        let op = self.arithmetic_or_comparison();
        let matching = self.pick(&[
            "",
            "",
            "",
            "on (instance) ",
            "on () ",
            "ignoring (mode, le) ",
            "ignoring () ",
            "on (instance) group_left () ",
            "on (instance) group_left ",
            "on (instance) group_right (job) ",
            "on (instance) group_right () ",
            "ignoring (mode) group_left (le) ",
            "ignoring (mode, le) group_right () ",
            "on (job, instance) ",
            "on (job, instance) group_left (version, mode) ",
            "on (\"größe.x\", instance) ",
            "ignoring (\"größe.x\",) group_left () ",
            "on (__name__) ",
            "on (__name__, instance) ",
            "on (job) group_left (__name__) ",
            "on (instance) group_left (\"größe.x\", 'no such') ",
            "ignoring (mode, le, part) group_right (\"größe.x\") ",
            "on (part) group_left (instance) ",
        ]);
        let (a, b) = (self.vector(depth), self.vector(depth));
        // The same operand with a modifier meets itself, so that something is left.
        if self.chance(3) {
            return format!("({a}) {op} {matching}({a})");
        }
        format!("({a}) {op} {matching}({b})")
    }

    fn set_operation(&mut self, depth: u32) -> String {
        let op = self.pick(&["and", "or", "unless", "AND"]);
        let matching = self.pick(&[
            "",
            "on (instance) ",
            "on () ",
            "ignoring (mode, job) ",
            "ignoring () ",
            "on (__name__) ",
            "on (\"größe.x\") ",
        ]);
        format!("({}) {op} {matching}({})", self.vector(depth), self.vector(depth))
    }
}
