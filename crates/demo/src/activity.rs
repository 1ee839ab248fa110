//! What keeps the node busy: a handful of activities from which every counter and most gauges are derived.
//!
//! An activity has a rate of about 1 a second on average over a day, and its integral exists in closed form, so that
//! a counter at any time needs no walk through the time before. Three monotonic warps are chained: the shape of the
//! day, bursts that squeeze what a half hour brings into a few minutes, and noise. Noise warps the *integral* by a
//! bounded amount whose slope is less than 1: the counter never falls, and the noise of the rate is proportional to the
//! rate. Events come on top.

use model::Timestamp;

use crate::noise::{SMOOTH_SLOPE_MAX, mix, smooth, smoothstep, unit};
use crate::timeline::{Event, Timeline};

const HOUR_SECONDS: f64 = 3_600.0;
const DAY_SECONDS: f64 = 24.0 * HOUR_SECONDS;
/// Integrals begin at a midnight this long before the start: earlier than the start of any process of the node.
const ORIGIN_BEFORE_MILLIS: i64 = 30 * 86_400_000;

/// Load at each full hour (UTC) against the day's average: quiet nights, a lunch dip, the peak in the evening.
const HOURS: [f64; 24] = [
    0.40, 0.31, 0.26, 0.24, 0.24, 0.28, 0.42, 0.70, 1.05, 1.30, 1.42, 1.38, 1.10, 1.04, 1.28, 1.40, 1.36, 1.30, 1.38,
    1.62, 1.78, 1.60, 1.12, 0.68,
];

/// A burst belongs to a cell of this many seconds of activity.
const BURST_CELL: f64 = 1_800.0;
/// So many of the cells have a burst.
const BURST_CHANCE: f64 = 0.45;

/// Periods of the noise in seconds of activity, and each one's share of its strength.
const OCTAVES: [(f64, f64); 3] = [(60.0, 0.40), (400.0, 0.35), (2_400.0, 0.25)];

/// The level of an activity is its mean rate over this time before, so that gauges move no faster than a node does.
const LEVEL_WINDOW_MILLIS: i64 = 30_000;

/// What the node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Packets of pods.
    Packets,
    /// HTTP requests of the shop.
    Requests,
    /// DNS lookups.
    Lookups,
    /// Events of the Kubernetes API and what they cause.
    Cluster,
    /// What a timer starts.
    Timers,
    /// Packets that policy denies.
    Denied,
    /// Packets to a service without a backend; 1 at the height of the incident.
    NoBackend,
    /// Endpoints that are rebuilt.
    Churn,
    /// Warnings, resets, time-outs.
    Faults,
}

/// How an activity behaves.
struct Behaviour {
    /// Rate without events, a second.
    base: f64,
    /// How much of the day's shape it follows, 0 to 1.
    depth: f64,
    /// Largest share of a cell that a burst takes, below 1.
    burst: f64,
    /// Strength of the noise against the rate, below 1.
    noise: f64,
    /// Rate added at the height of an event.
    events: &'static [(Event, f64)],
}

impl Activity {
    pub(crate) const ALL: [Self; 9] = [
        Self::Packets,
        Self::Requests,
        Self::Lookups,
        Self::Cluster,
        Self::Timers,
        Self::Denied,
        Self::NoBackend,
        Self::Churn,
        Self::Faults,
    ];

    fn behaviour(self) -> Behaviour {
        let plain = |depth, burst, noise| Behaviour { base: 1.0, depth, burst, noise, events: &[] };
        match self {
            Self::Packets => plain(0.80, 0.05, 0.65),
            Self::Requests => plain(0.95, 0.07, 0.70),
            Self::Lookups => plain(0.60, 0.05, 0.65),
            Self::Timers => plain(0.0, 0.0, 0.15),
            Self::Cluster => {
                Behaviour { events: &[(Event::Deployment, 12.0), (Event::Restart, 20.0)], ..plain(0.25, 0.06, 0.60) }
            }
            Self::Denied => {
                Behaviour { events: &[(Event::DropBurst, 60.0), (Event::Incident, 1.5)], ..plain(0.30, 0.10, 0.70) }
            }
            Self::NoBackend => Behaviour {
                base: 0.002,
                events: &[(Event::DropBurst, 0.45), (Event::Deployment, 0.01), (Event::Incident, 1.0)],
                ..plain(0.80, 0.10, 0.60)
            },
            Self::Churn => Behaviour {
                events: &[(Event::Deployment, 30.0), (Event::Restart, 60.0), (Event::Incident, 6.0)],
                ..plain(0.20, 0.20, 0.70)
            },
            Self::Faults => Behaviour {
                events: &[(Event::Restart, 25.0), (Event::DropBurst, 4.0), (Event::Incident, 8.0)],
                ..plain(0.40, 0.20, 0.60)
            },
        }
    }
}

/// Evaluates activities of one world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activities {
    seed: u64,
    timeline: Timeline,
    origin: Timestamp,
}

impl Activities {
    pub(crate) fn new(seed: u64, timeline: Timeline) -> Self {
        let day = DAY_SECONDS as i64 * 1_000;
        let origin = (timeline.start() - ORIGIN_BEFORE_MILLIS).div_euclid(day) * day;
        Self { seed, timeline, origin }
    }

    /// The integral of the rate since the origin.
    pub(crate) fn total(&self, activity: Activity, at: Timestamp) -> f64 {
        let behaviour = activity.behaviour();
        let salt = mix(self.seed ^ mix(activity as u64 + 1));
        let seconds = (at - self.origin) as f64 / 1_000.0;
        let shaped = seconds + behaviour.depth * (day_total(seconds) - seconds);
        let bursting = squeeze(salt, behaviour.burst, shaped);
        let events: f64 = behaviour.events.iter().map(|&(event, gain)| gain * self.timeline.total(event, at)).sum();
        behaviour.base * warp(mix(salt), behaviour.noise, bursting) + events
    }

    /// [`Activities::total`] of every activity.
    pub(crate) fn totals(&self, at: Timestamp) -> [f64; Activity::ALL.len()] {
        Activity::ALL.map(|activity| self.total(activity, at))
    }

    /// The mean rate of late.
    pub(crate) fn level(&self, activity: Activity, at: Timestamp) -> f64 {
        let rise = self.total(activity, at) - self.total(activity, at - LEVEL_WINDOW_MILLIS);
        rise / (LEVEL_WINDOW_MILLIS as f64 / 1_000.0)
    }
}

/// Bends a monotonic integral by noise of this strength (below 1); the result is monotonic too.
pub(crate) fn warp(salt: u64, strength: f64, x: f64) -> f64 {
    let bend = |(period, share): (f64, f64)| strength * share * period / SMOOTH_SLOPE_MAX * smooth(salt, x / period);
    x + OCTAVES.into_iter().map(bend).sum::<f64>()
}

/// The integral of the day's shape, normalised to an average of 1, over the seconds since a midnight.
fn day_total(seconds: f64) -> f64 {
    let day = (seconds / DAY_SECONDS).floor();
    let hours = (seconds - day * DAY_SECONDS) / HOUR_SECONDS;
    let whole = (hours as usize).min(HOURS.len() - 1);
    let before: f64 = (0..whole).map(|hour| (load_at(hour) + load_at(hour + 1)) / 2.0).sum();
    let part = hours - whole as f64;
    let slope = load_at(whole + 1) - load_at(whole);
    let today = before + load_at(whole) * part + slope * part * part / 2.0;
    let average = HOURS.iter().sum::<f64>() / HOURS.len() as f64;
    day * DAY_SECONDS + today * HOUR_SECONDS / average
}

fn load_at(hour: usize) -> f64 {
    HOURS[hour % HOURS.len()]
}

/// Moves part of what a cell brings into a burst; what the cell brings in all stays.
fn squeeze(salt: u64, share_max: f64, x: f64) -> f64 {
    let cell = (x / BURST_CELL).floor();
    let random = |nth: i64| unit(salt, cell as i64 * 4 + nth);
    if share_max == 0.0 || random(0) >= BURST_CHANCE {
        return x;
    }
    let (share, begin, width) = (share_max * random(1), 0.05 + 0.75 * random(2), 0.06 + 0.09 * random(3));
    let u = x / BURST_CELL - cell;
    (cell + (1.0 - share) * u + share * smoothstep((u - begin) / width)) * BURST_CELL
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = 1_700_000_000_000;

    #[test]
    fn totals_never_fall_and_average_to_the_base() {
        let activities = Activities::new(42, Timeline::new(START));
        for activity in Activity::ALL {
            let mut last = f64::NEG_INFINITY;
            for at in (START - 86_400_000..START + 3_600_000).step_by(10_000) {
                let total = activities.total(activity, at);
                assert!(total >= last, "{activity:?} at {at}: {total} after {last}");
                last = total;
            }
        }
        let rise = activities.total(Activity::Packets, START) - activities.total(Activity::Packets, START - 86_400_000);
        assert!((rise / 86_400.0 - 1.0).abs() < 0.02, "{rise}");
    }

    #[test]
    fn evenings_are_busy_and_nights_are_quiet() {
        let activities = Activities::new(42, Timeline::new(START));
        let hour = |hour: i64| {
            let from = START - START.rem_euclid(86_400_000) + hour * 3_600_000;
            activities.total(Activity::Requests, from + 3_600_000) - activities.total(Activity::Requests, from)
        };
        assert!(hour(20) > 4.0 * hour(3), "{} against {}", hour(20), hour(3));
        assert!(hour(12) < hour(10), "lunch {} against {}", hour(12), hour(10));
    }
}
