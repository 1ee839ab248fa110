//! `cargo xtask`: the project's own commands, so that a person, CI and a release run the same.

mod bench;
mod boards;
mod cost;
mod ebpf;
mod events;
mod fuzz;
mod hostile;
mod lateness;
mod machine;
mod queries;
mod rules;
mod slow;
mod soak;
mod test;
mod troubled;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
cargo xtask test               everything that has to pass: installs what it needs (as root), then format, lints,
                               BPF objects, unit, integration, privileged and browser tests
cargo xtask browser            of these the browser tests alone
cargo xtask ebpf [--check]     build the BPF objects, or compare them with the committed ones
cargo xtask fuzz [SECONDS]     every fuzz target for so many seconds (5)
cargo xtask soak               the long forms of the tests: kills, crash images, model tests, fuzzing; takes hours
cargo xtask bench              start-up time, memory, size, beside a peer where there is one
cargo xtask bench rules        what evaluating rules costs, and whether ten thousand are on time, beside a peer
cargo xtask bench queries      how much memory heavy queries take at most, beside a peer
cargo xtask bench dashboards   what the data of dashboards weighs, and how long their pages take
cargo xtask bench hostile      how late scrapes and pages are while clients ask for everything
cargo xtask bench slow         how long pages take while clients hold connections that they hardly use
cargo xtask bench probes       what the probes on network devices cost a packet, and what they take from real traffic
cargo xtask bench events       what the probes of tracepoints cost an event, and one collection
cargo xtask bench lateness     how late and how evenly spread scrapes of a thousand targets are, beside a peer
";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test::run(),
        ["browser"] => test::browser(),
        ["ebpf"] => ebpf::run(false),
        ["ebpf", "--check"] => ebpf::run(true),
        ["fuzz"] => fuzz::run(fuzz::SECONDS, 0),
        ["fuzz", seconds] => fuzz::run(seconds.parse().context("SECONDS is a number")?, 0),
        ["soak"] => soak::run(),
        ["bench"] => bench::run(),
        ["bench", "queries"] => queries::run(),
        ["bench", "rules"] => rules::run(),
        ["bench", "dashboards"] => boards::run(),
        ["bench", "hostile"] => hostile::run(),
        ["bench", "slow"] => slow::run(),
        ["bench", "lateness"] => lateness::run(),
        ["bench", "events"] => events::run(),
        ["bench", "events", "inside"] => events::inside(),
        ["bench", "probes"] => cost::run(),
        ["bench", "probes", "traffic"] => cost::traffic(),
        ["bench", "probes", "other-side"] => cost::share::other_side(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("unknown command {:?}\n{USAGE}", other.join(" ")),
    }
}
