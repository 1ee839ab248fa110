//! RE2's syntax to that of `regex-syntax`, construct by construct, with Go's errors.
//!
//! The two differ in what Perl classes hold (ASCII in RE2), in class operators (`&&`, `--`, nested brackets: RE2 has none), in
//! `\Q..\E`, in octal escapes, in flags, and in what may be repeated.

use std::collections::HashSet;

use super::PatternError;
use super::class;

/// Highest count of a repetition, and of repetitions inside each other multiplied.
const REPEAT_MAX: u32 = 1000;

pub(super) struct Translator<'p> {
    pattern: &'p str,
    pub(super) at: usize,
    pub(super) out: String,
    names: HashSet<&'p str>,
    groups: Vec<Group>,
    current: Group,
}

/// A group while it is open.
#[derive(Default)]
struct Group {
    /// What a repetition operator would apply to.
    last: Option<Atom>,
    /// Highest product of repeat counts inside.
    weight: u32,
    /// Where it begins in the output.
    start: usize,
}

/// The expression before the cursor.
#[derive(Clone, Copy)]
struct Atom {
    /// Product of the repeat counts inside it.
    weight: u32,
    /// Where its repetition operator begins, if it has one.
    repeated_at: Option<usize>,
    /// Where it begins in the output.
    start: usize,
    /// Where it ends in the output; `(?i)` may stand between it and its repetition operator.
    end: usize,
}

/// Translates a whole pattern.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    let mut translator = Translator {
        pattern,
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        names: HashSet::new(),
        groups: Vec::new(),
        current: Group::default(),
    };
    while let Some(c) = translator.peek() {
        translator.step(c)?;
    }
    if !translator.groups.is_empty() {
        return Err(PatternError::new("missing closing )", pattern));
    }
    Ok(translator.out)
}

impl<'p> Translator<'p> {
    pub(super) fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn error<T>(&self, reason: &str, from: usize) -> Result<T, PatternError> {
        Err(PatternError::new(reason, &self.pattern[from..self.at]))
    }

    /// Emits something that can be repeated.
    fn atom(&mut self, text: &str) {
        let start = self.out.len();
        self.out.push_str(text);
        self.atom_since(start, 1);
    }

    /// What was emitted from `start` on can be repeated.
    fn atom_since(&mut self, start: usize, weight: u32) {
        self.current.last = Some(Atom { weight, repeated_at: None, start, end: self.out.len() });
    }

    fn step(&mut self, c: char) -> Result<(), PatternError> {
        match c {
            '(' => return self.open(),
            ')' => return self.close(),
            '|' => {
                self.at += 1;
                self.out.push('|');
                self.current.last = None;
            }
            '[' => {
                let start = self.out.len();
                class::translate(self)?;
                self.atom_since(start, 1);
            }
            '*' | '+' | '?' => {
                let start = self.at;
                self.at += 1;
                return self.repeat(start, &c.to_string(), None);
            }
            '{' => return self.counted(),
            '\\' => return self.escape(),
            '^' | '$' | '.' => {
                self.at += 1;
                self.atom(if c == '^' {
                    "(?:^)"
                } else if c == '$' {
                    "(?:$)"
                } else {
                    "."
                });
            }
            c => {
                self.at += c.len_utf8();
                self.literal(c);
            }
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        self.atom(&regex_syntax::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn open(&mut self) -> Result<(), PatternError> {
        if let Some(rest) = self.rest().strip_prefix("(?") {
            return self.perl_group(rest);
        }
        self.at += 1;
        self.enter("(");
        Ok(())
    }

    fn enter(&mut self, text: &str) {
        let group = Group { start: self.out.len(), ..Group::default() };
        self.out.push_str(text);
        self.groups.push(std::mem::replace(&mut self.current, group));
    }

    fn close(&mut self) -> Result<(), PatternError> {
        let Some(outer) = self.groups.pop() else {
            return Err(PatternError::new("unexpected )", self.pattern));
        };
        self.at += 1;
        self.out.push(')');
        let (weight, start) = (self.current.weight.max(1), self.current.start);
        self.current = outer;
        self.current.weight = self.current.weight.max(weight);
        self.atom_since(start, weight);
        Ok(())
    }

    fn perl_group(&mut self, rest: &'p str) -> Result<(), PatternError> {
        if let Some(named) = rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<')) {
            return self.named_group(named);
        }
        self.flags()
    }

    fn named_group(&mut self, named: &'p str) -> Result<(), PatternError> {
        let start = self.at;
        let name_at = self.pattern.len() - named.len();
        let Some(length) = named.find('>') else {
            self.at = self.pattern.len();
            return self.error("invalid named capture", start);
        };
        let name = &named[..length];
        self.at = name_at + length + 1;
        if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            return self.error("invalid named capture", start);
        }
        // Go lets a name stand twice and begin with a digit; the engine below does neither.
        let usable = !name.starts_with(|c: char| c.is_ascii_digit()) && self.names.insert(name);
        let open = if usable { format!("(?P<{name}>") } else { "(".to_owned() };
        self.enter(&open);
        Ok(())
    }

    /// `(?i)` and `(?i-s:`
    fn flags(&mut self) -> Result<(), PatternError> {
        const REASON: &str = "invalid or unsupported Perl syntax";
        let start = self.at;
        self.at += 2;
        let (mut negated, mut saw) = (false, false);
        loop {
            match self.bump() {
                Some('i' | 'm' | 's' | 'U') => saw = true,
                Some('-') if !negated => (negated, saw) = (true, false),
                Some(end @ (':' | ')')) if !negated || saw => {
                    let flags = &self.pattern[start + 2..self.at - 1];
                    match (end, flags) {
                        (':', flags) => self.enter(&format!("(?{flags}:")),
                        (_, "") => {}
                        (_, flags) => self.out.push_str(&format!("(?{flags})")),
                    }
                    return Ok(());
                }
                _ => return self.error(REASON, start),
            }
        }
    }

    /// A repetition operator that begins at `start` and ends at the cursor.
    fn repeat(&mut self, start: usize, text: &str, count: Option<u32>) -> Result<(), PatternError> {
        let lazy = self.rest().starts_with('?');
        self.at += usize::from(lazy);
        let Some(atom) = self.current.last else {
            return self.error("missing argument to repetition operator", start);
        };
        let directly = atom.end == self.out.len();
        if let (Some(first), true) = (atom.repeated_at, directly) {
            return self.error("invalid nested repetition operator", first);
        }
        let weight = atom.weight.saturating_mul(count.unwrap_or(1).max(1));
        if count.is_some_and(|count| count >= 2) && weight > REPEAT_MAX {
            return self.error("invalid repeat count", start);
        }
        let operator = if lazy { format!("{text}?") } else { text.to_owned() };
        if directly {
            self.out.push_str(&operator);
        } else {
            // Flags in between take effect behind the operator, not inside of what it repeats.
            self.out.insert_str(atom.end, &format!("){operator}"));
            self.out.insert_str(atom.start, "(?:");
        }
        let end = self.out.len();
        self.current.last = Some(Atom { weight, repeated_at: Some(start), start: atom.start, end });
        self.current.weight = self.current.weight.max(weight);
        Ok(())
    }

    /// `{2}`, `{2,}`, `{2,3}`; anything else after `{` is text.
    fn counted(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        let Some((least, most, length)) = parse_counts(self.rest()) else {
            self.at += 1;
            self.literal('{');
            return Ok(());
        };
        self.at += length;
        let limit = most.unwrap_or(least);
        if least > REPEAT_MAX || limit > REPEAT_MAX || limit < least {
            return self.error("invalid repeat count", start);
        }
        let text = self.pattern[start..self.at].to_owned();
        self.repeat(start, &text, Some(limit))
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let rest = self.rest();
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (text, length) = match quoted.find("\\E") {
                Some(end) => (&quoted[..end], end + 4),
                None => (quoted, quoted.len() + 2),
            };
            text.chars().for_each(|c| self.literal(c));
            self.at += length;
            return Ok(());
        }
        let assertion = match rest.as_bytes().get(1) {
            Some(b'A') => Some("(?:\\A)"),
            Some(b'z') => Some("(?:\\z)"),
            Some(b'b') => Some("(?-u:\\b)"),
            Some(b'B') => Some("(?-u:\\B)"),
            _ => None,
        };
        if let Some(assertion) = assertion {
            self.at += 2;
            self.atom(assertion);
            return Ok(());
        }
        if let Some(set) = class::escaped_set(self)? {
            self.atom(&set);
            return Ok(());
        }
        let c = self.escaped_char()?;
        self.literal(c);
        Ok(())
    }

    /// A backslash and what stands for one character.
    pub(super) fn escaped_char(&mut self) -> Result<char, PatternError> {
        const REASON: &str = "invalid escape sequence";
        let start = self.at;
        self.at += 1;
        let Some(c) = self.bump() else {
            return Err(PatternError::new("trailing backslash at end of expression", ""));
        };
        match c {
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            'x' => self.hexadecimal(start),
            // A single digit would refer back to a group.
            '1'..='7' if !self.peek().is_some_and(|next| next.is_digit(8)) => self.error(REASON, start),
            '0'..='7' => {
                let mut code = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else {
                        break;
                    };
                    self.at += 1;
                    code = code * 8 + digit;
                }
                char::from_u32(code).map_or_else(|| self.error(REASON, start), Ok)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c),
            _ => self.error(REASON, start),
        }
    }

    fn hexadecimal(&mut self, start: usize) -> Result<char, PatternError> {
        const REASON: &str = "invalid escape sequence";
        let braced = self.peek() == Some('{');
        self.at += usize::from(braced);
        let (mut code, mut digits) = (0u32, 0);
        loop {
            if braced && digits > 0 && self.peek() == Some('}') {
                self.at += 1;
                break;
            }
            let Some(digit) = self.bump().and_then(|c| c.to_digit(16)) else {
                return self.error(REASON, start);
            };
            code = code * 16 + digit;
            digits += 1;
            if code > u32::from(char::MAX) {
                return self.error(REASON, start);
            }
            if !braced && digits == 2 {
                break;
            }
        }
        char::from_u32(code).map_or_else(|| self.error(REASON, start), Ok)
    }
}

/// Least and most count and the length of `{n}`, `{n,}`, `{n,m}`. Counts too long to be read are past every limit.
fn parse_counts(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let inside = &text[1..text.find('}')?];
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let canonical = text == "0" || !text.starts_with('0');
        (plain && canonical).then(|| text.parse().unwrap_or(u32::MAX))
    };
    let length = inside.len() + 2;
    match inside.split_once(',') {
        None => number(inside).map(|n| (n, Some(n), length)),
        Some((least, "")) => number(least).map(|n| (n, None, length)),
        Some((least, most)) => Some((number(least)?, Some(number(most)?), length)),
    }
}
