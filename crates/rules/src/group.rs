//! A group between evaluations: its rules, what they gave, how it went.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use model::status::{Health, RuleGroupStatus, RuleStatus};
use model::{AppendError, Appender, Durability, Labels, Sample, Timestamp, stale_nan};
use promql::Cancel;

use crate::alerting::Alerting;
use crate::context::{Context, millis};
use crate::history::RulePlace;
use crate::recording::Recorded;
use crate::{Error, Group, Rule, batch, recording, restore};

/// Groups whose evaluation takes less are evaluated by one thread: another one costs more than it saves.
const CONCURRENT_FROM: Duration = Duration::from_millis(50);

/// Threads of one group's evaluation, as many as Prometheus evaluates rules at once.
const THREADS_MAX: usize = 4;

/// A group with its state. One thread at a time evaluates it, and may take others to help.
pub(crate) struct Running {
    group: Group,
    /// Places of rules that may be evaluated at once.
    batches: Vec<Vec<usize>>,
    interval: Duration,
    offset: i64,
    rules: Vec<State>,
    /// Series of rules that a reload removed; the next evaluation ends them.
    orphans: HashSet<Labels>,
    pub(crate) tally: Tally,
}

/// What the group's metrics count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) iterations: u64,
    pub(crate) missed: u64,
    pub(crate) evaluations: u64,
    pub(crate) failures: u64,
    pub(crate) last_samples: u64,
    last_evaluation: Option<Timestamp>,
    evaluation_time: Duration,
}

/// A rule with its state.
struct State {
    rule: Rule,
    alerting: Option<Alerting>,
    /// What the last good evaluation wrote; what is missing from the next one gets a staleness marker.
    written: HashSet<Labels>,
    health: Health,
    last_error: String,
    last_evaluation: Option<Timestamp>,
    evaluation_time: Duration,
}

impl Running {
    /// A group that was not evaluated yet. `restored` is false at the start of the process: alerts then wait for
    /// [`Running::restore`] before they are written.
    pub(crate) fn new(group: Group, context: &Context, restored: bool) -> Self {
        let options = &context.options;
        let interval = group.interval.unwrap_or(options.evaluation_interval);
        let offset = millis(group.query_offset.unwrap_or(options.query_offset));
        let rules = group.rules.iter().map(|rule| State::new(rule, restored)).collect();
        let batches = batch::batches(&group.rules);
        Self { group, batches, interval, offset, rules, orphans: HashSet::new(), tally: Tally::default() }
    }

    /// As after an evaluation that took long.
    #[cfg(test)]
    pub(crate) fn take_long(&mut self) {
        self.tally.evaluation_time = CONCURRENT_FROM;
    }

    /// Time between evaluations.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes over what rules of the same name and labels knew before a reload.
    pub(crate) fn adopt(&mut self, old: &mut Self, context: &Context) {
        self.tally = old.tally;
        self.orphans = mem::take(&mut old.orphans);
        let mut old_rules: Vec<Option<State>> = mem::take(&mut old.rules).into_iter().map(Some).collect();
        for state in &mut self.rules {
            let same = |old: &&mut Option<State>| {
                old.as_ref().is_some_and(|old| old.rule.name == state.rule.name && old.rule.labels == state.rule.labels)
            };
            if let Some(old) = old_rules.iter_mut().find(same).and_then(Option::take) {
                state.adopt(old);
            }
        }
        for mut gone in old_rules.into_iter().flatten() {
            gone.forget();
            if !self.rules.iter().any(|state| state.rule.name == gone.rule.name) {
                self.settle(&gone, context, context.clock.now());
            }
            self.orphans.extend(gone.written);
        }
    }

    /// Evaluates the rules, in order where one reads what another writes. An error of one leaves the others alone.
    pub(crate) fn evaluate(&mut self, context: &Context, at: Timestamp, cancel: &Cancel) {
        let started = Instant::now();
        let slot = Slot { at, offset: self.offset, limit: self.group.limit, interval: self.interval };
        self.tally.iterations += 1;
        let all = Round { group: &self.group, context, slot, cancel, results: Mutex::default() };
        if self.tally.evaluation_time < CONCURRENT_FROM {
            all.run(self.rules.iter_mut(), 1);
        } else {
            for batch in &self.batches {
                // The places of a batch rise.
                let states = self.rules.iter_mut().enumerate().filter(|(place, _)| batch.binary_search(place).is_ok());
                all.run(states.map(|(_, state)| state), THREADS_MAX.min(batch.len()));
            }
        }
        let results = all.results.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.tally.evaluations += results.evaluations;
        self.tally.failures += results.failures;
        self.tally.last_samples = results.samples;
        self.end_orphans(context, at - self.offset);
        self.tally.last_evaluation = Some(at);
        self.tally.evaluation_time = started.elapsed();
    }

    /// Brings back the alerts' beginnings after a restart.
    pub(crate) fn restore(&mut self, context: &Context, now: Timestamp) {
        for state in &mut self.rules {
            let Some(alerting) = state.alerting.as_mut().filter(|alerting| !alerting.is_restored()) else { continue };
            if let Err(error) = restore::restore(&state.rule, alerting, context, now) {
                tracing::warn!(rule = state.rule.name, %error, "the state of alerts before the restart could not be read");
            }
        }
        for state in &self.rules {
            self.settle(state, context, now);
        }
    }

    /// Ends in the history what a rule no longer has.
    fn settle(&self, state: &State, context: &Context, now: Timestamp) {
        if let (Some(history), Some(alerting)) = (&context.options.history, &state.alerting) {
            let active = |labels: &Labels| alerting.is_active(labels);
            history.settle(&place(&self.group, &state.rule), &active, now);
        }
    }

    /// Ends all series of a group that is no more.
    pub(crate) fn end(&mut self, context: &Context, now: Timestamp) {
        for mut state in mem::take(&mut self.rules) {
            state.forget();
            self.settle(&state, context, now);
            self.orphans.extend(state.written);
        }
        self.end_orphans(context, now);
    }

    fn end_orphans(&mut self, context: &Context, at: Timestamp) {
        if self.orphans.is_empty() {
            return;
        }
        let mut appender = context.appendable.appender();
        for labels in mem::take(&mut self.orphans) {
            mark_stale(&mut *appender, &labels, at);
        }
        if let Err(error) = appender.commit(Durability::Kernel) {
            tracing::warn!(group = self.group.name, %error, "series of removed rules could not be ended");
        }
    }

    /// The group as data.
    pub(crate) fn status(&self) -> RuleGroupStatus {
        RuleGroupStatus {
            name: self.group.name.clone(),
            file: self.group.file.clone(),
            interval: self.interval,
            limit: self.group.limit,
            rules: self.rules.iter().map(State::status).collect(),
            last_evaluation: self.tally.last_evaluation,
            evaluation_time: self.tally.evaluation_time,
        }
    }
}

/// An evaluation of a group's rules under way.
struct Round<'a> {
    group: &'a Group,
    context: &'a Context,
    slot: Slot,
    cancel: &'a Cancel,
    results: Mutex<Results>,
}

/// What came of them.
#[derive(Default)]
struct Results {
    evaluations: u64,
    failures: u64,
    samples: u64,
}

impl Round<'_> {
    /// Evaluates rules by so many threads, this one included.
    fn run<'s>(&self, states: impl Iterator<Item = &'s mut State> + Send, threads: usize) {
        let waiting = Mutex::new(states);
        thread::scope(|scope| {
            for _ in 1..threads {
                // Without another thread this one does it all.
                let _ = thread::Builder::new().spawn_scoped(scope, || self.work(&waiting));
            }
            self.work(&waiting);
        });
    }

    fn work<'s>(&self, waiting: &Mutex<impl Iterator<Item = &'s mut State>>) {
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some(state) = next() {
            if self.cancel.is_cancelled() {
                return;
            }
            let result = state.evaluate(self.context, self.group, self.slot, self.cancel);
            let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            results.evaluations += 1;
            match result {
                Ok(samples) => results.samples += samples,
                Err(error) => {
                    results.failures += 1;
                    tracing::warn!(group = self.group.name, rule = state.rule.name, file = self.group.file, %error,
                        "a rule could not be evaluated");
                }
            }
        }
    }
}

/// The evaluation that a rule is part of.
#[derive(Clone, Copy)]
struct Slot {
    at: Timestamp,
    offset: i64,
    limit: u64,
    interval: Duration,
}

impl State {
    fn new(rule: &Rule, restored: bool) -> Self {
        Self {
            alerting: Alerting::new(rule, restored),
            rule: rule.clone(),
            written: HashSet::new(),
            health: Health::Unknown,
            last_error: String::new(),
            last_evaluation: None,
            evaluation_time: Duration::ZERO,
        }
    }

    fn adopt(&mut self, mut old: Self) {
        if let (Some(alerting), Some(old)) = (&mut self.alerting, &mut old.alerting) {
            alerting.adopt(old);
        }
        self.written = old.written;
        self.health = old.health;
        self.last_error = old.last_error;
        self.last_evaluation = old.last_evaluation;
        self.evaluation_time = old.evaluation_time;
    }

    /// Evaluates, hands alerts on, writes. Returns the number of samples.
    fn evaluate(&mut self, context: &Context, group: &Group, slot: Slot, cancel: &Cancel) -> Result<u64, Error> {
        let started = Instant::now();
        let result = self.give(context, slot, cancel).and_then(|recorded| self.write(context, slot, recorded));
        self.remember(context, group, slot.at);
        self.evaluation_time = started.elapsed();
        self.last_evaluation = Some(slot.at);
        self.health = if result.is_ok() { Health::Good } else { Health::Bad };
        self.last_error = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        result
    }

    fn give(&mut self, context: &Context, slot: Slot, cancel: &Cancel) -> Result<Vec<Recorded>, Error> {
        let Slot { at, offset, limit, interval } = slot;
        let Some(alerting) = &mut self.alerting else {
            return recording::evaluate(&self.rule, context, at - offset, limit, cancel);
        };
        let series = alerting.evaluate(&self.rule, context, at, offset, limit, cancel)?;
        let due = alerting.due(&self.rule, context, at, interval);
        if !due.is_empty() {
            context.sink.send(due);
        }
        Ok(series)
    }

    /// The rule is no more, nor are its alerts.
    fn forget(&mut self) {
        if let Some(alerting) = &mut self.alerting {
            alerting.clear();
        }
    }

    /// Tells the history what became of the alerts.
    fn remember(&mut self, context: &Context, group: &Group, at: Timestamp) {
        let Some(alerting) = &mut self.alerting else { return };
        let mut changes = alerting.changes(at);
        let history = context.options.history.as_ref().filter(|_| !changes.is_empty());
        if let Some(history) = history {
            let rule = place(group, &self.rule);
            changes.iter_mut().for_each(|change| change.rule.clone_from(&rule));
            history.record(changes);
        }
    }

    fn write(&mut self, context: &Context, slot: Slot, recorded: Vec<Recorded>) -> Result<u64, Error> {
        if recorded.is_empty() && self.written.is_empty() {
            return Ok(0);
        }
        let mut appender = context.appendable.appender();
        let mut refused: Option<AppendError> = None;
        let mut written = HashSet::with_capacity(recorded.len());
        for (labels, sample) in recorded {
            match appender.append(&labels, sample) {
                Ok(_) => drop(written.insert(labels)),
                Err(error) => refused = Some(error),
            }
        }
        for labels in self.written.difference(&written) {
            mark_stale(&mut *appender, labels, slot.at - slot.offset);
        }
        let samples = appender.commit(Durability::Kernel)?.samples;
        self.written = written;
        refused.map_or(Ok(samples), |error| Err(error.into()))
    }

    fn status(&self) -> RuleStatus {
        RuleStatus {
            name: self.rule.name.clone(),
            query: self.rule.query.clone(),
            labels: Labels::of_texts(self.rule.labels.iter().map(|(n, v)| (n, v))),
            health: self.health,
            last_error: self.last_error.clone(),
            last_evaluation: self.last_evaluation,
            evaluation_time: self.evaluation_time,
            alerting: self.alerting.as_ref().map(Alerting::status),
        }
    }
}

/// Where a rule stands, as the history tells it.
fn place(group: &Group, rule: &Rule) -> RulePlace {
    (group.file.clone(), group.name.clone(), rule.name.clone())
}

/// Ends a series. A sample that another writer put at the same time stays, which is no error.
fn mark_stale(appender: &mut dyn Appender, labels: &Labels, at: Timestamp) {
    if let Err(error) = appender.append(labels, Sample { timestamp: at, value: stale_nan() }) {
        tracing::debug!(%labels, %error, "no staleness marker was written");
    }
}
