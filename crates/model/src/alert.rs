//! What goes from those who judge to those who tell people.

use crate::{Labels, Timestamp};

/// An alert as it is handed on: firing, or resolved when `ends_at` lies in the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Identify the alert, `alertname` included.
    pub labels: Labels,
    /// Texts for people, templates expanded.
    pub annotations: Labels,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it ended, or when it counts as ended unless it is sent again.
    pub ends_at: Timestamp,
    /// A page that shows the expression.
    pub generator_url: String,
}

/// Takes alerts. A call returns at once: what must wait is queued behind it.
pub trait AlertSink: Send + Sync {
    /// Hands alerts on. The same alert comes again and again while it fires, and for a while after it ended.
    fn send(&self, alerts: Vec<Alert>);
}
