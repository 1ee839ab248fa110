//! Label names and values of an index.
//!
//! As in Prometheus they are those of the series, whether or not a series has a sample in the time asked for: what a
//! dashboard offers for choice is read from the index alone.

use std::collections::BTreeSet;

use model::{Matcher, StorageError};
use roaring::RoaringBitmap;

use crate::postings::{Index, evaluate};

/// Adds the names of the labels of series that match.
pub(crate) fn add_names(
    index: &dyn Index,
    matchers: &[Matcher],
    hidden: &RoaringBitmap,
    into: &mut BTreeSet<String>,
) -> Result<(), StorageError> {
    let names = index.names()?;
    let Some(found) = narrowed(index, matchers, hidden)? else {
        into.extend(names);
        return Ok(());
    };
    for name in names {
        if !found.is_empty() && !into.contains(&name) && index.is_carried(&name, &found)? {
            into.insert(name);
        }
    }
    Ok(())
}

/// Adds the values that a label has among series that match.
pub(crate) fn add_values(
    index: &dyn Index,
    name: &str,
    matchers: &[Matcher],
    hidden: &RoaringBitmap,
    into: &mut BTreeSet<String>,
) -> Result<(), StorageError> {
    let found = narrowed(index, matchers, hidden)?;
    if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
        return Ok(());
    }
    let mut outcome = Ok(());
    index.each_value(name, "", &mut |value, postings| {
        if outcome.is_err() || into.contains(value) {
            return;
        }
        match found.as_ref().map_or(Ok(true), |found| postings.meets(found)) {
            Ok(true) => drop(into.insert(value.to_owned())),
            Ok(false) => {}
            Err(error) => outcome = Err(error),
        }
    })?;
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
