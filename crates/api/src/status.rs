//! `status/*`: what the program says of itself.

use std::collections::HashMap;

use model::status::StoreStatus;
use model::{Hints, Labels, METRIC_NAME, MatchOp, Matcher, Selection, Timestamp};

use crate::State;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::json::Object;
use crate::reply::{Notes, Reply};
use crate::time::format_time;

/// Entries of each list of `status/tsdb` where `limit` names no other number.
const ENTRIES_DEFAULT: usize = 10;
/// Series that had a sample in this time are counted by `status/tsdb`; it is how long Prometheus' head reaches back.
const HEAD_MILLIS: i64 = 2 * 3_600_000;

/// `status/config`.
pub(crate) fn config(state: &State, _: &Call) -> Result<Reply, Failure> {
    let text = state.process.config();
    Ok(Reply::object(|object| {
        object.text("yaml", &text);
    }))
}

/// `status/flags`, by name.
pub(crate) fn flags(state: &State, _: &Call) -> Result<Reply, Failure> {
    let mut flags = state.process.flags();
    flags.sort();
    Ok(Reply::object(|object| {
        for (name, value) in &flags {
            object.text(name, value);
        }
    }))
}

/// `status/runtimeinfo`; what only Go has is empty.
pub(crate) fn runtime(state: &State, _: &Call) -> Result<Reply, Failure> {
    let runtime = state.process.runtime();
    let store = state.store.status();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Reply::object(|object| {
        object.text("startTime", &format_time(Some(runtime.started))).text("CWD", &runtime.working_directory);
        object.text("hostname", &runtime.hostname).text("serverTime", &format_time(Some(state.clock.now())));
        object.bool("reloadConfigSuccess", runtime.config_good);
        object.text("lastConfigTime", &format_time(Some(runtime.config_read)));
        object.integer("corruptionCount", store.quarantined.cast_signed());
        object.integer("goroutineCount", runtime.threads.cast_signed()).integer("GOMAXPROCS", cores as i64);
        object.integer("GOMEMLIMIT", i64::MAX).text("GOGC", "").text("GODEBUG", "");
        object.text("storageRetention", &runtime.retention);
    }))
}

/// `status/buildinfo`. There is no `features`: with it, Grafana would take the server for Mimir.
pub(crate) fn build(state: &State, _: &Call) -> Result<Reply, Failure> {
    let build = state.process.build();
    Ok(Reply::object(|object| {
        object.text("version", &build.version).text("revision", &build.revision).text("branch", &build.branch);
        object.text("buildUser", &build.user).text("buildDate", &build.date).text("goVersion", &build.compiler);
    }))
}

/// `status/walreplay`: start-up is over before the first request is answered.
pub(crate) fn replay(_: &State, _: &Call) -> Result<Reply, Failure> {
    Ok(Reply::object(|object| {
        object.integer("min", 0).integer("max", 0).integer("current", 0);
    }))
}

/// `notifications`: notes for the reader of Prometheus' own pages; skep's pages have them elsewhere.
pub(crate) fn notifications(_: &State, _: &Call) -> Result<Reply, Failure> {
    Ok(Reply::array(Vec::new(), |_, ()| {}, Notes::default()))
}

/// `DELETE series`.
pub(crate) fn drop_series(_: &State, _: &Call) -> Result<Reply, Failure> {
    Err(Failure::new(Kind::Internal, "not implemented"))
}

/// What the label sets of the head add up to.
#[derive(Default)]
struct Cardinality<'a> {
    by_metric: HashMap<&'a str, u64>,
    by_pair: HashMap<(&'a str, &'a str), u64>,
    bytes_by_name: HashMap<&'a str, u64>,
}

impl<'a> Cardinality<'a> {
    fn add(&mut self, labels: &'a Labels) {
        for (name, value) in labels {
            if name == METRIC_NAME {
                *self.by_metric.entry(value).or_default() += 1;
            }
            *self.by_pair.entry((name, value)).or_default() += 1;
            // The texts and a byte of length for each, as Prometheus counts.
            *self.bytes_by_name.entry(name).or_default() += (name.len() + value.len() + 2) as u64;
        }
    }

    fn values_by_name(&self) -> HashMap<&'a str, u64> {
        let mut counts = HashMap::new();
        for (name, _) in self.by_pair.keys() {
            *counts.entry(*name).or_default() += 1;
        }
        counts
    }
}

/// `status/tsdb`: which metrics and labels make the most series.
pub(crate) fn store(state: &State, call: &Call) -> Result<Reply, Failure> {
    let limit = match call.form.get("limit") {
        "" => Some(ENTRIES_DEFAULT),
        text => text.parse().ok().filter(|&limit| limit > 0),
    };
    let limit = limit.ok_or_else(|| Failure::bad_data("limit must be a positive number"))?;
    let status = state.store.status();
    let matchers = [Matcher::new(MatchOp::NotEqual, METRIC_NAME, "").map_err(|e| Failure::bad_data(e.to_string()))?];
    let newest = status.max_time.unwrap_or_default();
    let hints = Hints { labels_only: true, ..Hints::default() };
    let min_time = newest.saturating_sub(HEAD_MILLIS);
    let set = state.storage.select(&Selection { matchers: &matchers, min_time, max_time: newest, hints })?;
    let mut cardinality = Cardinality::default();
    set.series.iter().for_each(|series| cardinality.add(series.labels()));
    Ok(Reply::object(|object| {
        let mut head = Object::new(object.field("headStats"));
        head.integer("numSeries", status.head_series.cast_signed());
        head.integer("numLabelPairs", cardinality.by_pair.len() as i64);
        head.integer("chunkCount", status.head_series.cast_signed());
        // Prometheus tells an empty head by its bounds.
        let (min_time, max_time) = status.head_times.unwrap_or((Timestamp::MAX, Timestamp::MIN));
        head.integer("minTime", min_time).integer("maxTime", max_time);
        head.end();
        push_top(object, "seriesCountByMetricName", &cardinality.by_metric, limit, |name| (*name).to_owned());
        push_top(object, "labelValueCountByLabelName", &cardinality.values_by_name(), limit, |n| (*n).to_owned());
        push_top(object, "memoryInBytesByLabelName", &cardinality.bytes_by_name, limit, |name| (*name).to_owned());
        push_top(object, "seriesCountByLabelValuePair", &cardinality.by_pair, limit, |(n, v)| format!("{n}={v}"));
        push_own(object, state, &status, limit);
    }))
}

/// What Prometheus does not tell, in a field of our own: bytes, by the newest block.
fn push_own(object: &mut Object<'_>, state: &State, status: &StoreStatus, limit: usize) {
    let (details, costs) = (state.store.details(), state.store.costs());
    let mut own = Object::new(object.field("skep"));
    own.integer("sizeBytes", status.size_bytes.cast_signed()).integer("blocks", status.blocks.cast_signed());
    own.integer("quarantined", status.quarantined.cast_signed());
    own.integer("samplesAppended", details.appended.cast_signed());
    own.integer("logBytesWritten", details.log_written_bytes.cast_signed());
    own.integer("blockBytesWritten", details.blocks_written_bytes.cast_signed());
    for (field, costs) in [("bytesByMetricName", &costs.metrics_by_bytes), ("bytesByTarget", &costs.targets)] {
        own.array(field, costs.iter().take(limit), |out, cost| {
            let mut entry = Object::new(out);
            entry.text("name", &cost.name).integer("value", cost.bytes.cast_signed());
            entry.integer("series", cost.count.cast_signed());
            entry.end();
        });
    }
    own.end();
}

/// The largest counts, equal ones by name.
fn push_top<K>(
    object: &mut Object<'_>,
    field: &str,
    counts: &HashMap<K, u64>,
    limit: usize,
    name: impl Fn(&K) -> String,
) {
    let mut entries: Vec<(u64, String)> = counts.iter().map(|(key, &count)| (count, name(key))).collect();
    entries.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    entries.truncate(limit);
    object.array(field, &entries, |out, (count, name)| {
        let mut entry = Object::new(out);
        entry.text("name", name).integer("value", count.cast_signed());
        entry.end();
    });
}
