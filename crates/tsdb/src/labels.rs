//! Label names and values of an index.
//!
//! As in Prometheus they are those of the series, whether or not a series has a sample in the time asked for: what a
//! dashboard offers for choice is read from the index alone.

use model::{Matcher, StorageError};
use roaring::RoaringBitmap;

use crate::postings::{Index, evaluate};

/// Names or values, sorted; each once.
#[derive(Default)]
pub(crate) struct Texts(Vec<String>);

/// Texts that one source adds to those that are known; it gives them in order, each once.
struct Merging<'a> {
    known: &'a [String],
    /// How many of those that are known lie before the text that was looked for last.
    passed: usize,
    /// New texts, each with how many known ones lie before it.
    new: Vec<(usize, String)>,
}

impl Merging<'_> {
    /// Whether the next text is known.
    fn knows(&mut self, text: &str) -> bool {
        let rest = &self.known[self.passed..];
        self.passed += rest.iter().position(|known| known.as_str() >= text).unwrap_or(rest.len());
        self.known.get(self.passed).is_some_and(|known| known == text)
    }

    /// Adds the text that was asked for last.
    fn add(&mut self, text: String) {
        self.new.push((self.passed, text));
    }
}

impl Texts {
    pub(crate) fn into_vec(self) -> Vec<String> {
        self.0
    }

    fn merging(&self) -> Merging<'_> {
        Merging { known: &self.0, passed: 0, new: Vec::new() }
    }

    fn merge(&mut self, new: Vec<(usize, String)>) {
        if new.is_empty() {
            return;
        }
        let mut merged = Vec::with_capacity(self.0.len() + new.len());
        let mut known = std::mem::take(&mut self.0).into_iter();
        let mut passed = 0;
        for (before, text) in new {
            merged.extend(known.by_ref().take(before - passed));
            passed = before;
            merged.push(text);
        }
        merged.extend(known);
        self.0 = merged;
    }
}

/// Adds the names of the labels of series that match.
pub(crate) fn add_names(
    index: &dyn Index,
    matchers: &[Matcher],
    hidden: &RoaringBitmap,
    into: &mut Texts,
) -> Result<(), StorageError> {
    let found = narrowed(index, matchers, hidden)?;
    if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
        return Ok(());
    }
    let mut merging = into.merging();
    for name in index.names()? {
        if !merging.knows(&name) && found.as_ref().map_or(Ok(true), |found| index.is_carried(&name, found))? {
            merging.add(name);
        }
    }
    let new = merging.new;
    into.merge(new);
    Ok(())
}

/// Adds the values that a label has among series that match.
pub(crate) fn add_values(
    index: &dyn Index,
    name: &str,
    matchers: &[Matcher],
    hidden: &RoaringBitmap,
    into: &mut Texts,
) -> Result<(), StorageError> {
    let found = narrowed(index, matchers, hidden)?;
    if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
        return Ok(());
    }
    let (mut merging, mut outcome) = (into.merging(), Ok(()));
    index.each_value(name, "", &mut |value, postings| {
        if outcome.is_err() || merging.knows(value) {
            return;
        }
        match found.as_ref().map_or(Ok(true), |found| postings.meets(found)) {
            Ok(true) => merging.add(value.to_owned()),
            Ok(false) => {}
            Err(error) => outcome = Err(error),
        }
    })?;
    let new = merging.new;
    into.merge(new);
    outcome
}

/// The series that are asked about; `None` if it is all of them.
fn narrowed(
    index: &dyn Index,
    matchers: &[Matcher],
    hidden: &RoaringBitmap,
) -> Result<Option<RoaringBitmap>, StorageError> {
    if matchers.is_empty() && hidden.is_empty() {
        return Ok(None);
    }
    Ok(Some(evaluate(index, matchers)? - hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_merged() {
        let check = |sources: &[&[&str]], expected: &[&str]| {
            let mut texts = Texts::default();
            for source in sources {
                let mut merging = texts.merging();
                for text in *source {
                    if !merging.knows(text) {
                        merging.add((*text).to_owned());
                    }
                }
                let new = merging.new;
                texts.merge(new);
            }
            assert_eq!(texts.into_vec(), expected, "{sources:?}");
        };
        check(&[], &[]);
        check(&[&["b", "d"], &["a", "b", "c", "d", "e"]], &["a", "b", "c", "d", "e"]);
        check(&[&["a", "b", "c"], &["b"], &["a", "c", "d"]], &["a", "b", "c", "d"]);
        check(&[&["c"], &[], &["a", "b"], &["aa", "bb", "d"]], &["a", "aa", "b", "bb", "c", "d"]);
    }
}
