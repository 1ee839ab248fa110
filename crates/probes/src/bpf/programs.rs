//! The programs of this machine and how long they run.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use model::status::{BpfPace, BpfProgram};

use super::kind::ProgramKind;
use super::links::Links;
use super::syscall::{self, Info, Object};
use super::{GROUPS_MAX, OBJECTS_MAX, OTHER};

/// All programs, and the sums over those that share type, name and attachment.
#[derive(Default)]
pub(super) struct Programs {
    programs: BTreeMap<u32, Program>,
    groups: BTreeMap<Group, Runs>,
    /// Programs beyond the limit, which are only counted.
    beyond: usize,
    links: Links,
    followed: Option<Instant>,
}

/// A pace is told over at least this long, and programs are not read again within it, however often somebody asks.
const PACE_MIN: Duration = Duration::from_secs(1);

/// What the label set of a series is made of. Ids are not in it: Cilium loads its programs anew with every change of an
/// endpoint, and each would be a new series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) attachment: String,
}

/// How often and how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    pub(super) count: u64,
    pub(super) time: Duration,
}

/// One program.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) kind: ProgramKind,
    pub(super) name: String,
    /// What the kernel last told.
    pub(super) runs: Runs,
    group: Option<Group>,
    /// Where the measuring of the pace began.
    since: Option<(Instant, Runs)>,
    pace: Option<BpfPace>,
}

impl Programs {
    /// Takes up new programs and forgets those that are gone; with `count_runs` reads how long each ran.
    pub(super) fn follow(&mut self, count_runs: bool) -> io::Result<()> {
        self.links.follow()?;
        self.followed = Some(Instant::now());
        if !count_runs {
            // What was counted before would be spread over the time in which nothing was.
            self.programs.values_mut().for_each(|program| (program.since, program.pace) = (None, None));
        }
        let alive = self.ids()?;
        self.programs.retain(|id, _| alive.contains(id));
        let attachments = if count_runs { self.links.by_program() } else { BTreeMap::new() };
        for id in alive {
            if count_runs || !self.programs.contains_key(&id) {
                // One that went away between the two calls is none.
                let Ok(info) = Object::Program.open(id).and_then(|fd| syscall::info(&fd)) else { continue };
                self.take(id, &info);
                if count_runs {
                    self.add_runs(id, &info, attachments.get(&id).cloned().unwrap_or_default());
                }
            }
        }
        let used: BTreeSet<_> = self.programs.values().filter_map(|program| program.group.as_ref()).collect();
        self.groups.retain(|group, _| used.contains(group));
        Ok(())
    }

    /// As [`Programs::follow`], unless that was just now.
    pub(super) fn refresh(&mut self, count_runs: bool) -> io::Result<()> {
        if self.followed.is_some_and(|followed| followed.elapsed() < PACE_MIN) {
            return Ok(());
        }
        self.follow(count_runs)
    }

    /// Each program, by id.
    pub(super) fn list(&self) -> Vec<BpfProgram> {
        let attachments = self.links.by_program();
        let program = |(id, program): (&u32, &Program)| BpfProgram {
            id: *id,
            kind: program.kind.name().into_owned(),
            name: program.name.clone(),
            attachment: attachments.get(id).cloned().unwrap_or_default(),
            pace: program.pace,
        };
        self.programs.iter().map(program).collect()
    }

    /// How many there are beyond the limit.
    pub(super) fn beyond(&self) -> usize {
        self.beyond
    }

    /// Programs by kind; those beyond the limit as [`OTHER`].
    pub(super) fn by_kind(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for program in self.programs.values() {
            *counts.entry(program.kind.name().into_owned()).or_default() += 1;
        }
        if self.beyond > 0 {
            counts.insert(OTHER.to_owned(), self.beyond);
        }
        counts
    }

    /// The sums, which never fall while a program of the group lives.
    pub(super) fn groups(&self) -> &BTreeMap<Group, Runs> {
        &self.groups
    }

    /// The ids of those within the limit.
    fn ids(&mut self) -> io::Result<BTreeSet<u32>> {
        let mut ids = BTreeSet::new();
        let mut after = 0;
        self.beyond = 0;
        while let Some(id) = Object::Program.next(after)? {
            after = id;
            if ids.len() < OBJECTS_MAX {
                ids.insert(id);
            } else {
                self.beyond += 1;
            }
        }
        Ok(ids)
    }

    /// By the offsets of `struct bpf_prog_info`.
    fn take(&mut self, id: u32, info: &Info) {
        self.programs.entry(id).or_insert_with(|| Program {
            kind: ProgramKind(info.u32(0)),
            name: info.text(64, 16),
            runs: Runs::default(),
            group: None,
            since: None,
            pace: None,
        });
    }

    /// Adds what a program ran since the last reading to its group, which changes when it is attached elsewhere.
    fn add_runs(&mut self, id: u32, info: &Info, attachment: String) {
        let Some(program) = self.programs.get_mut(&id) else { return };
        let runs = Runs { time: Duration::from_nanos(info.u64(192)), count: info.u64(200) };
        let mut group = Group { kind: program.kind.name().into_owned(), name: program.name.clone(), attachment };
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&group) {
            group = Group::other();
        }
        let sum = self.groups.entry(group.clone()).or_default();
        sum.count += runs.count.saturating_sub(program.runs.count);
        sum.time += runs.time.saturating_sub(program.runs.time);
        program.group = Some(group);
        program.runs = runs;
        program.measure(Instant::now());
    }
}

impl Program {
    fn measure(&mut self, now: Instant) {
        let Some((since, runs)) = self.since else {
            self.since = Some((now, self.runs));
            return;
        };
        let passed = now.duration_since(since);
        if passed >= PACE_MIN {
            let passed = passed.as_secs_f64();
            let count = self.runs.count.saturating_sub(runs.count) as f64;
            let time = self.runs.time.saturating_sub(runs.time).as_secs_f64();
            self.pace = Some(BpfPace { runs: count / passed, cores: time / passed });
            self.since = Some((now, self.runs));
        }
    }
}

impl Group {
    fn other() -> Self {
        Self { kind: OTHER.to_owned(), name: OTHER.to_owned(), attachment: String::new() }
    }
}
