//! A notification that tests a receiver.

use std::sync::Arc;
use std::time::Duration;

use model::{Alert, Labels, fingerprint};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::{Config, Integration, Receiver};
use crate::decide::Reason;
use crate::delivery::{Delivery, Shared};
use crate::group::Told;

/// Somebody waits for the answer in front of a page.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// The name of the alert that a test tells of.
const ALERT_NAME: &str = "SkepTest";

/// Why it is told, in the log of attempts.
const REASON: &str = "test";

/// How the test of one integration went.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Which one: `webhook[0]`.
    pub integration: String,
    /// Why it did not go well: not taken, or sent without what a template says. `None` if it did.
    pub problem: Option<String>,
    /// How long it took.
    pub duration: Duration,
}

/// Tells every integration of a receiver once of a test alert and, where it hears of ends, of its end, so that nothing
/// stays open in services that count. The log of what was told does not know of it, that of attempts does.
pub(crate) async fn test(shared: &Arc<Shared>, config: &Config, receiver: &Receiver) -> Vec<Trial> {
    let mut running = JoinSet::new();
    for integration in &receiver.integrations {
        running.spawn(one(shared.clone(), config.clone(), receiver.name.clone(), integration.clone()));
    }
    let mut trials = running.join_all().await;
    let place = |trial: &Trial| receiver.integrations.iter().position(|i| i.name == trial.integration);
    trials.sort_by_key(place);
    trials
}

async fn one(shared: Arc<Shared>, config: Config, receiver: String, integration: Arc<Integration>) -> Trial {
    let started = Instant::now();
    let now = shared.clock.now();
    let labels = Labels::from_pairs([("alertname", ALERT_NAME), ("severity", "info")]);
    let summary = format!("A test of the receiver {receiver:?}");
    let description = "Somebody pressed the button: nothing is wrong, and the notifications of this receiver arrive.";
    let alert = Alert {
        annotations: Labels::from_pairs([("summary", &*summary), ("description", description)]),
        starts_at: now,
        ends_at: now,
        generator_url: shared.external_url.clone(),
        labels: labels.clone(),
    };
    let told = |resolved| Arc::new(vec![Told { fingerprint: fingerprint(&labels), resolved, alert: alert.clone() }]);
    let limit = integration.timeout.unwrap_or(ATTEMPT_MAX).min(ATTEMPT_MAX);
    let delivery = |reason| {
        Arc::new(Delivery {
            shared: shared.clone(),
            receiver: receiver.clone(),
            integration: integration.clone(),
            library: config.library.clone(),
            reason,
            told: told(false),
            group_key: format!("test/{receiver}/{now}"),
            group_labels: Labels::from_pairs([("alertname", ALERT_NAME)]),
            group_interval: Duration::ZERO,
            repeat_interval: Duration::ZERO,
        })
    };
    let mut sent = Delivery::compose_and_send(&delivery(Reason::First), &told(false), limit).await;
    if integration.send_resolved && sent.is_ok() {
        let ended = Delivery::compose_and_send(&delivery(Reason::AllResolved), &told(true), limit).await;
        sent = sent.and_then(|problem| Ok(ended?.or(problem)));
    }
    let attempt = delivery(Reason::First).account(REASON, &told(false), now, started, &sent);
    shared.attempts.record(attempt).await;
    let problem = sent.unwrap_or_else(|error| Some(error.to_string()));
    Trial { integration: integration.name.clone(), problem, duration: started.elapsed() }
}
