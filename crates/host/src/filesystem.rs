//! The `filesystem` collector, from the mount table and statfs(2).
//!
//! statfs(2) on a network mount whose server is gone may never return, and nothing can interrupt it. So a worker
//! thread asks. A mount that does not answer in time is reported and left alone until its answer comes; the worker
//! that hangs in it is given up and another takes its place. There are never more threads than hanging mounts and
//! one, and a hanging mount costs the timeout once, not at every scrape.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use model::{Families, MetricKind};
use rustix::fs::StatFs;
use rustix::io::Errno;

use crate::exclude::Exclude;
use crate::roots::Roots;
use crate::text::File;
use crate::{Error, HostCollector, Source};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "filesystem",
    help: "Space of mounted file systems.",
    open: |config| {
        Box::new(Filesystem {
            mount_points_exclude: config.mount_points_exclude.clone(),
            fs_types_exclude: config.fs_types_exclude.clone(),
            prober: Prober::new(config.filesystem_timeout.max(TIMEOUT_MIN)),
        })
    },
};

/// A local file system answers in microseconds and a network mount in milliseconds; the scrape waits no longer than a
/// fraction of the shortest usual interval.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(500);

/// What node_exporter says of a mount that hangs.
const HANGS: &str = "mountpoint timeout";

/// Mounts that hang at once; each keeps a thread and cost a scrape [`TIMEOUT`] when it was found out. Past it no mount is
/// asked until one of them answers.
const HANGING_MAX: usize = 16;

/// With less than this, a busy machine would take healthy mounts for hanging ones.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

struct Filesystem {
    mount_points_exclude: Exclude,
    fs_types_exclude: Exclude,
    prober: Prober,
}

/// A line of the mount table.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    major: String,
    minor: String,
    mount_point: String,
    fs_type: String,
    read_only: bool,
}

/// A mount with what was found out about it.
struct Answer {
    mount: Mount,
    result: Result<StatFs, String>,
}

type Value = fn(&StatFs) -> f64;

/// Values that need an answer: metric, help, value.
const METRICS: [(&str, &str, Value); 6] = [
    ("node_filesystem_size_bytes", "Bytes of the file system.", |s| bytes(s, s.f_blocks)),
    ("node_filesystem_free_bytes", "Bytes that are free.", |s| bytes(s, s.f_bfree)),
    ("node_filesystem_avail_bytes", "Bytes that are free for users other than root.", |s| bytes(s, s.f_bavail)),
    ("node_filesystem_files", "Files that the file system can hold.", |s| s.f_files as f64),
    ("node_filesystem_files_free", "Files that can still be made.", |s| s.f_ffree as f64),
    ("node_filesystem_purgeable_bytes", "Bytes that could be freed on macOS; always 0 here.", |_| 0.0),
];

impl Source for Filesystem {
    fn collect(&mut self, roots: &Roots, families: &mut Families) -> Result<(), Error> {
        let mounts = self.mounts(roots)?;
        let mut answers = Vec::with_capacity(mounts.len());
        for mount in mounts {
            let result = self.prober.ask(&mount.mount_point, roots.root_path(&mount.mount_point));
            answers.push(Answer { mount, result });
        }
        for (name, help, value) in METRICS {
            let family = families.family(name, MetricKind::Gauge, help);
            for answer in &answers {
                if let Ok(stat) = &answer.result {
                    family.with(answer.labels(), value(stat));
                }
            }
        }
        let help = "1 where the file system could not be asked.";
        let family = families.family("node_filesystem_device_error", MetricKind::Gauge, help);
        for answer in &answers {
            family.with(answer.labels(), f64::from(u8::from(answer.result.is_err())));
        }
        let help = "1 where nothing can be written.";
        let family = families.family("node_filesystem_readonly", MetricKind::Gauge, help);
        for answer in &answers {
            family.with(answer.labels(), f64::from(u8::from(answer.mount.read_only)));
        }
        mount_info(&answers, families);
        Ok(())
    }
}

impl Filesystem {
    /// Mounts that are not excluded. Of several with equal labels the first counts.
    fn mounts(&self, roots: &Roots) -> Result<Vec<Mount>, Error> {
        // The first process sees the host's mounts even where this one lives in a namespace of its own.
        let file = roots.proc("1/mountinfo").or_else(|_| roots.proc("self/mountinfo"))?;
        let mut seen = HashSet::new();
        let mut mounts = Vec::new();
        for line in file.lines() {
            let mut mount = parse(&file, line)?;
            mount.mount_point = roots.strip(mount.mount_point);
            let excluded =
                self.mount_points_exclude.matches(&mount.mount_point) || self.fs_types_exclude.matches(&mount.fs_type);
            if !excluded && seen.insert((mount.device.clone(), mount.mount_point.clone(), mount.fs_type.clone())) {
                mounts.push(mount);
            }
        }
        Ok(mounts)
    }
}

impl Answer {
    fn labels(&self) -> [(&'static str, String); 4] {
        [
            ("device", self.mount.device.clone()),
            ("mountpoint", self.mount.mount_point.clone()),
            ("fstype", self.mount.fs_type.clone()),
            ("device_error", self.result.as_ref().err().cloned().unwrap_or_default()),
        ]
    }
}

/// Blocks in bytes. The block size is that of statfs(2), as node_exporter takes it.
fn bytes(stat: &StatFs, blocks: u64) -> f64 {
    blocks as f64 * stat.f_bsize as f64
}

fn mount_info(answers: &[Answer], families: &mut Families) {
    let help = "The device number of a mounted file system; always 1.";
    let family = families.family("node_filesystem_mount_info", MetricKind::Gauge, help);
    for Answer { mount, .. } in answers.iter().filter(|answer| answer.result.is_ok()) {
        let labels = [
            ("device", &mount.device),
            ("major", &mount.major),
            ("minor", &mount.minor),
            ("mountpoint", &mount.mount_point),
        ];
        family.with(labels.map(|(label, value)| (label, value.as_str())), 1.0);
    }
}

/// A line of mountinfo: `id parent major:minor root mountpoint options [tags] - type device super-options`.
fn parse(file: &File, line: &str) -> Result<Mount, Error> {
    let error = || file.error("a line of a mount table was expected", line);
    let (before, after) = line.split_once(" - ").ok_or_else(error)?;
    let before: Vec<&str> = before.split_ascii_whitespace().collect();
    let after: Vec<&str> = after.split_ascii_whitespace().collect();
    let ([_, _, number, _, mount_point, options, ..], [fs_type, device, rest @ ..]) = (&before[..], &after[..]) else {
        return Err(error());
    };
    let (major, minor) = number.split_once(':').ok_or_else(error)?;
    let read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Ok(Mount {
        device: (*device).to_owned(),
        major: major.to_owned(),
        minor: minor.to_owned(),
        mount_point: unescape(mount_point),
        fs_type: (*fs_type).to_owned(),
        read_only: read_only(options) || rest.first().is_some_and(|options| read_only(options)),
    })
}

/// The kernel writes space, tab, line feed and backslash as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii);
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

type Stat = Result<StatFs, Errno>;

/// Asks mounts with a time limit.
struct Prober {
    timeout: Duration,
    ask: fn(&PathBuf) -> Stat,
    worker: Option<Worker>,
    /// Mounts that hang, with the worker that waits for each.
    hanging: HashMap<String, Worker>,
}

/// A thread that ends when its channel of questions is dropped and the last answer came.
struct Worker {
    questions: Sender<PathBuf>,
    answers: Receiver<Stat>,
}

impl Prober {
    fn new(timeout: Duration) -> Self {
        Self { timeout, ask: |path| rustix::fs::statfs(path), worker: None, hanging: HashMap::new() }
    }

    fn ask(&mut self, mount_point: &str, path: PathBuf) -> Result<StatFs, String> {
        // Anything but an empty channel means that the old question is settled; a fresh one may be asked.
        self.hanging.retain(|_, worker| matches!(worker.answers.try_recv(), Err(TryRecvError::Empty)));
        if self.hanging.contains_key(mount_point) {
            return Err(HANGS.to_owned());
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None if self.hanging.len() >= HANGING_MAX => return Err(format!("{HANGING_MAX} other mounts hang")),
            None => Worker::start(self.ask).map_err(|error| format!("start a thread: {error}"))?,
        };
        if worker.questions.send(path).is_err() {
            return Err("the thread that asks has ended".to_owned());
        }
        match worker.answers.recv_timeout(self.timeout) {
            Ok(answer) => {
                self.worker = Some(worker);
                answer.map_err(describe)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.hanging.insert(mount_point.to_owned(), worker);
                Err(HANGS.to_owned())
            }
            Err(RecvTimeoutError::Disconnected) => Err("the thread that asks has ended".to_owned()),
        }
    }
}

impl Worker {
    fn start(ask: fn(&PathBuf) -> Stat) -> std::io::Result<Self> {
        let (questions, inbox) = channel::<PathBuf>();
        let (outbox, answers) = channel();
        thread::Builder::new().name("statfs".to_owned()).spawn(move || {
            for path in inbox {
                if outbox.send(ask(&path)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers })
    }
}

/// The words of Go's error, so that the label's value is node_exporter's: lower case, without the number.
fn describe(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(&str, &str, &str, bool)>) {
        let file = File { path: "mountinfo".to_owned(), text: String::new() };
        let mount = parse(&file, line).ok();
        let found =
            mount.as_ref().map(|m| (m.device.as_str(), m.mount_point.as_str(), m.fs_type.as_str(), m.read_only));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn mount_table() {
        check(
            "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
            Some(("/dev/root", "/mnt2", "ext3", false)),
        );
        check("36 35 98:0 / / ro - ext4 /dev/vda rw", Some(("/dev/vda", "/", "ext4", true)));
        check("36 35 98:0 / / rw - ext4 /dev/vda ro", Some(("/dev/vda", "/", "ext4", true)));
        check(r"36 35 0:5 / /mnt/a\040b\011c rw - nfs4 srv:/x rw", Some(("srv:/x", "/mnt/a b\tc", "nfs4", false)));
        check(
            r"36 35 0:5 / /a\134040b rw shared:1 master:2 - tmpfs tmpfs rw",
            Some(("tmpfs", r"/a\040b", "tmpfs", false)),
        );
        check("36 35 98:0 / /mnt2 rw", None);
        check("36 35 98 / / rw - ext4 /dev/vda rw", None);
        check("", None);
    }

    /// A mount whose server is gone must cost one timeout, not one at every scrape, and must not keep the others back.
    /// Paths that end in "hang" are never answered.
    fn prober() -> Prober {
        let mut prober = Prober::new(Duration::from_millis(20));
        prober.ask = |path| {
            if path.ends_with("hang") {
                loop {
                    thread::park();
                }
            }
            rustix::fs::statfs(path)
        };
        prober
    }

    #[test]
    fn a_hanging_mount_is_passed_over() {
        let mut prober = prober();
        let hang = |prober: &mut Prober| prober.ask("/hang", PathBuf::from("/hang")).err();
        assert_eq!(hang(&mut prober).as_deref(), Some(HANGS));
        prober.timeout = Duration::from_secs(60);
        for _ in 0..100 {
            assert_eq!(hang(&mut prober).as_deref(), Some(HANGS));
            assert!(prober.ask("/", PathBuf::from("/")).is_ok());
        }
        assert_eq!(prober.ask("/none", PathBuf::from("/none")).err().as_deref(), Some("no such file or directory"));
        assert_eq!(prober.hanging.len(), 1);
    }

    #[test]
    fn threads_that_hang_are_bounded() {
        let mut prober = prober();
        for i in 0..HANGING_MAX {
            let mount = format!("/{i}/hang");
            assert_eq!(prober.ask(&mount, PathBuf::from(&mount)).err().as_deref(), Some(HANGS));
        }
        assert_eq!(prober.ask("/", PathBuf::from("/")).err().as_deref(), Some("16 other mounts hang"));
    }
}
