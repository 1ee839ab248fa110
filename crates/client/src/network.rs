//! Clients of equal configuration are one client, and all share the system's certificates.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::config::HttpConfig;
use crate::tls::Roots;
use crate::transport::Transport;

/// Gives out clients.
#[derive(Default)]
pub struct Network {
    roots: Arc<Roots>,
    known: Mutex<HashMap<HttpConfig, Weak<Transport>>>,
}

impl Network {
    /// The client of a configuration, with its kept connections and tokens, where somebody holds it already.
    pub fn transport(&self, config: &HttpConfig) -> Arc<Transport> {
        // The lock is held for plain look-ups; a panic in one leaves the map as it was.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = known.get(config).and_then(Weak::upgrade) {
            return transport;
        }
        known.retain(|_, transport| transport.strong_count() > 0);
        let transport = Arc::new(Transport::new(config, &self.roots));
        known.insert(config.clone(), Arc::downgrade(&transport));
        transport
    }
}
