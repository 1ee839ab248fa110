//! Where alerts go: to a notifier as long as the configuration names an `alertmanager.yml`, else to nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::status::{
    AttemptPage, AttemptQuery, AttemptView, Later, NotificationsView, NotifiedAlert, QuietHours, RECEIVER_LABEL,
    ReceiverView, SilenceLine, SilenceView,
};
use model::{
    Alert, AlertSink, Clock, CollectError, Collector, Families, Journal, KeyValue, Labels, Live, Matcher, StorageError,
};
use notify::{AlertView, Attempt, GroupView, Notifier, Silence, SilenceMatcher};
use tokio::task::spawn_blocking;

/// The notifier in force, which a reload starts, changes and stops.
pub(crate) struct Notifications {
    notifier: Live<Option<Arc<Notifier>>>,
    external_url: String,
    clock: Arc<dyn Clock>,
    store: Arc<dyn KeyValue>,
    external_labels: Live<Labels>,
    /// Keeps every attempt to tell somebody something.
    attempts: Arc<dyn Journal>,
}

/// Why nothing can be silenced.
const OFF: &str = "no receivers are configured: name an alertmanager.yml with --alertmanager-config";

impl Notifications {
    /// Nobody is told anything yet.
    pub(crate) fn new(
        external_url: String,
        clock: Arc<dyn Clock>,
        store: Arc<dyn KeyValue>,
        external_labels: Live<Labels>,
        attempts: Arc<dyn Journal>,
    ) -> Self {
        Self { notifier: Live::default(), external_url, clock, store, external_labels, attempts }
    }

    /// Puts a configuration in force. What was told stays known, also to a notifier that comes after a time without one.
    pub(crate) async fn apply(&self, config: Option<notify::Config>) {
        let config = config.map(with_direct_routes);
        match (self.notifier.get(), config) {
            (Some(notifier), Some(config)) => notifier.reload(config).await,
            (None, Some(config)) => {
                let (clock, store) = (Arc::clone(&self.clock), Arc::clone(&self.store));
                let (url, attempts) = (self.external_url.clone(), Some(Arc::clone(&self.attempts)));
                let notifier = Notifier::start_with_journal(config, url, clock, store, attempts);
                self.notifier.set(Some(Arc::new(notifier)));
            }
            (_, None) => self.stop().await,
        }
    }

    /// The notifier in force.
    pub(crate) fn notifier(&self) -> Option<Arc<Notifier>> {
        self.notifier.get()
    }

    /// Puts the log of attempts onto the disk. It blocks.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.attempts.sync()
    }

    /// What the notifier in force does on a thread that may wait for the disk.
    fn change<T: Send + 'static, E: ToString + 'static>(
        &self,
        change: impl FnOnce(&Notifier) -> Result<T, E> + Send + 'static,
    ) -> Later<Result<T, String>> {
        let notifier = self.notifier.get();
        Box::pin(async move {
            let notifier = notifier.ok_or(OFF)?;
            let done = spawn_blocking(move || change(&notifier).map_err(|e| e.to_string()));
            done.await.map_err(|e| e.to_string())?
        })
    }

    /// Stops, after a short wait for notifications that are under way.
    pub(crate) async fn stop(&self) {
        if let Some(notifier) = self.notifier.get() {
            self.notifier.set(None);
            notifier.stop().await;
        }
    }
}

impl AlertSink for Notifications {
    fn send(&self, alerts: Vec<Alert>) {
        if let Some(notifier) = self.notifier.get() {
            notifier.send(alerts);
        }
    }
}

/// Puts a route to each receiver before all others, for alerts whose rule names it.
fn with_direct_routes(mut config: notify::Config) -> notify::Config {
    let root = notify::Route { mute: Vec::new(), active: Vec::new(), routes: Vec::new(), ..config.route.clone() };
    let direct = config.receivers.iter().enumerate().map(|(i, receiver)| notify::Route {
        place: format!("direct.{i}"),
        key: format!("{}/{{{RECEIVER_LABEL}={:?}}}", root.key, receiver.name),
        matchers: vec![Matcher::equal(RECEIVER_LABEL, &receiver.name)],
        receiver: receiver.name.clone(),
        ..root.clone()
    });
    let routes = direct.chain(std::mem::take(&mut config.route.routes)).collect();
    config.route.routes = routes;
    config
}

impl model::status::Notifications for Notifications {
    fn view(&self) -> Later<Option<NotificationsView>> {
        let (notifier, external_labels) = (self.notifier.get(), self.external_labels.get());
        Box::pin(async move {
            let notifier = notifier?;
            let groups = notifier.groups().await;
            Some(NotificationsView {
                alerts: alerts(&groups),
                silences: notifier.silences().into_iter().map(shown).collect(),
                quiet_hours: notifier.quiet_hours(),
                receivers: receivers(&notifier),
                external_labels,
            })
        })
    }

    fn set_silence(&self, silence: SilenceView) -> Later<Result<String, String>> {
        self.change(move |notifier| {
            let mut silence = taken(silence);
            // The page does not show what programs keep with it.
            let before = notifier.silences().into_iter().find(|known| known.id == silence.id);
            silence.annotations = before.map(|known| known.annotations).unwrap_or_default();
            notifier.set_silence(silence)
        })
    }

    fn expire_silence(&self, id: String) -> Later<Result<(), String>> {
        self.change(move |notifier| notifier.expire_silence(&id))
    }

    fn set_quiet_hours(&self, hours: QuietHours) -> Later<Result<String, String>> {
        self.change(move |notifier| notifier.set_quiet_hours(hours))
    }

    fn remove_quiet_hours(&self, id: String) -> Later<Result<(), String>> {
        self.change(move |notifier| notifier.remove_quiet_hours(&id))
    }

    fn attempts(&self, wanted: AttemptQuery) -> Later<Result<AttemptPage, String>> {
        if self.notifier.get().is_none() {
            return Box::pin(async { Ok(AttemptPage::default()) });
        }
        self.change(move |notifier| find(notifier, &wanted))
    }

    fn test(&self, receiver: String) -> Option<Later<Result<(), String>>> {
        let notifier = self.notifier.get()?;
        let tells = notifier.status().iter().any(|status| status.receiver == receiver);
        tells.then(|| -> Later<Result<(), String>> {
            Box::pin(async move {
                let trials = notifier.test(&receiver).await.ok_or("the receiver is gone")?;
                let problems =
                    trials.into_iter().filter_map(|trial| Some(format!("{}: {}", trial.integration, trial.problem?)));
                let problems: Vec<String> = problems.collect();
                if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
            })
        })
    }
}

/// A part of the attempts. It blocks.
fn find(notifier: &Notifier, wanted: &AttemptQuery) -> Result<AttemptPage, StorageError> {
    let words: Vec<String> = wanted.words.iter().map(|word| word.to_lowercase()).collect();
    let mut fits = |attempt: &Attempt| {
        attempt.at <= wanted.to
            && wanted.taken.is_none_or(|taken| taken == attempt.taken)
            && wanted.alert.is_none_or(|alert| attempt.alerts.iter().any(|(known, _)| *known == alert))
            && (words.is_empty() || is_said(attempt, &words))
    };
    // One more says whether there are more.
    let found = notifier.attempts_that(wanted.from, wanted.limit + 1, &mut fits)?;
    let more = found.len() > wanted.limit;
    Ok(AttemptPage { attempts: found.into_iter().take(wanted.limit).map(attempt).collect(), more })
}

fn is_said(attempt: &Attempt, words: &[String]) -> bool {
    let Attempt { receiver, integration, reason, problem, .. } = attempt;
    let labels: String = attempt.labels.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    let names: String = attempt.alerts.iter().map(|(_, name)| format!("{name} ")).collect();
    let text = format!("{receiver} {integration} {reason} {problem} {labels} {names}").to_lowercase();
    words.iter().all(|word| text.contains(word))
}

fn attempt(attempt: Attempt) -> AttemptView {
    AttemptView {
        at: attempt.at,
        receiver: attempt.receiver,
        integration: attempt.integration,
        reason: attempt.reason,
        group: Labels::from_pairs(attempt.labels),
        alerts: attempt.alerts,
        firing: attempt.firing,
        resolved: attempt.resolved,
        count: attempt.count,
        taken: attempt.taken,
        problem: attempt.problem,
        duration: Duration::from_millis(attempt.millis),
        next: attempt.next,
        given_up: attempt.given_up,
    }
}

fn alerts(groups: &[GroupView]) -> Vec<NotifiedAlert> {
    let all = || groups.iter().flat_map(|group| &group.alerts);
    let name = |fingerprint: u64| {
        let inhibitor = all().find(|view| view.fingerprint == fingerprint);
        inhibitor.and_then(|view| view.alert.labels.get("alertname")).unwrap_or("another alert").to_owned()
    };
    let alert = |group: &GroupView, view: &AlertView| NotifiedAlert {
        labels: view.alert.labels.clone(),
        annotations: view.alert.annotations.clone(),
        starts_at: view.alert.starts_at,
        receiver: group.receiver.clone(),
        inhibited_by: view.inhibited_by.map(name),
        silenced_by: view.silenced_by.clone(),
        muted_by: group.muted_by.clone(),
        quiet_until: view.quiet_until,
    };
    groups
        .iter()
        .flat_map(|group| group.alerts.iter().map(move |view| (group, view)))
        .map(|(g, v)| alert(g, v))
        .collect()
}

/// Every receiver; one without integrations tells nobody, which is worth seeing.
fn receivers(notifier: &Notifier) -> Vec<ReceiverView> {
    let status = notifier.status();
    let known = status.iter().map(|s| ReceiverView {
        name: s.receiver.clone(),
        integration: s.integration.clone(),
        health: s.health,
        last_error: s.last_error.clone(),
        last_attempt: s.last_attempt,
        last_duration: s.last_duration,
        sent: s.sent,
        failed: s.failed,
    });
    let config = notifier.config();
    let silent = config.receivers.iter().filter(|r| !status.iter().any(|s| s.receiver == r.name));
    known.chain(silent.map(|r| ReceiverView { name: r.name.clone(), ..ReceiverView::default() })).collect()
}

fn shown(silence: Silence) -> SilenceView {
    let line = |m: SilenceMatcher| {
        let SilenceMatcher { name, value, is_regex, is_equal } = m;
        SilenceLine { name, value, is_regex, is_equal }
    };
    let Silence { id, matchers, starts_at, ends_at, updated_at, created_by: author, comment, annotations: _ } = silence;
    SilenceView {
        id,
        matchers: matchers.into_iter().map(line).collect(),
        starts_at,
        ends_at,
        updated_at,
        author,
        comment,
    }
}

fn taken(silence: SilenceView) -> Silence {
    let matcher = |line: SilenceLine| {
        let SilenceLine { name, value, is_regex, is_equal } = line;
        SilenceMatcher { name, value, is_regex, is_equal }
    };
    let SilenceView { id, matchers, starts_at, ends_at, updated_at, author: created_by, comment } = silence;
    let matchers = matchers.into_iter().map(matcher).collect();
    Silence { id, matchers, starts_at, ends_at, updated_at, created_by, comment, annotations: BTreeMap::new() }
}

impl Collector for Notifications {
    fn name(&self) -> &'static str {
        "notify"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        self.notifier.get().map_or(Ok(()), |notifier| notifier.collect(families))
    }
}
