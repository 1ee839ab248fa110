//! Work on the series of a selector by several threads, with the results in the order of the series.
//!
//! Sums depend on the order of what is added, so that results are handed on one batch after the other, whoever was first
//! to finish. The thread that asked takes part, and threads come for this one list only: starting one costs less than
//! reading a batch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::{EngineOptions, QueryError};

/// Fewest items that a thread takes at once.
const BATCH_MIN: usize = 16;

/// Most items that a thread takes at once. What is taken and handed on costs a lock and often a waking thread.
const BATCH_MAX: usize = 256;

/// A list is cut into this many batches for each thread, so that none waits long for the others at the end.
const BATCHES: usize = 16;

/// Shorter lists are done before a thread would have started.
const ITEMS_MIN: usize = 4 * BATCH_MIN;

/// The same for items that a store has at hand, because they were read before.
const ITEMS_AT_HAND_MIN: usize = 128 * BATCH_MIN;

/// A series of so many steps, or of so long a time, is worth one more of those that have hardly anything.
const STEPS_OF_ITEM: usize = 64;
const MILLIS_OF_ITEM: u64 = 2 * 3_600_000;

/// Slots of the columns of one batch, two megabytes.
const SLOTS_MAX: usize = 1 << 18;

/// What waits to be handed on is not counted against the limits: a batch is at most this part of the memory of all queries,
/// so that [`AHEAD`] of them for each thread of many queries stay well below it.
const MEMORY_PART: u64 = 256;

/// Batches for each thread that may be done before those in front of them are handed on: what waits is not counted against
/// the query's limits.
const AHEAD: usize = 2;

/// How a list is shared out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) threads: usize,
    /// How many slots a result has.
    slots: usize,
    /// Most slots of a batch.
    slots_max: usize,
    /// How many items of hardly any work one item is worth, at most [`BATCH_MIN`].
    weight: usize,
    /// Lists of fewer such items are not shared.
    items_min: usize,
}

impl Share {
    /// Among the threads of an engine, for results with so many slots, made from what came in so many milliseconds and was
    /// read before or not.
    pub(super) fn new(options: &EngineOptions, slots: usize, span: u64, is_at_hand: bool) -> Self {
        let fitting = options.memory_max / MEMORY_PART / size_of::<f64>() as u64;
        let slots_max = usize::try_from(fitting).map_or(SLOTS_MAX, |fitting| fitting.min(SLOTS_MAX));
        let chunks = usize::try_from(span / MILLIS_OF_ITEM).unwrap_or(usize::MAX);
        let weight = chunks.saturating_add(slots / STEPS_OF_ITEM).saturating_add(1).min(BATCH_MIN);
        let items_min = if is_at_hand { ITEMS_AT_HAND_MIN } else { ITEMS_MIN };
        Self { threads: options.threads, slots, slots_max, weight, items_min }
    }

    /// How many threads work on so many items.
    pub(super) fn threads_for(self, items: usize) -> usize {
        let batches = items / self.batch_min();
        if items.saturating_mul(self.weight) < self.items_min { 1 } else { self.threads.min(batches).max(1) }
    }

    fn batch(self, items: usize) -> usize {
        let fitting = (self.slots_max / self.slots.max(1)).clamp(1, BATCH_MAX);
        (items / (self.threads * BATCHES)).max(self.batch_min()).min(fitting)
    }

    fn batch_min(self) -> usize {
        BATCH_MIN / self.weight
    }
}

/// Does `work` on some items at a time, with what a thread keeps from one time to the next, and hands the results on in
/// the order of the items. Ends at the first error in that order.
pub(super) fn in_order<T: Send, K, B: Send>(
    items: Vec<T>,
    mut share: Share,
    keep: impl Fn() -> K + Sync,
    work: impl Fn(&mut K, Vec<T>) -> Result<B, QueryError> + Sync,
    sink: &mut dyn FnMut(B) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    share.threads = share.threads_for(items.len());
    let batches = batches(items, share);
    if share.threads == 1 {
        let mut kept = keep();
        return batches.into_iter().try_for_each(|batch| sink(work(&mut kept, batch)?));
    }
    let list = List::new(batches, share);
    thread::scope(|scope| {
        for _ in 1..share.threads {
            // Without the thread it takes longer.
            let _ = thread::Builder::new().name("query".to_owned()).spawn_scoped(scope, || list.help(&keep, &work));
        }
        let _stop = Stop(&list);
        list.deliver(&keep, &work, sink)
    })
}

fn batches<T>(items: Vec<T>, share: Share) -> VecDeque<Vec<T>> {
    let size = share.batch(items.len());
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some(items.by_ref().take(size).collect()).filter(|b: &Vec<T>| !b.is_empty())).collect()
}

/// The batches of a list, wherever they are.
struct List<T, B> {
    state: Mutex<State<T, B>>,
    changed: Condvar,
    ahead: usize,
}

struct State<T, B> {
    waiting: VecDeque<Vec<T>>,
    /// Number of the first batch that waits.
    next: usize,
    done: BTreeMap<usize, Result<B, QueryError>>,
    /// Batches handed on.
    delivered: usize,
    batches: usize,
    stopped: bool,
}

impl<T, B> State<T, B> {
    fn take(&mut self, ahead: usize) -> Option<(usize, Vec<T>)> {
        if self.stopped || self.next >= self.delivered + ahead {
            return None;
        }
        let batch = self.waiting.pop_front()?;
        self.next += 1;
        Some((self.next - 1, batch))
    }
}

/// Ends the work of all threads when it goes, a panic included.
struct Stop<'l, T, B>(&'l List<T, B>);

impl<T, B> Drop for Stop<'_, T, B> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

impl<T: Send, B: Send> List<T, B> {
    fn new(waiting: VecDeque<Vec<T>>, share: Share) -> Self {
        let batches = waiting.len();
        let state = State { waiting, next: 0, done: BTreeMap::new(), delivered: 0, batches, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), ahead: AHEAD * share.threads }
    }

    /// Works until nothing waits.
    fn help<K>(
        &self,
        keep: &(impl Fn() -> K + Sync),
        work: &(impl Fn(&mut K, Vec<T>) -> Result<B, QueryError> + Sync),
    ) {
        let stop = Stop(self);
        let mut kept = keep();
        let mut state = self.lock();
        while !state.stopped && !state.waiting.is_empty() {
            let Some((number, batch)) = state.take(self.ahead) else {
                state = self.wait(state);
                continue;
            };
            drop(state);
            let done = work(&mut kept, batch);
            state = self.lock();
            state.done.insert(number, done);
            self.changed.notify_all();
        }
        drop(state);
        std::mem::forget(stop);
    }

    /// Hands on what is done, and works where the next batch is not.
    fn deliver<K>(
        &self,
        keep: &(impl Fn() -> K + Sync),
        work: &(impl Fn(&mut K, Vec<T>) -> Result<B, QueryError> + Sync),
        sink: &mut dyn FnMut(B) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let mut kept = keep();
        let mut state = self.lock();
        while state.delivered < state.batches && !state.stopped {
            let next = state.delivered;
            if let Some(done) = state.done.remove(&next) {
                state.delivered += 1;
                drop(state);
                self.changed.notify_all();
                sink(done?)?;
            } else if let Some((number, batch)) = state.take(self.ahead) {
                drop(state);
                let done = work(&mut kept, batch);
                self.lock().done.insert(number, done);
            } else {
                drop(self.wait(state));
            }
            state = self.lock();
        }
        Ok(())
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State<T, B>>) -> MutexGuard<'g, State<T, B>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, B> List<T, B> {
    fn lock(&self) -> MutexGuard<'_, State<T, B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(items: usize, threads: usize, failing: Option<usize>, sink_fails: Option<usize>, expected: usize) {
        let work = |seen: &mut usize, items: Vec<usize>| {
            *seen += items.len();
            let failed = items.iter().find(|item| Some(**item) == failing);
            failed.map_or(Ok(items.clone()), |item| Err(QueryError::Parameter(item.to_string())))
        };
        let mut got = Vec::new();
        let share = Share { threads, slots: 1, slots_max: SLOTS_MAX, weight: 1, items_min: ITEMS_MIN };
        let outcome = in_order((0..items).collect(), share, usize::default, work, &mut |items| {
            for item in items {
                if Some(item) == sink_fails {
                    return Err(QueryError::Parameter(item.to_string()));
                }
                got.push(item);
            }
            Ok(())
        });
        let failed = failing.into_iter().chain(sink_fails).min();
        assert_eq!(
            outcome.err().map(|e| e.to_string()),
            failed.map(|at| QueryError::Parameter(at.to_string()).to_string())
        );
        assert!(got.iter().copied().eq(0..expected), "{items} items, {threads} threads: {got:?}");
    }

    #[test]
    fn results_keep_the_order() {
        for threads in [1, 2, 3, 8] {
            check(0, threads, None, None, 0);
            check(ITEMS_MIN - 1, threads, None, None, ITEMS_MIN - 1);
            check(5_003, threads, None, None, 5_003);
            check(5_003, threads, None, Some(1_234), 1_234);
            check(5_003, threads, None, Some(0), 0);
        }
        // The batch of the failing item is not handed on.
        check(5_003, 1, Some(1_234), None, 1_234 / 256 * 256);
        check(5_003, 3, Some(1_234), None, 1_234 / 104 * 104);
        check(5_003, 3, Some(5_002), Some(17), 17);
    }
}
