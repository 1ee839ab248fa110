//! The history is what scrapes would have written, and meets the live pages without a seam.

#![allow(clippy::unwrap_used, clippy::panic)] // A test that cannot go on has failed.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Duration;

use demo::{DemoTarget, Endpoint, Event, HistorySpan, World};
use model::{
    AppendError, Appendable, Appender, Committed, Durability, Exemplar, Labels, LabelsBuilder, Metadata, Sample,
    SeriesRef, Timestamp, is_stale,
};

const START: Timestamp = 1_795_197_600_000;
const STEP: Duration = Duration::from_secs(15);

/// Remembers what was committed; refuses what an appender may refuse.
#[derive(Default)]
struct Memory(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    names: Vec<Labels>,
    samples: BTreeMap<SeriesRef, Vec<Sample>>,
    metadata: BTreeMap<String, Metadata>,
    batches: Vec<Durability>,
    lookups: usize,
}

struct Batch<'a> {
    memory: &'a Memory,
    samples: Vec<(SeriesRef, Sample)>,
}

impl Appendable for Memory {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(Batch { memory: self, samples: Vec::new() })
    }
}

impl Appender for Batch<'_> {
    fn append(&mut self, labels: &Labels, sample: Sample) -> Result<SeriesRef, AppendError> {
        let mut kept = self.memory.0.lock().unwrap();
        kept.lookups += 1;
        let known = kept.names.iter().position(|known| known == labels);
        let position = known.unwrap_or_else(|| {
            kept.names.push(labels.clone());
            kept.names.len() - 1
        });
        let series = SeriesRef(NonZeroU64::new(position as u64 + 1).unwrap());
        self.samples.push((series, sample));
        Ok(series)
    }

    fn append_ref(&mut self, series: SeriesRef, sample: Sample) -> Result<(), AppendError> {
        self.samples.push((series, sample));
        Ok(())
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: &Exemplar) -> Result<(), AppendError> {
        panic!("the demo has no exemplars")
    }

    fn set_metadata(&mut self, family: &str, metadata: &Metadata) -> Result<(), AppendError> {
        self.memory.0.lock().unwrap().metadata.insert(family.to_owned(), metadata.clone());
        Ok(())
    }

    fn commit(self: Box<Self>, durability: Durability) -> Result<Committed, AppendError> {
        let mut kept = self.memory.0.lock().unwrap();
        kept.batches.push(durability);
        for (series, sample) in &self.samples {
            let column = kept.samples.entry(*series).or_default();
            assert!(column.last().is_none_or(|last| last.timestamp < sample.timestamp), "times rise");
            column.push(*sample);
        }
        Ok(Committed { samples: self.samples.len() as u64, conflicting: 0 })
    }
}

fn target(endpoint: Endpoint) -> DemoTarget {
    let pairs = [("job", endpoint.job()), ("instance", "127.0.0.1:9962"), ("pod", "cilium-edge"), ("node", "edge")];
    DemoTarget { endpoint, labels: Labels::from_pairs(pairs) }
}

/// The samples of a history, by series.
fn written(endpoints: &[Endpoint], from: Timestamp, to: Timestamp) -> (BTreeMap<Labels, Vec<Sample>>, Kept) {
    let memory = Memory::default();
    let targets: Vec<_> = endpoints.iter().copied().map(target).collect();
    let span = HistorySpan { from, to, step: STEP };
    let mut last = None;
    let world = World::new(7, START);
    let result = demo::write_history(&world, &memory, &targets, &[span], &mut |progress| {
        last = Some(progress);
        ControlFlow::Continue(())
    })
    .unwrap();
    let last = last.unwrap();
    assert_eq!((last.scrapes, last.samples), (last.scrapes_total, result.samples));
    let mut kept = memory.0.into_inner().unwrap();
    let samples = std::mem::take(&mut kept.samples);
    let named = samples.into_iter().map(|(series, samples)| (kept.names[series.0.get() as usize - 1].clone(), samples));
    (named.collect(), kept)
}

/// The page's text, read as a scrape reads it, and the history are the same series with the same values.
#[test]
fn history_is_what_a_scrape_of_the_pages_stores() {
    let world = World::new(7, START);
    let (series, kept) = written(&Endpoint::ALL, START - 120_000, START);
    let mut shown = 0;
    for endpoint in Endpoint::ALL {
        let at = START - 60_000;
        let page = world.page(endpoint, at).unwrap();
        assert!(page.iter().all(|family| kept.metadata[&*family.name].kind == family.kind));
        let mut text = String::new();
        exposition::text::write(&page, &mut text);
        for event in exposition::text::Parser::new(text.as_bytes()) {
            let exposition::Event::Series(scraped) = event.unwrap() else { continue };
            let mut labels = target(endpoint).labels.to_builder();
            scraped.labels().for_each(|(name, value)| {
                labels.set(&name, value);
            });
            let labels = LabelsBuilder::build(&labels);
            let sample = series[&labels].iter().find(|sample| sample.timestamp == at).unwrap();
            assert_eq!(sample.value.to_bits(), scraped.value.to_bits(), "{labels}");
            shown += 1;
        }
    }
    assert_eq!(series.len(), shown + 5 * Endpoint::ALL.len(), "nothing else but the scrapes' own series");
    assert_eq!(kept.lookups, series.len(), "labels are looked up once");
    assert_eq!(kept.batches.last(), Some(&Durability::Disk));
}

#[test]
fn an_outage_leaves_markers_and_a_gap() {
    let restart = World::new(7, START).begins(Event::Restart);
    let (series, _) = written(&[Endpoint::Agent], restart - 120_000, restart + 120_000);
    let own = |name: &str| {
        let find = |(labels, _): &(&Labels, &Vec<Sample>)| labels.metric_name() == name;
        series.iter().find(find).unwrap().1.iter().map(|sample| sample.value).collect::<Vec<_>>()
    };
    let up = own("up");
    assert_eq!(up.iter().filter(|&&up| up == 0.0).count(), 2);
    let size = *own("scrape_samples_scraped").last().unwrap();
    let added: Vec<_> = own("scrape_series_added").into_iter().filter(|&added| added > 0.0).collect();
    assert_eq!(added, [size, size], "at the beginning and after the gap");
    for (labels, samples) in series.iter().filter(|(labels, _)| labels.metric_name().starts_with("cilium_")) {
        let stale: Vec<_> = samples.iter().filter(|sample| is_stale(sample.value)).collect();
        assert_eq!(stale.len(), 1, "{labels}");
        assert_eq!(samples.len(), up.len() - 1, "{labels}: one marker for two missing scrapes");
    }
}

#[test]
fn a_deployment_changes_pods() {
    let deployed = World::new(7, START).begins(Event::Deployment);
    let (series, _) = written(&[Endpoint::Hubble], deployed - 120_000, deployed + 180_000);
    let pods = |pod: &str| {
        let of = |labels: &Labels| labels.get("destination").is_some_and(|destination| destination.contains(pod));
        series.iter().find(|(labels, _)| of(labels)).unwrap().1.clone()
    };
    let (before, after) = (pods("orders-6d8f9b7c54"), pods("orders-79c4d6b8f5"));
    let marker = before.last().unwrap();
    assert!(is_stale(marker.value) && (deployed + 60_000..deployed + 90_000).contains(&marker.timestamp), "{marker:?}");
    assert!((deployed..deployed + 15_000).contains(&after[0].timestamp), "{:?}", after[0]);
    assert!(
        after[0].value < 1_000.0 && before[0].value > 10_000.0,
        "a new pod's counters start at zero: {:?}",
        after[0]
    );
}

#[test]
fn a_step_of_nothing_is_refused() {
    let span = HistorySpan { from: 0, to: 1, step: Duration::ZERO };
    let result =
        demo::write_history(
            &World::new(7, START),
            &Memory::default(),
            &[],
            &[span],
            &mut |_| ControlFlow::Continue(()),
        );
    assert_eq!(result.unwrap_err().to_string(), "the step of a history must be at least one millisecond");
}

/// The day's spans meet, and a `[1m]` window holds two samples everywhere.
#[test]
fn spans_cover_the_day_without_a_seam() {
    let [coarse, fine] = demo::history_spans(START);
    assert_eq!((START - coarse.from, coarse.to, fine.to), (86_400_000, fine.from, START));
    for span in [coarse, fine] {
        assert!(span.step * 2 <= Duration::from_secs(60));
        assert_eq!((span.to - span.from) % i64::try_from(span.step.as_millis()).unwrap(), 0);
    }
}
