//! `label_replace` and `label_join`.

use model::{LabelsBuilder, METRIC_NAME, Pattern, expand_captures};

use super::Evaluation;
use super::grid::Grid;
use super::series::{Series, Vector, join_or_refuse};
use crate::QueryError;
use crate::syntax::NodeId;

/// Longest label value that a function makes. Names of pods and paths stay far below; nested calls that double a value
/// each time would fill the memory within thirty levels.
const MADE_VALUE_BYTES_MAX: usize = 16 << 10;

impl Evaluation<'_> {
    pub(super) fn label_replace(&self, args: &[NodeId], grid: Grid) -> Result<Vec<Series>, QueryError> {
        let [vector, target, replacement, source, pattern] = args else {
            return Ok(Vec::new());
        };
        let text = |id: &NodeId| String::from_utf8_lossy(&self.text(*id)).into_owned();
        let (replacement, source, pattern) = (text(replacement), text(source), text(pattern));
        let Ok(pattern) = Pattern::new(&pattern) else {
            return fail(format!("invalid regular expression in label_replace(): {pattern}"));
        };
        let target = self.label_name(*target, "destination", "label_replace")?;
        // Each may stand for the whole value.
        let groups = replacement.matches('$').count();
        let (mut series, mut hold) = self.collect_all(*vector, grid)?.into_parts();
        for series in &mut series {
            self.budget.check()?;
            let value = series.labels.get(&source).unwrap_or_default().to_owned();
            if let Some(captures) = pattern.regex().captures(&value) {
                refuse_long(replacement.len() + groups.saturating_mul(value.len()), "label_replace")?;
                let mut replaced = String::new();
                expand_captures(&replacement, &captures, &mut replaced);
                set_label(series, &target, &replaced);
            }
            hold.add(series.label_cost())?;
        }
        join_or_refuse(series, self.options.delayed_name_removal)
    }

    pub(super) fn label_join(&self, args: &[NodeId], grid: Grid) -> Result<Vec<Series>, QueryError> {
        let [vector, target, separator, sources @ ..] = args else {
            return Ok(Vec::new());
        };
        let separator = String::from_utf8_lossy(&self.text(*separator)).into_owned();
        let sources: Result<Vec<String>, _> =
            sources.iter().map(|source| self.label_name(*source, "source", "label_join")).collect();
        let sources = sources?;
        let target = self.label_name(*target, "destination", "label_join")?;
        let (mut series, mut hold) = self.collect_all(*vector, grid)?.into_parts();
        for series in &mut series {
            self.budget.check()?;
            let parts: Vec<&str> = sources.iter().map(|s| series.labels.get(s).unwrap_or_default()).collect();
            refuse_long(parts.iter().map(|part| part.len() + separator.len()).sum(), "label_join")?;
            let joined = parts.join(&separator);
            set_label(series, &target, &joined);
            hold.add(series.label_cost())?;
        }
        join_or_refuse(series, self.options.delayed_name_removal)
    }

    /// A label name given as a string.
    fn label_name(&self, id: NodeId, role: &str, function: &str) -> Result<String, QueryError> {
        match String::from_utf8(self.text(id)) {
            Ok(name) if !name.is_empty() => Ok(name),
            Ok(name) => fail(format!("invalid {role} label name in {function}(): {name}")),
            Err(e) => {
                let name = String::from_utf8_lossy(e.as_bytes()).into_owned();
                fail(format!("invalid {role} label name in {function}(): {name}"))
            }
        }
    }

    /// All series of an instant vector.
    pub(super) fn collect_all(&self, id: NodeId, grid: Grid) -> Result<Vector<'_>, QueryError> {
        let mut hold = self.budget.hold();
        let mut all = Vec::new();
        self.stream(id, grid, &mut |series| {
            hold.add(series.cost())?;
            all.push(series);
            Ok(())
        })?;
        Ok(Vector::with_hold(all, hold))
    }
}

/// Judges a value before it is made.
fn refuse_long(bytes_at_most: usize, function: &str) -> Result<(), QueryError> {
    if bytes_at_most > MADE_VALUE_BYTES_MAX {
        return fail(format!("{function}() would make a label value of more than {MADE_VALUE_BYTES_MAX} bytes"));
    }
    Ok(())
}

fn fail<T>(message: String) -> Result<T, QueryError> {
    Err(QueryError::Execution(message))
}

/// A name that is set on purpose stays.
fn set_label(series: &mut Series, name: &str, value: &str) {
    let mut labels: LabelsBuilder = series.labels.to_builder();
    labels.set(name, value);
    series.labels = labels.build();
    if name == METRIC_NAME {
        series.drop_name = false;
    }
}
