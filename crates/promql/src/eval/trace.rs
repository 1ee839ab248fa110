//! What an evaluation took, node by node, where somebody asks for it.
//!
//! One clock runs all the time, and at each moment for one node: entering a node switches it to that, handing a series on
//! to the node that asked switches it to the other. What is left is each node's own time. Samples are counted for the
//! node that was entered last, since other threads go on reading for it while the one that asked works.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::Selection;

use super::Evaluation;
use super::grid::Grid;
use super::series::{Series, is_present};
use crate::syntax::{Expr, NodeId};
use crate::{QueryError, Selected};

/// Measures one evaluation.
#[derive(Debug)]
pub(crate) struct Trace(Mutex<State>);

/// What is known of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// How often it was computed.
    pub(crate) evaluations: u64,
    /// How often its value was that of an equal node.
    pub(crate) recalled: u64,
    /// Steps of the last time.
    pub(crate) steps: usize,
    /// Its own time, without that of its children.
    pub(crate) own_time: Duration,
    /// Samples that it read itself.
    pub(crate) own_samples: u64,
    /// Series that it handed on.
    pub(crate) series: u64,
    /// Values in them.
    pub(crate) points: u64,
    /// Threads that worked on its series.
    pub(crate) threads: usize,
    /// What it asked of the store.
    pub(crate) selections: Vec<Selected>,
}

#[derive(Debug)]
struct State {
    records: Vec<Record>,
    /// Whose time it is: the last one's.
    running: Vec<NodeId>,
    /// Who reads: the last one.
    entered: Vec<NodeId>,
    since: Instant,
    read: u64,
}

impl Trace {
    pub(crate) fn new(expr: &Expr) -> Self {
        let records = vec![Record::default(); expr.root().0 as usize + 1];
        Self(Mutex::new(State { records, running: Vec::new(), entered: Vec::new(), since: Instant::now(), read: 0 }))
    }

    /// What was measured, by node.
    pub(crate) fn finish(self) -> Vec<Record> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).records
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives the time since the last switch to whose it was, and the clock to another.
    fn switch(&mut self, change: impl FnOnce(&mut Vec<NodeId>)) {
        let now = Instant::now();
        if let Some(id) = self.running.last() {
            self.records[id.0 as usize].own_time += now.duration_since(self.since);
        }
        self.since = now;
        change(&mut self.running);
    }

    fn count_read(&mut self, read: u64) {
        if let Some(id) = self.entered.last() {
            self.records[id.0 as usize].own_samples += read.saturating_sub(self.read);
        }
        self.read = read;
    }

    fn enter(&mut self, id: NodeId, read: u64) {
        self.count_read(read);
        self.entered.push(id);
        self.switch(|running| running.push(id));
    }

    fn leave(&mut self, read: u64) {
        self.count_read(read);
        self.entered.pop();
        self.switch(|running| {
            running.pop();
        });
    }

    fn reader(&mut self) -> Option<&mut Record> {
        let id = self.entered.last()?;
        self.records.get_mut(id.0 as usize)
    }
}

impl Evaluation<'_> {
    fn samples_read(&self) -> u64 {
        self.budget.stats().samples_total
    }

    /// Does the work of a node that yields one value, in its name.
    pub(super) fn measured<T>(
        &self,
        id: NodeId,
        grid: Grid,
        size: impl FnOnce(&T) -> (usize, usize),
        work: impl FnOnce() -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let Some(trace) = self.trace else { return work() };
        trace.lock().enter(id, self.samples_read());
        let value = work()?;
        let (series, points) = size(&value);
        let mut state = trace.lock();
        state.leave(self.samples_read());
        let record = &mut state.records[id.0 as usize];
        record.evaluations += 1;
        record.steps = grid.count;
        record.series += series as u64;
        record.points += points as u64;
        Ok(value)
    }

    /// Does the work of a node that hands on series, one after the other or several together, in its name; what the one that asked makes of
    /// them is in the name of that one.
    pub(super) fn measured_stream<T>(
        &self,
        id: NodeId,
        grid: Grid,
        size: impl Fn(&T) -> (usize, usize),
        sink: &mut dyn FnMut(T) -> Result<(), QueryError>,
        work: impl FnOnce(&mut dyn FnMut(T) -> Result<(), QueryError>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let Some(trace) = self.trace else { return work(sink) };
        let asking = trace.lock().running.last().copied();
        let (mut series, mut values) = (0, 0);
        let mut pass = |item| {
            let (more, points) = size(&item);
            series += more;
            values += points;
            let Some(asking) = asking else { return sink(item) };
            trace.lock().switch(|running| running.push(asking));
            sink(item)?;
            trace.lock().switch(|running| {
                running.pop();
            });
            Ok(())
        };
        self.measured(id, grid, |()| (0, 0), || work(&mut pass))?;
        let record = &mut trace.lock().records[id.0 as usize];
        record.series += series as u64;
        record.points += values as u64;
        Ok(())
    }

    /// A value that was taken from an equal node.
    pub(super) fn trace_recall(&self, id: NodeId, series: &[Series]) {
        let Some(trace) = self.trace else { return };
        let record = &mut trace.lock().records[id.0 as usize];
        record.recalled += 1;
        record.series += series.len() as u64;
        record.points += series.iter().map(filled).sum::<usize>() as u64;
    }

    /// A selection that the node at work asked for.
    pub(super) fn trace_selection(&self, selection: &Selection<'_>, series: u64) {
        let Some(trace) = self.trace else { return };
        if let Some(record) = trace.lock().reader() {
            record.selections.push(Selected::new(selection, series));
        }
    }

    /// How many threads take part in the work of a node.
    pub(super) fn trace_threads(&self, threads: usize) {
        let Some(trace) = self.trace else { return };
        if let Some(record) = trace.lock().reader() {
            record.threads = record.threads.max(threads);
        }
    }
}

/// Slots with a value.
pub(super) fn filled(series: &Series) -> usize {
    series.values.iter().filter(|value| is_present(**value)).count()
}
