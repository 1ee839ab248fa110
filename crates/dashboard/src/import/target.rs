//! Queries of a panel.

use serde_json::Value;

use super::TARGETS_MAX;
use crate::board::{Format, LegendFormat, Target};
use crate::json::Object;

/// Where a query goes.
pub(super) enum Source {
    /// To skep: a Prometheus, the default, or one chosen by a variable.
    Own,
    /// To something that speaks no PromQL, by Grafana's name of it.
    Other(String),
    /// To the answers of the panel's other queries.
    Expression,
    /// To another panel's answers.
    Dashboard,
    /// Each query names its own.
    Mixed,
}

impl Source {
    /// Old dashboards name a data source; those of today have an object with its kind.
    pub(super) fn read(object: &Object<'_>) -> Self {
        let Some(node) = object.node("datasource") else { return Self::Own };
        let (kind, uid) = match node.value {
            Value::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
                (text("type"), text("uid"))
            }
            Value::String(name) => ("", name.as_str()),
            _ => return Self::Own,
        };
        // A shared file says itself what its data sources are, and so do its variables of them.
        let braced = |before: &str, after: &str| uid.strip_prefix(before).and_then(|name| name.strip_suffix(after));
        let named = braced("${", "}").or_else(|| braced("[[", "]]")).or_else(|| uid.strip_prefix('$'));
        let known = named.and_then(|name| object.losses().sources.get(name)).map(String::as_str);
        let kind = if kind.is_empty() { known.unwrap_or_default() } else { kind };
        match (kind, uid) {
            (_, "__expr__") | ("__expr__", _) => Self::Expression,
            (_, "-- Mixed --") | ("mixed", _) => Self::Mixed,
            (_, "-- Dashboard --") => Self::Dashboard,
            ("", _) => Self::Own,
            (kind, _) if is_prometheus(kind) => Self::Own,
            // The kind of data source itself, which only says that one is meant.
            ("datasource" | "grafana", "") | ("datasource", "grafana" | "-- Grafana --") => Self::Own,
            (kind, _) => Self::Other(kind.to_owned()),
        }
    }

    pub(super) fn is_prometheus(&self) -> bool {
        matches!(self, Self::Own | Self::Mixed)
    }
}

/// Whether a kind of data sources, by Grafana's name of it, is asked in PromQL.
pub fn is_prometheus(kind: &str) -> bool {
    let kinds = ["prometheus", "victoriametrics", "mimir", "thanos"];
    kind.starts_with('$') || kinds.iter().any(|known| kind.contains(known))
}

pub(super) fn read(panel: &Object<'_>) -> Vec<Target> {
    let source = Source::read(panel);
    if matches!(source, Source::Dashboard) {
        panel.lose("targets", "the answers of another panel are not carried; write the query here, too");
        return Vec::new();
    }
    let mut targets = Vec::new();
    for node in panel.list("targets") {
        if targets.len() >= TARGETS_MAX {
            node.lose(format!("is past the first {TARGETS_MAX} queries"));
        } else if let Some(object) = node.object() {
            targets.extend(one(&object, &source));
        }
    }
    letters(&mut targets);
    targets
}

fn one(object: &Object<'_>, panel: &Source) -> Option<Target> {
    let own = Source::read(object);
    let source = if object.has("datasource") || matches!(panel, Source::Mixed) { &own } else { panel };
    let refused = match source {
        Source::Own | Source::Mixed => None,
        Source::Expression => Some("expressions over other queries are not carried; PromQL can say it".to_owned()),
        Source::Dashboard => Some("the answers of another panel are not carried".to_owned()),
        Source::Other(kind) => Some(format!("a query to {kind}; skep answers PromQL")),
    };
    if let Some(reason) = refused {
        object.lose_all(&reason);
        return None;
    }
    marks(object);
    if !object.has("expr") && is_foreign(object) {
        object.lose_all("is no query of PromQL");
        return None;
    }
    let instant = object.is("instant");
    let range = object.flag("range").unwrap_or(!instant);
    Some(Target {
        ref_id: object.string("refId"),
        expr: object.string("expr"),
        legend: legend(object),
        instant,
        range: range || !instant,
        format: object.word("format", Format::WORDS).unwrap_or_default(),
        min_step: object.string("interval"),
        step_factor: object.count("intervalFactor", 100).unwrap_or(1).max(1),
        hide: object.is("hide"),
        exemplars: object.is("exemplar"),
    })
}

/// What the editor and Grafana's own caches remember.
fn marks(object: &Object<'_>) {
    object.ignore(&["editorMode", "datasource", "step", "metric", "useBackend", "disableTextWrap", "fullMetaSearch"]);
    object.ignore(&["includeNullMetadata", "key", "requestId", "utcOffsetSec", "queryType", "target", "$$hashKey"]);
    object.ignore(&["textEditor", "rawQuery", "aggregation", "decimals", "displayAliasType", "displayType", "units"]);
    object.ignore(&["valueHandler", "builderOptions", "fromExploreMetrics", "scopes", "adhocFilters", "timeRange"]);
    object.ignore(&[
        "intervalMs",
        "maxDataPoints",
        "datasourceId",
        "calculatedInterval",
        "hiddenSeries",
        "crossplatform",
    ]);
    object.ignore(&["prometheusType", "prometheusVersion", "customQuery", "groupByKeys", "utcOffset", "qryType"]);
    // A query that asked another data source before keeps settings of that one.
    if object.has("expr") {
        object.ignore(&["alias", "bucketAggs", "dsType", "group", "groupBy", "measurement", "metricColumn", "metrics"]);
        object.ignore(&["orderByTime", "policy", "query", "rawSql", "resultFormat", "select", "tags", "timeColumn"]);
        object.ignore(&["timeField", "where", "type", "tagsGroup", "downsampleFillPolicy", "aggregator", "refCount"]);
        object.ignore(&["application", "functions", "host", "item", "itemTag", "mode", "options", "table", "trigger"]);
        object.ignore(&["downsampleAggregator", "sql", "rawQueryText", "period", "region", "statistics", "namespace"]);
        object.ignore(&["dimensions", "matchExact", "metricName", "expression", "id", "azureMonitor", "subscription"]);
    }
}

/// Queries of other languages have keys of their own.
fn is_foreign(object: &Object<'_>) -> bool {
    ["rawSql", "measurement", "metricQuery", "rawQueryText", "query"].iter().any(|key| object.has(key))
}

fn legend(object: &Object<'_>) -> LegendFormat {
    match object.string("legendFormat").as_str() {
        "" => LegendFormat::Verbose,
        "__auto" => LegendFormat::Auto,
        text => LegendFormat::Template(text.to_owned()),
    }
}

/// Queries without a letter get the next free one.
fn letters(targets: &mut [Target]) {
    for at in 0..targets.len() {
        if !targets[at].ref_id.is_empty() {
            continue;
        }
        let free = (b'A'..=b'Z').map(|letter| char::from(letter).to_string());
        let mut free = free.chain((0..).map(|number| format!("Q{number}")));
        let is_free = |name: &String| !targets.iter().any(|target| target.ref_id == *name);
        targets[at].ref_id = free.find(is_free).unwrap_or_default();
    }
}
