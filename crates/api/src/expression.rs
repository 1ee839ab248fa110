//! `format_query` and `parse_query`: an expression as text.

use crate::State;
use crate::call::Call;
use crate::failure::Failure;
use crate::json::push_text;
use crate::reply::Reply;

/// `format_query`: the expression as Prometheus writes it.
pub(crate) fn format(_: &State, call: &Call) -> Result<Reply, Failure> {
    let expr = promql::parse(call.form.get("query"))?;
    Ok(Reply::json(|out| push_text(out, &expr.to_string())))
}
