//! Megabytes of real pages parsed per second of processor time, labels left alone as in steady state and resolved as
//! for new series, beside the crate `prometheus-parse`. Prints; asserts nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exposition::Event;
use exposition::text::Parser;

/// Each figure is taken over at least so long.
const TIME_MIN: Duration = Duration::from_millis(300);

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/exposition");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("SKIPPED: {} is absent", folder.display());
        return;
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    println!("{:30} {:>10} {:>10} {:>16} MB/s", "page", "lines", "labels", "prometheus-parse");
    for path in files.iter().filter(|path| !path.to_string_lossy().ends_with(".om.txt")) {
        let Ok(page) = std::fs::read_to_string(path) else { continue };
        let lines = speed(&page, |page| events(page).count());
        let labels = speed(&page, |page| {
            events(page).map(|event| if let Event::Series(series) = event { series.labels().count() } else { 0 }).sum()
        });
        let reference = speed(&page, |page| {
            prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).map_or(0, |s| s.samples.len())
        });
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!("{name:30} {lines:>10.0} {labels:>10.0} {reference:>16.0}");
    }
}

fn events(page: &str) -> impl Iterator<Item = Event<'_>> {
    Parser::new(page.as_bytes()).flatten()
}

/// Megabytes a second.
fn speed(page: &str, mut parse: impl FnMut(&str) -> usize) -> f64 {
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < TIME_MIN {
        std::hint::black_box(parse(std::hint::black_box(page)));
        rounds += 1;
    }
    (page.len() * rounds) as f64 / 1e6 / start.elapsed().as_secs_f64()
}
