//! Texts that are mostly no expressions: pieces in a row, and right expressions with something changed.

use super::{Generator, pick};
use crate::data::{BASE, Random};

/// Half of them pieces, half of them mutations.
pub(crate) fn texts(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    (0..count).map(|i| if i % 2 == 0 { pieces(&mut random) } else { mutated(&mut random) }).collect()
}
const PIECES: [&str; 85] = [
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
    "offset 1.5",
    "0b1",
    "1_0",
    "Inf",
    "#c\n",
    "info(",
    "{\"q r\", a=\"b\"}",
    "@ 1e40",
    "[9223372036854775807]",
    "offset 300y",
    "[1e3]",
    "\n",
    "end()",
    "limitk(",
    "count_values(\"v\",",
    "é",
    "<=",
    "!~",
    "[5m:0]",
    "quantile(0.5,",
    "[0]",
    "1h1x",
    "'\\u12'",
];

fn pieces(random: &mut Random) -> String {
    let length = 1 + random.next() % 7;
    (0..length).map(|_| pick(random, &PIECES)).collect::<Vec<_>>().join(" ")
}

/// One to three characters or stretches of an expression left out, doubled, swapped, or replaced by a piece.
fn mutated(random: &mut Random) -> String {
    let query = Generator { random, base: BASE }.expression();
    let mut chars: Vec<char> = query.chars().collect();
    for _ in 0..1 + random.next() % 3 {
        let mut place = |len: usize| (random.next() % (len as u64 + 1)) as usize;
        let (from, to) = (place(chars.len()), place(chars.len()));
        let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 12));
        match random.next() % 6 {
            0 => drop(chars.drain(from..to)),
            1 => drop(chars.drain(from..(from + 1).min(chars.len()))),
            2 => {
                let again = chars[from..to].to_vec();
                chars.splice(from..from, again);
            }
            3 => {
                let one =
                    pick(random, &["(", ")", "[", "]", "{", "}", ",", "\"", ":", "-", "5", "m", " ", "=", "~", "@"]);
                chars.splice(from..from, one.chars());
            }
            4 if to < chars.len() => chars.swap(from, to),
            _ => drop(chars.splice(from..to, pick(random, &PIECES).chars())),
        }
    }
    chars.into_iter().collect()
}
