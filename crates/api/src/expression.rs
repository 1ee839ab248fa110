//! `format_query` and `parse_query`: an expression as text and as a tree.

use promql::Expr;

use crate::State;
use crate::call::Call;
use crate::failure::Failure;
use crate::json::push_text;
use crate::reply::Reply;
use crate::tree::push_tree;

/// `format_query`: the expression as Prometheus writes it.
pub(crate) fn format(state: &State, call: &Call) -> Result<Reply, Failure> {
    let expr = read(state, call)?;
    Ok(Reply::json(|out| push_text(out, &expr.pretty())))
}

/// `parse_query`: the expression's syntax tree.
pub(crate) fn parse(state: &State, call: &Call) -> Result<Reply, Failure> {
    let expr = read(state, call)?;
    Ok(Reply::json(|out| push_tree(out, &expr)))
}

fn read(state: &State, call: &Call) -> Result<Expr, Failure> {
    let expr = promql::parse(call.form.get("query"))?;
    if !state.engine.options().experimental_functions {
        expr.refuse_experimental()?;
    }
    Ok(expr)
}
