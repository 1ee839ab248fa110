//! Constructs of PromQL that releases after 3.5 know, so that scripts of later releases can be run.

use super::command::{Evaluation, Wanted};
use crate::{ParseError, parse};

/// Words between operands and in front of modifiers that later releases read.
const WORDS: [&str; 5] = ["anchored", "smoothed", "fill", "fill_left", "fill_right"];

/// What of the evaluation is newer than 3.5; `None` if nothing is, or if it is meant to fail anyway.
pub(super) fn construct(evaluation: &Evaluation) -> Option<String> {
    let query = &evaluation.query;
    let error = parse(query).err().filter(|_| evaluation.fail != Some(Wanted::Any))?;
    is_newer(query, &error).then(|| error.to_string())
}

fn is_newer(query: &str, error: &ParseError) -> bool {
    let message = error.message.as_str();
    // Functions, arithmetic of durations, `start()` and `end()` as operands, words, and operators on native histograms.
    let before = query.get(..error.position.start as usize).unwrap_or_default().trim_end();
    message.starts_with("unknown function with name")
        || message.contains("duration expression")
        || message.starts_with("unexpected \"(\"") && ["start", "end"].iter().any(|name| before.ends_with(name))
        || WORDS.iter().any(|word| message.contains(&format!("\"{word}\"")))
        || ["</", ">/"].iter().any(|op| before.ends_with(&op[..1]) && query.contains(op))
}
