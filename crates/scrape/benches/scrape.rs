//! Processor time of collection per million samples: servers in this process with prepared pages, scraped once a
//! second into a store that only counts. The figure holds the servers' share too. Prints; asserts nothing.

use std::fmt::Write;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{
    AppendError, Appendable, Appender, Committed, Durability, Exemplar, Labels, Metadata, Sample, SeriesRef,
    SystemClock,
};
use scrape::{Config, Manager, Options};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

const TARGETS: usize = 20;
const SERIES: usize = 5000;
const TIME: Duration = Duration::from_secs(10);

/// Gives out references and counts what comes in.
#[derive(Default)]
struct Counting {
    series: AtomicU64,
    samples: AtomicU64,
}

struct Batch<'a>(&'a Counting, u64);

impl Appendable for Counting {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(Batch(self, 0))
    }
}

impl Appender for Batch<'_> {
    fn append(&mut self, _: &Labels, _: Sample) -> Result<SeriesRef, AppendError> {
        self.1 += 1;
        let next = self.0.series.fetch_add(1, Ordering::Relaxed) + 1;
        NonZeroU64::new(next).map(SeriesRef).ok_or(AppendError::UnknownSeries)
    }

    fn append_ref(&mut self, _: SeriesRef, _: Sample) -> Result<(), AppendError> {
        self.1 += 1;
        Ok(())
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: &Exemplar) -> Result<(), AppendError> {
        Ok(())
    }

    fn set_metadata(&mut self, _: &str, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>, _: Durability) -> Result<Committed, AppendError> {
        self.0.samples.fetch_add(self.1, Ordering::Relaxed);
        Ok(Committed { samples: self.1, conflicting: 0 })
    }
}

fn page() -> Vec<u8> {
    let mut text = String::new();
    for family in 0..SERIES / 50 {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP bench_family_{family}_total A family of the bench.\n# TYPE bench_family_{family}_total counter"
        );
        for i in 0..50 {
            let _ = writeln!(
                text,
                "bench_family_{family}_total{{method=\"GET\",path=\"/api/v1/thing/{i}\",code=\"200\"}} {}",
                i * 7919
            );
        }
    }
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n", text.len());
    [head.into_bytes(), text.into_bytes()].concat()
}

async fn serve(page: Arc<Vec<u8>>) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let page = Arc::clone(&page);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|size| size > 0) {
                    if line == "\r\n" && stream.get_mut().write_all(&page).await.is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
    });
    Ok(address)
}

/// Processor time of this process so far, in seconds: `utime` and `stime` of `/proc/self/stat`, in ticks of 10 ms.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> std::io::Result<()> {
    let page = Arc::new(page());
    let mut addresses = Vec::new();
    for _ in 0..TARGETS {
        addresses.push(format!("'{}'", serve(Arc::clone(&page)).await?));
    }
    let text = format!(
        "scrape_configs:\n- job_name: bench\n  scrape_interval: 1s\n  static_configs: [{{targets: [{}]}}]\n",
        addresses.join(", ")
    );
    let store = Arc::new(Counting::default());
    let manager = Manager::new(Arc::<Counting>::clone(&store), Arc::new(SystemClock), Options::default());
    manager.apply(&decode(&text));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (before, samples_before) = (processor_seconds(), store.samples.load(Ordering::Relaxed));
    tokio::time::sleep(TIME).await;
    let samples = store.samples.load(Ordering::Relaxed) - samples_before;
    let seconds = processor_seconds() - before;
    println!("{TARGETS} targets of {SERIES} series, {} bytes a page: {samples} samples in {TIME:?}", page.len());
    println!("{:.3} s of processor time per million samples, servers included", seconds / samples as f64 * 1e6);
    manager.shutdown().await;
    Ok(())
}

fn decode(text: &str) -> Config {
    let report = yaml::Report::default();
    let node = yaml::parse("bench.yml", text).ok();
    let root = node.as_ref().and_then(|node| yaml::Place::root(node, "bench.yml", &report).section());
    root.map(|root| Config::decode(&root)).unwrap_or_default()
}
