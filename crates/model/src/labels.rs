//! A label set in one allocation.
//!
//! Layout of the text: for each label, sorted by name, `length(name) name length(value) value`. A length is a
//! little-endian base-64 number, six bits a byte, bit 6 set on all bytes but the last: every length byte is
//! ASCII, so the whole stays a `str` and is sliced without a UTF-8 check. Equal sets have equal text, so that
//! comparing and hashing read the bytes once.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::METRIC_NAME;

const LENGTH_BITS: u32 = 6;
const LENGTH_MORE: u8 = 1 << LENGTH_BITS;

/// A set of labels: sorted by name, names unique, no empty value but in [`Labels::of_texts`]. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

/// Collects labels in any order; the last value of a name wins.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

/// Walks the labels of a set in the order of their names.
#[derive(Clone, Debug)]
pub struct LabelsIter<'a>(&'a str);

impl Labels {
    /// The set without labels.
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// A set of these pairs, in any order. Empty values are left out; of equal names the last wins.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let mut text = String::with_capacity(pairs.iter().map(|(n, v)| n.as_ref().len() + v.as_ref().len() + 2).sum());
        for (i, (name, value)) in pairs.iter().enumerate() {
            let overwritten = pairs.get(i + 1).is_some_and(|next| next.0.as_ref() == name.as_ref());
            if !overwritten && !value.as_ref().is_empty() {
                push_part(&mut text, name.as_ref());
                push_part(&mut text, value.as_ref());
            }
        }
        Self(Arc::from(text))
    }

    /// Texts by name, such as annotations and the labels of a rule as they are written: an empty one is kept, because
    /// people and receivers see that it is there. No series has such a set. Of equal names the last wins.
    pub fn of_texts<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let mut text = String::new();
        for (i, (name, value)) in pairs.iter().enumerate() {
            if pairs.get(i + 1).is_none_or(|next| next.0.as_ref() != name.as_ref()) {
                push_part(&mut text, name.as_ref());
                push_part(&mut text, value.as_ref());
            }
        }
        Self(Arc::from(text))
    }

    /// A set of pairs as [`Labels::iter`] gives them: names rise, no value is empty.
    pub fn from_sorted_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        // Lengths below 64 take one byte; longer ones are rare.
        let length = pairs.clone().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut text = String::with_capacity(length);
        for (name, value) in pairs {
            push_part(&mut text, name);
            push_part(&mut text, value);
        }
        debug_assert!(Self::from_packed(&text).is_some());
        Self(Arc::from(text))
    }

    /// Reads back what [`Labels::as_packed`] gave. `None` if the text is damaged: a length that overshoots, names
    /// out of order, an empty value.
    pub fn from_packed(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut last: Option<&str> = None;
        while !rest.is_empty() {
            let name = take_part(&mut rest)?;
            let value = take_part(&mut rest)?;
            if last.is_some_and(|last| last >= name) || value.is_empty() {
                return None;
            }
            last = Some(name);
        }
        Some(Self(Arc::from(text)))
    }

    /// Adds a label to a text that is to be read by [`Labels::from_packed`]. Names have to rise, values must not be empty.
    pub fn push_packed(text: &mut String, name: &str, value: &str) {
        push_part(text, name);
        push_part(text, value);
    }

    /// The set as one string, the same for equal sets; [`Labels::from_packed`] reads it.
    pub fn as_packed(&self) -> &str {
        &self.0
    }

    /// Whether one is a clone of the other. Others may be equal all the same.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Labels in the order of their names.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter(&self.0)
    }

    /// The value of a label; `None` where the set lacks it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The metric name, empty where there is none.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or_default()
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels that `keep` wants.
    pub fn filter(&self, keep: impl Fn(&str) -> bool) -> Self {
        let mut text = String::with_capacity(self.0.len());
        let mut rest = self.iter();
        loop {
            let before = rest.0;
            let Some((name, _)) = rest.next() else { return Self(Arc::from(text)) };
            if keep(name) {
                text.push_str(&before[..before.len() - rest.0.len()]);
            }
        }
    }

    /// The set without its metric name.
    pub fn without_name(&self) -> Self {
        if self.get(METRIC_NAME).is_none() {
            return self.clone();
        }
        self.filter(|name| name != METRIC_NAME)
    }

    /// A builder that starts with these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl Ord for Labels {
    /// Label by label, name before value, as Prometheus orders series.
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.0.as_bytes(), other.0.as_bytes());
        let common = common_bytes(a, b);
        if common == a.len() || common == b.len() {
            // A text that begins with another holds the labels of that one and more.
            return a.len().cmp(&b.len());
        }
        // The parts before the one with the first difference are the same in both.
        let mut start = 0;
        loop {
            let (left, right) = (part_at(a, start), part_at(b, start));
            if left.end > common {
                return a[left].cmp(&b[right]);
            }
            start = left.end;
        }
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    /// `name{a="1", b="2"}` without the name outside: `{__name__="up", job="x"}`, values with Go's escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            if is_valid_label_name(name) {
                write!(f, "{comma}{name}={value:?}")?;
            } else {
                write!(f, "{comma}{name:?}={value:?}")?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;
    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        Some((take_part(&mut self.0)?, take_part(&mut self.0)?))
    }
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.remove(name);
        let value = value.into();
        if !value.is_empty() {
            self.pairs.push((name.to_owned(), value));
        }
        self
    }

    /// Removes a label, if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The value of a label; `None` where it is not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Keeps the labels that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) -> &mut Self {
        self.pairs.retain(|(n, v)| keep(n, v));
        self
    }

    /// Labels in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The set of what was collected.
    pub fn build(&self) -> Labels {
        Labels::from_pairs(self.iter())
    }
}

/// Whether a name is a label name of the classic alphabet, `[a-zA-Z_][a-zA-Z0-9_]*`, that needs no quotes.
pub fn is_valid_label_name(name: &str) -> bool {
    is_word(name, |b| b == b'_')
}

/// Whether a name is a metric name of the classic alphabet, `[a-zA-Z_:][a-zA-Z0-9_:]*`, that needs no quotes.
pub fn is_valid_metric_name(name: &str) -> bool {
    is_word(name, |b| b == b'_' || b == b':')
}

fn is_word(name: &str, extra: impl Fn(u8) -> bool) -> bool {
    let first_is_digit = name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    !name.is_empty() && !first_is_digit && name.bytes().all(|b| b.is_ascii_alphanumeric() || extra(b))
}

/// How many bytes two texts begin with together.
fn common_bytes(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

/// Where the part is that begins, with its length, at `start` of a whole packed text.
fn part_at(packed: &[u8], start: usize) -> std::ops::Range<usize> {
    let (mut at, mut length, mut shift) = (start, 0, 0);
    while let Some(&byte) = packed.get(at) {
        length |= usize::from(byte & (LENGTH_MORE - 1)) << shift;
        at += 1;
        shift += LENGTH_BITS;
        if byte & LENGTH_MORE == 0 {
            break;
        }
    }
    at..(at + length).min(packed.len())
}

fn push_part(text: &mut String, part: &str) {
    let mut length = part.len();
    loop {
        let digit = (length & (usize::from(LENGTH_MORE) - 1)) as u8;
        length >>= LENGTH_BITS;
        let more = if length > 0 { LENGTH_MORE } else { 0 };
        text.push(char::from(digit | more));
        if length == 0 {
            break;
        }
    }
    text.push_str(part);
}

fn take_part<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let bytes = rest.as_bytes();
    let mut length = 0usize;
    for (i, &byte) in bytes.iter().enumerate().take(5) {
        if byte >= 2 * LENGTH_MORE {
            return None;
        }
        length |= usize::from(byte & (LENGTH_MORE - 1)) << (LENGTH_BITS * i as u32);
        if byte & LENGTH_MORE == 0 {
            let start = i + 1;
            let part = rest.get(start..start + length)?;
            *rest = rest.get(start + length..)?;
            return Some(part);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sorts_and_drops_empty_values() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(labels.to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(labels.get("b"), Some("3"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn refuses_damaged_text() {
        assert!(Labels::from_packed("\u{5}ab").is_none());
        assert!(Labels::from_packed("\u{1}b\u{1}x\u{1}a\u{1}x").is_none());
        assert!(Labels::from_packed("\u{1}b\u{0}").is_none());
        assert!(Labels::from_packed("\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}").is_none());
    }

    #[test]
    fn orders_by_label_not_by_text() {
        let short = Labels::from_pairs([("a", "z".repeat(2))]);
        let long = Labels::from_pairs([("a", "b".repeat(70))]);
        assert!(long < short);
    }

    proptest! {
        #[test]
        fn order_is_that_of_names_and_values(
            a in prop::collection::btree_map("[ab]{1,2}", "[xyé]{1,70}", 0..4),
            b in prop::collection::btree_map("[ab]{1,2}", "[xyé]{1,70}", 0..4),
        ) {
            let expected = a.iter().cmp(b.iter());
            prop_assert_eq!(Labels::from_pairs(&a).cmp(&Labels::from_pairs(&b)), expected);
            let longer = a.iter().chain(&b).map(|(n, v)| (n.as_str(), v.as_str()));
            let longer: std::collections::BTreeMap<_, _> = longer.collect();
            let order = a.iter().map(|(n, v)| (n.as_str(), v.as_str())).cmp(longer.iter().map(|(n, v)| (*n, *v)));
            prop_assert_eq!(Labels::from_pairs(&a).cmp(&Labels::from_pairs(&longer)), order);
        }

        #[test]
        fn filters(pairs in prop::collection::btree_map("[a-c]", ".{1,70}", 0..4)) {
            let kept = Labels::from_pairs(&pairs).filter(|name| name != "b");
            prop_assert_eq!(kept, Labels::from_pairs(pairs.iter().filter(|(name, _)| *name != "b")));
        }

        #[test]
        fn packed_text_round_trips(pairs in prop::collection::btree_map(".{1,8}", ".{1,200}", 0..6)) {
            let labels = Labels::from_pairs(pairs.iter());
            let back = Labels::from_packed(labels.as_packed());
            prop_assert_eq!(back.as_ref(), Some(&labels));
            let got: Vec<_> = labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(got, pairs.into_iter().collect::<Vec<_>>());
        }
    }
}
