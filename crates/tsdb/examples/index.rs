//! Prints what the index of a block costs: bytes a series, what its lists of series would take in other forms, and the
//! time of the questions that dashboards ask of it.
//!
//! `cargo run --release -p tsdb --example index [SERIES]`. Times are the processor's.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use model::{
    Appendable, Clock, Collector, Durability, Families, Hints, Labels, MatchOp, Matcher, Queryable, Sample, Samples,
    Selection,
};
use roaring::RoaringBitmap;
use tsdb::{Db, Options};

/// Within one day, so that one block holds all.
const START: i64 = 1_700_006_400_000;
const INTERVAL: i64 = 15_000;

/// Two hours, as the head has when it is sealed.
const SAMPLES: i64 = 480;

/// Series of one target, as of a node with its pods.
const TARGET_SERIES: usize = 2_500;

/// The kernel counts the time of a thread in steps of a few milliseconds; a question is asked for at least this long.
const ASKED_MILLIS: f64 = 60.0;

/// Stands still after the samples, so that all of them are taken.
struct After;

impl Clock for After {
    fn now(&self) -> i64 {
        START + SAMPLES * INTERVAL
    }
}

/// The labels of a series: metrics of a node, of its devices and of its pods.
fn labels(series: usize) -> Labels {
    let (node, of_node) = (series / TARGET_SERIES, series % TARGET_SERIES);
    let (metric, member) = (of_node % 100, of_node / 100);
    let mut pairs = vec![
        ("__name__", format!("edge_{}_{metric:02}_total", ["node", "container", "hubble", "cilium"][metric % 4])),
        ("instance", format!("10.0.{node}.1:{}", 9100 + metric % 4)),
        ("job", ["node", "kubelet", "hubble", "cilium"][metric % 4].to_owned()),
        ("node", format!("edge-{node:02}")),
    ];
    if metric % 4 == 1 || metric % 4 == 2 {
        pairs.push(("namespace", format!("ns-{}", member % 7)));
        pairs.push(("pod", format!("workload-{}-{:x}", member % 9, (node * 100 + member) * 0x9e37_79b9 % 0xff_ffff)));
    } else {
        pairs.push(("device", format!("eth{member}")));
    }
    Labels::from_pairs(pairs)
}

fn fill(db: &Db, series: usize) -> Result<(), Box<dyn Error>> {
    let sets: Vec<Labels> = (0..series).map(labels).collect();
    for (node, target) in sets.chunks(TARGET_SERIES).enumerate() {
        for round in 0..SAMPLES / 20 {
            let mut batch = db.appender();
            for (at, labels) in target.iter().enumerate() {
                for i in round * 20..round * 20 + 20 {
                    let timestamp = START + i * INTERVAL + node as i64 * 37 + i % 3;
                    batch.append(labels, Sample { timestamp, value: (i * (at as i64 % 50)) as f64 })?;
                }
            }
            batch.commit(Durability::Kernel)?;
        }
    }
    db.seal()?;
    Ok(())
}

/// Milliseconds that this thread ran.
fn cpu_millis() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default() / 1e6
}

/// Asks until the time is long enough to be measured; returns the time of one question and what it answered.
fn timed(ask: impl Fn() -> Result<usize, Box<dyn Error>>) -> Result<(f64, usize), Box<dyn Error>> {
    let answer = ask()?;
    let begin = cpu_millis();
    let mut asked = 0.0;
    while cpu_millis() - begin < ASKED_MILLIS {
        ask()?;
        asked += 1.0;
    }
    Ok(((cpu_millis() - begin) / asked, answer))
}

/// Bytes a series of all lists of series by label value: as differences, as runs, as whichever of them is shorter, as
/// roaring bitmaps without and with runs.
fn lists(series: usize) -> [f64; 5] {
    let mut sets: Vec<Labels> = (0..series).map(labels).collect();
    sets.sort();
    let mut lists: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
    for (id, set) in sets.iter().enumerate() {
        set.iter().for_each(|label| lists.entry(label).or_default().push(id as u32));
    }
    let mut sums = [0; 5];
    for ids in lists.values() {
        let differences = gaps(ids.iter().map(|&id| (id, id))).map(|(gap, _)| uint_bytes(gap)).sum::<usize>();
        let runs = ids.chunk_by(|a, b| a + 1 == *b).map(|run| (run[0], run[run.len() - 1]));
        let runs = gaps(runs).map(|(gap, more)| uint_bytes(gap) + uint_bytes(more)).sum::<usize>();
        let mut bitmap: RoaringBitmap = ids.iter().copied().collect();
        let plain = bitmap.serialized_size();
        bitmap.optimize();
        let sizes = [differences, runs, differences.min(runs), plain, bitmap.serialized_size()];
        sums.iter_mut().zip(sizes).for_each(|(sum, size)| *sum += size);
    }
    sums.map(|sum| sum as f64 / series as f64)
}

/// For each run the numbers between it and the one before, and how many follow its first.
fn gaps(runs: impl Iterator<Item = (u32, u32)>) -> impl Iterator<Item = (u32, u32)> {
    let mut next = 0;
    runs.map(move |(first, last)| (first - std::mem::replace(&mut next, last + 1), last - first))
}

fn uint_bytes(value: u32) -> usize {
    (32 - value.leading_zeros()).div_ceil(7).max(1) as usize
}

fn selection(matchers: &[Matcher], labels_only: bool, presence: bool) -> Selection<'_> {
    let max_time = START + SAMPLES * INTERVAL;
    let hints = Hints { labels_only, presence, ..Hints::default() };
    Selection { matchers, min_time: max_time - 300_000, max_time, hints }
}

fn print(name: &str, (millis, answers): (f64, usize)) {
    println!("{millis:9.3} ms  {answers:7} answers  {name}");
}

fn questions() -> Result<Vec<Vec<Matcher>>, Box<dyn Error>> {
    use MatchOp::{Equal, Match, NotEqual, NotMatch};
    let cases: [&[(MatchOp, &str, &str)]; 10] = [
        &[(Match, "__name__", ".+")],
        &[(Equal, "pod", "workload-3-3")],
        &[(Equal, "__name__", "edge_container_01_total")],
        &[(Match, "node", "edge-00|edge-01|edge-02")],
        &[(NotEqual, "job", "")],
        &[(Match, "pod", "workload-3.*")],
        &[(Match, "pod", ".*7.*")],
        &[(Equal, "job", "kubelet"), (NotMatch, "namespace", "ns-1|ns-2")],
        &[(Match, "__name__", "edge_node_.*|edge_cilium_.*"), (Match, "node", "edge-0[0-3].*")],
        &[(Equal, "job", "nothing"), (Match, "pod", ".*7.*")],
    ];
    let matcher = |(op, name, value): &(MatchOp, &str, &str)| Ok(Matcher::new(*op, *name, *value)?);
    cases.iter().map(|case| case.iter().map(matcher).collect()).collect()
}

fn ask_all(db: &Db) -> Result<(), Box<dyn Error>> {
    let count = |matchers: &[Matcher], presence| {
        let set = db.select(&selection(matchers, false, presence))?;
        let mut samples = Samples::default();
        for series in &set.series {
            samples.clear();
            series.read(&mut samples)?;
        }
        Ok(set.series.len())
    };
    for matchers in questions()? {
        let text: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        let text = format!("{{{}}}", text.join(","));
        let named = || Ok(db.select(&selection(&matchers, true, false))?.series.len());
        print(&format!("{text} series"), timed(named)?);
    }
    let all = [Matcher::new(MatchOp::Match, "__name__", ".+")?];
    print("all of five minutes, presence", timed(|| count(&all, true))?);
    print("all of five minutes, values", timed(|| count(&all, false))?);
    print("label names", timed(|| Ok(db.label_names(&selection(&[], true, false))?.len()))?);
    print("values of pod", timed(|| Ok(db.label_values("pod", &selection(&[], true, false))?.len()))?);
    let kubelet = [Matcher::equal("job", "kubelet")];
    print("values of pod, one job", timed(|| Ok(db.label_values("pod", &selection(&kubelet, true, false))?.len()))?);
    Ok(())
}

fn gauge(db: &Db, name: &str) -> Result<f64, Box<dyn Error>> {
    let mut families = Families::default();
    db.collect(&mut families)?;
    Ok(families.iter().find(|family| family.name == name).map_or(0.0, |family| family.points[0].value))
}

fn main() -> Result<(), Box<dyn Error>> {
    let series: usize = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let [differences, runs, shorter, plain, optimized] = lists(series);
    println!(
        "lists of series, bytes a series: differences {differences:.2}, runs {runs:.2}, the shorter {shorter:.2}, roaring {plain:.2}, roaring with runs {optimized:.2}"
    );
    let folder = tempfile::tempdir()?;
    let options = |path: &Path| Options { path: path.to_owned(), clock: Arc::new(After), ..Options::default() };
    let db = Db::open(options(folder.path()))?;
    fill(&db, series)?;
    let (index, blocks) = (gauge(&db, "skep_tsdb_blocks_index_bytes")?, gauge(&db, "skep_tsdb_blocks_bytes")?);
    let (a_series, a_sample) = (index / series as f64, blocks / (series as i64 * SAMPLES) as f64);
    println!("{series} series: index {a_series:.2} bytes a series, block {a_sample:.3} bytes a sample");
    drop(db);
    let begin = cpu_millis();
    let db = Db::open(options(folder.path()))?;
    println!("opened in {:.2} ms", cpu_millis() - begin);
    ask_all(&db)
}
