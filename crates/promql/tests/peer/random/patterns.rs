//! Random regular expressions: which are read, what the errors of the others are, what they match.

use super::pick;
use crate::data::Random;

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
