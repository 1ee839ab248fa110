//! One target's life: wait, scrape, append, again; and what is written when it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::Transport;
use exposition::Format;
use http::Request;
use http_body_util::Full;
use model::status::{Excess, Health};
use model::{Appendable, Clock, Collector, Families, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant as Tick, Interval, MissedTickBehavior, interval_at};

use crate::counters::Counters;
use crate::error::ScrapeError;
use crate::fetch::Fetcher;
use crate::ingest::{Outcome, Pipeline};
use crate::reading::Body;
use crate::target::Target;

/// A scrape that begins up to this late counts as of its planned time: steady timestamps compress far better.
const ALIGNMENT_TOLERANCE: Duration = Duration::from_millis(2);

/// Buffers kept for the next scrapes; more are in use only while more pages are being read.
const BUFFERS_KEPT: usize = 8;

/// A buffer that an exceptional page made larger than this is not kept.
const BUFFER_SIZE_BYTES_KEPT: usize = 4 << 20;

/// What all targets share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Appendable>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fetcher: Fetcher,
    pub(crate) counters: Arc<Counters>,
    /// Most series of one target.
    pub(crate) target_series_max: u64,
    pub(crate) extra_metrics: bool,
    pub(crate) buffers: Mutex<Vec<Vec<u8>>>,
    /// True once the process ends.
    pub(crate) halt: watch::Sender<bool>,
}

/// Why a target stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    /// Another runner goes on with it.
    Replaced,
    /// It is no target any more: its series end.
    Gone,
}

/// Where samples come from.
#[derive(Clone)]
pub(crate) enum Source {
    Page,
    Collectors(Collectors),
}

/// Collectors that stand for one target; more may join.
pub(crate) type Collectors = Arc<Mutex<Vec<Arc<dyn Collector>>>>;

/// How the last scrape went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) health: Health,
    pub(crate) error: String,
    /// A part of the target that failed while the rest went well.
    pub(crate) note: String,
    pub(crate) began: Option<Timestamp>,
    pub(crate) duration: Duration,
    pub(crate) samples: u64,
    /// How much later than planned it began.
    pub(crate) lateness: Duration,
    pub(crate) excess: Option<Excess>,
}

/// What asks a target for its page, each time the same.
struct Client {
    transport: Arc<Transport>,
    request: Result<Request<Full<Bytes>>, ScrapeError>,
}

/// Runs one target.
pub(crate) struct Runner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) target: Arc<Target>,
    pub(crate) source: Source,
    pub(crate) pipeline: Arc<Mutex<Pipeline>>,
    pub(crate) progress: Arc<Mutex<Progress>>,
    pub(crate) stop: watch::Receiver<Stop>,
    /// Whether a target with these labels is collected; asked before the series of this one are ended.
    pub(crate) is_back: Arc<dyn Fn(&Target) -> bool + Send + Sync>,
}

/// A panic while the lock was held left at most an incomplete cache, which the next page repairs.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runner {
    pub(crate) async fn run(mut self) {
        let interval = self.target.interval;
        let first = match self.source {
            // A page is to show something at once; collectors are few and disturb nobody.
            Source::Collectors(_) => Duration::ZERO,
            Source::Page => first_delay(self.shared.clock.now(), interval, seed(&self.target)),
        };
        let mut ticks = interval_at(Tick::now() + first, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut planned = None;
        let client = Client {
            transport: self.shared.fetcher.transport(&self.target.job.http),
            request: self.shared.fetcher.request(&self.target),
        };
        let mut halt = self.shared.halt.subscribe();
        let reason = loop {
            let reason = tokio::select! {
                biased;
                () = halted(&mut halt) => return,
                reason = stopped(&mut self.stop) => Some(reason),
                due = ticks.tick() => {
                    let lateness = due.elapsed();
                    self.shared.counters.began(lateness);
                    lock(&self.progress).lateness = lateness;
                    self.scrape(&client, &mut planned).await
                }
            };
            if let Some(reason) = reason {
                break reason;
            }
        };
        if reason == Stop::Gone && planned.is_some() {
            self.end(&mut ticks, &mut halt).await;
        }
    }

    /// One scrape. The reason to stop, where one came up while the page was being read; then nothing is written.
    async fn scrape(&mut self, client: &Client, planned: &mut Option<Timestamp>) -> Option<Stop> {
        let at = align(self.shared.clock.now(), planned, self.target.interval);
        let began = Instant::now();
        let mut halt = self.shared.halt.subscribe();
        let mut stop = self.stop.clone();
        let mut buffer = self.take_buffer();
        let outcome = tokio::select! {
            biased;
            () = halted(&mut halt) => return None,
            reason = stopped(&mut stop) => return Some(reason),
            answer = self.read(client, std::mem::take(&mut buffer)) => self.append(answer, at, began).await,
        };
        self.report(at, outcome);
        None
    }

    async fn read(&self, client: &Client, buffer: Vec<u8>) -> Result<Page, ScrapeError> {
        if let Some(error) = &self.target.forbidden {
            return Err(error.clone());
        }
        match &self.source {
            Source::Page => {
                let request = client.request.clone()?;
                let answer = self.shared.fetcher.fetch(&self.target, &client.transport, request, buffer).await;
                answer.map(Page::Answer)
            }
            Source::Collectors(collectors) => {
                let collectors = lock(collectors).clone();
                let gathered = tokio::task::spawn_blocking(move || gather(&collectors)).await;
                gathered.unwrap_or(Err(ScrapeError::Internal))
            }
        }
    }

    /// Parsing takes the processor and appending may wait for the disk, so both happen on a blocking thread.
    async fn append(&self, mut page: Result<Page, ScrapeError>, at: Timestamp, began: Instant) -> (Outcome, String) {
        let (shared, pipeline) = (Arc::clone(&self.shared), Arc::clone(&self.pipeline));
        let mut plain = self.take_buffer();
        let task = move || {
            let note = page.as_ref().map(Page::note).unwrap_or_default();
            let outcome = {
                let body = page.as_mut().map_err(|error| error.clone()).and_then(|page| page.body(&mut plain));
                if let Ok(body) = &body {
                    shared.counters.read(body.bytes.len());
                }
                lock(&pipeline).ingest(shared.store.as_ref(), body, at, began)
            };
            keep_buffer(&shared.buffers, plain);
            if let Ok(page) = page {
                keep_buffer(&shared.buffers, page.into_buffer());
            }
            (outcome, note)
        };
        tokio::task::spawn_blocking(task).await.unwrap_or_else(|_| {
            let (duration, error) = (began.elapsed(), Some(ScrapeError::Internal));
            (Outcome { samples: 0, native: 0, duration, error, excess: None }, String::new())
        })
    }

    fn report(&self, at: Timestamp, (outcome, note): (Outcome, String)) {
        self.shared.counters.scrape(outcome.samples, outcome.error.as_ref());
        let error = outcome.error.map(|error| error.to_string()).unwrap_or_default();
        let mut progress = lock(&self.progress);
        if !error.is_empty() && error != progress.error {
            tracing::warn!(job = %self.target.job.name, url = %self.target.url, error = %error, "A scrape failed.");
        }
        progress.health = if error.is_empty() { Health::Good } else { Health::Bad };
        progress.error = error;
        progress.note = if outcome.native > 0 { native_note(outcome.native) } else { note };
        progress.began = Some(at);
        progress.duration = outcome.duration;
        progress.excess = outcome.excess;
        if progress.health == Health::Good {
            progress.samples = outcome.samples;
        }
    }

    /// The target is gone. Its series end when the next scrape would have been, unless it is back by then.
    async fn end(self, ticks: &mut Interval, halt: &mut watch::Receiver<bool>) {
        tokio::select! {
            biased;
            () = halted(halt) => return,
            _ = ticks.tick() => {}
        }
        if (self.is_back)(&self.target) {
            return;
        }
        let at = self.shared.clock.now();
        let (shared, pipeline) = (Arc::clone(&self.shared), Arc::clone(&self.pipeline));
        let ended = tokio::task::spawn_blocking(move || lock(&pipeline).end(shared.store.as_ref(), at)).await;
        if let Ok(Err(error)) = ended {
            let (job, url) = (&self.target.job.name, &self.target.url);
            tracing::warn!(%job, %url, %error, "The series of a target that is gone could not be ended.");
        }
    }

    fn take_buffer(&self) -> Vec<u8> {
        lock(&self.shared.buffers).pop().unwrap_or_default()
    }
}

/// What a scrape brought.
enum Page {
    Answer(crate::fetch::Answer),
    Collected {
        text: String,
        /// Collectors that failed, with their errors.
        failed: String,
    },
}

impl Page {
    fn body<'a>(&'a mut self, plain: &'a mut Vec<u8>) -> Result<Body<'a>, ScrapeError> {
        match self {
            Self::Answer(answer) => answer.page(plain),
            Self::Collected { text, .. } => Ok(Body { bytes: text.as_bytes(), format: Format::Text, cut: None }),
        }
    }

    fn note(&self) -> String {
        match self {
            Self::Answer(_) => String::new(),
            Self::Collected { failed, .. } => failed.clone(),
        }
    }

    fn into_buffer(self) -> Vec<u8> {
        match self {
            Self::Answer(answer) => answer.into_body(),
            Self::Collected { text, .. } => text.into_bytes(),
        }
    }
}

/// Reads all collectors of a target. One that fails or panics costs only its own families.
fn gather(collectors: &[Arc<dyn Collector>]) -> Result<Page, ScrapeError> {
    let mut text = String::new();
    let mut failed = Vec::new();
    for collector in collectors {
        let mut families = Families::default();
        match catch_unwind(AssertUnwindSafe(|| collector.collect(&mut families))) {
            Ok(Ok(())) => exposition::text::write(&families, &mut text),
            Ok(Err(error)) => failed.push(format!("{}: {error}", collector.name())),
            Err(_) => failed.push(format!("{}: it panicked; this is a fault of skep", collector.name())),
        }
    }
    if !failed.is_empty() && failed.len() == collectors.len() {
        return Err(ScrapeError::Collectors(failed.join("; ")));
    }
    Ok(Page::Collected { text, failed: failed.join("; ") })
}

fn native_note(native: u64) -> String {
    format!("{native} native histograms are not stored; classic buckets beside them are")
}

fn keep_buffer(buffers: &Mutex<Vec<Vec<u8>>>, mut buffer: Vec<u8>) {
    buffer.clear();
    let mut buffers = lock(buffers);
    let useful = (1..=BUFFER_SIZE_BYTES_KEPT).contains(&buffer.capacity());
    if useful && buffers.len() < BUFFERS_KEPT {
        buffers.push(buffer);
    }
}

async fn halted(halt: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it everything that could be scraped for.
    let _ = halt.wait_for(|halt| *halt).await;
}

async fn stopped(stop: &mut watch::Receiver<Stop>) -> Stop {
    stop.wait_for(|stop| *stop != Stop::No).await.map_or(Stop::Replaced, |stop| *stop)
}

/// Spreads targets over the interval: each has its own place in it, the same after every restart.
fn first_delay(now: Timestamp, interval: Duration, seed: u64) -> Duration {
    let interval_nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
    let now_nanos = u64::try_from(i128::from(now) * 1_000_000 % i128::from(interval_nanos)).unwrap_or_default();
    let offset = seed % interval_nanos;
    Duration::from_nanos((interval_nanos - now_nanos + offset) % interval_nanos)
}

fn seed(target: &Target) -> u64 {
    let digest = md5::compute(format!("{}\n{}", target.labels.as_packed(), target.url)).0;
    digest[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The timestamp of a scrape that begins now: the planned one where it is at most the tolerance away.
fn align(now: Timestamp, planned: &mut Option<Timestamp>, interval: Duration) -> Timestamp {
    let interval_millis = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let tolerance = i64::try_from(ALIGNMENT_TOLERANCE.min(interval / 100).as_millis()).unwrap_or_default();
    let Some(last) = *planned else {
        *planned = Some(now);
        return now;
    };
    let due = last + (now - last + tolerance) / interval_millis * interval_millis;
    // Far off, or before the last one: the clock was set.
    let steady = (now - due).abs() <= tolerance && due > last;
    *planned = Some(if steady || now > last { due.max(last) } else { now });
    if steady { due } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_what_is_nearly_on_time() {
        let check = |planned, now, at, next| {
            let mut state = planned;
            assert_eq!((align(now, &mut state, Duration::from_secs(10)), state), (at, next), "{planned:?} {now}");
        };
        check(None, 1_003, 1_003, Some(1_003));
        check(Some(1_003), 11_003, 11_003, Some(11_003));
        check(Some(1_003), 11_005, 11_003, Some(11_003));
        check(Some(1_003), 11_002, 11_003, Some(11_003));
        check(Some(1_003), 11_050, 11_050, Some(11_003));
        check(Some(1_003), 31_004, 31_003, Some(31_003));
        check(Some(1_003), 500, 500, Some(500));
    }

    #[test]
    fn spreads_targets() {
        let check = |now, seed, expected| {
            assert_eq!(first_delay(now, Duration::from_secs(10), seed), Duration::from_millis(expected));
        };
        check(0, 0, 0);
        check(4_000, 0, 6_000);
        check(4_000, 5_000_000_000, 1_000);
        check(4_000, 25_000_000_000, 1_000);
        check(-4_000, 0, 10_000 % 10_000);
    }
}
