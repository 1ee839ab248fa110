//! `/metrics`: what the rooms count, in the text format.

use std::sync::Arc;

use axum::http::HeaderValue;
use model::{CollectError, Collector, Families};

use crate::State;
use crate::call::Call;
use crate::failure::Failure;
use crate::reply::Reply;

const MEDIA: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What all collectors read now. One that fails is left out; `skep_collector_up` tells which.
pub(crate) fn metrics(state: &State, _: &Call) -> Result<Reply, Failure> {
    Ok(Reply::text(MEDIA, page(&state.collectors).into_bytes()))
}

fn page(collectors: &[Arc<dyn Collector>]) -> String {
    let mut families = Families::default();
    let results: Vec<(&str, Result<(), CollectError>)> =
        collectors.iter().map(|collector| (collector.name(), collector.collect(&mut families))).collect();
    let up = families.family(
        "skep_collector_up",
        model::MetricKind::Gauge,
        "Whether the room's own counters could be read for this page.",
    );
    for (name, result) in results {
        up.with([("collector", name)], if result.is_ok() { 1.0 } else { 0.0 });
    }
    let mut text = String::new();
    exposition::text::write(&families, &mut text);
    text
}
