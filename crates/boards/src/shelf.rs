//! All dashboards together.

mod change;
mod index;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use dashboard::{Dashboard, Report};
use model::{Clock, KeyValue};

use crate::Error;
use crate::bodies::Bodies;
use crate::builtin::{self, BuiltIn};
use crate::entry::{Entry, Origin, Version};
use crate::follow::Following;
use crate::list::{Filter, Listed};
use crate::offer::{Input, Inputs, Offer};

use index::{Index, State};

/// Dashboards that are kept, those inside the program not counted. People who have hundreds have them from a generator; an
/// entry of the index takes some kilobytes of the catalog's 16 MiB.
pub const BOARDS_MAX: usize = 1_000;

/// Versions of a dashboard, Grafana's own number; older ones go.
pub const VERSIONS_MAX: usize = 20;

/// All bodies together: the largest dashboards have half a megabyte, and a card has few gigabytes.
pub const BODIES_BYTES_MAX: u64 = 128 << 20;

/// Text of the dashboards that stay read; a read one takes several times its text.
const READ_BYTES_MAX: usize = 2 << 20;

/// Every dashboard. Its methods block on the disk.
pub struct Shelf {
    bodies: Bodies,
    index: Index,
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
    /// One change at a time.
    changing: Mutex<()>,
    pub(crate) following: Mutex<Following>,
    /// Those that were read last, the newest at the end.
    read: Mutex<Vec<Arc<Read>>>,
}

/// What is made of a body.
struct Read {
    uid: String,
    version: Version,
    dashboard: Arc<Dashboard>,
    report: Arc<Report>,
    inputs: Arc<[Input]>,
    json: Arc<[u8]>,
}

/// A dashboard as it is shown.
#[derive(Clone, Debug)]
pub struct Held {
    /// What a list says of it.
    pub listed: Listed,
    /// What skep shows; its uid is the one that it is kept under.
    pub dashboard: Arc<Dashboard>,
    /// What it does not show.
    pub report: Arc<Report>,
    /// What its file left open.
    pub inputs: Arc<[Input]>,
    /// The bytes as they came.
    pub json: Arc<[u8]>,
    /// The version that this is.
    pub version: Version,
}

/// What is to happen to a dashboard that has the same uid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the new one is refused.
    #[default]
    Keep,
    /// The new one is its next version.
    Replace,
    /// The same, if its newest version has this number.
    ReplaceVersion(u32),
}

/// How a dashboard is to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The folder; absent, the one that it is in, or none.
    pub folder: Option<String>,
    /// What happens to one that has the same uid.
    pub existing: Existing,
    /// A uid in place of the file's.
    pub uid: Option<String>,
    /// Values of the file's inputs.
    pub inputs: Inputs,
    /// A word on the version.
    pub note: String,
}

/// What became of an import.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Its name in addresses.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// The number of its version.
    pub version: u32,
    /// What happened.
    pub status: Status,
    /// What is not carried.
    pub report: Report,
}

/// What happened to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is new.
    Created,
    /// It has a new version.
    Replaced,
    /// It was there already, to the last byte.
    Unchanged,
}

/// What an import would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The uid that it would have.
    pub uid: String,
    /// What skep would show.
    pub dashboard: Dashboard,
    /// What it would not show.
    pub report: Report,
    /// What the file leaves open.
    pub inputs: Vec<Input>,
    /// The one that has the same uid.
    pub taken: Option<Listed>,
}

/// What is to happen to bodies that the index does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unnamed {
    /// They are of changes that were not acknowledged, or that took them out: they go.
    Remove,
    /// The index lost entries: each becomes a dashboard again, in a folder of its own.
    Adopt,
    /// Nobody knows: they stay as they are.
    Leave,
}

impl Shelf {
    /// Opens the shelf over a folder of bodies and the index.
    pub fn open(
        folder: &Path,
        index: Arc<dyn KeyValue>,
        clock: Arc<dyn Clock>,
        unnamed: Unnamed,
    ) -> Result<Self, Error> {
        let (bodies, index) = (Bodies::open(folder)?, Index::new(index));
        let state = index.load();
        let shelf = Self {
            bodies,
            index,
            clock,
            state: RwLock::new(state),
            changing: Mutex::default(),
            following: Mutex::default(),
            read: Mutex::default(),
        };
        shelf.settle(unnamed)?;
        Ok(shelf)
    }

    /// A dashboard in its newest version; `None` where there is none of that uid.
    pub fn get(&self, uid: &str) -> Result<Option<Arc<Held>>, Error> {
        match self.find(uid) {
            None => Ok(None),
            Some((listed, version)) => self.held(listed, version).map(Some),
        }
    }

    /// A dashboard as it once was.
    pub fn get_version(&self, uid: &str, number: u32) -> Result<Arc<Held>, Error> {
        let (listed, _) = self.find(uid).ok_or_else(|| Error::Unknown(uid.to_owned()))?;
        let version = self.versions(uid).into_iter().find(|version| version.number == number);
        let version = version.ok_or_else(|| Error::NoVersion { uid: uid.to_owned(), version: number })?;
        self.held(listed, version)
    }

    /// Its versions, the newest first; none where there is no such dashboard.
    pub fn versions(&self, uid: &str) -> Vec<Version> {
        let state = self.state();
        let entry = state.entries.get(uid).or_else(|| built_in(uid).map(|builtin| &builtin.entry));
        entry.map(|entry| entry.versions.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// The dashboards that a filter lets through, in its order.
    pub fn list(&self, filter: &Filter) -> Vec<Listed> {
        let mut list: Vec<Listed> = self.all().into_iter().filter(|board| filter.matches(board)).collect();
        list.sort_by(|a, b| filter.sort.compare(a, b));
        list
    }

    /// The dashboard that is shown at the beginning; `None` where nobody chose one, or it is gone.
    pub fn home(&self) -> Option<Listed> {
        let uid = self.state().home.clone()?;
        self.find(&uid).map(|(listed, _)| listed)
    }

    /// Bytes of all bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bodies().values().sum()
    }

    /// What an import would do, nothing of it done.
    pub fn preview(&self, json: &[u8], wish: &Wish) -> Result<Preview, Error> {
        let Offer { uid, dashboard, report, inputs, .. } = Offer::read(json, wish.uid.as_deref(), &wish.inputs)?;
        let taken = self.find(&uid).map(|(listed, _)| listed);
        Ok(Preview { uid, dashboard, report, inputs, taken })
    }

    /// Uids and files of those that came from files.
    pub(crate) fn of_files(&self) -> Vec<(String, String)> {
        let state = self.state();
        let of_file = |(uid, entry): (&String, &Entry)| match &entry.origin {
            Origin::File(file) => Some((uid.clone(), file.clone())),
            Origin::Imported | Origin::BuiltIn => None,
        };
        state.entries.iter().filter_map(of_file).collect()
    }

    fn all(&self) -> Vec<Listed> {
        let state = self.state();
        let kept = state.entries.iter().map(|(uid, entry)| state.listed(uid, entry));
        let builtin = builtin::ALL.iter().filter(|builtin| !state.entries.contains_key(&builtin.uid));
        kept.chain(builtin.map(|builtin| state.listed(&builtin.uid, &builtin.entry))).collect()
    }

    fn find(&self, uid: &str) -> Option<(Listed, Version)> {
        let state = self.state();
        let entry = state.entries.get(uid).or_else(|| built_in(uid).map(|builtin| &builtin.entry))?;
        Some((state.listed(uid, entry), entry.newest()?.clone()))
    }

    fn held(&self, listed: Listed, version: Version) -> Result<Arc<Held>, Error> {
        let read = self.read(&listed.uid, &version)?;
        Ok(Arc::new(Held {
            listed,
            dashboard: Arc::clone(&read.dashboard),
            report: Arc::clone(&read.report),
            inputs: Arc::clone(&read.inputs),
            json: Arc::clone(&read.json),
            version,
        }))
    }

    fn read(&self, uid: &str, version: &Version) -> Result<Arc<Read>, Error> {
        let mut kept = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|read| read.uid == uid && read.version == *version) {
            let read = kept.remove(at);
            kept.push(Arc::clone(&read));
            return Ok(read);
        }
        // Whoever wants one that another is reading waits for that: reading it twice would take longer.
        let json = match built_in(uid).filter(|builtin| builtin.entry.newest() == Some(version)) {
            Some(builtin) => builtin.json.as_bytes().to_vec(),
            None => self.bodies.read(&version.sha256)?,
        };
        let Offer { dashboard, report, inputs, .. } = Offer::read(&json, Some(uid), &version.inputs)?;
        let read = Arc::new(Read {
            uid: uid.to_owned(),
            version: version.clone(),
            dashboard: Arc::new(dashboard),
            report: Arc::new(report),
            inputs: inputs.into(),
            json: json.into(),
        });
        kept.push(Arc::clone(&read));
        while kept.len() > 1 && kept.iter().map(|read| read.json.len()).sum::<usize>() > READ_BYTES_MAX {
            kept.remove(0);
        }
        Ok(read)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn built_in(uid: &str) -> Option<&'static BuiltIn> {
    builtin::ALL.iter().find(|builtin| builtin.uid == uid)
}
