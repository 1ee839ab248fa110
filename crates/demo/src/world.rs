//! The node at any time.

use model::{BUCKET_BOUND, Families, Point, Timestamp};

use crate::activity::{Activities, Activity};
use crate::endpoint::{Endpoint, Process};
use crate::pages;
use crate::schema::{Amounts, EventState, Moment, Page, Row};
use crate::timeline::{Event, Timeline};

/// A simulated node. Two worlds of the same seed and start are the same at every time.
#[derive(Debug)]
pub struct World {
    timeline: Timeline,
    activities: Activities,
    at_boot: Amounts,
    at_events: [Amounts; Event::ALL.len()],
    /// By [`Endpoint::index`].
    pages: [Page; Endpoint::ALL.len()],
}

impl World {
    /// A world whose demo starts at `start`: history lies before, the incident begins two seconds after.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        let timeline = Timeline::new(start);
        let activities = Activities::new(seed, timeline);
        Self {
            timeline,
            activities,
            at_boot: activities.totals(timeline.started(Process::Kernel, start)),
            at_events: Event::ALL.map(|event| activities.totals(timeline.begins(event))),
            pages: Endpoint::ALL.map(|endpoint| pages::describe(endpoint, seed)),
        }
    }

    /// When the demo starts.
    pub fn start(&self) -> Timestamp {
        self.timeline.start()
    }

    /// When an event begins; for the incident its first time.
    pub fn begins(&self, event: Event) -> Timestamp {
        self.timeline.begins(event)
    }

    /// Whether the endpoint answers at this time.
    pub fn is_up(&self, endpoint: Endpoint, at: Timestamp) -> bool {
        self.timeline.is_up(endpoint, at)
    }

    /// What the endpoint shows at this time; `None` while it does not answer.
    pub fn page(&self, endpoint: Endpoint, at: Timestamp) -> Option<Families> {
        if !self.is_up(endpoint, at) {
            return None;
        }
        let mut values = Vec::new();
        self.evaluate(endpoint, at, &mut values);
        Some(render(self.description(endpoint), &values))
    }

    pub(crate) fn description(&self, endpoint: Endpoint) -> &Page {
        &self.pages[endpoint.index()]
    }

    /// The values of [`World::page`] alone, in the order of the description; `None` for series that are not there.
    pub(crate) fn evaluate(&self, endpoint: Endpoint, at: Timestamp, values: &mut Vec<Option<f64>>) {
        self.description(endpoint).evaluate(&self.moment(endpoint, at), values);
    }

    fn moment(&self, endpoint: Endpoint, at: Timestamp) -> Moment<'_> {
        let started = self.timeline.started(endpoint.process(), at);
        Moment {
            at,
            started,
            totals: self.activities.totals(at),
            levels: Activity::ALL.map(|activity| self.activities.level(activity, at)),
            at_start: self.activities.totals(started),
            at_boot: &self.at_boot,
            at_events: &self.at_events,
            events: Event::ALL.map(|event| EventState {
                level: self.timeline.level(event, at),
                seconds_since: (at - self.timeline.begins(event)) as f64 / 1_000.0,
            }),
        }
    }
}

/// Families with points, families without any left out.
fn render(page: &Page, values: &[Option<f64>]) -> Families {
    let mut families = Families::default();
    let mut values = values.iter();
    for described in &page.families {
        let points: Vec<Point> = described.rows.iter().flat_map(|row| points(row, &mut values)).collect();
        if !points.is_empty() {
            families.family(described.name.clone(), described.kind, described.help).points = points;
        }
    }
    families
}

fn points<'a>(row: &Row, values: &mut impl Iterator<Item = &'a Option<f64>>) -> Vec<Point> {
    let point = |(suffix, bound): (&'static str, Option<f64>)| {
        let value = values.next().copied().flatten()?;
        let labels = row.labels.iter().map(|(name, value)| ((*name).into(), value.clone()));
        let bound = bound.map(|bound| {
            let mut text = String::new();
            exposition::format_float(bound, &mut text);
            (BUCKET_BOUND.into(), text)
        });
        Some(Point { suffix, labels: labels.chain(bound).collect(), value })
    };
    // Every series of a row is asked for its value, present or not, so that rows and values stay in step.
    row.series().into_iter().map(point).collect::<Vec<_>>().into_iter().flatten().collect()
}
