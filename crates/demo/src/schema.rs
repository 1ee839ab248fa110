//! The language in which pages are described: families, their series, and the model behind each series.
//!
//! A description is made once per world. A row's model then gives one value at any time, or, for a histogram, all its
//! buckets, the sum and the count; values come in the order of the description.

use std::borrow::Cow;

use model::{MetricKind, Timestamp};

use crate::activity::{Activity, warp};
use crate::noise::{mix, salt, smooth, unit};
use crate::timeline::Event;

/// Steepness of the log-logistic distribution of latencies: at 3 the 99th percentile is about 4.6 medians.
const LATENCY_SHAPE: f64 = 3.0;
/// Slow observations take this many times as long as the others,
const SLOW_FACTOR: f64 = 7.0;
/// and are this share of all, swinging between nearly nothing and twice as much.
const SLOW_SHARE: f64 = 0.04;
/// How strongly a series' own noise bends its counter beside that of its activity.
const SERIES_NOISE: f64 = 0.30;
/// How strongly the share of slow observations swings.
const SLOW_NOISE: f64 = 0.95;
/// Gauges sway over this many seconds.
const SWAY_SECONDS: f64 = 240.0;

/// Bounds that Go's client takes when a histogram names none, in seconds.
pub(crate) const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The description of one endpoint's page.
#[derive(Debug)]
pub(crate) struct Page {
    seed: u64,
    pub(crate) families: Vec<FamilyRows>,
}

/// One family and its rows.
#[derive(Debug)]
pub(crate) struct FamilyRows {
    seed: u64,
    pub(crate) name: Cow<'static, str>,
    pub(crate) help: &'static str,
    pub(crate) kind: MetricKind,
    pub(crate) rows: Vec<Row>,
}

/// One label set of a family: one series, or one histogram.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) life: Life,
    model: Model,
    salt: u64,
}

/// When a row is on the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Life {
    Always,
    /// Until one minute after an event began, as Hubble forgets pods that are gone.
    Until(Event),
    /// From the beginning of an event.
    Since(Event),
}

/// How a row's values come about.
#[derive(Debug)]
pub(crate) enum Model {
    Counter(Flow),
    Gauge(Gauge),
    Histogram(Flow, Vec<Bucket>),
}

/// Something that happens at a rate: so many times a second where its activity has the rate 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    activity: Activity,
    per_second: f64,
    whole: bool,
    /// It lives in the kernel: the restart of its process leaves it alone.
    pinned: bool,
    /// Flows of one tie and activity share their noise, so that answers keep to requests and bytes to packets.
    tie: Option<u64>,
}

/// A value that goes up and down.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gauge {
    /// It does not change.
    Constant(f64),
    /// `base + gain * level of the activity`, swaying by `sway`, never below 0.
    Level { activity: Activity, base: f64, gain: f64, sway: f64, whole: bool },
    /// `base + gain * level of the event`, rounded.
    During { event: Event, base: f64, gain: f64 },
    /// When the process started, in seconds since 1970.
    Started,
    /// Seconds since the process started.
    Uptime,
    /// The last time, in seconds since 1970, at which a timer of this period fired.
    LastTick(f64),
}

/// A bucket of a histogram, not cumulative: how much of the fast and of the slow observations it takes.
#[derive(Debug)]
pub(crate) struct Bucket {
    bound: f64,
    fast: f64,
    slow: f64,
    /// What an observation in it adds to the sum.
    mean: f64,
    /// Where between two whole numbers its count ticks.
    phase: f64,
}

/// What rows are evaluated against: the activities at one time.
pub(crate) struct Moment<'w> {
    pub(crate) at: Timestamp,
    pub(crate) started: Timestamp,
    pub(crate) totals: Amounts,
    pub(crate) levels: Amounts,
    /// Totals when the endpoint's process started.
    pub(crate) at_start: Amounts,
    /// Totals when the kernel started.
    pub(crate) at_boot: &'w Amounts,
    /// Totals when each event began.
    pub(crate) at_events: &'w [Amounts; Event::ALL.len()],
    pub(crate) events: [EventState; Event::ALL.len()],
}

/// One number for each activity.
pub(crate) type Amounts = [f64; Activity::ALL.len()];

/// An event as seen from a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EventState {
    pub(crate) level: f64,
    pub(crate) seconds_since: f64,
}

/// Hubble forgets a pod this many seconds after it is gone.
const FORGET_SECONDS: f64 = 60.0;

impl Page {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, families: Vec::new() }
    }

    pub(crate) fn counter(&mut self, name: impl Into<Cow<'static, str>>, help: &'static str) -> &mut FamilyRows {
        self.family(name.into(), MetricKind::Counter, help)
    }

    pub(crate) fn gauge(&mut self, name: impl Into<Cow<'static, str>>, help: &'static str) -> &mut FamilyRows {
        self.family(name.into(), MetricKind::Gauge, help)
    }

    pub(crate) fn histogram(&mut self, name: impl Into<Cow<'static, str>>, help: &'static str) -> &mut FamilyRows {
        self.family(name.into(), MetricKind::Histogram, help)
    }

    pub(crate) fn family(&mut self, name: Cow<'static, str>, kind: MetricKind, help: &'static str) -> &mut FamilyRows {
        let last = self.families.len();
        self.families.push(FamilyRows { seed: self.seed, name, help, kind, rows: Vec::new() });
        &mut self.families[last]
    }

    /// The values of all series at a moment, in the order of the description; `None` where a row is not on the page.
    pub(crate) fn evaluate(&self, moment: &Moment<'_>, values: &mut Vec<Option<f64>>) {
        values.clear();
        for row in self.families.iter().flat_map(|family| &family.rows) {
            row.evaluate(moment, values);
        }
    }
}

impl FamilyRows {
    /// Adds a row.
    pub(crate) fn row(&mut self, labels: &[(&'static str, &str)], model: impl Into<Model>) -> &mut Self {
        self.row_for(Life::Always, labels, model)
    }

    /// Adds a row that is on the page for a part of the time.
    pub(crate) fn row_for(
        &mut self,
        life: Life,
        labels: &[(&'static str, &str)],
        model: impl Into<Model>,
    ) -> &mut Self {
        let labels: Vec<_> = labels.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        let own = salt(self.seed, &format!("{}{labels:?}", self.name));
        let mut model = model.into();
        if let Model::Histogram(_, buckets) = &mut model {
            for (nth, bucket) in buckets.iter_mut().enumerate() {
                bucket.phase = unit(own, nth as i64);
            }
        }
        let salt = model.tie().map_or(own, |tie| mix(self.seed ^ tie));
        self.rows.push(Row { labels, life, model, salt });
        self
    }
}

impl Row {
    /// Suffix and bucket bound of each series that this row gives, in the order of its values.
    pub(crate) fn series(&self) -> Vec<(&'static str, Option<f64>)> {
        let Model::Histogram(_, buckets) = &self.model else { return vec![("", None)] };
        let bounds = buckets.iter().map(|bucket| ("_bucket", Some(bucket.bound)));
        bounds.chain([("_sum", None), ("_count", None)]).collect()
    }

    fn evaluate(&self, moment: &Moment<'_>, values: &mut Vec<Option<f64>>) {
        if !self.life.is_alive(moment) {
            values.extend(self.series().iter().map(|_| None));
            return;
        }
        match &self.model {
            Model::Counter(flow) if flow.whole => values.push(Some(flow.total(self, moment).floor())),
            Model::Counter(flow) => values.push(Some(flow.total(self, moment))),
            Model::Gauge(gauge) => values.push(Some(gauge.value(self.salt, moment))),
            Model::Histogram(flow, buckets) => observe(self, flow, buckets, moment, values),
        }
    }
}

impl Life {
    fn is_alive(self, moment: &Moment<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Until(event) => moment.events[event as usize].seconds_since < FORGET_SECONDS,
            Self::Since(event) => moment.events[event as usize].seconds_since >= 0.0,
        }
    }
}

/// A counter of whole things.
pub(crate) fn flow(activity: Activity, per_second: f64) -> Flow {
    Flow { activity, per_second, whole: true, pinned: false, tie: None }
}

impl Flow {
    /// It counts seconds or other fractions.
    pub(crate) fn fractional(self) -> Self {
        Self { whole: false, ..self }
    }

    /// It is counted in the kernel and outlives the agent.
    pub(crate) fn pinned(self) -> Self {
        Self { pinned: true, ..self }
    }

    /// It shares its noise with all that have the same tie.
    pub(crate) fn tied(self, tie: &str) -> Self {
        Self { tie: Some(salt(0, tie)), ..self }
    }

    /// The amount since the counter was born, bent by noise of its own.
    fn total(&self, row: &Row, moment: &Moment<'_>) -> f64 {
        self.bent(row.life, row.salt, SERIES_NOISE, moment)
    }

    fn bent(&self, life: Life, salt: u64, noise: f64, moment: &Moment<'_>) -> f64 {
        let activity = self.activity as usize;
        let process = if self.pinned { moment.at_boot[activity] } else { moment.at_start[activity] };
        let born = match life {
            // Totals rise, so the larger one is the later one.
            Life::Since(event) => process.max(moment.at_events[event as usize][activity]),
            Life::Always | Life::Until(_) => process,
        };
        let grown = warp(salt, noise, moment.totals[activity]) - warp(salt, noise, born);
        // The subtraction of two large integrals may leave a rounding error below zero right after the birth.
        (self.per_second * grown).max(0.0)
    }
}

/// Cumulative buckets, sum and count. Each bucket counts by itself and never falls, so that differences of buckets,
/// which a heat map shows, never fall either; the sum is made of the same observations.
fn observe(row: &Row, flow: &Flow, buckets: &[Bucket], moment: &Moment<'_>, values: &mut Vec<Option<f64>>) {
    let slow = SLOW_SHARE * flow.bent(row.life, !row.salt, SLOW_NOISE, moment);
    // It never falls: the slow ones grow at most twice `SLOW_SHARE` as fast as all, which is less than what is left of
    // the growth of all where its noise is against it.
    let fast = flow.total(row, moment) - slow;
    let (mut count, mut sum) = (0.0, 0.0);
    for bucket in buckets {
        let inside = (bucket.fast * fast + bucket.slow * slow + bucket.phase).floor();
        count += inside;
        sum += inside * bucket.mean;
        values.push(Some(count));
    }
    values.extend([Some(sum), Some(count)]);
}

/// A histogram of durations around a median; `bounds` rise and are in the unit of the median.
pub(crate) fn durations(activity: Activity, per_second: f64, bounds: &[f64], median: f64) -> Model {
    let uppers = bounds.iter().copied().chain([f64::INFINITY]);
    let lowers = [0.0].into_iter().chain(bounds.iter().copied());
    let bucket = |(lower, upper): (f64, f64)| Bucket {
        bound: upper,
        fast: below(upper, median) - below(lower, median),
        slow: below(upper, median * SLOW_FACTOR) - below(lower, median * SLOW_FACTOR),
        mean: typical(lower, upper, median),
        phase: 0.0,
    };
    Model::Histogram(flow(activity, per_second), lowers.zip(uppers).map(bucket).collect())
}

/// The log-logistic distribution function.
fn below(bound: f64, median: f64) -> f64 {
    if bound == 0.0 {
        return 0.0;
    }
    1.0 / (1.0 + (bound / median).powf(-LATENCY_SHAPE))
}

/// What an observation between two bounds is taken for.
fn typical(lower: f64, upper: f64, median: f64) -> f64 {
    if lower == 0.0 {
        return median.min(upper * 0.7);
    }
    if upper.is_infinite() { lower * 1.5 } else { (lower * upper).sqrt() }
}

/// A gauge that does not change.
pub(crate) fn constant(value: f64) -> Gauge {
    Gauge::Constant(value)
}

/// A gauge of whole things: `base` and `gain` times an activity's level, swaying by `sway`.
pub(crate) fn level(activity: Activity, base: f64, gain: f64, sway: f64) -> Gauge {
    Gauge::Level { activity, base, gain, sway, whole: true }
}

/// As [`level`], for fractions.
pub(crate) fn fraction(activity: Activity, base: f64, gain: f64, sway: f64) -> Gauge {
    Gauge::Level { activity, base, gain, sway, whole: false }
}

/// A gauge that an event moves.
pub(crate) fn during(event: Event, base: f64, gain: f64) -> Gauge {
    Gauge::During { event, base, gain }
}

impl Gauge {
    fn value(self, salt: u64, moment: &Moment<'_>) -> f64 {
        let seconds = moment.at as f64 / 1_000.0;
        match self {
            Self::Constant(value) => value,
            Self::Level { activity, base, gain, sway, whole } => {
                let value =
                    base + gain * moment.levels[activity as usize] + sway * smooth(salt, seconds / SWAY_SECONDS);
                let value = value.max(0.0);
                if whole { value.round() } else { value }
            }
            Self::During { event, base, gain } => (base + gain * moment.events[event as usize].level).round(),
            Self::Started => moment.started as f64 / 1_000.0,
            Self::Uptime => ((moment.at - moment.started) as f64 / 1_000.0).floor(),
            Self::LastTick(period) => (seconds / period).floor() * period,
        }
    }
}

impl Model {
    /// Ties the model's flow, if it has one; see [`Flow::tied`].
    pub(crate) fn tied(self, to: &str) -> Self {
        match self {
            Self::Counter(flow) => Self::Counter(flow.tied(to)),
            Self::Histogram(flow, buckets) => Self::Histogram(flow.tied(to), buckets),
            Self::Gauge(_) => self,
        }
    }

    fn tie(&self) -> Option<u64> {
        match self {
            Self::Counter(flow) | Self::Histogram(flow, _) => flow.tie,
            Self::Gauge(_) => None,
        }
    }
}

impl From<Flow> for Model {
    fn from(flow: Flow) -> Self {
        Self::Counter(flow)
    }
}

impl From<Gauge> for Model {
    fn from(gauge: Gauge) -> Self {
        Self::Gauge(gauge)
    }
}
