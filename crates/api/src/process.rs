//! What only the program as a whole knows.

use model::Timestamp;

/// What the program says of itself; the binary implements it.
pub trait Process: Send + Sync {
    /// Whether start-up is over: the log is replayed and the rooms run.
    fn is_ready(&self) -> bool;

    /// The configuration in force as YAML, secrets left out.
    fn config(&self) -> String;

    /// Flags and their values in force, names without dashes.
    fn flags(&self) -> Vec<(String, String)>;

    /// How the program was built.
    fn build(&self) -> Build;

    /// How it runs.
    fn runtime(&self) -> Runtime;

    /// URLs of the Alertmanagers that get the alerts.
    fn alertmanagers(&self) -> Vec<String>;
}

/// How the program was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// The version of the program.
    pub version: String,
    /// The commit.
    pub revision: String,
    /// The branch.
    pub branch: String,
    /// Who built it.
    pub user: String,
    /// When it was built.
    pub date: String,
    /// The compiler.
    pub compiler: String,
}

/// How the program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    /// When it started.
    pub started: Timestamp,
    /// Its working directory.
    pub working_directory: String,
    /// The name of the machine.
    pub hostname: String,
    /// Whether the last reading of the configuration succeeded.
    pub config_good: bool,
    /// When the configuration in force was read.
    pub config_read: Timestamp,
    /// Threads of the process.
    pub threads: u64,
    /// Retention by time and size, such as `400d or 8GiB`.
    pub retention: String,
}
