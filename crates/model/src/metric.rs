//! What a page says of a metric beside its samples.

use std::fmt;

use crate::{Labels, Timestamp};

/// The type of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Only goes up, or starts again at zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, sum and count.
    Histogram,
    /// Buckets that may go down.
    GaugeHistogram,
    /// Quantiles, sum and count.
    Summary,
    /// Constant text in labels.
    Info,
    /// One of several states.
    StateSet,
    /// Not said.
    #[default]
    Unknown,
}

/// Type, help and unit of a metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The type.
    pub kind: MetricKind,
    /// The help text, unescaped.
    pub help: String,
    /// The unit, empty where none is said.
    pub unit: String,
}

/// An example behind a sample, such as a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its own labels, such as `trace_id`.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// When it was observed; the sample's time where the page does not say.
    pub timestamp: Option<Timestamp>,
}

impl MetricKind {
    /// The word of the text formats and of the HTTP API; `unknown` where nothing is known.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of a word; `untyped` is the older word for `unknown`. `None` for other words.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            "unknown" | "untyped" => Self::Unknown,
            _ => return None,
        })
    }
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
