//! The real Prometheus, on a free port and an empty folder.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use testkit::poll_until;

/// A running Prometheus; dropping it ends it.
pub(crate) struct Peer {
    process: Child,
    _folder: tempfile::TempDir,
    url: String,
}

impl Peer {
    /// Starts it and waits until it is ready; `None` where there is none.
    pub(crate) fn start() -> Option<Self> {
        let named = std::env::var_os("SKEP_PEER_PROMETHEUS").map(PathBuf::from);
        let program = named.unwrap_or_else(|| PathBuf::from("/tmp/peers/prometheus"));
        if !program.is_file() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "global: {evaluation_interval: 1m}\n").unwrap();
        let address = free_address();
        let process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Self { process, _folder: folder, url: format!("http://{address}") };
        poll_until("Prometheus to be ready", || {
            ureq::get(format!("{}/-/ready", peer.url)).call().ok().filter(|answer| answer.status() == 200)
        });
        Some(peer)
    }

    /// `http://ADDRESS:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
