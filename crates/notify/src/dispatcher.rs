//! The dispatcher: the one task that owns all groups.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Alert, Timestamp, fingerprint};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::Config;
use crate::decide::decide;
use crate::delivery::{Delivery, Shared, log_key};
use crate::group::{Group, Held, Told};
use crate::inhibit::Inhibitor;
use crate::route::Route;
use crate::view::{AlertView, GroupView};

/// Groups at once; more means that the grouping is wrong, and each costs a request.
const GROUPS_MAX: usize = 10_000;

/// Alerts in all groups together; one that two routes take counts twice. As many as may wait in the inbox.
const ALERTS_MAX: usize = 50_000;

/// Alerts that were firing before a restart count as ended this much later at the earliest. Rules need up to ten minutes,
/// their grace period, and two evaluations to say that an alert still fires; a late end is better than a false one and
/// a second alarm.
const RESTART_GRACE: Duration = Duration::from_secs(12 * 60);

/// What deliveries under way may still take when the process stops; the whole process has 5 s.
const STOP_MAX: Duration = Duration::from_secs(2);

/// With no group there is nothing to look at.
const IDLE: Duration = Duration::from_secs(3600);

/// Orders to the dispatcher.
pub(crate) enum Order {
    Reload(Box<Config>),
    Show(oneshot::Sender<Vec<GroupView>>),
    Stop(oneshot::Sender<()>),
}

/// What came of a look at a group.
struct Done {
    key: String,
    told: Arc<Vec<Told>>,
    delivered: bool,
}

pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    config: Arc<Config>,
    inhibitor: Inhibitor,
    /// By the route's place and the group's key.
    groups: HashMap<String, Group>,
    deliveries: JoinSet<Done>,
    orders: mpsc::Receiver<Order>,
}

impl Dispatcher {
    pub(crate) fn new(shared: Arc<Shared>, orders: mpsc::Receiver<Order>) -> Self {
        let config = shared.config.get();
        let inhibitor = Inhibitor::new(&config.inhibit_rules);
        let mut dispatcher =
            Self { shared, config, inhibitor, groups: HashMap::new(), deliveries: JoinSet::new(), orders };
        dispatcher.announce();
        dispatcher.recall();
        dispatcher
    }

    pub(crate) async fn run(mut self) {
        loop {
            let due = self.groups.values().filter(|group| !group.busy).map(|group| group.due).min();
            tokio::select! {
                () = self.shared.inbox.filled() => self.receive(),
                () = sleep_until(due.unwrap_or_else(|| Instant::now() + IDLE)) => self.look(),
                Some(done) = self.deliveries.join_next() => self.finish(done),
                order = self.orders.recv() => match order {
                    Some(Order::Reload(config)) => self.reload(*config),
                    Some(Order::Show(answer)) => drop(answer.send(self.show())),
                    Some(Order::Stop(stopped)) => {
                        self.drain().await;
                        let _ = stopped.send(());
                        return;
                    }
                    None => return,
                },
            }
        }
    }

    /// Puts the receivers onto the board, and makes their clients.
    fn announce(&self) {
        let integrations: Vec<(String, String)> = self
            .config
            .receivers
            .iter()
            .flat_map(|r| r.integrations.iter().map(|integration| (r.name.clone(), integration.name.clone())))
            .collect();
        self.shared.board.set(&integrations);
        self.shared.client.hold(&self.config);
    }

    /// Takes up the alerts that were firing before the restart.
    fn recall(&mut self) {
        let earliest = self.shared.clock.now().saturating_add(RESTART_GRACE.as_millis() as i64);
        let firing = self.shared.log.firing().into_iter();
        self.insert(&firing.map(|alert| Alert { ends_at: alert.ends_at.max(earliest), ..alert }).collect::<Vec<_>>());
    }

    fn receive(&mut self) {
        let alerts = self.shared.inbox.take();
        self.insert(&alerts);
    }

    /// Puts alerts into the groups of their routes, as long as there is room.
    fn insert<'a>(&mut self, alerts: impl IntoIterator<Item = &'a Alert>) {
        let (wall, now) = (self.shared.clock.now(), Instant::now());
        let mut room = ALERTS_MAX.saturating_sub(self.groups.values().map(Group::len).sum());
        let mut lost = 0;
        for alert in alerts {
            let mut held = None;
            for route in self.config.route.matching(&alert.labels) {
                let labels = route.group_labels(&alert.labels);
                let key = format!("{} {}", route.place, route.group_key(&labels));
                let is_known = self.groups.get(&key).is_some_and(|group| group.holds(&alert.labels));
                let has_group = self.groups.len() < GROUPS_MAX || self.groups.contains_key(&key);
                if !is_known && (room == 0 || !has_group) {
                    lost += 1;
                    continue;
                }
                room -= usize::from(!is_known);
                let group = self.groups.entry(key).or_insert_with(|| Group::new(route, labels, now));
                held = Some(group.insert(alert.clone(), wall, now));
            }
            // Only what has room somewhere inhibits, so that its number has a limit too.
            if let Some(alert) = held {
                self.inhibitor.take(&alert);
            }
        }
        if lost > 0 {
            tracing::error!(
                lost,
                "alerts are lost: {GROUPS_MAX} groups and {ALERTS_MAX} alerts are the most; group by fewer labels, or let rules give fewer alerts"
            );
        }
    }

    /// Looks at the groups that are due.
    fn look(&mut self) {
        let now = Instant::now();
        self.inhibitor.sweep(self.shared.clock.now());
        let due: Vec<String> = self
            .groups
            .iter()
            .filter(|(_, group)| !group.busy && group.due <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.look_at(&key, now);
        }
    }

    fn look_at(&mut self, key: &str, now: Instant) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let wall = self.shared.clock.now();
        // What quiet hours keep back waits for their end, also the end of what was told before them.
        let mut told = group.look(wall, now);
        told.retain(|told| self.shared.quiet.until(&group.route.receiver, &told.alert.labels, wall).is_none());
        let told = Arc::new(told);
        let heard = heard(&self.shared, &self.config, &self.inhibitor, group, &told, wall);
        let deliveries = match heard.is_empty() {
            true => Vec::new(),
            false => deliveries(&self.shared, &self.config, group, &Arc::new(heard), wall),
        };
        if deliveries.is_empty() {
            self.forget(key, &told);
            return;
        }
        group.busy = true;
        let key = key.to_owned();
        self.deliveries.spawn(async move {
            let mut running: JoinSet<bool> = deliveries.into_iter().map(Delivery::run).collect();
            let mut delivered = true;
            while let Some(known) = running.join_next().await {
                delivered &= known.unwrap_or(false);
            }
            Done { key, told, delivered }
        });
    }

    fn finish(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(done) => {
                if let Some(group) = self.groups.get_mut(&done.key) {
                    group.busy = false;
                }
                if done.delivered {
                    self.forget(&done.key, &done.told);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a delivery ended badly");
                // Which group it was is not known any more; all may be looked at again.
                self.groups.values_mut().for_each(|group| group.busy = false);
            }
        }
    }

    /// Takes what ended and was told out of its group. A group without alerts is no more at once: what comes after its end
    /// begins a new one, which waits the group's wait.
    fn forget(&mut self, key: &str, told: &[Told]) {
        let Some(group) = self.groups.get_mut(key) else { return };
        group.forget(told);
        if group.is_empty() {
            self.groups.remove(key);
        }
    }

    /// Groups everything anew. Deliveries under way end by themselves; the log keeps what they told.
    fn reload(&mut self, config: Config) {
        self.config = Arc::new(config);
        self.shared.config.set(self.config.clone());
        self.inhibitor = Inhibitor::new(&self.config.inhibit_rules);
        self.announce();
        let before = std::mem::take(&mut self.groups);
        self.insert(before.values().flat_map(Group::alerts).map(|held| &held.alert));
        for (key, group) in &mut self.groups {
            // What is being told now is not decided a second time.
            group.busy = before.get(key).is_some_and(|old| old.busy);
        }
    }

    /// All groups with what keeps their alerts quiet, alerts that have ended left out.
    fn show(&self) -> Vec<GroupView> {
        let now = self.shared.clock.now();
        let alert = |receiver: &str, held: &Held| AlertView {
            fingerprint: fingerprint(&held.alert.labels),
            quiet_until: self.shared.quiet.until(receiver, &held.alert.labels, now),
            inhibited_by: self.inhibitor.inhibited_by(&held.alert.labels, now),
            silenced_by: self.shared.silences.silencing(&held.alert.labels, now),
            alert: held.alert.clone(),
            updated_at: held.updated_at,
        };
        let group = |group: &Group| GroupView {
            receiver: group.route.receiver.clone(),
            labels: group.labels.clone(),
            muted_by: group.muted_by.clone(),
            alerts: (group.alerts().filter(|held| held.alert.ends_at > now))
                .map(|held| alert(&group.route.receiver, held))
                .collect(),
        };
        self.groups.values().map(group).collect()
    }

    async fn drain(&mut self) {
        let all = async { while self.deliveries.join_next().await.is_some() {} };
        if timeout(STOP_MAX, all).await.is_err() {
            tracing::warn!("notifications under way were broken off; they are sent again after the next start");
        }
    }
}

/// The time intervals that keep a route quiet: those that mute it, else those of which none is now.
fn quiet(config: &Config, route: &Route, now: Timestamp) -> Vec<String> {
    let closed = !route.active.is_empty() && config.intervals_at(&route.active, now).is_empty();
    if closed { route.active.clone() } else { config.intervals_at(&route.mute, now) }
}

/// What of a group people may hear: what no other alert inhibits, in an hour in which they listen, and what nobody silenced.
fn heard(
    shared: &Shared,
    config: &Config,
    inhibitor: &Inhibitor,
    group: &mut Group,
    told: &[Told],
    now: Timestamp,
) -> Vec<Told> {
    let is_free = |told: &&Told| inhibitor.inhibited_by(&told.alert.labels, now).is_none();
    let free: Vec<&Told> = told.iter().filter(is_free).collect();
    if free.is_empty() {
        return Vec::new();
    }
    group.muted_by = quiet(config, &group.route, now);
    if !group.muted_by.is_empty() {
        return Vec::new();
    }
    let is_silenced = |told: &Told| !shared.silences.silencing(&told.alert.labels, now).is_empty();
    free.into_iter().filter(|told| !is_silenced(told)).cloned().collect()
}

/// What each integration of a group's receiver has to be told now.
fn deliveries(shared: &Arc<Shared>, config: &Config, group: &Group, told: &Arc<Vec<Told>>, wall: i64) -> Vec<Delivery> {
    let receiver = config.receivers.iter().find(|r| r.name == group.route.receiver);
    let integrations = receiver.map(|r| &r.integrations[..]).unwrap_or_default().iter();
    integrations
        .filter_map(|integration| {
            let last = shared.log.get(&log_key(&group.key, &group.route.receiver, &integration.name));
            let reason = decide(last.as_ref(), told, integration.send_resolved, group.route.repeat_interval, wall)?;
            Some(Delivery {
                shared: shared.clone(),
                receiver: group.route.receiver.clone(),
                integration: integration.clone(),
                library: config.library.clone(),
                reason,
                told: told.clone(),
                group_key: group.key.clone(),
                group_labels: group.labels.clone(),
                group_interval: group.route.group_interval,
                repeat_interval: group.route.repeat_interval,
            })
        })
        .collect()
}
