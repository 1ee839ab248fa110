//! What the probes are told by the rest of the program while they run.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a look lasts. The page asks again every 15 seconds; two of its questions may be lost.
const LOOK_LASTS: Duration = Duration::from_secs(50);

/// What the probes cannot know themselves. Copies share it.
#[derive(Clone, Default)]
pub struct Surroundings {
    agent_is_scraped: Arc<Mutex<Option<AgentIsScraped>>>,
    looked: Arc<Mutex<Option<Instant>>>,
}

type AgentIsScraped = Arc<dyn Fn() -> bool + Send + Sync>;

impl Surroundings {
    /// `agent_is_scraped` tells whether the metrics endpoint of Cilium's agent is being scraped, so that nothing is
    /// exported under its names a second time; until it is told, nobody scrapes it. It is called while probes are read,
    /// and must not read them.
    pub fn ask_for_agent(&self, agent_is_scraped: impl Fn() -> bool + Send + Sync + 'static) {
        *lock(&self.agent_is_scraped) = Some(Arc::new(agent_is_scraped));
    }

    /// Somebody looks at what costs something to know.
    pub fn look(&self) {
        *lock(&self.looked) = Some(Instant::now());
    }

    /// Whether somebody looked just now.
    pub(crate) fn is_viewed(&self) -> bool {
        lock(&self.looked).is_some_and(|at| at.elapsed() < LOOK_LASTS)
    }

    pub(crate) fn agent_is_scraped(&self) -> bool {
        let is_scraped = lock(&self.agent_is_scraped).clone();
        is_scraped.is_some_and(|is_scraped| is_scraped())
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("viewed", &self.is_viewed()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
