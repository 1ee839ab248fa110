//! What the rooms say of themselves: plain data that the API and the pages print.

mod notifications;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::{Labels, StorageError, Timestamp};

pub use notifications::*;

/// Whether something that runs again and again went well the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not run yet.
    #[default]
    Unknown,
    /// The last run went well.
    Good,
    /// The last run failed; an error text stands beside it.
    Bad,
}

/// One target: what is collected, how and with what success.
#[derive(Clone, Debug, Default)]
pub struct TargetStatus {
    /// The job's name in the configuration, which is also the pool's name.
    pub job: String,
    /// Labels its series get.
    pub labels: Labels,
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// Where it is read from; `in-process:NAME` for own collectors.
    pub url: String,
    /// How the last scrape went.
    pub health: Health,
    /// Why it went badly, empty if it did not.
    pub last_error: String,
    /// When the last scrape began.
    pub last_scrape: Option<Timestamp>,
    /// How long it took.
    pub last_scrape_duration: Duration,
    /// Time between scrapes.
    pub interval: Duration,
    /// Time a scrape may take.
    pub timeout: Duration,
    /// Samples of the last good scrape, before relabelling.
    pub samples: u64,
    /// How much later than planned the last scrape began.
    pub lateness: Duration,
    /// What the page has too much of, where the last scrape was refused for its size.
    pub excess: Option<Excess>,
    /// Something the reader of the page should know, such as how the target was found.
    pub note: String,
}

/// What makes a page large that a limit refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    /// Samples on the page, as far as it was read.
    pub samples: u64,
    /// Whether the page is so long that the rest of it was not read.
    pub cut: bool,
    /// Labels with the most different values, the largest first.
    pub labels: Vec<(String, u64)>,
    /// Metrics with the most samples, the largest first.
    pub metrics: Vec<(String, u64)>,
}

/// A target that relabelling left out.
#[derive(Clone, Debug, Default)]
pub struct DroppedTarget {
    /// The job that found it.
    pub job: String,
    /// Labels before relabelling.
    pub discovered_labels: Labels,
}

/// A job, or a part of it, that is configured and not collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedJob {
    /// Its name.
    pub job: String,
    /// The key that skep does not serve, such as `consul_sd_configs`.
    pub key: String,
    /// Where that stands: `FILE:LINE`.
    pub place: String,
}

/// What an address answered when Cilium was looked for there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressLook {
    /// `host:port`.
    pub address: String,
    /// The job that collects it, if it was found to be Cilium's.
    pub job: Option<String>,
    /// What it answered the last time, in words.
    pub answer: String,
}

/// What became of a label set, rule by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relabeling {
    /// One entry a rule, in their order.
    pub steps: Vec<RelabelStep>,
    /// The target that comes out; `None` where a rule dropped it or it cannot be scraped.
    pub target: Option<RelabeledTarget>,
    /// Why it cannot be scraped though no rule dropped it, empty if that is not so.
    pub problem: String,
    /// What rules on trial would do to all targets of the job.
    pub all: Option<RelabelCounts>,
}

/// Targets of a job by what rules on trial would make of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelabelCounts {
    /// All that are collected or dropped now.
    pub targets: usize,
    /// Those that would be collected.
    pub collected: usize,
    /// Those that would be collected and are not now.
    pub gained: usize,
    /// Those that are collected now and would not be.
    pub lost: usize,
    /// Those that stay, with other labels or another address.
    pub changed: usize,
}

/// What relabelling made of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelabeledTarget {
    /// Labels its series get.
    pub labels: Labels,
    /// Where it is read from.
    pub url: String,
}

/// What one rule did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelabelStep {
    /// The rule as YAML, without keys that have their default.
    pub rule: String,
    /// What it does: `replace`, `keep`, ...
    pub action: String,
    /// The value that it looked at, source labels joined; empty for rules over label names.
    pub read: String,
    /// How it went.
    pub outcome: RelabelOutcome,
    /// Labels that it set or removed: name, value before, value after.
    pub changes: Vec<(String, Option<String>, Option<String>)>,
}

/// How a rule went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelabelOutcome {
    /// A rule before it dropped the target.
    #[default]
    NotReached,
    /// It matched nothing, and the labels stay.
    NoMatch,
    /// It matched, and the labels were like that already.
    Unchanged,
    /// It changed labels.
    Changed,
    /// It let the target pass.
    Kept,
    /// It dropped the target.
    Dropped,
}

/// Tells of targets; the scrape room implements it.
pub trait Targets: Send + Sync {
    /// Targets that are collected, by job, then by URL.
    fn active(&self) -> Vec<TargetStatus>;
    /// Targets that relabelling left out.
    fn dropped(&self) -> Vec<DroppedTarget>;
    /// Sentences on what was looked for and not found, or cannot be collected, such as the Hubble relay.
    fn notes(&self) -> Vec<String>;
    /// Configured jobs that are not, or not wholly, collected.
    fn skipped(&self) -> Vec<SkippedJob> {
        Vec::new()
    }
    /// Where Cilium was looked for and what came back; `None` where it is not looked for.
    fn cilium(&self) -> Option<Vec<AddressLook>> {
        None
    }
    /// What the rules of a job make of labels before relabelling; `rules` are tried in place of its own where they are given,
    /// written as in `relabel_configs`. Problems of the text are told in its place; `None` where there is no such job.
    fn relabel(&self, job: &str, labels: &Labels, rules: Option<&str>) -> Option<Result<Relabeling, Vec<String>>> {
        let _ = (job, labels, rules);
        None
    }
}

/// A rule group and its last evaluation.
#[derive(Clone, Debug, Default)]
pub struct RuleGroupStatus {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// Time between evaluations.
    pub interval: Duration,
    /// Most series or alerts a rule may give; 0 is no limit.
    pub limit: u64,
    /// Its rules in order.
    pub rules: Vec<RuleStatus>,
    /// When it was last evaluated.
    pub last_evaluation: Option<Timestamp>,
    /// How long that took.
    pub evaluation_time: Duration,
}

/// A rule and its last evaluation.
#[derive(Clone, Debug)]
pub struct RuleStatus {
    /// The alert's or the recorded metric's name.
    pub name: String,
    /// The expression, formatted.
    pub query: String,
    /// Labels the rule adds.
    pub labels: Labels,
    /// How the last evaluation went.
    pub health: Health,
    /// Why it went badly, empty if it did not.
    pub last_error: String,
    /// When it was last evaluated.
    pub last_evaluation: Option<Timestamp>,
    /// How long that took.
    pub evaluation_time: Duration,
    /// What an alerting rule has beside; `None` for a recording rule.
    pub alerting: Option<AlertingStatus>,
}

/// What an alerting rule has beside a recording rule.
#[derive(Clone, Debug, Default)]
pub struct AlertingStatus {
    /// `for`.
    pub hold: Duration,
    /// `keep_firing_for`.
    pub keep_firing: Duration,
    /// Annotations, templates not expanded.
    pub annotations: Labels,
    /// Its active alerts.
    pub alerts: Vec<AlertStatus>,
}

/// The state of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// The expression gives nothing.
    Inactive,
    /// It holds, but not yet for long enough.
    Pending,
    /// It has held for long enough.
    Firing,
}

/// One active alert.
#[derive(Clone, Debug)]
pub struct AlertStatus {
    /// Its labels, `alertname` included.
    pub labels: Labels,
    /// Annotations, templates expanded.
    pub annotations: Labels,
    /// Pending or firing.
    pub state: AlertState,
    /// Since when the expression holds.
    pub active_at: Timestamp,
    /// Since when it is kept firing by `keep_firing_for` alone.
    pub keep_firing_since: Option<Timestamp>,
    /// The value of the expression.
    pub value: f64,
}

/// Tells of rules; the rules room implements it.
pub trait Rules: Send + Sync {
    /// All groups, by file, then in the file's order.
    fn groups(&self) -> Vec<RuleGroupStatus>;
    /// Changes of alerts' states, the newest first. It blocks.
    fn history(&self, wanted: &HistoryQuery) -> Result<HistoryPage, StorageError> {
        let _ = wanted;
        Ok(HistoryPage::default())
    }
    /// What is known of a built-in rule beside its annotations: what it means and what to do, in plain text of paragraphs and
    /// lines that begin with `- `.
    fn runbook(&self, rule: &str) -> Option<&'static str> {
        let _ = rule;
        None
    }
    /// What a rule would have done in the past; the error says what stands in the way. It blocks, for a minute at most.
    fn backtest(&self, trial: &Trial) -> Result<Backtest, String> {
        let _ = trial;
        Err("backtests are not available".to_owned())
    }
    /// The rules that people made on the pages, by name.
    fn own(&self) -> Vec<OwnRule> {
        Vec::new()
    }
    /// Where rules may be made on the pages: adds a rule, or puts it into the place of `old`. It is on the disk and in force
    /// when this is over; the error says which field cannot stay as it is.
    fn set_own(self: Arc<Self>, old: Option<String>, rule: OwnRule) -> Saving {
        let _ = (old, rule);
        Box::pin(async { Err("rules cannot be made here".to_owned()) })
    }
    /// Takes such a rule away again.
    fn remove_own(self: Arc<Self>, name: String) -> Saving {
        let _ = name;
        Box::pin(async { Err("rules cannot be made here".to_owned()) })
    }
}

/// A change under way, and why it was not made.
pub type Saving = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A rule that somebody made on a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnRule {
    /// The alert's name, unique among them.
    pub name: String,
    /// What must give something for the alert to hold.
    pub expr: String,
    /// `for`.
    pub hold: Duration,
    /// `keep_firing_for`.
    pub keep_firing: Duration,
    /// The label `severity`; empty for none.
    pub severity: String,
    /// Who is told, whatever the routes say; empty leaves it to them.
    pub receiver: String,
    /// The annotation `summary`; empty for none.
    pub summary: String,
}

/// The label of an alert whose rule names its receiver.
pub const RECEIVER_LABEL: &str = "skep_receiver";

/// A change of an alert's state.
#[derive(Clone, Debug)]
pub struct AlertChange {
    /// When.
    pub at: Timestamp,
    /// What it became; inactive is the end.
    pub state: AlertState,
    /// Its labels, `alertname` included.
    pub labels: Labels,
    /// Its summary, templates expanded.
    pub summary: String,
    /// The value of the expression.
    pub value: f64,
    /// Since when the expression held.
    pub active_at: Timestamp,
    /// Where the rule stands: file, group, name.
    pub rule: (String, String, String),
}

/// What of the history is wanted.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// From here on.
    pub from: Timestamp,
    /// Up to here.
    pub to: Timestamp,
    /// Words, each of which must stand somewhere in labels or summary, in whatever case.
    pub words: Vec<String>,
    /// Changes to this state alone.
    pub state: Option<AlertState>,
    /// Changes of the rule with this name alone.
    pub rule: Option<String>,
    /// Changes of the alert with this fingerprint alone: that of its labels together with the external ones.
    pub alert: Option<u64>,
    /// The external labels.
    pub external_labels: Labels,
    /// At most so many.
    pub limit: usize,
}

/// A part of the history.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// The newest first.
    pub changes: Vec<AlertChange>,
    /// Whether there are older ones that fit.
    pub more: bool,
}

/// A rule that is tried on the past.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The expression.
    pub expr: String,
    /// `for`.
    pub hold: Duration,
    /// `keep_firing_for`.
    pub keep_firing: Duration,
    /// Time between evaluations.
    pub interval: Duration,
    /// From here on.
    pub from: Timestamp,
    /// Up to here.
    pub to: Timestamp,
}

/// What a rule would have done.
#[derive(Clone, Debug, Default)]
pub struct Backtest {
    /// Evaluations.
    pub steps: u64,
    /// Time between them.
    pub interval: Duration,
    /// The first one.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
    /// Times that alerts fired, the oldest first; the first of very many.
    pub episodes: Vec<Episode>,
    /// How often alerts fired.
    pub fired: u64,
    /// How often they were pending and did not fire.
    pub spared: u64,
    /// Time that alerts fired, those of several at once summed.
    pub firing: Duration,
    /// Time in which at least one fired.
    pub firing_any: Duration,
    /// The longest.
    pub longest: Duration,
    /// Label sets that were pending or fired.
    pub series: usize,
    /// Whether an alert fires at the end.
    pub fires_now: bool,
    /// How long the backtest took.
    pub took: Duration,
    /// What the engine had to say.
    pub warnings: Vec<String>,
}

/// An alert that fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// The labels of the expression's result.
    pub labels: Labels,
    /// Since when the expression held.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Timestamp,
    /// When it ended; `None` if it fires at the end.
    pub ended_at: Option<Timestamp>,
    /// The value when it began to fire.
    pub value: f64,
}

/// Whether a probe runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeState {
    /// Switched off in the configuration.
    Disabled,
    /// The kernel is taking its programs.
    Starting,
    /// It counts.
    Running,
    /// This machine lacks something; the reason names it and what to do.
    Unsupported {
        /// What is missing.
        reason: String,
    },
    /// It should run but does not.
    Failed {
        /// What the kernel said.
        error: String,
    },
}

/// A probe and its state.
#[derive(Clone, Debug)]
pub struct ProbeStatus {
    /// Its name, which is also its key in the configuration.
    pub name: String,
    /// One sentence on what it counts.
    pub help: String,
    /// Whether it runs.
    pub state: ProbeState,
    /// Sentences on details, such as devices and modes.
    pub details: Vec<String>,
}

/// Tells of probes; the probes room implements it.
pub trait Probes: Send + Sync {
    /// All probes in the order of the list.
    fn probes(&self) -> Vec<ProbeStatus>;
    /// The BPF programs and maps of this machine as they are now; `None` where no probe lists them. Asking lets the
    /// kernel count the runs of programs for a while, where the configuration says so. It may block.
    fn bpf(&self) -> Option<BpfObjects> {
        None
    }
}

/// The BPF programs and maps of this machine, whoever made them.
#[derive(Clone, Debug, Default)]
pub struct BpfObjects {
    /// Programs by id.
    pub programs: Vec<BpfProgram>,
    /// Maps by id.
    pub maps: Vec<BpfMap>,
    /// Programs and maps beyond the limit of what is looked at.
    pub beyond: usize,
    /// Whether the kernel counts the runs of programs now.
    pub counts_runs: bool,
}

/// A BPF program.
#[derive(Clone, Debug, Default)]
pub struct BpfProgram {
    /// The kernel's number for it.
    pub id: u32,
    /// Its type, such as `sched_cls`.
    pub kind: String,
    /// Its name, cut to 15 characters by the kernel.
    pub name: String,
    /// Where its links put it, such as `tcx_ingress eth0`; empty where no link says.
    pub attachment: String,
    /// How it runs lately; `None` while that is not counted, or was not long enough.
    pub pace: Option<BpfPace>,
}

/// How a program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BpfPace {
    /// Runs a second.
    pub runs: f64,
    /// Seconds of a core a second.
    pub cores: f64,
}

/// A BPF map.
#[derive(Clone, Debug, Default)]
pub struct BpfMap {
    /// The kernel's number for it.
    pub id: u32,
    /// Its type, such as `lru_hash`.
    pub kind: String,
    /// Its name, cut to 15 characters by the kernel.
    pub name: String,
    /// Bytes of a key and of a value.
    pub sizes: (u32, u32),
    /// Entries by the last count; `None` where they cannot be counted, or were not yet.
    pub entries: Option<u64>,
    /// Entries that it has room for.
    pub capacity: u32,
    /// Kernel memory.
    pub memory_bytes: Option<u64>,
}

/// What the store holds.
#[derive(Clone, Debug, Default)]
pub struct StoreStatus {
    /// Series of the head.
    pub head_series: u64,
    /// Samples of the head.
    pub head_samples: u64,
    /// Oldest and newest sample of the head; `None` while it is empty.
    pub head_times: Option<(Timestamp, Timestamp)>,
    /// Oldest sample of all.
    pub min_time: Option<Timestamp>,
    /// Newest sample of all.
    pub max_time: Option<Timestamp>,
    /// Sealed blocks.
    pub blocks: u64,
    /// Blocks or records set aside because they are damaged.
    pub quarantined: u64,
    /// Bytes of the data folder.
    pub size_bytes: u64,
    /// Why writing is refused now, empty if it is not.
    pub read_only_reason: String,
    /// Longest time a scraped sample waits for the disk.
    pub sync_interval: Duration,
}

/// The memory budget and how the rooms share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStatus {
    /// Bytes that the process may take.
    pub budget_bytes: u64,
    /// Where that comes from, in words.
    pub origin: String,
    /// What each room may take and takes.
    pub shares: Vec<MemoryShare>,
}

/// A room's part of the memory budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryShare {
    /// What for, as in the label `share` of the metrics.
    pub name: &'static str,
    /// Most bytes.
    pub limit_bytes: u64,
    /// Bytes now.
    pub used_bytes: u64,
}

/// Tells of the memory budget.
pub trait Memory: Send + Sync {
    /// The budget, its shares and their use now.
    fn memory(&self) -> MemoryStatus;
}

/// A sealed block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockStatus {
    /// Its number, in the order of writing.
    pub number: u64,
    /// First timestamp.
    pub min_time: Timestamp,
    /// Last timestamp.
    pub max_time: Timestamp,
    /// Series.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Bytes of its file.
    pub bytes: u64,
}

/// Long work of the store that runs now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkStatus {
    /// What it is, in words.
    pub what: &'static str,
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
    /// When it began.
    pub since: Timestamp,
}

/// A block that is not served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetAsideStatus {
    /// First timestamp; 0 where it is not known.
    pub min_time: Timestamp,
    /// Last timestamp.
    pub max_time: Timestamp,
    /// Why.
    pub reason: String,
}

/// The store in detail, for the page about it.
#[derive(Clone, Debug, Default)]
pub struct StoreDetails {
    /// When it was opened; counters count from then.
    pub opened: Timestamp,
    /// How long samples are kept; `None` keeps all.
    pub retention_time: Option<Duration>,
    /// Most bytes of the folder; `None` is no limit.
    pub retention_size: Option<u64>,
    /// How long samples stay in memory before they are sealed.
    pub seal_interval: Duration,
    /// Bytes on disk, by part.
    pub disk: Vec<(&'static str, u64)>,
    /// Bytes that files may still take on the file system; `None` if it does not say.
    pub free_bytes: Option<u64>,
    /// Segments of the log.
    pub log_segments: u64,
    /// Bytes written to the log since it was opened.
    pub log_written_bytes: u64,
    /// Bytes written to blocks, merging included.
    pub blocks_written_bytes: u64,
    /// Samples taken.
    pub appended: u64,
    /// Samples refused because another value stands at their time.
    pub conflicting: u64,
    /// Times the log was synced, and times the disk refused.
    pub fsyncs: (u64, u64),
    /// Sealings that failed and are tried again.
    pub seal_failures: u64,
    /// Sealed blocks by number.
    pub blocks: Vec<BlockStatus>,
    /// What runs now.
    pub work: Vec<WorkStatus>,
    /// Blocks that are not served, since it was opened.
    pub set_aside: Vec<SetAsideStatus>,
    /// Damaged stretches of the log that the start passed over.
    pub damaged_records: u64,
    /// Memory, by part.
    pub memory: Vec<(&'static str, u64)>,
    /// The head is sealed early when its samples take so many bytes.
    pub head_bytes_max: u64,
    /// New series are refused past this number.
    pub head_series_max: u64,
}

/// A name and what its series cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The metric, the label, `name=value`, or `job instance`.
    pub name: String,
    /// Series; for a label, its values.
    pub count: u64,
    /// Bytes of their samples.
    pub bytes: u64,
    /// Their samples.
    pub samples: u64,
}

/// The largest costs, each list with its largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Series in all.
    pub series: u64,
    /// Different pairs of label name and value.
    pub pairs: u64,
    /// Their samples.
    pub samples: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Metrics by series.
    pub metrics: Vec<Cost>,
    /// Metrics by bytes.
    pub metrics_by_bytes: Vec<Cost>,
    /// Metrics by series that ended before their block did or began after it: churn.
    pub metrics_by_churn: Vec<Cost>,
    /// Labels by different values.
    pub labels: Vec<Cost>,
    /// Pairs of label name and value by series.
    pub label_pairs: Vec<Cost>,
    /// Jobs and instances by bytes.
    pub targets: Vec<Cost>,
}

/// Tells of the store; the store implements it.
pub trait Store: Send + Sync {
    /// What it holds now.
    fn status(&self) -> StoreStatus;

    /// The same in detail.
    fn details(&self) -> StoreDetails {
        StoreDetails::default()
    }

    /// What its series cost: their number by the head, their bytes by the newest block. Told anew once a minute.
    fn costs(&self) -> Costs {
        Costs::default()
    }
}
