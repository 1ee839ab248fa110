//! The words every room speaks: labels, matchers, samples, metric kinds, time, and the traits between the rooms.
//!
//! In: nothing. Out: plain types and traits. Never: I/O, async, a thread, a global.

mod alert;
mod collect;
mod fingerprint;
mod float;
mod keep;
mod labels;
mod live;
mod matcher;
mod metric;
mod pattern;
mod sample;
pub mod status;
mod storage;
mod time;

pub use alert::{Alert, AlertSink};
pub use collect::{CollectError, Collector, Families, Family, Point};
pub use fingerprint::fingerprint;
pub use float::parse_float;
pub use keep::{Change, Journal, KeyValue, Look};
pub use labels::{Labels, LabelsBuilder, is_valid_label_name, is_valid_metric_name};
pub use live::Live;
pub use matcher::{MatchOp, Matcher};
pub use metric::{Exemplar, Metadata, MetricKind};
pub use pattern::{Pattern, PatternError, expand_captures};
pub use sample::{STALE_NAN_BITS, Sample, is_stale, stale_nan};
pub use storage::{
    AppendError, Appendable, Appender, Committed, Deletable, Durability, Hints, Moment, Queryable, Samples, Selection,
    Series, SeriesRef, SeriesSet, StorageError,
};
pub use time::{Clock, DurationError, SystemClock, Timestamp, format_duration, parse_duration};

/// The label that holds a series' metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label of a histogram bucket's upper bound.
pub const BUCKET_BOUND: &str = "le";
/// The label of a summary's quantile.
pub const QUANTILE: &str = "quantile";
/// The series that every scrape writes beside those of the page, in this order.
pub const SCRAPE_SERIES: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];
