//! What happens to the node, and when: all of it relative to the demo's start.

use model::Timestamp;

use crate::endpoint::{Endpoint, Process};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The restart lies this long before the start.
const RESTART_BEFORE: i64 = 9 * HOUR + 7 * MINUTE;
/// While the agent restarts, two scrapes of 15 seconds fail, whatever their phase.
const OUTAGE: i64 = 30 * SECOND;
/// The agent's process starts this long before it answers.
const WARM_UP: i64 = 4 * SECOND;
/// The incident comes back once an hour, so that a demo left alone stays lively.
const INCIDENT_PERIOD: f64 = 3_600.0;

/// Something that changes the node's behaviour for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A dozen minutes of drops, five hours before the start: a scanner meets policies, and a service loses pods.
    DropBurst,
    /// The agent restarts nine hours before the start; the pulse is its recovery.
    Restart,
    /// `shop/orders` gets new pods, three hours before the start.
    Deployment,
    /// From two seconds after the start: `shop/orders` loses its last pod. It lasts twelve minutes and recurs hourly.
    Incident,
}

impl Event {
    pub(crate) const ALL: [Self; 4] = [Self::DropBurst, Self::Restart, Self::Deployment, Self::Incident];

    fn pulse(self) -> Pulse {
        match self {
            Self::DropBurst => Pulse { ramp: 60.0, length: 720.0 },
            Self::Restart => Pulse { ramp: 5.0, length: 90.0 },
            Self::Deployment => Pulse { ramp: 20.0, length: 240.0 },
            Self::Incident => Pulse { ramp: 3.0, length: 720.0 },
        }
    }
}

/// A trapezoid of height 1: up over `ramp` seconds, level, down over `ramp` seconds; `length` seconds in all.
#[derive(Clone, Copy)]
struct Pulse {
    ramp: f64,
    length: f64,
}

impl Pulse {
    fn level(self, x: f64) -> f64 {
        (x / self.ramp).min((self.length - x) / self.ramp).clamp(0.0, 1.0)
    }

    /// The integral of [`Pulse::level`] from 0 to `x`.
    fn total(self, x: f64) -> f64 {
        let climbed = |x: f64| {
            let x = x.max(0.0);
            if x < self.ramp { x * x / (2.0 * self.ramp) } else { x - self.ramp / 2.0 }
        };
        climbed(x) - climbed(x - (self.length - self.ramp))
    }
}

/// Where the events lie on the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline {
    start: Timestamp,
}

impl Timeline {
    pub(crate) fn new(start: Timestamp) -> Self {
        Self { start }
    }

    pub(crate) fn start(self) -> Timestamp {
        self.start
    }

    /// When an event begins; for the incident its first time.
    pub(crate) fn begins(self, event: Event) -> Timestamp {
        match event {
            Event::DropBurst => self.start - 5 * HOUR - 10 * MINUTE,
            Event::Restart => self.start - RESTART_BEFORE + OUTAGE,
            Event::Deployment => self.start - 3 * HOUR - 20 * MINUTE,
            Event::Incident => self.start + 2 * SECOND,
        }
    }

    /// How strong an event is: 0 to 1.
    pub(crate) fn level(self, event: Event, at: Timestamp) -> f64 {
        event.pulse().level(self.phase(event, at).1)
    }

    /// The integral of [`Timeline::level`] over all time before, in seconds.
    pub(crate) fn total(self, event: Event, at: Timestamp) -> f64 {
        let pulse = event.pulse();
        let (passed, phase) = self.phase(event, at);
        passed * pulse.total(pulse.length) + pulse.total(phase)
    }

    /// How often the event is over, and seconds since it began the last time.
    fn phase(self, event: Event, at: Timestamp) -> (f64, f64) {
        let x = (at - self.begins(event)) as f64 / 1_000.0;
        if event != Event::Incident || x < 0.0 {
            return (0.0, x);
        }
        let passed = (x / INCIDENT_PERIOD).floor();
        (passed, x - passed * INCIDENT_PERIOD)
    }

    /// Whether an endpoint answers.
    pub(crate) fn is_up(self, endpoint: Endpoint, at: Timestamp) -> bool {
        let down = self.start - RESTART_BEFORE;
        endpoint.process() != Process::Agent || !(down..down + OUTAGE).contains(&at)
    }

    /// When the process that runs at a time was started.
    pub(crate) fn started(self, process: Process, at: Timestamp) -> Timestamp {
        let restarted = self.start - RESTART_BEFORE + OUTAGE - WARM_UP;
        match process {
            Process::Agent if at >= restarted => restarted,
            Process::Agent => self.start - 9 * DAY - 4 * HOUR - 13 * MINUTE,
            Process::Operator => self.start - 21 * DAY - 17 * MINUTE,
            Process::Envoy => self.start - 16 * DAY - 2 * HOUR,
            Process::Relay => self.start - 16 * DAY - 2 * HOUR - 41 * SECOND,
            Process::Kernel => self.start - 26 * DAY - 11 * HOUR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_integrals_of_levels() {
        let timeline = Timeline::new(1_700_000_000_000);
        for event in Event::ALL {
            let from = timeline.begins(event) - 10 * SECOND;
            let mut summed = 0.0;
            for at in (from..from + 2 * HOUR).step_by(500) {
                summed += timeline.level(event, at + 250) * 0.5;
                let total = timeline.total(event, at + 500) - timeline.total(event, from);
                assert!((total - summed).abs() < 0.1, "{event:?} at {at}: {total} against {summed}");
            }
        }
    }

    #[test]
    fn the_agent_is_down_for_two_scrapes() {
        let timeline = Timeline::new(1_700_000_000_000);
        let day = || (timeline.start - DAY..timeline.start).step_by(15_000);
        let down = |endpoint| day().filter(|&at| !timeline.is_up(endpoint, at)).count();
        assert_eq!(Endpoint::ALL.map(down), [2, 0, 0, 2, 0]);
    }
}
