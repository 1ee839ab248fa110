//! `dns_sd_configs`: targets in records of names.
//!
//! The resolver is our own and small. What counts here is that search domains, missing names and failing servers mean what
//! they mean to Prometheus, that records come as they are (several, of all types, with the dot at the end) and that nothing
//! is cached; libraries answer the question "which address has this host", and bring a cache and forty crates for it.

mod message;
mod resolver;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Labels;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use self::message::{Data, Record};
use self::resolver::Resolver;
use crate::{ADDRESS, Counters, Discovery, DnsConfig, Found, Group, RecordKind, publish};

/// A name with more records than this is a mistake, or an attack.
const RECORDS_MAX: usize = 10_000;

const META_NAME: &str = "__meta_dns_name";
const META_SRV_TARGET: &str = "__meta_dns_srv_record_target";
const META_SRV_PORT: &str = "__meta_dns_srv_record_port";
const META_MX_TARGET: &str = "__meta_dns_mx_record_target";
const META_NS_TARGET: &str = "__meta_dns_ns_record_target";

/// The names of one job.
pub(crate) struct Names {
    pub(crate) job: String,
    pub(crate) config: DnsConfig,
    pub(crate) counters: Arc<Counters>,
}

impl Discovery for Names {
    async fn run(self, found: watch::Sender<Arc<Found>>) {
        let mut ticks = tokio::time::interval(self.config.refresh);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = BTreeMap::new();
        loop {
            tokio::select! {
                () = found.closed() => return,
                _ = ticks.tick() => {}
            }
            let notes = tokio::select! {
                () = found.closed() => return,
                notes = self.look(&mut known) => notes,
            };
            publish(&found, &self.job, Found { groups: known.values().cloned().collect(), notes, ..Found::default() });
        }
    }
}

impl Names {
    /// Asks for all names at once. A name that cannot be asked for keeps its targets; the notes say which.
    async fn look(&self, known: &mut BTreeMap<String, Group>) -> Vec<String> {
        let resolver = match tokio::task::spawn_blocking(Resolver::of_system).await {
            Ok(Ok(resolver)) => Arc::new(resolver),
            Ok(Err(reason)) => {
                self.config.names.iter().for_each(|_| self.counters.dns_lookup(true));
                return vec![format!("job {:?}: {reason}", self.job)];
            }
            Err(_) => return Vec::new(),
        };
        let mut questions = tokio::task::JoinSet::new();
        for name in self.config.names.iter().cloned() {
            let (resolver, kind) = (Arc::clone(&resolver), self.config.kind);
            questions.spawn(async move {
                let answer = resolver.look_up(&name, kind).await;
                (name, answer)
            });
        }
        let mut notes = Vec::new();
        while let Some(answer) = questions.join_next().await {
            if let Ok((_, answer)) = &answer {
                self.counters.dns_lookup(answer.is_err());
            }
            match answer {
                Ok((name, Ok(records))) => drop(known.insert(name.clone(), self.group(&name, &records))),
                Ok((_, Err(reason))) => notes.push(format!("job {:?}: {reason}", self.job)),
                Err(_) => {}
            }
        }
        notes.sort();
        notes
    }

    fn group(&self, name: &str, records: &[Record]) -> Group {
        let targets = records.iter().take(RECORDS_MAX).filter_map(|record| target(name, self.config.port, record));
        Group { job: self.job.clone(), source: name.to_owned(), targets: targets.collect(), note: String::new() }
    }
}

/// The target of a record; aliases are none, what they stand for is in the answer, too.
fn target(name: &str, port: i64, record: &Record) -> Option<Labels> {
    let mut srv = (String::new(), String::new());
    let (mut mx, mut ns) = (String::new(), String::new());
    let address = match &record.data {
        Data::A(address) => format!("{address}:{port}"),
        Data::Aaaa(address) => format!("[{address}]:{port}"),
        Data::Srv { target, port } => {
            srv = (target.clone(), port.to_string());
            join(target, i64::from(*port))
        }
        Data::Mx(target) => {
            mx.clone_from(target);
            join(target, port)
        }
        Data::Ns(target) => {
            ns.clone_from(target);
            join(target, port)
        }
        Data::Other => return None,
    };
    let pairs = [
        (ADDRESS, address),
        (META_NAME, name.to_owned()),
        (META_SRV_TARGET, srv.0),
        (META_SRV_PORT, srv.1),
        (META_MX_TARGET, mx),
        (META_NS_TARGET, ns),
    ];
    Some(Labels::from_pairs(pairs))
}

/// Host and port; the dot that ends a name from the root is left out.
fn join(host: &str, port: i64) -> String {
    format!("{}:{port}", host.trim_end_matches('.'))
}

/// The number of a type of records on the wire.
pub(crate) fn type_number(kind: RecordKind) -> u16 {
    match kind {
        RecordKind::A => message::A,
        RecordKind::Ns => message::NS,
        RecordKind::Mx => message::MX,
        RecordKind::Aaaa => message::AAAA,
        RecordKind::Srv => message::SRV,
    }
}
