//! The real Prometheus, in an empty folder.

use testkit::Prometheus;

/// A running Prometheus; dropping it ends it.
pub(crate) struct Peer {
    _process: Prometheus,
    _folder: tempfile::TempDir,
    url: String,
}

impl Peer {
    /// Starts it and waits until it is ready; `None` where there is none.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("exemplar-storage")
    }

    /// The same with another feature.
    pub(crate) fn start_with(feature: &str) -> Option<Self> {
        let program = testkit::peer("prometheus")?;
        let folder = tempfile::tempdir().unwrap();
        let feature = format!("--enable-feature={feature}");
        let args = ["--web.enable-remote-write-receiver", "--web.enable-admin-api", &feature];
        let config = "global: {evaluation_interval: 1m}\n";
        let process = Prometheus::start(&program, folder.path(), config, &args).unwrap();
        let url = process.url();
        Some(Self { _process: process, _folder: folder, url })
    }

    /// `http://ADDRESS:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
