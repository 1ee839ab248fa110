//! The demo's side of the program: the simulated node runs, its history is in the store, and it is found like a real one.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use demo::{DemoTarget, Ports, World};
use discovery::cilium;
use model::status::Store;
use model::{Clock, Labels, SystemClock};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tsdb::Db;

use crate::app::demo_data_dir;
use crate::settings::Settings;

/// The same node every time, so that people who talk about the demo see the same charts.
const SEED: u64 = 0x5ce9;

/// A running simulation.
pub(crate) struct Simulation {
    _servers: demo::Servers,
}

/// The demo's own folder; it goes with the process, however far the start came. To be dropped when no thread writes any
/// more.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// `None` if the user named the folder.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        (settings.data_dir == demo_data_dir()).then(|| Self(demo_data_dir()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, folder = %self.0.display(), "the demo's folder could not be removed");
            }
            _ => {}
        }
    }
}

impl Simulation {
    /// Serves the endpoints, points the search for Cilium at them, and writes the day before until `stopping` says so.
    pub(crate) async fn start(
        settings: &Settings,
        store: &Arc<Db>,
        cilium: &mut cilium::Config,
        node: &str,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self> {
        if store.status().max_time.is_some() {
            bail!(
                "{} already holds samples, and the demo would mix a simulated past into them; \
                 name an empty folder with --data-dir, or leave the flag out",
                settings.data_dir.display()
            );
        }
        let clock = Arc::new(SystemClock);
        let start = clock.now();
        let world = Arc::new(World::new(SEED, start));
        let servers = demo::serve(Arc::clone(&world), clock, Ports::Cilium).await?;
        cilium.addresses = servers.addresses().iter().map(|(_, address)| address.to_string()).collect();
        cilium.node.get_or_insert_with(|| node.to_owned());
        let targets = servers.addresses().iter().map(|(endpoint, address)| DemoTarget {
            endpoint: *endpoint,
            labels: labels(*endpoint, &address.to_string(), node, cilium),
        });
        let targets: Vec<_> = targets.collect();
        let store = Arc::clone(store);
        tracing::info!("writing a day of history");
        let written = spawn_blocking(move || {
            let mut go_on = |_| if *stopping.borrow() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            demo::write_history(&world, &*store, &targets, &demo::history_spans(start), &mut go_on)
        });
        tracing::info!(samples = written.await??.samples, "the day before is written");
        Ok(Self { _servers: servers })
    }
}

/// What the live scrape adds to every series of the endpoint, so that history and live samples are one series.
fn labels(endpoint: demo::Endpoint, address: &str, node: &str, config: &cilium::Config) -> Labels {
    let found = cilium::Endpoint::ALL.into_iter().find(|found| found.job() == endpoint.job());
    let mut labels = found.map(|found| found.labels(address, node, config)).unwrap_or_default().to_builder();
    labels.remove("__address__").set("job", endpoint.job()).set("instance", address);
    labels.build()
}
