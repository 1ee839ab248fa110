//! The same data and the same expressions in this engine and in a real Prometheus: values, labels, errors and annotations.
//!
//! `SKEP_PEERS=FOLDER cargo test -p promql --test peer -- --nocapture` shows the differences; `SKEP_RANDOM_EXPRESSIONS` and
//! `SKEP_RANDOM_TEXTS` say how many random ones are tried, `SKEP_RANDOM_SEED` which.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may stop at the first surprise")]

mod data;
mod expressions;
mod outcome;
mod random;
mod server;
mod ties;

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use model::Timestamp;
use promql::script::MemoryStore;
use promql::{Engine, EngineOptions, QueryLimits, Range};

use data::{BASE, Data, EPOCH_BASE, STEP, series};
use expressions::{FORMATTED, MISTAKES, expressions};
use outcome::{Distance, Outcome, decided_otherwise, distance, is_amplified, of_error, of_text, ours, show, theirs};
use random::Case;
use server::Server;

/// How often the peer is asked again for an answer that differs: its hash maps shuffle series, which decides ties, sums
/// and which of several errors comes first. A map of two has them in the same order seven times of eight. Where it says now this and now that, either is right.
const ASKED_AGAIN: usize = 48;

const DELAYED: &str = "promql-delayed-name-removal";

/// Between a query and its range, where differences are shown.
const OVER_STEPS: &str = "   over ";

/// Over several steps `info` of 3.5.3 takes series by their place among those that have a sample at the step, so that one
/// that comes or goes gets the labels of another.
fn is_info_over_steps(what: &str) -> bool {
    what.contains("info(") && (what.contains(OVER_STEPS) || what.contains(":"))
}

/// How many answers of a run were how far apart.
#[derive(Default)]
struct Tally {
    compared: usize,
    digits: usize,
    shuffled: usize,
    /// By reason.
    otherwise: BTreeMap<&'static str, usize>,
    different: usize,
}

/// The same data in both.
struct Pair {
    server: Server,
    store: MemoryStore,
    engine: Engine,
    tally: Tally,
}

impl Pair {
    /// `None` where there is no peer.
    fn start(base: Timestamp, delayed_name_removal: bool) -> Option<Self> {
        Self::over(&series(base), delayed_name_removal)
    }

    fn over(data: &Data, delayed_name_removal: bool) -> Option<Self> {
        let server = Server::start(if delayed_name_removal { DELAYED } else { "" })?;
        server.write(data);
        let mut store = MemoryStore::default();
        data.iter().for_each(|(labels, samples)| store.append(labels, samples.iter().copied()));
        let options = EngineOptions { experimental_functions: true, delayed_name_removal, ..EngineOptions::default() };
        Some(Self { server, store, engine: Engine::new(options), tally: Tally::default() })
    }

    fn instant(&mut self, query: &str, at: Timestamp, lookback: Option<Duration>) {
        let limits = QueryLimits { lookback, ..QueryLimits::default() };
        let our = ours(self.engine.instant(&self.store, query, at, &limits), true);
        self.compare(&format!("{query}   at {at} lookback {lookback:?}"), &our, |server| {
            theirs(&server.instant(query, at, lookback), true)
        });
    }

    fn range(&mut self, query: &str, range: Range, lookback: Option<Duration>) {
        let limits = QueryLimits { lookback, ..QueryLimits::default() };
        let our = ours(self.engine.range(&self.store, query, range, &limits), false);
        self.compare(&format!("{query}{OVER_STEPS}{range:?} lookback {lookback:?}"), &our, |server| {
            theirs(&server.range(query, &range, lookback), false)
        });
    }

    fn compare(&mut self, what: &str, ours: &Outcome, ask: impl Fn(&Server) -> Outcome) {
        self.tally.compared += 1;
        let their = ask(&self.server);
        match distance(ours, &their) {
            Distance::None => return,
            Distance::Digits => {
                self.tally.digits += 1;
                return;
            }
            Distance::Far => {}
        }
        if is_amplified(what, ours, &their) {
            self.tally.digits += 1;
            return;
        }
        let delayed = self.engine.options().delayed_name_removal;
        let info = is_info_over_steps(what).then_some("info over steps");
        if let Some(reason) = decided_otherwise(ours, &their, delayed).or(info) {
            *self.tally.otherwise.entry(reason).or_default() += 1;
            return;
        }
        let is_shuffled =
            |again: &Outcome| distance(ours, again) != Distance::Far || distance(&their, again) == Distance::Far;
        if (0..ASKED_AGAIN).any(|_| is_shuffled(&ask(&self.server))) {
            self.tally.shuffled += 1;
            return;
        }
        println!("DIFFERENT {what}");
        show(ours, &their);
        self.tally.different += 1;
    }

    fn finish(&self, name: &str, count: usize) {
        let Tally { compared, digits, shuffled, ref otherwise, different } = self.tally;
        println!(
            "{name}: {count} expressions, {compared} answers compared; {digits} differ in the last digits, in {shuffled} \
             the peer differs from itself, skep decides otherwise in {otherwise:?}, {different} different"
        );
        assert_eq!(different, 0);
    }
}

#[test]
fn same_as_the_peer() {
    check(false);
}

#[test]
fn same_order_as_the_peer() {
    let Some(mut pair) = Pair::over(&ties::data(), false) else { return };
    let queries = ties::queries();
    queries.iter().for_each(|query| pair.instant(query, BASE, None));
    pair.finish("ties", queries.len());
}

#[test]
fn same_as_the_peer_with_names_removed_at_the_end() {
    check(true);
}

fn check(delayed_name_removal: bool) {
    let Some(mut pair) = Pair::start(BASE, delayed_name_removal) else { return };
    let queries = expressions();
    for query in &queries {
        for at in [BASE + 20 * STEP, BASE + 60 * STEP + 1234, BASE + 119 * STEP] {
            pair.instant(query, at, None);
        }
        pair.range(
            query,
            Range { start: BASE - STEP, end: BASE + 120 * STEP, step: Duration::from_millis(47_000) },
            None,
        );
    }
    pair.finish("chosen", queries.len());
}

#[test]
fn same_as_the_peer_on_random_expressions() {
    check_random(BASE, false, 5);
}

#[test]
fn same_as_the_peer_around_the_epoch() {
    check_random(EPOCH_BASE, false, 3);
}

#[test]
fn same_as_the_peer_on_random_expressions_with_names_removed_at_the_end() {
    check_random(BASE, true, 2);
}

/// `share` tenths of the random expressions, each at one time and over one range.
fn check_random(base: Timestamp, delayed_name_removal: bool, share: usize) {
    let Some(mut pair) = Pair::start(base, delayed_name_removal) else { return };
    let count = from_env("SKEP_RANDOM_EXPRESSIONS", 2000) * share / 10;
    let seed = from_env("SKEP_RANDOM_SEED", 7) as u64;
    for Case { query, at, range, lookback } in random::cases(count, seed ^ share as u64, base) {
        pair.instant(&query, at, lookback);
        pair.range(&query, range, lookback);
    }
    pair.finish("random", count);
}

/// `SKEP_ASK='QUERY START END STEP'`, in seconds from the first sample, shows what both sides say.
#[test]
fn one_expression() {
    let Ok(asked) = env::var("SKEP_ASK") else { return };
    let mut words = asked.rsplitn(4, ' ');
    let mut seconds = || words.next().and_then(|word| word.parse::<f64>().ok()).expect("START END STEP");
    let (step, end, start) = (seconds(), seconds(), seconds());
    let query = words.next().expect("a query");
    for (base, delayed) in [(BASE, false), (EPOCH_BASE, false), (BASE, true)] {
        let Some(pair) = Pair::start(base, delayed) else { return };
        let at = |seconds: f64| base + (seconds * 1e3) as Timestamp;
        let range = Range { start: at(start), end: at(end), step: Duration::from_secs_f64(step) };
        let our = ours(pair.engine.range(&pair.store, query, range, &QueryLimits::default()), false);
        let their = theirs(&pair.server.range(query, &range, None), false);
        println!("ASKED base {base} delayed {delayed}: {:?}", distance(&our, &their));
        show(&our, &their);
    }
}

fn from_env(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |number| number.parse().expect("a number"))
}

#[test]
fn same_syntax_as_the_peer() {
    let Some(server) = Server::start("") else { return };
    let texts: Vec<String> = MISTAKES.iter().chain(FORMATTED).map(|text| (*text).to_owned()).collect();
    check_syntax(&server, &texts);
}

#[test]
fn same_syntax_as_the_peer_on_random_texts() {
    let Some(server) = Server::start("") else { return };
    check_syntax(&server, &random::texts(from_env("SKEP_RANDOM_TEXTS", 3000), from_env("SKEP_RANDOM_SEED", 7) as u64));
}

#[test]
fn same_patterns_as_the_peer() {
    let (count, seed) = (from_env("SKEP_RANDOM_TEXTS", 3000), from_env("SKEP_RANDOM_SEED", 7) as u64);
    let Some(server) = Server::start("") else { return };
    check_syntax(&server, &random::selectors(count, seed));
    let engine = Engine::new(EngineOptions::default());
    let store = MemoryStore::default();
    let mut pair = Pair { server, store, engine, tally: Tally::default() };
    let queries = random::matches(count, seed);
    queries.iter().for_each(|query| pair.instant(query, BASE, None));
    pair.finish("patterns", queries.len());
}

/// Upstream forgets the quotes of names in `on` and `ignoring`, and the braces of `info(x, {})`, which makes texts that cannot
/// be read again. Conditions of skep are of texts, in which bytes that are none have a sign for it.
fn unquoted(text: &str, formatted: &str) -> String {
    let mut unquoted = formatted.replace('"', "").replace(" {}", " ");
    (0x80..=0xff).for_each(|byte| unquoted = unquoted.replace(&format!("\\x{byte:x}"), "\\ufffd"));
    // Names without quotes are shorter, so that lines are split elsewhere.
    if text.contains("(\"") || text.contains("{}") { unquoted.split_whitespace().collect() } else { unquoted }
}

fn check_syntax(server: &Server, texts: &[String]) {
    let mut different = 0;
    for text in texts {
        let our = promql::parse(text).map_or_else(|e| of_error(&e.into()), |e| of_text(&unquoted(text, &e.pretty())));
        let json = server.format(text);
        let their = match json["data"].as_str() {
            Some(formatted) => of_text(&unquoted(text, formatted)),
            None => theirs(&json, false),
        };
        if distance(&our, &their) != Distance::None && decided_otherwise(&our, &their, false).is_none() {
            println!("DIFFERENT {text:?}");
            show(&our, &their);
            different += 1;
        }
    }
    println!("{} texts parsed, {different} different", texts.len());
    assert_eq!(different, 0);
}
