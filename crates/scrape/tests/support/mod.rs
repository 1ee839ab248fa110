//! A store in memory, and servers that answer as told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod dump;

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::{
    AppendError, Appendable, Appender, Clock, Committed, Durability, Exemplar, Labels, Metadata, Sample, SeriesRef,
    SystemClock, is_stale,
};
use scrape::Config;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Tests wait at most so long for what they expect.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// As Prometheus without out-of-order ingestion, which skep's own store does not follow: it keeps the past.
const PAST_MILLIS_MAX: i64 = 3_600_000;
const FUTURE_MILLIS_MAX: i64 = 600_000;

/// Series by their labels. The first value at a timestamp stays.
#[derive(Default)]
pub(crate) struct Memory {
    state: Mutex<Stored>,
}

#[derive(Default)]
struct Stored {
    refs: HashMap<Labels, SeriesRef>,
    series: Vec<(Labels, Vec<Sample>)>,
    metadata: HashMap<String, Metadata>,
    exemplars: Vec<(SeriesRef, Exemplar)>,
}

struct Batch<'a> {
    memory: &'a Memory,
    samples: Vec<(SeriesRef, Sample)>,
}

impl Stored {
    fn get(&mut self, series: SeriesRef) -> Option<&mut (Labels, Vec<Sample>)> {
        self.series.get_mut(series.0.get() as usize - 1)
    }
}

impl Memory {
    /// Samples of all series whose text form begins so.
    pub(crate) fn samples(&self, start: &str) -> Vec<(String, Vec<Sample>)> {
        let state = self.state.lock().unwrap();
        let shown = state.series.iter().map(|(labels, samples)| (labels.to_string(), samples.clone()));
        let mut found: Vec<_> =
            shown.filter(|(labels, samples)| labels.starts_with(start) && !samples.is_empty()).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// All series with their samples.
    pub(crate) fn all(&self) -> Vec<(Labels, Vec<Sample>)> {
        self.state.lock().unwrap().series.clone()
    }

    /// The last value of the only series with this name.
    pub(crate) fn last(&self, name: &str) -> Option<f64> {
        let found = self.samples(&format!("{{__name__=\"{name}\""));
        assert!(found.len() <= 1, "{found:?}");
        Some(found.first()?.1.last()?.value)
    }

    /// Values of the only series with this name; a staleness marker is `None`.
    pub(crate) fn values(&self, name: &str) -> Vec<Option<f64>> {
        let found = self.samples(&format!("{{__name__=\"{name}\""));
        assert!(found.len() <= 1, "{found:?}");
        let samples = found.first().map(|(_, samples)| samples.clone()).unwrap_or_default();
        samples.iter().map(|sample| (!is_stale(sample.value)).then_some(sample.value)).collect()
    }

    /// The last exemplar, with the labels of its series.
    pub(crate) fn exemplar(&self) -> Option<(Labels, Exemplar)> {
        let mut state = self.state.lock().unwrap();
        let (series, exemplar) = state.exemplars.last().cloned()?;
        Some((state.get(series)?.0.clone(), exemplar))
    }

    pub(crate) fn metadata(&self, family: &str) -> Option<Metadata> {
        self.state.lock().unwrap().metadata.get(family).cloned()
    }

    /// As a restart of the store's head would: references are not known any more.
    pub(crate) fn forget_references(&self) {
        let mut state = self.state.lock().unwrap();
        state.refs.clear();
        for (labels, _) in &mut state.series {
            *labels = Labels::from_pairs([("forgotten", labels.to_string())]);
        }
    }
}

impl Appendable for Memory {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(Batch { memory: self, samples: Vec::new() })
    }
}

impl Appender for Batch<'_> {
    fn append(&mut self, labels: &Labels, sample: Sample) -> Result<SeriesRef, AppendError> {
        let mut state = self.memory.state.lock().unwrap();
        let series = match state.refs.get(labels) {
            Some(series) => *series,
            None => {
                state.series.push((labels.clone(), Vec::new()));
                let series = SeriesRef(NonZeroU64::new(state.series.len() as u64).unwrap());
                state.refs.insert(labels.clone(), series);
                series
            }
        };
        drop(state);
        self.append_ref(series, sample).map(|()| series)
    }

    fn append_ref(&mut self, series: SeriesRef, sample: Sample) -> Result<(), AppendError> {
        let mut state = self.memory.state.lock().unwrap();
        let (labels, samples) = state.get(series).ok_or(AppendError::UnknownSeries)?;
        if labels.get("forgotten").is_some() {
            return Err(AppendError::UnknownSeries);
        }
        let now = SystemClock.now();
        if sample.timestamp > now + FUTURE_MILLIS_MAX {
            return Err(AppendError::TooFarInFuture);
        }
        if sample.timestamp < now - PAST_MILLIS_MAX {
            return Err(AppendError::OutOfBounds);
        }
        if samples.iter().any(|other| other.timestamp == sample.timestamp && !is_equal(other, &sample)) {
            return Err(AppendError::DuplicateTimestamp);
        }
        self.samples.push((series, sample));
        Ok(())
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError> {
        self.memory.state.lock().unwrap().exemplars.push((series, exemplar.clone()));
        Ok(())
    }

    fn set_metadata(&mut self, family: &str, metadata: &Metadata) -> Result<(), AppendError> {
        self.memory.state.lock().unwrap().metadata.insert(family.to_owned(), metadata.clone());
        Ok(())
    }

    fn commit(self: Box<Self>, _: Durability) -> Result<Committed, AppendError> {
        let mut state = self.memory.state.lock().unwrap();
        let mut committed = Committed::default();
        for (series, sample) in &self.samples {
            let (_, samples) = state.get(*series).unwrap();
            match samples.iter().find(|other| other.timestamp == sample.timestamp) {
                None => samples.push(*sample),
                Some(other) if is_equal(other, sample) => {}
                Some(_) => committed.conflicting += 1,
            }
            committed.samples += 1;
        }
        committed.samples -= committed.conflicting;
        Ok(committed)
    }
}

fn is_equal(a: &Sample, b: &Sample) -> bool {
    a.timestamp == b.timestamp && a.value.to_bits() == b.value.to_bits()
}

/// What a server does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Status line and headers without the length, and the body.
    Body(String, Vec<u8>),
    /// Announces more than it sends, then closes.
    CutOff(String),
    /// Sends the text again and again.
    Endless(String),
    /// Never answers.
    Hang,
    /// Closes the connection without an answer, as a server does that ends idle connections while a request is on its
    /// way.
    Close,
}

/// A page of text with the usual content type.
pub(crate) fn page(text: &str) -> Reply {
    Reply::Body("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4".to_owned(), text.as_bytes().to_vec())
}

/// Starts a server on a free port; the closure gets the head of each request.
pub(crate) async fn serve(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let reply = Arc::new(reply);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_all(stream, Arc::clone(&reply)));
        }
    });
    address
}

async fn answer_all(stream: TcpStream, reply: Arc<impl Fn(&str) -> Reply>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).await.is_ok_and(|size| size > 0) {
        if !head.ends_with("\r\n\r\n") {
            continue;
        }
        if answer(stream.get_mut(), reply(&std::mem::take(&mut head))).await.is_none() {
            return;
        }
    }
}

async fn answer(stream: &mut TcpStream, reply: Reply) -> Option<()> {
    match reply {
        Reply::Body(head, body) => {
            let mut answer = format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            answer.extend(body);
            stream.write_all(&answer).await.ok()
        }
        Reply::CutOff(text) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n";
            stream.write_all(format!("{head}{text}").as_bytes()).await.ok()?;
            None
        }
        Reply::Endless(text) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()?;
            let chunk = format!("{:x}\r\n{text}\r\n", text.len());
            loop {
                stream.write_all(chunk.as_bytes()).await.ok()?;
            }
        }
        Reply::Hang => std::future::pending().await,
        Reply::Close => None,
    }
}

/// A configuration out of text; an error in it fails the test.
pub(crate) fn config(text: &str) -> Config {
    let report = yaml::Report::default();
    let node = yaml::parse("f.yml", text).unwrap();
    let root = yaml::Place::root(&node, "f.yml", &report).section().unwrap();
    let config = Config::decode(&root);
    root.finish();
    assert!(!report.has_errors(), "{:?}", report.problems());
    config
}

/// Waits until there is what is expected; past the deadline the test fails with what was seen last.
pub(crate) async fn until<T: std::fmt::Debug>(look: impl FnMut() -> T, good: impl Fn(&T) -> bool) -> T {
    until_within(DEADLINE, look, good).await
}

/// The same for what takes a while on a busy machine.
pub(crate) async fn until_within<T: std::fmt::Debug>(
    deadline: Duration,
    mut look: impl FnMut() -> T,
    good: impl Fn(&T) -> bool,
) -> T {
    let start = Instant::now();
    loop {
        let seen = look();
        if good(&seen) {
            return seen;
        }
        assert!(start.elapsed() < deadline, "still {seen:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
