//! The manager: one task for each group, reloads, and what it all looks like from outside.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::status::{Backtest, HistoryPage, HistoryQuery, OwnRule, RuleGroupStatus, Rules, Saving, Trial};
use model::{AlertSink, Appendable, Clock, Labels, Live, Queryable, StorageError};
use promql::{Cancel, Engine};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::context::Context;
use crate::group::{Running, Tally};
use crate::own::{self, Own};
use crate::schedule::Schedule;
use crate::{Group, History, backtest, builtin};

/// Longest sleep at once: the wall clock may jump, and a sleep follows another clock.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// How rules are evaluated. The defaults are Prometheus'.
#[derive(Clone, Debug)]
pub struct Options {
    /// Added to alerts that are handed on; what templates see as `$externalLabels`.
    pub external_labels: Live<Labels>,
    /// Where people find this server, without a slash at the end.
    pub external_url: String,
    /// Time between evaluations of groups that name none: the global `evaluation_interval`.
    pub evaluation_interval: Duration,
    /// How far before the evaluation time expressions are evaluated: the global `rule_query_offset`.
    pub query_offset: Duration,
    /// After a longer outage alerts begin anew.
    pub outage_tolerance: Duration,
    /// Alerts with a shorter `for` are not restored; others fire this long after a restart at the earliest.
    pub for_grace_period: Duration,
    /// Time between two sendings of an alert that still fires.
    pub resend_delay: Duration,
    /// Where changes of alerts go.
    pub history: Option<Arc<History>>,
    /// The file of rules that people make on the pages; without it they cannot.
    pub own_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            external_labels: Live::default(),
            external_url: String::new(),
            evaluation_interval: Duration::from_secs(60),
            query_offset: Duration::ZERO,
            outage_tolerance: Duration::from_secs(3600),
            for_grace_period: Duration::from_secs(600),
            resend_delay: Duration::from_secs(60),
            history: None,
            own_file: None,
        }
    }
}

/// Evaluates groups of rules. Share it by `Arc`.
pub struct Manager {
    pub(crate) context: Arc<Context>,
    running: Mutex<Vec<Member>>,
    own: Mutex<Own>,
    /// Held through a reload, so that two cannot interleave.
    reload: tokio::sync::Mutex<Reloads>,
}

/// What the last reload left.
#[derive(Default)]
struct Reloads {
    /// Whether groups were ever loaded: only the first ones come after a restart.
    loaded: bool,
    /// The groups of files, which rules that are made on pages stand beside.
    files: Vec<Group>,
}

/// A group with its task.
struct Member {
    group: Group,
    state: Arc<Mutex<Running>>,
    board: Arc<Mutex<Board>>,
    stop: watch::Sender<bool>,
    cancel: Cancel,
    task: JoinHandle<()>,
}

/// What is told of a group; a copy, because the group itself is locked while it is evaluated.
#[derive(Clone, Default)]
pub(crate) struct Board {
    pub(crate) status: RuleGroupStatus,
    pub(crate) tally: Tally,
}

impl Manager {
    /// A manager without groups.
    pub fn new(
        engine: Arc<Engine>,
        queryable: Arc<dyn Queryable>,
        appendable: Arc<dyn Appendable>,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn AlertSink>,
        options: Options,
    ) -> Self {
        let own = Mutex::new(Own::open(options.own_file.clone()));
        let context = Arc::new(Context { engine, queryable, appendable, clock, sink, options });
        Self { context, running: Mutex::default(), own, reload: tokio::sync::Mutex::default() }
    }

    /// Replaces the groups. Those that are the same go on undisturbed, changed ones keep the state of rules with the
    /// same name and labels, the series of removed ones end. Call it in a tokio runtime.
    pub async fn apply(&self, groups: Vec<Group>) {
        let mut reload = self.reload.lock().await;
        reload.files = groups;
        self.replace(&mut reload).await;
    }

    /// Puts the groups of files and the rules of pages in force.
    async fn replace(&self, reload: &mut Reloads) {
        let groups: Vec<Group> = reload.files.iter().cloned().chain(lock(&self.own).group()).collect();
        let restored = std::mem::replace(&mut reload.loaded, true);
        let mut old: Vec<Option<Member>> = lock(&self.running).drain(..).map(Some).collect();
        let mut members = Vec::with_capacity(groups.len());
        for group in groups {
            let same_place = |m: &&mut Option<Member>| m.as_ref().is_some_and(|m| m.is_at(&group));
            let before = old.iter_mut().find(same_place).and_then(Option::take);
            members.push(match before {
                Some(member) if member.group == group => member,
                before => self.start(group, before, restored).await,
            });
        }
        *lock(&self.running) = members;
        for member in old.into_iter().flatten() {
            let context = self.context.clone();
            let state = member.stop().await;
            let ending = spawn_blocking(move || lock(&state).end(&context, context.clock.now()));
            if let Err(error) = ending.await {
                tracing::error!(%error, "the series of a removed rule group could not be ended");
            }
        }
    }

    /// Stops all groups and waits for the evaluations that run. Their series do not end: the process may come back.
    pub async fn stop(&self) {
        let _reload = self.reload.lock().await;
        let members: Vec<Member> = lock(&self.running).drain(..).collect();
        for member in members {
            member.stop().await;
        }
    }

    /// Makes a change of the rules of pages durable, then puts it in force.
    async fn change_own(&self, change: impl FnOnce(&Own) -> Result<Vec<OwnRule>, String>) -> Result<(), String> {
        let mut reload = self.reload.lock().await;
        let (path, rules) = {
            let own = lock(&self.own);
            (own.writable()?, change(&own)?)
        };
        let kept = rules.clone();
        let written = spawn_blocking(move || own::write(&path, &kept)).await;
        written.map_err(|e| format!("the rule could not be kept: {e}"))??;
        lock(&self.own).rules = rules;
        self.replace(&mut reload).await;
        Ok(())
    }

    async fn start(&self, group: Group, before: Option<Member>, restored: bool) -> Member {
        let mut running = Running::new(group.clone(), &self.context, restored);
        if let Some(before) = before {
            let state = before.stop().await;
            running.adopt(&mut lock(&state), &self.context);
        }
        let board = Arc::new(Mutex::new(Board { status: running.status(), tally: running.tally }));
        let schedule = Schedule::new(running.interval(), &group.file, &group.name);
        let (stop, stopped) = watch::channel(false);
        let state = Arc::new(Mutex::new(running));
        let cancel = Cancel::default();
        let worker = Worker {
            context: self.context.clone(),
            state: state.clone(),
            board: board.clone(),
            schedule,
            cancel: cancel.clone(),
            stopped,
        };
        let task = tokio::spawn(worker.run(restored));
        Member { group, state, board, stop, cancel, task }
    }

    /// What is told of all groups, by file, then in the file's order.
    pub(crate) fn boards(&self) -> Vec<Board> {
        lock(&self.running).iter().map(|member| lock(&member.board).clone()).collect()
    }
}

impl Rules for Manager {
    fn groups(&self) -> Vec<RuleGroupStatus> {
        let mut groups: Vec<_> = self.boards().into_iter().map(|board| board.status).collect();
        groups.sort_by(|a, b| a.file.cmp(&b.file));
        groups
    }

    fn history(&self, wanted: &HistoryQuery) -> Result<HistoryPage, StorageError> {
        self.context.options.history.as_ref().map_or_else(|| Ok(HistoryPage::default()), |history| history.page(wanted))
    }

    fn runbook(&self, rule: &str) -> Option<&'static str> {
        builtin::runbook(rule)
    }

    fn backtest(&self, trial: &Trial) -> Result<Backtest, String> {
        backtest::run(&self.context.engine, &*self.context.queryable, trial)
    }

    fn own(&self) -> Vec<OwnRule> {
        lock(&self.own).rules.clone()
    }

    fn set_own(self: Arc<Self>, old: Option<String>, rule: OwnRule) -> Saving {
        Box::pin(async move { self.change_own(|own| own.with(old.as_deref(), rule)).await })
    }

    fn remove_own(self: Arc<Self>, name: String) -> Saving {
        Box::pin(async move { self.change_own(|own| own.without(&name)).await })
    }
}

impl Member {
    fn is_at(&self, group: &Group) -> bool {
        self.group.file == group.file && self.group.name == group.name
    }

    /// Stops the task, after the rule that it evaluates now.
    async fn stop(self) -> Arc<Mutex<Running>> {
        self.cancel.cancel();
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(group = self.group.name, %error, "the task of a rule group ended badly");
        }
        self.state
    }
}

/// The task of a group.
struct Worker {
    context: Arc<Context>,
    state: Arc<Mutex<Running>>,
    board: Arc<Mutex<Board>>,
    schedule: Schedule,
    cancel: Cancel,
    stopped: watch::Receiver<bool>,
}

impl Worker {
    /// Evaluates at every slot. After a restart alerts are restored when the second evaluation is done: by then targets
    /// were scraped and recording rules have written what alerts may depend on.
    async fn run(mut self, mut restored: bool) {
        let mut at = self.schedule.first(self.context.clock.now());
        let mut first = true;
        while self.sleep_until(&mut at).await {
            let restore = !restored && !first;
            self.evaluate(at, restore).await;
            restored |= restore;
            first = false;
            let next = self.schedule.after(at, self.context.clock.now());
            if next.missed > 0 {
                lock(&self.board).tally.missed += next.missed;
                lock(&self.state).tally.missed += next.missed;
            }
            at = next.at;
        }
    }

    /// Whether the slot came, another one if the clock was set back; false when the group was stopped before.
    async fn sleep_until(&mut self, at: &mut i64) -> bool {
        loop {
            if *self.stopped.borrow() {
                return false;
            }
            let now = self.context.clock.now();
            *at = self.schedule.seen(*at, now);
            let left = u64::try_from(at.saturating_sub(now)).unwrap_or(0);
            if left == 0 {
                return true;
            }
            let nap = Duration::from_millis(left).min(SLEEP_MAX);
            if let Ok(Err(_)) = tokio::time::timeout(nap, self.stopped.changed()).await {
                return false;
            }
        }
    }

    async fn evaluate(&self, at: i64, restore: bool) {
        let (context, state, board, cancel) =
            (self.context.clone(), self.state.clone(), self.board.clone(), self.cancel.clone());
        let work = move || {
            let mut running = lock(&state);
            running.evaluate(&context, at, &cancel);
            if restore {
                running.restore(&context, context.clock.now());
            }
            *lock(&board) = Board { status: running.status(), tally: running.tally };
        };
        if let Err(error) = spawn_blocking(work).await {
            tracing::error!(%error, "the evaluation of a rule group ended badly");
        }
    }
}

/// A panic while the lock was held is a bug that was logged; what the lock guards is still the best there is.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
