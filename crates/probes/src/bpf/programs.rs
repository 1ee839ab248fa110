//! The programs of this machine and how long they run.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

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
}

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
}

impl Programs {
    /// Takes up new programs and forgets those that are gone; with `count_runs` reads how long each ran.
    pub(super) fn follow(&mut self, count_runs: bool) -> io::Result<()> {
        self.links.follow()?;
        let alive = self.list()?;
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
    fn list(&mut self) -> io::Result<BTreeSet<u32>> {
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
    }
}

impl Group {
    fn other() -> Self {
        Self { kind: OTHER.to_owned(), name: OTHER.to_owned(), attachment: String::new() }
    }
}
