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

impl Texts {
    pub(crate) fn into_vec(self) -> Vec<String> {
        self.0
    }

    fn contains(&self, text: &str) -> bool {
        self.0.binary_search_by(|known| known.as_str().cmp(text)).is_ok()
    }

    /// Takes in what another source adds, sorted as well, so that merging is one pass.
    fn merge(&mut self, new: Vec<String>) {
        self.0.extend(new);
        self.0.sort();
        self.0.dedup();
    }
}

/// Adds the names of the labels of series that match.
pub(crate) fn add_names(
    index: &dyn Index,
    matchers: &[Matcher],
    hidden: &RoaringBitmap,
    into: &mut Texts,
) -> Result<(), StorageError> {
    let Some(found) = narrowed(index, matchers, hidden)? else {
        into.merge(index.names()?);
        return Ok(());
    };
    let mut new = Vec::new();
    for name in index.names()? {
        if !found.is_empty() && !into.contains(&name) && index.is_carried(&name, &found)? {
            new.push(name);
        }
    }
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
    let (mut new, mut outcome) = (Vec::new(), Ok(()));
    index.each_value(name, "", &mut |value, postings| {
        if outcome.is_err() || into.contains(value) {
            return;
        }
        match found.as_ref().map_or(Ok(true), |found| postings.meets(found)) {
            Ok(true) => new.push(value.to_owned()),
            Ok(false) => {}
            Err(error) => outcome = Err(error),
        }
    })?;
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
