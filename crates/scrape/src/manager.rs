//! The list of running targets.

use std::sync::Arc;
use std::time::Duration;

use model::status::{DroppedTarget, TargetStatus, Targets};
use model::{Appendable, Clock, CollectError, Collector, Families, Labels};

use crate::Config;

/// What the process decides, not the configuration file.
#[derive(Clone, Debug)]
pub struct Options {
    /// The version of the program, for the header `User-Agent`.
    pub version: String,
    /// Ceiling of a page after decompression, in bytes.
    pub body_size_bytes_max: u64,
}

/// Starts and stops targets, and tells of them.
pub struct Manager {
    _appendable: Arc<dyn Appendable>,
    _clock: Arc<dyn Clock>,
    _options: Options,
}

impl Manager {
    /// A manager without targets. Call it within a tokio runtime; its tasks run there.
    pub fn new(appendable: Arc<dyn Appendable>, clock: Arc<dyn Clock>, options: Options) -> Arc<Self> {
        Arc::new(Self { _appendable: appendable, _clock: clock, _options: options })
    }

    /// Makes the configured jobs run as `config` says: new targets start, targets that did not change go on, others stop.
    pub fn apply(&self, _config: &Config) {}

    /// Adds an in-process collector under a job; `labels` are the target's, such as `instance`.
    pub fn add_collector(&self, _job: &str, _labels: &Labels, _interval: Duration, _collector: Arc<dyn Collector>) {}

    /// Looks for Cilium and collects what is found.
    pub fn add_cilium(&self, _config: &discovery::cilium::Config) {}

    /// Stops all targets and waits for what is being appended. No staleness markers are written: the same targets
    /// are expected to go on after the restart.
    pub async fn shutdown(&self) {}
}

impl Targets for Manager {
    fn active(&self) -> Vec<TargetStatus> {
        Vec::new()
    }

    fn dropped(&self) -> Vec<DroppedTarget> {
        Vec::new()
    }

    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Collector for Manager {
    fn name(&self) -> &'static str {
        "scrape"
    }

    fn collect(&self, _families: &mut Families) -> Result<(), CollectError> {
        Ok(())
    }
}
