//! Steps applied to answers, one after the other.

use thiserror::Error;

use super::{Operation, Step, calculate, fields, group, join, rows};
use crate::field::Matcher;
use crate::frame::{CELLS_MAX, Frame, named, single_label};
use crate::pattern::Pattern;
use crate::style::{Candidate, Patterns};

/// The answers grow past what a page can hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the transformation {0} makes more than {CELLS_MAX} cells; ask for less time or fewer series")]
pub struct TooLarge(pub String);

/// The answers after all steps.
pub fn transform(mut frames: Vec<Frame>, steps: &[Step]) -> Result<Vec<Frame>, TooLarge> {
    for step in steps {
        frames = apply(frames, step)?;
        let cells: usize = frames.iter().map(|frame| frame.fields.len().saturating_mul(frame.rows())).sum();
        if cells > CELLS_MAX {
            return Err(TooLarge(step.operation.name().to_owned()));
        }
    }
    Ok(frames)
}

/// Answers that the step is not for go on behind those it is for.
fn apply(frames: Vec<Frame>, step: &Step) -> Result<Vec<Frame>, TooLarge> {
    let (chosen, rest): (Vec<Frame>, Vec<Frame>) = match &step.filter {
        Some(filter) => frames.into_iter().partition(|frame| is_of(frame, filter)),
        None => (frames, Vec::new()),
    };
    let mut done = operate(chosen, &step.operation)?;
    done.extend(rest);
    Ok(done)
}

fn operate(frames: Vec<Frame>, operation: &Operation) -> Result<Vec<Frame>, TooLarge> {
    let large = || TooLarge(operation.name().to_owned());
    Ok(match operation {
        Operation::Organize(organize) => fields::organize(frames, organize),
        Operation::Merge => join::merge(frames, CELLS_MAX).ok_or_else(large)?,
        Operation::Join { field, mode } => join::join(frames, field.as_deref(), *mode, CELLS_MAX).ok_or_else(large)?,
        Operation::SeriesToRows => join::to_rows(&frames),
        Operation::GroupBy(roles) => group::group(frames, roles),
        Operation::Calculate(calculation) => calculate::calculate(frames, calculation, CELLS_MAX).ok_or_else(large)?,
        Operation::Sort { field, descending } => rows::sort(frames, field, *descending),
        Operation::FilterFields { include, exclude } => fields::filter(frames, include.as_ref(), exclude.as_ref()),
        Operation::FilterFrames { include, exclude } => {
            let is_kept = |frame: &Frame| {
                include.as_ref().is_none_or(|matcher| is_of(frame, matcher))
                    && !exclude.as_ref().is_some_and(|matcher| is_of(frame, matcher))
            };
            frames.into_iter().filter(is_kept).collect()
        }
        Operation::FilterRows { include, all, conditions } => rows::filter(frames, *include, *all, conditions),
        Operation::LabelsToFields { rows, keep, value_label } => {
            fields::labels(frames, *rows, keep, value_label.as_deref(), CELLS_MAX).ok_or_else(large)?
        }
        Operation::Reduce { calcs, columns, times, labels } => group::reduce(&frames, calcs, *columns, *times, *labels),
        Operation::Limit(count) => rows::limit(frames, *count as usize),
        Operation::Rename { pattern, replacement } => fields::rename(frames, pattern, replacement),
        Operation::Convert(conversions) => fields::convert(frames, conversions),
    })
}

impl Operation {
    /// Grafana's name of it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Organize(_) => "organize",
            Self::Merge => "merge",
            Self::Join { .. } => "joinByField",
            Self::SeriesToRows => "seriesToRows",
            Self::GroupBy(_) => "groupBy",
            Self::Calculate(_) => "calculateField",
            Self::Sort { .. } => "sortBy",
            Self::FilterFields { .. } => "filterFieldsByName",
            Self::FilterFrames { .. } => "filterByRefId",
            Self::FilterRows { .. } => "filterByValue",
            Self::LabelsToFields { .. } => "labelsToFields",
            Self::Reduce { .. } => "reduce",
            Self::Limit(_) => "limit",
            Self::Rename { .. } => "renameByRegex",
            Self::Convert(_) => "convertFieldType",
        }
    }
}

/// Whether an answer is of the queries that a matcher names: a letter, or a pattern of letters.
fn is_of(frame: &Frame, matcher: &Matcher) -> bool {
    match matcher {
        Matcher::Query(text) | Matcher::Name(text) | Matcher::Regexp(text) => {
            frame.ref_id == *text || Pattern::new(text).is_ok_and(|pattern| pattern.is_match(&frame.ref_id))
        }
        Matcher::Not(inner) => !is_of(frame, inner),
        Matcher::All(inner) => inner.iter().all(|matcher| is_of(frame, matcher)),
        Matcher::AnyOf(inner) => inner.iter().any(|matcher| is_of(frame, matcher)),
        Matcher::Never => false,
        _ => true,
    }
}

/// The names that the columns of each answer are shown by.
pub(super) fn names(frames: &[Frame]) -> Vec<Vec<String>> {
    let single = single_label(frames);
    let of = |frame: &Frame| frame.fields.iter().map(|field| named(field, frame, single)).collect();
    frames.iter().map(of).collect()
}

/// The place of the column that is shown or called so.
pub(super) fn find(frame: &Frame, names: &[String], wanted: &str) -> Option<usize> {
    let shown = names.iter().position(|name| name == wanted);
    shown.or_else(|| frame.fields.iter().position(|field| field.name == wanted))
}

/// Whether a matcher finds a column of an answer.
pub(super) fn is_found(matcher: &Matcher, patterns: &Patterns, frame: &Frame, at: usize, name: &str) -> bool {
    patterns.matches(matcher, &Candidate { field: &frame.fields[at], frame, at, name })
}
