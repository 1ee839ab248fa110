//! All samples of a store whose series are told apart by a number in their label `x`.

use std::collections::BTreeMap;

use model::{Hints, Queryable, Samples, Selection, Timestamp};

/// Bits of values by series and time.
pub type Content = BTreeMap<(u32, Timestamp), u64>;

/// What a store answers for this time. An error where it warns, or names a series that has no samples in it.
pub fn content(storage: &dyn Queryable, min_time: Timestamp, max_time: Timestamp) -> Result<Content, String> {
    let selection = Selection { matchers: &[], min_time, max_time, hints: Hints::default() };
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
        if samples.is_empty() {
            return Err(format!("{labels} has no samples"));
        }
        content.extend(samples.iter().map(|sample| ((x, sample.timestamp), sample.value.to_bits())));
    }
    Ok(content)
}
