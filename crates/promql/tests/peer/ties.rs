//! Equal elements, and those that no comparison orders: which of them come first.

use model::{Labels, Sample};

use crate::data::{BASE, Data};

/// As many as the longest vector that is sorted has.
const SERIES: usize = 300;

/// Lengths of vectors: on both sides of where Go's sort changes its ways, and some in between.
const LENGTHS: [usize; 13] = [2, 12, 13, 24, 37, 49, 50, 51, 64, 100, 129, 200, 300];

/// Values by their place: `$` is the vector of the numbers from 0 on, `#` how many there are.
const PATTERNS: [&str; 24] = [
    "$",
    "-$",
    "$ * 0",
    "$ % 2",
    "$ % 3",
    "$ % 13",
    "-($ % 7)",
    "abs($ - # / 2)",
    "-abs($ - # / 2)",
    "$ * 7919 % 101",
    "$ * 48271 % 8191",
    "floor($ / 5)",
    "-floor($ / 20)",
    "($ + floor(# / 3)) % #",
    "$ + 40 * ($ % 17 == bool 0)",
    "-$ + 40 * ($ % 29 == bool 0)",
    "($ % 3 - 1) * 0",
    "($ % 4 - 2) * ($ * 31 % 2)",
    "($ % 3 - 1) / 0",
    "($ % 7 - 3) / ($ % 5 > bool 2)",
    "$ / ($ % 10 > bool 0)",
    "($ * 7919 % 101) / ($ * 31 % 11 > bool 0) - ($ * 31 % 11 == bool 0) / 0",
    "$ / 0 * 0",
    "floor(sqrt($ * 7919 % 101)) / ($ % 23 > bool 0) * ($ % 23 > bool 0)",
];

/// What orders; `$` is a pattern, `#` its length.
const ORDERS: [&str; 6] =
    ["sort($)", "sort_desc($)", "topk(floor(# / 2), $)", "bottomk(floor(# / 2), $)", "topk(#, $)", "bottomk(13, $)"];

/// What orders by label; `$` are some series.
const BY_LABEL: [&str; 6] = [
    "sort_by_label($, \"kind\")",
    "sort_by_label_desc($, \"kind\")",
    "sort_by_label($, \"kind\", \"part\")",
    "sort_by_label_desc($, \"part\", \"kind\")",
    "sort_by_label($, \"nothing\", \"part\", \"i\")",
    "sort_by_label(label_replace($, \"x\", \"$1\", \"i\", \".(.).\"), \"x\", \"kind\")",
];

/// Values of a label: numbers alone and inside of texts, some of equal numbers, and none.
const KINDS: [&str; 11] = ["10", "9", "a1", "a01", "a1b", "", "b", "99999999999999999999", "a10", "010", "1a"];

/// `number`: each series has the value of its place.
pub(crate) fn data() -> Data {
    let series = |i: usize| {
        let (i, kind, part) = (format!("{i:03}"), KINDS[i * 7919 % 101 % KINDS.len()], (i % 4).to_string());
        let mut labels = Labels::from_pairs([("__name__", "number"), ("i", &i)]).to_builder();
        for (name, value) in [("kind", kind), ("part", &part)].into_iter().filter(|(_, value)| !value.is_empty()) {
            labels.set(name, value);
        }
        labels.build()
    };
    (0..SERIES).map(|i| (series(i), vec![Sample { timestamp: BASE, value: i as f64 }])).collect()
}

/// Every order of every pattern of every length.
pub(crate) fn queries() -> Vec<String> {
    let mut all = Vec::new();
    for length in LENGTHS {
        let first = format!("(number < {length})");
        let length = length.to_string();
        for pattern in PATTERNS.map(|pattern| pattern.replace('$', &first).replace('#', &length)) {
            all.extend(ORDERS.map(|order| order.replace('$', &pattern).replace('#', &length)));
            all.push(format!("1 / quantile(0.4, {pattern})"));
        }
        all.extend(BY_LABEL.map(|order| order.replace('$', &first)));
        let scattered = format!("sort({first} * 7919 % 101)");
        all.extend(BY_LABEL.map(|order| order.replace('$', &scattered)));
    }
    all
}
