//! Addresses of Prometheus' pages, which every alert carries as its source and people have in bookmarks: each leads to the page
//! that shows the same here.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use model::parse_duration;

use crate::Ui;
use crate::data::EXPRESSIONS_MAX;
use crate::params::{Params, encode};
use crate::range::Bound;
use crate::shelf::see_other;

/// Prometheus' name of a page, and ours.
const PAGES: [(&str, &str); 4] = [
    ("/rules", "/alerts/rules"),
    ("/service-discovery", "/targets"),
    ("/status", "/storage"),
    ("/tsdb-status", "/storage"),
];

/// How far back Prometheus' graph reaches where its address does not say it.
const GRAPH_RANGE: &str = "1h";

/// Leads from Prometheus' addresses to ours.
pub(crate) fn routes() -> Router<Arc<Ui>> {
    PAGES.into_iter().fold(Router::new().route("/graph", get(graph)), |routes, (theirs, ours)| {
        let lead = async move |State(ui): State<Arc<Ui>>| see_other(&format!("{}{ours}", ui.state.config.prefix));
        routes.route(theirs, get(lead))
    })
}

async fn graph(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery) -> Response {
    let query = translate(&Params::parse(query.as_deref())).unwrap_or_default();
    see_other(&format!("{}/query?{query}", ui.state.config.prefix))
}

/// Where the parameters are those of a graph in Prometheus, `g0.expr` and its like, the same in ours. Each expression has
/// settings of its own there; here those of the first hold for all.
pub(crate) fn translate(params: &Params) -> Option<String> {
    let setting = |panel: usize, name: &str| params.get(&format!("g{panel}.{name}")).map(str::to_owned);
    let expressions: Vec<String> = (0..EXPRESSIONS_MAX).map_while(|panel| setting(panel, "expr")).collect();
    if expressions.is_empty() {
        return None;
    }
    let first = |name: &str| setting(0, name);
    let mut pairs: Vec<(&str, String)> = expressions.into_iter().map(|expr| ("expr", expr)).collect();
    if matches!(first("tab").as_deref(), Some("1" | "table")) {
        pairs.push(("tab", "table".to_owned()));
    }
    let ranges = first("range_input").is_some() || first("end_input").is_some() || first("moment_input").is_some();
    let end = first("end_input").or_else(|| first("moment_input")).map_or(Some(Bound::NOW), |end| Bound::parse(&end));
    let length = parse_duration(&first("range_input").unwrap_or_else(|| GRAPH_RANGE.to_owned())).ok();
    if let (true, Some(end), Some(length)) = (ranges, end, length) {
        pairs.extend([("from", end.earlier(length).spell()), ("to", end.spell())]);
    }
    Some(encode(pairs.iter().map(|(name, value)| (*name, value.as_str()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Option<&str>) {
        assert_eq!(translate(&Params::parse(Some(query))).as_deref(), expected, "{query}");
    }

    #[test]
    fn addresses_of_graphs() {
        check("", None);
        check("expr=up", None);
        check("g0.expr=", None);
        check("g0.expr=up+%3D%3D+0&g0.tab=1", Some("expr=up+%3D%3D+0&tab=table"));
        check("g0.expr=up&g0.tab=0", Some("expr=up"));
        check("g0.expr=up&g0.tab=graph&g0.range_input=6h", Some("expr=up&from=now-6h&to=now"));
        check("g0.expr=a&g1.expr=b&g1.tab=1", Some("expr=a&expr=b"));
        check("g0.expr=a&g0.range_input=1h&g0.end_input=1970-01-01+02:00:00", Some("expr=a&from=3600000&to=7200000"));
        check("g0.expr=a&g0.tab=table&g0.moment_input=1970-01-01+01:00", Some("expr=a&tab=table&from=0&to=3600000"));
        check("g0.expr=a&g0.range_input=x", Some("expr=a"));
        check("g0.expr=a&g0.range_input=1h&g0.end_input=soon", Some("expr=a"));
    }
}
