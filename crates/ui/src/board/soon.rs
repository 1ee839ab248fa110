//! What a panel waits for while collecting has just begun: the first samples, the second ones of a rate, the chart's next step.

use model::{Timestamp, format_duration};
use promql::VectorSelector;

use super::data::note;
use super::fetch::Answers;
use super::model::{Level, Note, Query};
use super::why::{Why, window_of};
use crate::format::roughly;

impl Why<'_> {
    /// What is about to come for queries without an answer; `None` where nothing is, or collecting began long ago.
    pub(super) fn coming(&self, answers: &Answers) -> Option<Note> {
        let begun = self.view.begun?;
        let waits = answers.queries.iter().filter_map(|query| self.wait(query)).max_by_key(|wait| wait.until);
        let text = match waits {
            Some(wait) => wait.words(self.view.now.time_ms),
            None => self.unread(begun)?,
        };
        Some(note(Level::Empty, text))
    }

    /// What there is to say where nothing else explains an empty panel while collecting has just begun.
    pub(super) fn nothing_yet(&self) -> Option<String> {
        let ago = roughly(self.view.now.time_ms.saturating_sub(self.view.begun?).max(0));
        Some(format!("Collecting began {ago} ago: the first values are about to come."))
    }

    /// What a query waits for whose series have a sample, but not enough of them for an answer.
    fn wait(&self, query: &Query) -> Option<Wait> {
        let expr = promql::parse(&query.expr).ok()?;
        let waits = expr.selectors().filter_map(|selector| {
            let first = self.single_sample(selector)?;
            let window = window_of(&expr, selector);
            let will_have = match window {
                Some(window) => window > self.interval_ms(),
                None => self.asker.value(&query.expr, self.view.now.time_ms).is_some(),
            };
            let needed = if window.is_some() { first.saturating_add(self.interval_ms()) } else { first };
            let until = next_step(needed, query.step);
            will_have.then(|| Wait { name: selector.name.clone(), first, is_rate: window.is_some(), until })
        });
        waits.max_by_key(|wait| wait.until)
    }

    /// When the one sample came that each series of a selector has so far. Series without a job come from no target, so that
    /// nobody knows whether more of them will come.
    fn single_sample(&self, selector: &VectorSelector) -> Option<Timestamp> {
        let matchers: String = selector.matchers.iter().map(|matcher| format!("{matcher},")).collect();
        let series = format!("{{{matchers}job!=\"\"}}");
        let at = |expr: String| self.asker.value(&expr, self.view.now.time_ms);
        let count = at(format!("max(count_over_time({series}[1h]))"))?;
        let newest = at(format!("max(timestamp({series}))"))?;
        (count < 2.0).then_some((newest * 1000.0) as Timestamp)
    }

    /// How many targets were not read yet.
    fn unread(&self, begun: Timestamp) -> Option<String> {
        let unread = self.targets.iter().filter(|target| target.last_scrape.is_none()).count();
        let interval = self.targets.iter().filter(|target| target.last_scrape.is_none()).map(|target| target.interval);
        let every = format_duration(interval.max()?);
        let ago = roughly(self.view.now.time_ms.saturating_sub(begun).max(0));
        Some(format!(
            "Collecting began {ago} ago: {unread} of {all} targets are still to be read, the last of them within {every}.",
            all = self.targets.len()
        ))
    }

    fn interval_ms(&self) -> i64 {
        i64::try_from(self.view.scrape_ms).unwrap_or(i64::MAX)
    }
}

/// When a query will have an answer.
struct Wait {
    name: String,
    first: Timestamp,
    is_rate: bool,
    until: Timestamp,
}

impl Wait {
    fn words(&self, now: Timestamp) -> String {
        let ago = roughly(now.saturating_sub(self.first).max(0));
        let left = roughly(self.until.saturating_sub(now).max(0) + 999);
        let name = if self.name.is_empty() { "the series" } else { &self.name };
        match self.is_rate {
            true => format!("The first sample of {name} came {ago} ago; a rate needs two: about {left} more."),
            false => {
                format!("The first sample of {name} came {ago} ago; it is drawn with the next step: about {left} more.")
            }
        }
    }
}

/// The first time of a chart's grid that is not before a time; the time itself where there is no grid.
fn next_step(time: Timestamp, step: u64) -> Timestamp {
    let step = i64::try_from(step).unwrap_or(i64::MAX);
    match step {
        0 => time,
        _ => time.div_euclid(step).saturating_add(i64::from(time.rem_euclid(step) != 0)).saturating_mul(step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_end_with_a_step() {
        let check = |time, step, expected| assert_eq!(next_step(time, step), expected, "{time} {step}");
        check(31_000, 0, 31_000);
        check(31_000, 15_000, 45_000);
        check(45_000, 15_000, 45_000);
    }

    #[test]
    fn waits_are_told() {
        let check = |is_rate, now, expected: &str| {
            let wait = Wait { name: "x".to_owned(), first: 10_000, is_rate, until: 30_000 };
            assert_eq!(wait.words(now), expected);
        };
        check(true, 14_000, "The first sample of x came 4 s ago; a rate needs two: about 16 s more.");
        check(true, 29_500, "The first sample of x came 19 s ago; a rate needs two: about 1 s more.");
        check(false, 20_000, "The first sample of x came 10 s ago; it is drawn with the next step: about 10 s more.");
    }
}
