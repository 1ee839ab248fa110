//! All samples of a store whose series are told apart by a number in their label `x`.

use std::collections::BTreeMap;

use model::{Hints, Queryable, Samples, Selection, Timestamp};

/// Bits of values by series and time.
pub type Content = BTreeMap<(u32, Timestamp), u64>;

/// What a store answers for this time. An error where it warns, names a series that has no samples in it, or answers
/// something else to a query that comes again.
pub fn content(storage: &dyn Queryable, min_time: Timestamp, max_time: Timestamp) -> Result<Content, String> {
    let once = read(storage, (min_time, max_time), false)?;
    if once != read(storage, (min_time, max_time), true)? {
        return Err("a query that comes again is answered something else".to_owned());
    }
    Ok(once)
}

fn read(storage: &dyn Queryable, (min_time, max_time): (Timestamp, Timestamp), again: bool) -> Result<Content, String> {
    let hints = Hints { again, ..Hints::default() };
    let selection = Selection { matchers: &[], min_time, max_time, hints };
    let set = storage.select(&selection).map_err(|error| error.to_string())?;
    if let Some(warning) = set.warnings.into_iter().next() {
        return Err(warning);
    }
    let mut content = Content::new();
    for series in &set.series {
        let labels = series.labels();
        let x = labels.get("x").and_then(|x| x.parse().ok()).ok_or_else(|| format!("{labels} has no number"))?;
        let mut samples = Samples::default();
        series.read(&mut samples).map_err(|error| error.to_string())?;
        if samples.is_empty() && !again {
            return Err(format!("{labels} has no samples"));
        }
        content.extend(samples.iter().map(|sample| ((x, sample.timestamp), sample.value.to_bits())));
    }
    Ok(content)
}
