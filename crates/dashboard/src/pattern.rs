//! Patterns in JavaScript's dialect, with a limit of steps.
//!
//! The text is translated, piece by piece, to what `fancy-regex` reads: where the dialects differ (`.`, `\d`, `\w`,
//! identity escapes, classes with `[` or `&&` in them, braces that are no quantifier), JavaScript's meaning is
//! written out. What JavaScript refuses is refused.

use std::fmt::Write as _;

use fancy_regex::{Regex, RegexBuilder};
use thiserror::Error;

/// Longest pattern. One of a dashboard has some dozen characters; those that list hundreds of names are generated.
pub const PATTERN_BYTES_MAX: usize = 4_096;

/// Deepest nesting of groups: the engine's parser calls itself for each.
const DEPTH_MAX: usize = 40;

/// Steps back in one search: some milliseconds. A pattern that needs more is one of those that need forever.
pub const STEPS_MAX: usize = 50_000;

/// Bytes of the compiled pattern, which bounds repetitions of repetitions.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A pattern as Grafana writes them: `/pattern/flags`, or a pattern that fits from end to end.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
    global: bool,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// It is longer than [`PATTERN_BYTES_MAX`].
    #[error("the pattern has {0} bytes, {PATTERN_BYTES_MAX} are read")]
    Length(usize),
    /// Its groups are nested too deeply.
    #[error("the pattern {0:?} has more than {DEPTH_MAX} groups in each other")]
    Depth(String),
    /// It is none, or has something that JavaScript does not have.
    #[error("the pattern {text:?} cannot be read: {reason}")]
    Syntax {
        /// As it is written.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// It did not come to an end within [`STEPS_MAX`] steps.
    #[error("the pattern {0:?} took more than {STEPS_MAX} steps, see whether repetitions stand in repetitions")]
    Steps(String),
}

/// What a pattern found: the groups by number, and those with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// From the whole match on; a group that took no part is absent.
    pub groups: Vec<Option<String>>,
    /// Groups with a name that took part.
    pub named: Vec<(String, String)>,
}

impl Found {
    /// What the group of a name holds.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(group, _)| group == name).map(|(_, text)| text.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Reads `/pattern/flags`, or a pattern that has to fit the text from end to end.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::Length(text.len()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Self::compile(text, &format!("^(?:{text})$"), "");
        };
        let Some((pattern, flags)) = rest.rsplit_once('/') else {
            return Err(syntax(text, "it begins with a slash and has no other one"));
        };
        if let Some(flag) = flags.chars().find(|flag| !"dgimsuy".contains(*flag)) {
            return Err(syntax(text, &format!("there is no flag {flag:?}")));
        }
        Self::compile(text, pattern, flags)
    }

    fn compile(text: &str, pattern: &str, flags: &str) -> Result<Self, PatternError> {
        let translated = Translation::of(pattern, text, flags.contains('s'))?;
        let regex = RegexBuilder::new(&translated)
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .backtrack_limit(STEPS_MAX)
            .delegate_size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| syntax(text, &error.to_string()))?;
        Ok(Self { text: text.to_owned(), regex, global: flags.contains('g') })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern is in a text; one that takes too many steps is not.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text).unwrap_or(false)
    }

    /// What the pattern finds first.
    pub fn find(&self, text: &str) -> Result<Option<Found>, PatternError> {
        let found = self.regex.captures(text).map_err(|_| PatternError::Steps(self.text.clone()))?;
        Ok(found.map(|found| self.groups(&found)))
    }

    /// What the pattern finds first, or with the flag `g` all that it finds, so many at most.
    pub fn find_all(&self, text: &str, count_max: usize) -> Result<Vec<Found>, PatternError> {
        let count_max = if self.global { count_max } else { 1 };
        let found = self.regex.captures_iter(text).take(count_max);
        found.map(|found| Ok(self.groups(&found.map_err(|_| PatternError::Steps(self.text.clone()))?))).collect()
    }

    fn groups(&self, found: &fancy_regex::Captures<'_, str>) -> Found {
        let groups = found.iter().map(|group| group.map(|group| group.as_str().to_owned())).collect();
        let names = self.regex.capture_names().flatten();
        let named = |name: &str| Some((name.to_owned(), found.name(name)?.as_str().to_owned()));
        Found { groups, named: names.filter_map(named).collect() }
    }

    /// The text with what the pattern finds replaced: once, or everywhere with the flag `g`. `$1`, `$<name>`, `$&` and
    /// `$$` in the replacement mean what JavaScript means by them. A pattern that takes too many steps leaves the text.
    pub fn replace(&self, text: &str, replacement: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for found in self.regex.captures_iter(text) {
            let Ok(found) = found else { return text.to_owned() };
            let Some(whole) = found.get(0) else { break };
            out.push_str(&text[end..whole.start()]);
            expand(&mut out, replacement, &found);
            end = whole.end();
            if !self.global {
                break;
            }
        }
        out.push_str(&text[end..]);
        out
    }
}

fn expand(out: &mut String, replacement: &str, found: &fancy_regex::Captures<'_, str>) {
    let mut rest = replacement;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        rest = &rest[dollar(out, rest, found)..];
    }
    out.push_str(rest);
}

/// Writes what `$` with `rest` behind it stands for, and says how much of `rest` it took.
fn dollar(out: &mut String, rest: &str, found: &fancy_regex::Captures<'_, str>) -> usize {
    let group = |number: usize| found.get(number).map_or("", |group| group.as_str());
    if rest.starts_with('$') {
        out.push('$');
        return 1;
    }
    if rest.starts_with('&') {
        out.push_str(group(0));
        return 1;
    }
    if let Some(name) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(name, _)| name) {
        out.push_str(found.name(name).map_or("", |group| group.as_str()));
        return name.len() + 2;
    }
    let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
    for length in (1..=digits).rev() {
        let number = rest[..length].parse().unwrap_or(0);
        if number > 0 && number < found.len() {
            out.push_str(group(number));
            return length;
        }
    }
    out.push('$');
    0
}

fn syntax(text: &str, reason: &str) -> PatternError {
    PatternError::Syntax { text: text.to_owned(), reason: reason.to_owned() }
}

/// The way from one dialect to the other.
struct Translation<'a> {
    text: &'a str,
    chars: Vec<char>,
    at: usize,
    depth: usize,
    dot_all: bool,
    out: String,
}

/// One member of a class: a character, or a set of them in the other dialect.
enum Member {
    Char(char),
    Set(&'static str),
}

impl<'a> Translation<'a> {
    fn of(pattern: &str, text: &'a str, dot_all: bool) -> Result<String, PatternError> {
        let out = String::with_capacity(pattern.len() * 2);
        let mut this = Self { text, chars: pattern.chars().collect(), at: 0, depth: 0, dot_all, out };
        while let Some(next) = this.next() {
            this.piece(next)?;
        }
        Ok(this.out)
    }

    fn next(&mut self) -> Option<char> {
        let next = self.chars.get(self.at).copied();
        self.at += usize::from(next.is_some());
        next
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn piece(&mut self, next: char) -> Result<(), PatternError> {
        match next {
            '\\' => self.escape()?,
            '[' => self.class()?,
            '(' => self.group()?,
            ')' => {
                self.depth = self.depth.saturating_sub(1);
                self.out.push(')');
            }
            '.' if self.dot_all => self.out.push_str("(?s:.)"),
            '.' => self.out.push_str(r"[^\n\r\x{2028}\x{2029}]"),
            '*' | '+' | '?' => self.quantifier(next.encode_utf8(&mut [0; 4]))?,
            '{' => match self.counted() {
                Some(quantifier) => self.quantifier(&quantifier)?,
                None => literal(&mut self.out, '{'),
            },
            '}' | ']' => literal(&mut self.out, next),
            '^' | '$' | '|' => self.out.push(next),
            other => literal(&mut self.out, other),
        }
        Ok(())
    }

    fn group(&mut self) -> Result<(), PatternError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(PatternError::Depth(self.text.to_owned()));
        }
        self.out.push('(');
        if self.peek() != Some('?') {
            return Ok(());
        }
        self.at += 1;
        self.out.push('?');
        match self.next() {
            Some(kind @ (':' | '=' | '!')) => self.out.push(kind),
            Some('<') => {
                self.out.push('<');
                while let Some(next) = self.peek().filter(|next| next.is_alphanumeric() || "_>=!".contains(*next)) {
                    self.at += 1;
                    self.out.push(next);
                    if !next.is_alphanumeric() && next != '_' {
                        break;
                    }
                }
            }
            _ => return Err(syntax(self.text, "(? begins no group that JavaScript has")),
        }
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,5}`, whose opening brace was read; anything else is a brace.
    fn counted(&mut self) -> Option<String> {
        let length = self.chars[self.at..].iter().take(12).position(|next| *next == '}')?;
        let inner: String = self.chars[self.at..self.at + length].iter().collect();
        let mut parts = inner.split(',');
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = parts.next().is_some_and(is_number)
            && parts.next().is_none_or(|part| part.is_empty() || is_number(part))
            && parts.next().is_none();
        if !fits {
            return None;
        }
        self.at += length + 1;
        Some(format!("{{{inner}}}"))
    }

    fn quantifier(&mut self, quantifier: &str) -> Result<(), PatternError> {
        self.out.push_str(quantifier);
        if self.peek() == Some('?') {
            self.at += 1;
            self.out.push('?');
        }
        let doubled = match self.peek() {
            Some('+' | '*' | '?') => true,
            Some('{') => {
                let at = self.at;
                self.at += 1;
                let counted = self.counted().is_some();
                self.at = at;
                counted
            }
            _ => false,
        };
        if doubled {
            return Err(syntax(self.text, "there is nothing to repeat"));
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let Some(next) = self.next() else { return Err(syntax(self.text, "it ends with a backslash")) };
        match next {
            'b' | 'B' => {
                self.out.push('\\');
                self.out.push(next);
            }
            '1'..='9' => {
                self.out.push('\\');
                self.out.push(next);
            }
            'k' if self.peek() == Some('<') => self.out.push_str("\\k"),
            'p' | 'P' if self.peek() == Some('{') => {
                let end = self.chars[self.at..].iter().position(|next| *next == '}').unwrap_or(0);
                let _ = write!(self.out, "\\{next}{}", self.chars[self.at..=self.at + end].iter().collect::<String>());
                self.at += end + 1;
            }
            other => match self.member(other) {
                Member::Char(char) => literal(&mut self.out, char),
                Member::Set(set) => {
                    let _ = write!(self.out, "[{set}]");
                }
            },
        }
        Ok(())
    }

    /// What a backslash and a character stand for, in a class and outside.
    fn member(&mut self, escaped: char) -> Member {
        match escaped {
            'd' => Member::Set("0-9"),
            'D' => Member::Set("[^0-9]"),
            'w' => Member::Set("A-Za-z0-9_"),
            'W' => Member::Set("[^A-Za-z0-9_]"),
            's' => Member::Set(r"\s\x{feff}"),
            'S' => Member::Set(r"[^\s\x{feff}]"),
            't' => Member::Char('\t'),
            'n' => Member::Char('\n'),
            'r' => Member::Char('\r'),
            'v' => Member::Char('\u{b}'),
            'f' => Member::Char('\u{c}'),
            '0' => Member::Char('\0'),
            'x' => Member::Char(self.hex(2).unwrap_or('x')),
            'u' => Member::Char(self.braced().or_else(|| self.hex(4)).unwrap_or('u')),
            other => Member::Char(other),
        }
    }

    fn hex(&mut self, digits: usize) -> Option<char> {
        let text: String = self.chars.get(self.at..self.at + digits)?.iter().collect();
        let found = u32::from_str_radix(&text, 16).ok().and_then(char::from_u32)?;
        self.at += digits;
        Some(found)
    }

    fn braced(&mut self) -> Option<char> {
        let rest = self.chars.get(self.at..)?;
        let end = rest.iter().take(9).position(|next| *next == '}')?;
        let text: String = rest.get(1..end)?.iter().collect();
        let found = u32::from_str_radix(&text, 16).ok().and_then(char::from_u32).filter(|_| rest[0] == '{')?;
        self.at += end + 1;
        Some(found)
    }

    fn class(&mut self) -> Result<(), PatternError> {
        let negated = self.peek() == Some('^');
        self.at += usize::from(negated);
        let mut set = String::new();
        loop {
            let Some(next) = self.next() else { return Err(syntax(self.text, "a class has no end")) };
            if next == ']' {
                break;
            }
            self.range(next, &mut set);
        }
        match (set.is_empty(), negated) {
            (true, true) => self.out.push_str("(?s:.)"),
            (true, false) => self.out.push_str("(?!)"),
            (false, _) => {
                let _ = write!(self.out, "[{}{set}]", if negated { "^" } else { "" });
            }
        }
        Ok(())
    }

    fn one(&mut self, next: char) -> Member {
        match (next, self.peek()) {
            ('\\', Some('b')) => {
                self.at += 1;
                Member::Char('\u{8}')
            }
            ('\\', Some(escaped)) => {
                self.at += 1;
                self.member(escaped)
            }
            _ => Member::Char(next),
        }
    }

    fn range(&mut self, next: char, set: &mut String) {
        let from = match self.one(next) {
            Member::Set(inner) => return set.push_str(inner),
            Member::Char(from) => from,
        };
        let is_range = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|end| *end != ']');
        literal(set, from);
        if !is_range {
            return;
        }
        self.at += 1;
        let Some(next) = self.next() else { return };
        match self.one(next) {
            Member::Char(to) => {
                set.push('-');
                literal(set, to);
            }
            Member::Set(inner) => {
                literal(set, '-');
                set.push_str(inner);
            }
        }
    }
}

/// A character that means itself: punctuation by its number, since either dialect has escapes of its own.
fn literal(out: &mut String, char: char) {
    if char.is_alphanumeric() || char == '_' || char == ' ' {
        out.push(char);
    } else {
        let _ = write!(out, "\\x{{{:x}}}", u32::from(char));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_javascript_means() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(Pattern::new(pattern).map(|pattern| pattern.is_match(text)), Ok(expected), "{pattern} {text}");
        };
        check("(?!grafanacloud-usage|grafanacloud-ml-metrics).+", "prometheus", true);
        check("(?!grafanacloud-usage|grafanacloud-ml-metrics).+", "grafanacloud-usage", false);
        check("/sda.*/", "xsdab", true);
        check("sda", "xsda", false);
        check("a|b", "xb", false);
        check("/SDA/i", "sda", true);
        check(r"/^\d+$/", "12", true);
        check(r"/^\d+$/", "١٢", false);
        check(r"/^[\w-]+$/", "a-b_c", true);
        check(r"/^[^\s\]]+$/", "a]b", false);
        check(r"/^[a\-z]+$/", "b", false);
        check(r"/^[+--]+$/", ",", true);
        check(r"/^[a&&b]+$/", "&", true);
        check(r"/^[[]$/", "[", true);
        check(r"/x{/", "x{", true);
        check(r"/x{2,3}$/", "xx", true);
        check(r"/x{,3}/", "x{,3}", true);
        check(r"/\/dev\/(sd|vd)[a-z]$/", "/dev/vda", true);
        check(r"/\<\>\e\-\_/", "<>e-_", true);
        check(r"/[]/", "a", false);
        check(r"/[^]/", "\n", true);
        check(r"/a.b/", "a\rb", false);
        check(r"/a.b/s", "a\nb", true);
        check(r"/(?<=node-)\w+/", "node-a", true);
        check(r"/(\w)\1/", "hello", true);
        check(r"/\u0041\x42\u{43}/u", "ABC", true);
        check(r"/\p{Lu}/u", "é", false);
        check("/ü+/", "üü", true);
        check("/.*/", "", true);
        check(r"/a\/b/", "a/b", true);
    }

    #[test]
    fn patterns_that_are_none_are_refused() {
        let check = |pattern: &str, expected: &str| {
            let error = Pattern::new(pattern).unwrap_err().to_string();
            assert!(error.contains(expected), "{pattern}: {error}");
        };
        check("/abc", "no other one");
        check("/abc/q", "no flag 'q'");
        check("/(/", "cannot be read");
        check("/a++/", "nothing to repeat");
        check("/(?>a)/", "begins no group");
        check("/(?P<a>b)/", "begins no group");
        check("/[a/", "a class has no end");
        check(r"/a\", "no other one");
        check(r"a\", "cannot be read");
        check("/(?<n/", "cannot be read");
        check("/a{10}{10}/", "nothing to repeat");
        check("/(?:(?:a{1000}){1000}){1000}/", "cannot be read");
        check(&"(".repeat(100), "groups in each other");
        check(&"a".repeat(PATTERN_BYTES_MAX + 1), "4096 are read");
        check(r"/\p{/", "cannot be read");
    }

    #[test]
    fn a_pattern_has_an_end() {
        let pattern = Pattern::new(r"/^(?=(a+)+$)b/").unwrap();
        let slow = Pattern::new(r"/^(a|a|b\1)*(?!x)$/").unwrap();
        let text = format!("{}c", "a".repeat(60));
        assert!(!pattern.is_match(&text));
        assert!(slow.find(&text).is_err() || slow.find(&text) == Ok(None));
    }

    #[test]
    fn found_parts_replace() {
        let check = |pattern: &str, text: &str, replacement: &str, expected: &str| {
            assert_eq!(Pattern::new(pattern).unwrap().replace(text, replacement), expected, "{pattern}");
        };
        check("/a(.)/", "abac", "<$1>", "<b>ac");
        check("/a(.)/g", "abac", "<$1>", "<b><c>");
        check("/(?<x>b)/", "abc", "[$<x>$&$$$2$]", "a[bb$$2$]c");
        check("(.*)", "abc", "$1$10", "abcabc0");
        check("/x/", "abc", "y", "abc");
        check("/é/g", "éaé", "e", "eae");
    }

    #[test]
    fn groups_have_names() {
        let found = Pattern::new(r"/(?<text>\w+)=(?<value>\d+)(x)?/").unwrap().find("a=1").unwrap().unwrap();
        assert_eq!(found.named("text"), Some("a"));
        assert_eq!(found.named("value"), Some("1"));
        assert_eq!(found.groups, [Some("a=1".to_owned()), Some("a".to_owned()), Some("1".to_owned()), None]);
    }
}
