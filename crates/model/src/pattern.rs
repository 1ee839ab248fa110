//! Regular expressions in RE2's dialect, anchored on both ends, as Prometheus reads them.

mod class;
mod expand;
mod re2;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{Extractor, Seq};
use thiserror::Error;

pub use expand::expand_captures;

/// A compiled pattern takes at most this much memory; a larger one is refused, so that a query cannot take the process down.
const COMPILED_SIZE_BYTES_MAX: usize = 8 << 20;

/// Groups inside each other, as Go allows them.
const NESTING_MAX: u32 = 1000;

/// A pattern that matches no more than this many texts is kept as their list, which an index answers by look-ups. Longer
/// lists, such as dashboards make of a variable's values, are still lists of look-ups rather than a scan of all values.
const LITERALS_MAX: usize = 4096;

/// A regular expression that must match the whole value; `.` matches a line feed too.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    shape: Shape,
    source: Box<str>,
}

/// What is known of the texts that match.
#[derive(Clone, Debug)]
enum Shape {
    /// These and no others, sorted.
    Literals(Box<[String]>),
    /// All texts: `.*`
    Everything,
    /// All texts but the empty one: `.+`
    NotEmpty,
    /// All begin like this; it may be empty.
    Prefix(Box<str>),
}

/// The pattern is not a regular expression of RE2's dialect, or it is too large. The texts are Go's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("error parsing regexp: {reason}: `{pattern}`")]
pub struct PatternError {
    /// The part of the text that is meant.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl PatternError {
    fn new(reason: &str, part: &str) -> Self {
        Self { pattern: part.to_owned(), reason: reason.to_owned() }
    }
}

impl Pattern {
    /// Compiles `^(?s:PATTERN)$`.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let translated = re2::translate(pattern)?;
        let too_large = |_| PatternError::new("expression too large", pattern);
        let regex = RegexBuilder::new(&format!("^(?s:{translated})$"))
            .size_limit(COMPILED_SIZE_BYTES_MAX)
            .nest_limit(NESTING_MAX)
            .build()
            .map_err(too_large)?;
        Ok(Self { regex, shape: Shape::of(pattern, &translated), source: pattern.into() })
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the whole value matches.
    pub fn is_match(&self, value: &str) -> bool {
        match &self.shape {
            Shape::Literals(literals) => literals.binary_search_by(|literal| literal.as_str().cmp(value)).is_ok(),
            Shape::Everything => true,
            Shape::NotEmpty => !value.is_empty(),
            Shape::Prefix(prefix) => value.starts_with(&**prefix) && self.regex.is_match(value),
        }
    }

    /// The expression behind it, for captures and expansion (`label_replace`, relabelling).
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    /// The only texts that match, sorted, where they are few: `a|b|c`. An index looks them up instead of trying all values.
    pub fn literals(&self) -> Option<&[String]> {
        match &self.shape {
            Shape::Literals(literals) => Some(literals),
            _ => None,
        }
    }

    /// Whether all texts match, the empty one left aside: `.*` and `.+`.
    pub fn matches_any_text(&self) -> bool {
        matches!(self.shape, Shape::Everything | Shape::NotEmpty)
    }

    /// What every text that matches begins with; empty where nothing is known.
    pub fn prefix(&self) -> &str {
        match &self.shape {
            Shape::Prefix(prefix) => prefix,
            _ => "",
        }
    }
}

impl Shape {
    fn of(pattern: &str, translated: &str) -> Self {
        match pattern {
            ".*" => return Self::Everything,
            ".+" => return Self::NotEmpty,
            _ => {}
        }
        let unknown = Self::Prefix("".into());
        let mut parser = regex_syntax::ParserBuilder::new().dot_matches_new_line(true).nest_limit(NESTING_MAX).build();
        let Ok(hir) = parser.parse(translated) else {
            return unknown;
        };
        // An assertion such as `\b` takes no text and the extractor passes over it, so that its literals may not match.
        if !hir.properties().look_set().is_empty() {
            return unknown;
        }
        let sequence = extract(&hir);
        exact(&sequence).map(Self::Literals).unwrap_or_else(|| Self::Prefix(common_prefix(&sequence)))
    }
}

fn extract(hir: &Hir) -> Seq {
    Extractor::new()
        .limit_class(LITERALS_MAX)
        .limit_repeat(LITERALS_MAX)
        .limit_literal_len(usize::MAX)
        .limit_total(LITERALS_MAX)
        .extract(hir)
}

/// The whole texts, if the sequence has all of them.
fn exact(sequence: &Seq) -> Option<Box<[String]>> {
    let literals = sequence.literals()?;
    let text = |literal: &regex_syntax::hir::literal::Literal| {
        literal.is_exact().then(|| String::from_utf8(literal.as_bytes().to_vec()).ok()).flatten()
    };
    let mut texts: Vec<String> = literals.iter().map(text).collect::<Option<_>>()?;
    texts.sort_unstable();
    texts.dedup();
    Some(texts.into())
}

fn common_prefix(sequence: &Seq) -> Box<str> {
    let bytes = sequence.longest_common_prefix().unwrap_or_default();
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matches_as_re2() {
        let cases = [
            ("a|b", "b", true),
            ("a|b", "ab", false),
            ("a.b", "a\nb", true),
            ("(?-s)a.b", "a\nb", false),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\Qa.b", "a.b", true),
            (r"\Qa\\E", "a\\", true),
            (r"\d+", "\u{664}", false),
            (r"\w", "é", false),
            (r"\bx\b", "x", true),
            (r"é\b", "é", false),
            (r"a\Bb\B", "ab", false),
            (r"a\Bb", "ab", true),
            ("[a&&b]+", "&a", true),
            ("[[a]]", "[]", true),
            ("[]a]+", "]a", true),
            ("[^]a]", "b", true),
            ("[a-]+", "a-", true),
            (r"[\d\-x]+", "3-x", true),
            ("a{,2}", "a{,2}", true),
            ("a{2", "a{2", true),
            ("{", "{", true),
            ("x{2,3}", "xx", true),
            ("(?i)straße", "STRAßE", true),
            ("(?P<n>a)(?P<n>b)", "ab", true),
            ("(?P<1a>b)", "b", true),
            ("(?i:a)b", "Ab", true),
            ("(?)a", "a", true),
            ("^*a$", "a", true),
            ("a(?i){2}b", "aaB", true),
            ("a(?i){2}b", "aAb", false),
            ("(a|b)*(?s)?c", "abc", true),
            ("(|a)*", "aa", true),
            ("", "", true),
            ("[[:alpha:]]+[[:^digit:]]", "abc", true),
            (r"\pL\p{Greek}\p{^Lu}", "xπy", true),
            (r"\x41\x{42}\103\07", "ABC\u{7}", true),
            ("a#b c", "a#b c", true),
            ("(?m)^a$", "a", true),
            ("[[:word:]#~&-]+", "_#~&-", true),
        ];
        for (pattern, value, expected) in cases {
            let pattern = Pattern::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!(pattern.is_match(value), expected, "{pattern:?} on {value:?}");
            assert_eq!(pattern.regex().is_match(value), expected, "{pattern:?} on {value:?}");
        }
    }

    #[test]
    fn refuses_as_go() {
        let cases = [
            ("(", "missing closing ): `(`"),
            ("a)", "unexpected ): `a)`"),
            ("[a", "missing closing ]: `[a`"),
            ("x[a", "missing closing ]: `[a`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("(*a)", "missing argument to repetition operator: `*`"),
            ("a|+", "missing argument to repetition operator: `+`"),
            ("|??a", "missing argument to repetition operator: `??`"),
            ("++", "missing argument to repetition operator: `+`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a+?*", "invalid nested repetition operator: `+?*`"),
            ("x{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("((a{100}){100}){100}", "invalid repeat count: `{100}`"),
            ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
            ("(?P<n", "invalid named capture: `(?P<n`"),
            ("(?P<>b)", "invalid named capture: `(?P<>`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[a--b]", "invalid character class range: `a--`"),
            (r"[a-\d]", r"invalid escape sequence: `\d`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
            (r"\pX", r"invalid character class range: `\pX`"),
            (r"\p{alpha}", r"invalid character class range: `\p{alpha}`"),
            (r"\8", r"invalid escape sequence: `\8`"),
            (r"\C", r"invalid escape sequence: `\C`"),
            (r"\u{41}", r"invalid escape sequence: `\u`"),
            (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
            (r"\xg", r"invalid escape sequence: `\xg`"),
            ("a\\", "trailing backslash at end of expression: ``"),
        ];
        for (pattern, expected) in cases {
            let error = Pattern::new(pattern).map(|_| ()).unwrap_err().to_string();
            assert_eq!(error, format!("error parsing regexp: {expected}"), "{pattern}");
        }
    }

    #[test]
    fn knows_literals_and_prefixes() {
        let cases: [(&str, Option<&[&str]>, &str); 9] = [
            ("b|a|b", Some(&["a", "b"]), ""),
            ("foo", Some(&["foo"]), ""),
            ("x(y|z)", Some(&["xy", "xz"]), ""),
            ("", Some(&[""]), ""),
            ("foo.*", None, "foo"),
            ("foo(bar|baz).+", None, "fooba"),
            (r"\bfoo", None, ""),
            (".*foo", None, ""),
            (r"a\.b|c", Some(&["a.b", "c"]), ""),
        ];
        for (text, literals, prefix) in cases {
            let pattern = Pattern::new(text).unwrap();
            let got = pattern.literals().map(|l| l.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(got.as_deref(), literals, "{text}");
            assert_eq!(pattern.prefix(), prefix, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_misses(pattern in r"[ab.*+?|()\[\]{}^$\\Qd0-9,:P<>i-]{0,12}", value in "[abQ0]{0,4}") {
            if let Ok(pattern) = Pattern::new(&pattern) {
                prop_assert_eq!(pattern.is_match(&value), pattern.regex().is_match(&value));
            }
        }

        #[test]
        fn quoted_text_matches_itself(text in ".{0,20}") {
            let pattern = Pattern::new(&regex::escape(&text));
            if let Ok(pattern) = pattern {
                prop_assert!(pattern.is_match(&text));
            }
        }
    }
}
