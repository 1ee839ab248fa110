//! Decoding: a [`Section`] is a mapping whose keys are taken one by one; what is left at the end is unknown.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::resolve::{Number, boolean, number};
use crate::{Node, Pair, Problem, Report, Severity, Value};

/// A node together with the file and key path it stands at; the way to complain about it.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    node: &'a Node,
    file: &'a str,
    path: String,
    report: &'a Report,
    /// Whether a key without a value counts as absent.
    passes_nulls: bool,
}

/// A mapping being decoded. Every key asked for counts as known; [`Section::finish`] reports the others.
#[derive(Debug)]
pub struct Section<'a> {
    place: Place<'a>,
    pairs: &'a [Pair],
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Place<'a> {
    /// The root of a file.
    pub fn root(node: &'a Node, file: &'a str, report: &'a Report) -> Self {
        Self { node, file, path: String::new(), report, passes_nulls: false }
    }

    /// The same, where a known key without a value counts as absent, as in files that Go reads by its newer YAML package.
    pub fn without_nulls(self) -> Self {
        Self { passes_nulls: true, ..self }
    }

    /// The node.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// The file's name.
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// The key path, such as `groups[0].rules[1].expr`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where problems of this file go.
    pub fn report(&self) -> &'a Report {
        self.report
    }

    /// Reports an error here.
    pub fn error(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.say(Severity::Error, self.node, message.into(), hint.into());
    }

    /// Reports a warning here.
    pub fn warn(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.say(Severity::Warning, self.node, message.into(), hint.into());
    }

    /// Reports something here that makes a part of the file useless while the rest works: an error in a strict report.
    pub fn flaw(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.say(self.report.of_flaws(), self.node, message.into(), hint.into());
    }

    /// Whether the file is looked at before it is used, so that files that it names are to be looked at, too.
    pub fn is_strict(&self) -> bool {
        self.report.of_flaws() == Severity::Error
    }

    /// The mapping here; `null` counts as an empty one. Another kind is reported.
    pub fn section(&self) -> Option<Section<'a>> {
        let pairs: &'a [Pair] = match &self.node.value {
            Value::Mapping(pairs) => pairs,
            _ if self.node.is_null() => &[],
            _ => {
                self.mismatch("a mapping");
                return None;
            }
        };
        let own = |pair: &&Pair| !pair.merged;
        self.report_doubles(pairs.iter().filter(own));
        Some(Section { place: self.clone(), pairs, known: RefCell::default() })
    }

    /// The entries of the list here; `null` counts as an empty one. Another kind is reported.
    pub fn list(&self) -> Vec<Place<'a>> {
        match &self.node.value {
            Value::Sequence(nodes) => nodes.iter().enumerate().map(|(i, node)| self.at_index(node, i)).collect(),
            _ if self.node.is_null() => Vec::new(),
            _ => {
                self.mismatch("a list");
                Vec::new()
            }
        }
    }

    /// The keys and values of a mapping whose keys are free, such as labels; `null` counts as an empty one.
    pub fn entries(&self) -> Vec<(Place<'a>, Place<'a>)> {
        match &self.node.value {
            Value::Mapping(pairs) => {
                self.report_doubles(pairs);
                let places = |Pair { key, value, .. }: &'a Pair| {
                    let name = key.as_text().unwrap_or_default();
                    (self.at_key(key, name), self.at_key(value, name))
                };
                pairs.iter().map(places).collect()
            }
            _ if self.node.is_null() => Vec::new(),
            _ => {
                self.mismatch("a mapping");
                Vec::new()
            }
        }
    }

    fn report_doubles<'p>(&self, pairs: impl IntoIterator<Item = &'p Pair>) {
        let mut seen = HashMap::new();
        for Pair { key, .. } in pairs {
            let name = key.as_text().unwrap_or_default();
            if let Some(first) = seen.insert(name, key.position.line) {
                let message = format!("key {name:?} already set in this mapping at line {first}");
                self.say(Severity::Error, key, message, "remove one of the two".to_owned());
            }
        }
    }

    /// The text of a scalar; numbers and booleans are their letters, `null` is empty. Another kind is reported.
    pub fn string(&self) -> Option<String> {
        if self.node.is_null() {
            return Some(String::new());
        }
        let text = self.node.as_text();
        if text.is_none() {
            self.mismatch("text");
        }
        text.map(str::to_owned)
    }

    /// A duration such as `15s`.
    pub fn duration(&self) -> Option<Duration> {
        let text = self.string()?;
        model::parse_duration(&text)
            .map_err(|e| self.error(e.to_string(), "write a number and a unit, such as 15s, 5m or 1h30m"))
            .ok()
    }

    /// A truth value in YAML 1.1's spellings, as Prometheus takes them.
    pub fn boolean(&self) -> Option<bool> {
        let value = self.plain().and_then(boolean);
        if value.is_none() {
            self.mismatch("true or false");
        }
        value
    }

    /// A whole number, not negative. A fraction is cut off, as Prometheus does it.
    pub fn unsigned(&self) -> Option<u64> {
        let value = match self.plain().and_then(number) {
            Some(Number::Whole(value)) => u64::try_from(value).ok(),
            // The limit itself is the next number that a float can be.
            Some(Number::Real(value)) if value <= u64::MAX as f64 => Some(value as u64),
            _ => None,
        };
        if value.is_none() {
            self.mismatch("a whole number, 0 or more");
        }
        value
    }

    /// A whole number. A fraction is cut off, as Prometheus does it.
    pub fn integer(&self) -> Option<i64> {
        let value = match self.plain().and_then(number) {
            Some(Number::Whole(value)) => i64::try_from(value).ok(),
            Some(Number::Real(value)) if value <= i64::MAX as f64 => Some(value as i64),
            _ => None,
        };
        if value.is_none() {
            self.mismatch("a whole number");
        }
        value
    }

    /// A number with or without fraction.
    pub fn float(&self) -> Option<f64> {
        let value = self.plain().and_then(number).map(|number| match number {
            Number::Whole(value) => value as f64,
            Number::Real(value) => value,
        });
        if value.is_none() {
            self.mismatch("a number");
        }
        value
    }

    /// The letters of a scalar that may mean more than letters.
    fn plain(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, plain: true } => Some(text),
            _ => None,
        }
    }

    fn mismatch(&self, wanted: &str) {
        let got = match self.node.as_text().filter(|_| !self.node.is_null()) {
            Some(text) => format!("{:?}", shorten(text)),
            None => self.node.kind().to_owned(),
        };
        // One value where several may stand is the mistake that is made most.
        let is_one = wanted == "a list" && self.node.as_text().is_some_and(|text| !text.is_empty());
        let hint = if is_one { "write [a, b], or lines that begin with a dash" } else { "" };
        self.error(format!("expected {wanted}, found {got}"), hint);
    }

    fn at_key(&self, node: &'a Node, key: &str) -> Place<'a> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Place { node, file: self.file, path, report: self.report, passes_nulls: self.passes_nulls }
    }

    fn at_index(&self, node: &'a Node, index: usize) -> Place<'a> {
        let path = format!("{}[{index}]", self.path);
        Place { node, file: self.file, path, report: self.report, passes_nulls: self.passes_nulls }
    }

    fn say(&self, severity: Severity, node: &Node, message: String, hint: String) {
        self.report.push(Problem {
            severity,
            file: self.file.to_owned(),
            position: Some(node.position),
            path: self.path.clone(),
            message,
            hint,
        });
    }
}

impl<'a> Section<'a> {
    /// The place of the mapping itself.
    pub fn place(&self) -> &Place<'a> {
        &self.place
    }

    /// The value of a key, if the key is there; from now on the key is known. Of a key of this mapping and the same one of
    /// another that is merged into it the later one counts.
    pub fn get(&self, key: &'static str) -> Option<Place<'a>> {
        self.known.borrow_mut().insert(key);
        let pair = self.pairs.iter().rev().find(|pair| pair.key.as_text() == Some(key))?;
        let counts = !(self.place.passes_nulls && pair.value.is_null());
        counts.then(|| self.place.at_key(&pair.value, key))
    }

    /// A text.
    pub fn string(&self, key: &'static str) -> Option<String> {
        self.get(key)?.string()
    }

    /// A duration.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    /// A truth value.
    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        self.get(key)?.boolean()
    }

    /// A whole number.
    pub fn unsigned(&self, key: &'static str) -> Option<u64> {
        self.get(key)?.unsigned()
    }

    /// A mapping with known keys.
    pub fn section(&self, key: &'static str) -> Option<Section<'a>> {
        self.get(key)?.section()
    }

    /// The entries of a list; empty where the key is absent.
    pub fn list(&self, key: &'static str) -> Vec<Place<'a>> {
        self.get(key).map(|place| place.list()).unwrap_or_default()
    }

    /// A list of texts; empty where the key is absent.
    pub fn strings(&self, key: &'static str) -> Vec<String> {
        self.list(key).iter().filter_map(Place::string).collect()
    }

    /// Keys that are valid but have no effect yet: each one that is there is warned about by name.
    pub fn not_built(&self, keys: &[&'static str]) {
        for place in keys.iter().filter_map(|key| self.get(key)) {
            place.warn("valid, but without effect in this version of skep", "");
        }
    }

    /// Reports every key that nobody asked for, with the known key it resembles most.
    pub fn finish(&self) {
        if self.place.report.is_lenient() {
            return;
        }
        let known = self.known.borrow();
        for Pair { key, .. } in self.pairs {
            let name = key.as_text().unwrap_or_default();
            if known.contains(name) {
                continue;
            }
            let hint = match closest(name, known.iter().copied()) {
                Some(similar) => format!("did you mean {similar:?}?"),
                None => known_keys(name, &known),
            };
            let message = format!("unknown key {:?}", shorten(name));
            self.place.at_key(key, name).error(message, hint);
        }
    }
}

/// A section with more keys is not told in full, because nobody reads that far.
const KEYS_TOLD_MAX: usize = 24;

/// The keys that a section knows; of many those that resemble a name most.
fn known_keys(name: &str, known: &BTreeSet<&str>) -> String {
    let mut keys: Vec<&str> = known.iter().copied().collect();
    if keys.len() <= KEYS_TOLD_MAX {
        return format!("known keys here: {}", keys.join(", "));
    }
    keys.sort_by_key(|key| edit_distance(name, key));
    keys.truncate(KEYS_TOLD_MAX / 3);
    keys.sort_unstable();
    format!("of {} known keys here the most alike: {}", known.len(), keys.join(", "))
}

/// Long scalars are cut in messages.
const SHOWN_CHARS_MAX: usize = 60;

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The known name within an edit distance of a third of the name's length.
pub fn closest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > SHOWN_CHARS_MAX {
        return None;
    }
    let within = (name.len() / 3).max(1);
    let (distance, similar) = known.into_iter().map(|key| (edit_distance(name, key), key)).min()?;
    (distance <= within).then_some(similar)
}

/// Levenshtein's distance, one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    /// Decodes a small section and gives the problems, one a line.
    fn check(text: &str, expected: &[&str]) {
        let report = Report::default();
        match parse("f.yml", text) {
            Err(problem) => report.push(*problem),
            Ok(node) => {
                if let Some(section) = Place::root(&node, "f.yml", &report).section() {
                    section.duration("interval");
                    section.boolean("enabled");
                    section.unsigned("limit");
                    section.strings("names");
                    section.not_built(&["later"]);
                    section.finish();
                }
            }
        }
        let got: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn reports_everything_at_once() {
        check("interval: 15s\nenabled: yes\nlimit: 5\nnames: [a, 1]\n", &[]);
        check("", &[]);
        check(
            "interval: 15\nenabled: maybe\nlimt: 3\nnames: {}\n",
            &[
                "f.yml:1:11: error: not a valid duration string: \"15\" (at interval); write a number and a unit, such as 15s, 5m or 1h30m",
                "f.yml:2:10: error: expected true or false, found \"maybe\" (at enabled)",
                "f.yml:4:8: error: expected a list, found a mapping (at names)",
                "f.yml:3:1: error: unknown key \"limt\" (at limt); did you mean \"limit\"?",
            ],
        );
        check("later: 1", &["f.yml:1:8: warning: valid, but without effect in this version of skep (at later)"]);
        check("- a", &["f.yml:1:1: error: expected a mapping, found a list"]);
        check("limit: -1", &["f.yml:1:8: error: expected a whole number, 0 or more, found \"-1\" (at limit)"]);
        check("limit: \"1\"", &["f.yml:1:8: error: expected a whole number, 0 or more, found \"1\" (at limit)"]);
    }

    #[test]
    fn keys_without_a_value() {
        let check = |text: &str, passes: bool, expected: &[&str]| {
            let (node, report) = (parse("f.yml", text).unwrap(), Report::default());
            let root = Place::root(&node, "f.yml", &report);
            let root = if passes { root.without_nulls() } else { root };
            for section in root.list().iter().filter_map(Place::section) {
                section.duration("interval");
                section.finish();
            }
            let got: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
            assert_eq!(got, expected, "{text}");
        };
        let empty = "f.yml:1:11: error: empty duration string (at [0].interval); write a number and a unit, such as 15s, 5m or 1h30m";
        check("- interval:\n", false, &[empty]);
        check("- interval:\n- interval: ~\n", true, &[]);
        let unknown = "f.yml:1:3: error: unknown key \"other\" (at [0].other); known keys here: interval";
        check("- other:\n", true, &[unknown]);
    }

    #[test]
    fn refuses_what_is_not_one_tidy_document() {
        check(
            "limit: 1\nlimit: 2\n",
            &["f.yml:2:1: error: key \"limit\" already set in this mapping at line 1; remove one of the two"],
        );
        check(
            "a: [",
            &[
                "f.yml:2:1: error: not valid YAML: while parsing a node, did not find expected node content; a [ or a { before it may lack its end, or a value is missing",
            ],
        );
        let check_hint = |text: &str, hint: &str| {
            let problem = parse("f.yml", text).expect_err(text);
            assert_eq!(problem.hint, hint, "{text}: {problem}");
        };
        check_hint("a:\n\t- b\n", "indent by spaces");
        check_hint("a: \"b\nc: d\n", "a quote that begins here may lack its end");
        check_hint("a: [{b: c}\nd: e\n", "a [ or a { before it may lack its end, or a comma is missing");
        check_hint("a: {b: [c]\nd: e\n", "a [ or a { before it may lack its end, or a comma is missing");
        check_hint("- a: b\n c: d\n", "its indentation may differ from the lines above");
        let colon = "its indentation may differ from the lines above, or a text with a colon lacks its quotes";
        check_hint("- a: b\n   c: d\n", colon);
        check_hint("a: b\nc\nd: e\n", "a colon may be missing, or a space behind it");
        let control = "remove it; in double quotes \\x1b and its like stand for such characters";
        for letter in ["\0", "\u{1b}", "\u{7f}", "\u{9f}", "\u{fffe}"] {
            check_hint(&format!("a: b\n# {letter}\n"), control);
        }
        check("# é\u{85}😀\t\r\nlimit: 1\n", &[]);
        check(
            "limit: 1\n# é \u{1}\n",
            &[&format!("f.yml:2:5: error: not valid YAML: the control character \\u{{1}}; {control}")],
        );
    }

    #[test]
    fn resolves_anchors_and_merge_keys() {
        check("names: &n [a]\n<<: {enabled: true, limit: x}\nlimit: 3\n", &[]);
        check("<<: {limit: x}\n", &["f.yml:1:13: error: expected a whole number, 0 or more, found \"x\" (at limit)"]);
    }

    #[test]
    fn bounds_alias_bombs_and_depth() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..9 {
            let refs = vec![format!("*a{}", i - 1); 10].join(",");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(parse("f.yml", &bomb).unwrap_err().message.contains("nodes"));
        assert!(parse("f.yml", &"[".repeat(5000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[-a\\[\\]{}:,&*!|>'\" \n#]{0,60}") {
            let _ = parse("f.yml", &text);
        }
    }
}
