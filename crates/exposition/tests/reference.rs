//! Real pages, beside the crate `prometheus-parse`.
//!
//! What the reference does otherwise, and is left out of the comparison: it gathers buckets and quantiles of a family
//! into one value (families of these two types are left out), keeps escapes in label values and cuts them at a comma, an
//! equals sign or a brace (metrics with such values are left out), keeps blanks before label names (cut off here).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use exposition::text::Parser;
use exposition::{Event, Series};
use prometheus_parse::{Scrape, Value};

type Sample = (String, BTreeMap<String, String>);

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/exposition");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: {} is absent", folder.display());
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.to_string_lossy().ends_with(".om.txt"));
    files.sort();
    files
}

fn series(page: &[u8]) -> Vec<Series<'_>> {
    Parser::new(page)
        .filter_map(|event| match event.unwrap() {
            Event::Series(series) => Some(series),
            _ => None,
        })
        .collect()
}

fn ours(series: &Series<'_>) -> Sample {
    let mut labels: BTreeMap<_, _> = series.labels().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    (labels.remove("__name__").unwrap(), labels)
}

/// The reference's values, flat again.
fn reference(page: &str) -> Vec<(Sample, f64)> {
    let scrape = Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let mut samples = Vec::new();
    for sample in scrape.samples {
        let labels: BTreeMap<_, _> = sample.labels.iter().map(|(n, v)| (n.trim().to_owned(), v.clone())).collect();
        let name = sample.metric.clone();
        match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => {
                samples.push(((name, labels), value));
            }
            Value::Histogram(_) | Value::Summary(_) => {}
        }
    }
    samples
}

#[test]
fn every_sample_of_real_pages_agrees() {
    for path in fixtures() {
        let page = std::fs::read_to_string(&path).unwrap();
        let series = series(page.as_bytes());
        let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(series.len(), lines, "{}", path.display());

        let mut known: BTreeMap<Sample, Vec<u64>> = BTreeMap::new();
        let mut misread = BTreeSet::new();
        for one in &series {
            let sample = ours(one);
            if sample.1.values().any(|value| value.contains(['\\', ',', '}', '='])) {
                misread.insert(sample.0.clone());
            }
            known.entry(sample).or_default().push(one.value.to_bits());
        }
        let mut compared = 0;
        for (sample, value) in reference(&page) {
            if misread.contains(&sample.0) {
                continue;
            }
            let values = known.get(&sample).unwrap_or_else(|| panic!("{}: {sample:?} is missing", path.display()));
            assert!(value.is_nan() || values.contains(&value.to_bits()), "{}: {sample:?} {value}", path.display());
            compared += 1;
        }
        println!("{}: {lines} samples, {compared} compared", path.display());
        assert!(compared > 0);
    }
}
