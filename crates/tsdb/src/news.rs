//! What came and went lately, for whoever keeps answers of queries.

use std::collections::VecDeque;

use model::{Moment, Timestamp};
use parking_lot::Mutex;

/// Stretches of changes that are told apart. Live samples rise in time and take one or two for each commit; the oldest
/// ones are joined, which makes answers older than them be computed again sooner than needed.
const STRETCHES_MAX: usize = 1024;

/// Counts changes, and remembers of each the oldest timestamp as long as no later change is older.
#[derive(Debug, Default)]
pub(crate) struct News(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    /// Rising in both: the number of a change and its oldest timestamp.
    oldest: VecDeque<(u64, Timestamp)>,
}

impl News {
    /// Samples from this time on came or went. To be called while no query takes its snapshot, or after the change.
    pub(crate) fn note(&self, oldest: Timestamp) {
        let mut state = self.0.lock();
        state.count += 1;
        let count = state.count;
        while state.oldest.back().is_some_and(|(_, time)| *time >= oldest) {
            state.oldest.pop_back();
        }
        state.oldest.push_back((count, oldest));
        if state.oldest.len() > STRETCHES_MAX
            && let Some((_, time)) = state.oldest.pop_front()
            && let Some(next) = state.oldest.front_mut()
        {
            next.1 = time;
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment(self.0.lock().count)
    }

    /// The oldest timestamp of the changes since then.
    pub(crate) fn since(&self, moment: Moment) -> Option<Timestamp> {
        let state = self.0.lock();
        let first = state.oldest.partition_point(|(count, _)| *count <= moment.0);
        state.oldest.get(first).map(|(_, time)| *time)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The answer is the oldest of all changes since; past what is remembered it may be older.
        #[test]
        fn the_oldest_since(changes in prop::collection::vec(0i64..50, 0..40), rising in 0usize..3000) {
            let news = News::default();
            let mut all: Vec<Timestamp> = (0..rising as i64).map(|i| 100 + i).collect();
            all.extend(changes);
            let moments: Vec<Moment> = all.iter().map(|&time| { let at = news.moment(); news.note(time); at }).collect();
            prop_assert_eq!(news.since(news.moment()), None);
            for (i, &moment) in moments.iter().enumerate() {
                let exact = all[i..].iter().min().copied();
                let told = news.since(moment);
                prop_assert!(told <= exact && told.is_some());
                if all.len() - i < STRETCHES_MAX {
                    prop_assert_eq!(told, exact);
                }
            }
        }
    }
}
