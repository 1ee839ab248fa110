//! `query_exemplars`: exemplars of the series that an expression selects.

use model::{Exemplar, Hints, Labels, Selection};

use crate::State;
use crate::call::Call;
use crate::failure::Failure;
use crate::json::{Object, push_exemplar};
use crate::reply::{Notes, Reply};
use crate::time::Instant;

/// Exemplars by series; 204 where the expression selects nothing.
pub(crate) fn query(state: &State, call: &Call) -> Result<Reply, Failure> {
    let start = call.form.time("start", Instant::EARLIEST)?;
    let end = call.form.time("end", Instant::LATEST)?;
    if end < start {
        return Err(Failure::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = promql::parse(call.form.get("query")).and_then(|expr| {
        // Upstream's parser does not know them where they are not switched on.
        if !state.engine.options().experimental_functions {
            expr.refuse_experimental()?;
        }
        Ok(expr)
    });
    let expr = expr.map_err(|error| Failure::bad_data(error.to_string()))?;
    let mut found: Vec<(Labels, Vec<Exemplar>)> = Vec::new();
    let mut selectors = 0;
    for selector in expr.selectors() {
        selectors += 1;
        let (min_time, max_time) = (start.millis(), end.millis());
        let selection = Selection { matchers: &selector.matchers, min_time, max_time, hints: Hints::default() };
        found.extend(state.storage.exemplars(&selection)?);
    }
    if selectors == 0 {
        return Ok(Reply::nothing());
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    Ok(Reply::array(found, push_series, Notes::default()))
}

fn push_series(out: &mut Vec<u8>, (labels, exemplars): (Labels, Vec<Exemplar>)) {
    let mut object = Object::new(out);
    object.labels("seriesLabels", &labels).array("exemplars", &exemplars, push_exemplar);
    object.end();
}
