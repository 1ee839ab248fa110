//! Changes: the body first, then the index, then memory.

use std::collections::BTreeSet;

use super::{
    BOARDS_MAX, BODIES_BYTES_MAX, Existing, Outcome, Shelf, State, Status, Unnamed, VERSIONS_MAX, Wish, built_in,
};
use crate::Error;
use crate::entry::{Entry, Origin, Version};
use crate::offer::{FOLDER_CHARS_MAX, Offer};

/// The folder of dashboards that the index lost.
const RECOVERED: &str = "Recovered";

/// Longest title in the index, which is held in memory and in the catalog; the dashboard itself keeps the whole one.
const TITLE_CHARS_MAX: usize = 500;

/// Tags in the index, and the longest of them: people have a handful of words.
const TAGS_MAX: usize = 50;
const TAG_CHARS_MAX: usize = 100;

/// Values of a file's inputs, names and all: names of jobs and clusters.
const INPUTS_BYTES_MAX: usize = 16 << 10;

/// Longest word on a version.
const NOTE_CHARS_MAX: usize = 500;

impl Shelf {
    /// Keeps a dashboard; it is on the disk when it returns.
    pub fn import(&self, json: &[u8], wish: &Wish) -> Result<Outcome, Error> {
        let offer = Offer::read(json, wish.uid.as_deref(), &wish.inputs)?;
        self.keep(json, offer, wish, Origin::Imported)
    }

    /// Makes an older version the newest one again.
    pub fn restore(&self, uid: &str, version: u32) -> Result<Outcome, Error> {
        let held = self.get_version(uid, version)?;
        let wish = Wish {
            existing: Existing::Replace,
            uid: Some(uid.to_owned()),
            inputs: held.version.inputs.clone(),
            note: format!("version {version} restored"),
            folder: None,
        };
        self.import(&held.json, &wish)
    }

    /// Takes a dashboard out, with all its versions.
    pub fn delete(&self, uid: &str) -> Result<(), Error> {
        {
            let _changing = self.changing();
            self.changeable(uid)?;
            self.replace(uid, None)?;
        }
        let (favourite, home) = {
            let state = self.state();
            (state.favourites.contains(uid), state.home.as_deref() == Some(uid))
        };
        if favourite {
            self.mark(uid, false)?;
        }
        if home { self.set_home(None) } else { Ok(()) }
    }

    /// Puts a dashboard into another folder, `""` for none.
    pub fn move_to(&self, uid: &str, folder: &str) -> Result<(), Error> {
        let folder = folder.trim();
        check_folder(folder)?;
        let _changing = self.changing();
        self.changeable(uid)?;
        let entry = self.state().entries.get(uid).cloned();
        match entry {
            Some(entry) => self.replace(uid, Some(Entry { folder: folder.to_owned(), ..entry })),
            None => Ok(()),
        }
    }

    /// Marks a dashboard, or takes the mark away.
    pub fn favourite(&self, uid: &str, on: bool) -> Result<(), Error> {
        self.find(uid).ok_or_else(|| Error::Unknown(uid.to_owned()))?;
        self.mark(uid, on)
    }

    /// Chooses the dashboard that is shown at the beginning, or none.
    pub fn set_home(&self, uid: Option<&str>) -> Result<(), Error> {
        let _changing = self.changing();
        if let Some(uid) = uid {
            self.find(uid).ok_or_else(|| Error::Unknown(uid.to_owned()))?;
        }
        self.index.set_home(uid)?;
        self.state_mut().home = uid.map(str::to_owned);
        Ok(())
    }

    /// Makes the folder of bodies and the index equal.
    pub(super) fn settle(&self, unnamed: Unnamed) -> Result<(), Error> {
        let lying = self.bodies.all()?;
        let named: BTreeSet<String> = self.state().bodies().into_keys().map(str::to_owned).collect();
        for sha256 in named.difference(&lying) {
            tracing::error!(sha256, "the body of a dashboard is missing");
        }
        for sha256 in lying.difference(&named) {
            match unnamed {
                Unnamed::Remove => self.bodies.remove(sha256),
                Unnamed::Adopt => self.adopt(sha256),
                Unnamed::Leave => {}
            }
        }
        Ok(())
    }

    /// A body whose dashboard has another one was an older version of that, and stays where it is.
    fn adopt(&self, sha256: &str) {
        let wish = Wish { folder: Some(RECOVERED.to_owned()), ..Wish::default() };
        let adopted = self.bodies.read(sha256).and_then(|json| self.import(&json, &wish));
        match adopted {
            Ok(outcome) => tracing::warn!(
                uid = outcome.uid,
                title = outcome.title,
                "the index lost this dashboard; it is in the folder {RECOVERED} now"
            ),
            Err(error) => tracing::warn!(%error, sha256, "a body that the index does not name stays as it is"),
        }
    }

    /// Keeps what was read, with where it came from.
    pub(crate) fn keep(&self, json: &[u8], offer: Offer, wish: &Wish, origin: Origin) -> Result<Outcome, Error> {
        let _changing = self.changing();
        let before = self.state().entries.get(&offer.uid).cloned();
        self.check(&offer, wish, &origin, before.as_ref())?;
        let mut entry = self.entry(json, &offer, wish, origin, before.as_ref());
        let status = match &before {
            None => Status::Created,
            Some(before) if same(before, &entry) => Status::Unchanged,
            Some(_) => Status::Replaced,
        };
        if status != Status::Unchanged {
            self.check_room(&offer, json)?;
            self.bodies.write(&offer.sha256, json)?;
            let surplus = entry.versions.len().saturating_sub(VERSIONS_MAX);
            entry.versions.drain(..surplus);
            self.replace(&offer.uid, Some(entry.clone()))?;
        }
        let version = before.filter(|_| status == Status::Unchanged).unwrap_or(entry).newest().map_or(0, |v| v.number);
        Ok(Outcome { uid: offer.uid, title: offer.title, version, status, report: offer.report })
    }

    /// The entry as it will be, its new version at the end.
    fn entry(&self, json: &[u8], offer: &Offer, wish: &Wish, origin: Origin, before: Option<&Entry>) -> Entry {
        let mut versions = before.map(|before| before.versions.clone()).unwrap_or_default();
        versions.push(Version {
            number: versions.last().map_or(0, |version| version.number) + 1,
            sha256: offer.sha256.clone(),
            bytes: json.len() as u64,
            saved: self.clock.now(),
            note: cut(&wish.note, NOTE_CHARS_MAX),
            inputs: offer.values(&wish.inputs),
        });
        let folder = wish.folder.as_deref().map(str::trim).map(str::to_owned);
        Entry {
            title: cut(&offer.title, TITLE_CHARS_MAX),
            folder: folder.or_else(|| before.map(|before| before.folder.clone())).unwrap_or_default(),
            tags: offer.dashboard.tags.iter().take(TAGS_MAX).map(|tag| cut(tag, TAG_CHARS_MAX)).collect(),
            origin,
            versions,
            panels: offer.dashboard.panels().count(),
            losses: offer.report.count(),
        }
    }

    /// Whether it may be kept under its uid.
    fn check(&self, offer: &Offer, wish: &Wish, origin: &Origin, before: Option<&Entry>) -> Result<(), Error> {
        let uid = || offer.uid.clone();
        check_folder(wish.folder.as_deref().unwrap_or_default())?;
        let inputs = offer.values(&wish.inputs);
        if inputs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > INPUTS_BYTES_MAX {
            let limit = INPUTS_BYTES_MAX >> 10;
            return Err(Error::Limit(format!("the inputs of the file have more than {limit} KiB of values")));
        }
        let Some(before) = before else {
            return match built_in(&offer.uid) {
                Some(_) => Err(Error::BuiltIn(uid())),
                None => Ok(()),
            };
        };
        let newest = before.newest();
        let unchanged = newest.is_some_and(|version| version.sha256 == offer.sha256);
        match (&before.origin, origin) {
            // The folder was looked through: the file that had it is another one or gone.
            (Origin::File(_), Origin::File(_)) => Ok(()),
            (Origin::File(file), _) => Err(Error::Followed { uid: uid(), file: file.clone() }),
            (_, Origin::File(_)) => Err(Error::Exists { uid: uid(), title: before.title.clone() }),
            _ if unchanged || wish.existing == Existing::Replace => Ok(()),
            _ if newest.is_some_and(|version| wish.existing == Existing::ReplaceVersion(version.number)) => Ok(()),
            _ => Err(Error::Exists { uid: uid(), title: before.title.clone() }),
        }
    }

    fn check_room(&self, offer: &Offer, json: &[u8]) -> Result<(), Error> {
        let state = self.state();
        if state.entries.len() >= BOARDS_MAX && !state.entries.contains_key(&offer.uid) {
            return Err(Error::Limit(format!("{BOARDS_MAX} dashboards are kept; delete one that nobody needs")));
        }
        let bodies = state.bodies();
        let bytes = bodies.values().sum::<u64>() + json.len() as u64;
        if bytes > BODIES_BYTES_MAX && !bodies.contains_key(offer.sha256.as_str()) {
            let limit = BODIES_BYTES_MAX >> 20;
            return Err(Error::Limit(format!(
                "all versions of all dashboards may have {limit} MiB; delete some first"
            )));
        }
        Ok(())
    }

    fn mark(&self, uid: &str, on: bool) -> Result<(), Error> {
        let _changing = self.changing();
        self.index.set_favourite(uid, on)?;
        let mut state = self.state_mut();
        match on {
            true => state.favourites.insert(uid.to_owned()),
            false => state.favourites.remove(uid),
        };
        Ok(())
    }

    /// Whether people may change it here.
    fn changeable(&self, uid: &str) -> Result<(), Error> {
        let origin = self.state().entries.get(uid).map(|entry| entry.origin.clone());
        match origin {
            Some(Origin::File(file)) => Err(Error::Followed { uid: uid.to_owned(), file }),
            Some(_) => Ok(()),
            None if built_in(uid).is_some() => Err(Error::BuiltIn(uid.to_owned())),
            None => Err(Error::Unknown(uid.to_owned())),
        }
    }

    /// Takes out one whose file is gone. It stays a favourite: the file may come back.
    pub(crate) fn take_out(&self, uid: &str) -> Result<(), Error> {
        let _changing = self.changing();
        self.replace(uid, None)
    }

    /// Puts an entry in the place of another one, then takes out the bodies that nothing names any more.
    fn replace(&self, uid: &str, entry: Option<Entry>) -> Result<(), Error> {
        self.index.set_entry(uid, entry.as_ref())?;
        let mut state = self.state_mut();
        let before = match entry {
            Some(entry) => state.entries.insert(uid.to_owned(), entry),
            None => state.entries.remove(uid),
        };
        for sha256 in unnamed(&state, before.as_ref()) {
            self.bodies.remove(&sha256);
        }
        Ok(())
    }
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

fn check_folder(folder: &str) -> Result<(), Error> {
    match folder.chars().count() > FOLDER_CHARS_MAX {
        true => Err(Error::Limit(format!("the name of the folder is longer than {FOLDER_CHARS_MAX} characters"))),
        false => Ok(()),
    }
}

/// Bodies of an entry that was there which nothing names now.
fn unnamed(state: &State, before: Option<&Entry>) -> BTreeSet<String> {
    let named = state.bodies();
    let versions = before.into_iter().flat_map(|entry| &entry.versions);
    versions.filter(|v| !named.contains_key(v.sha256.as_str())).map(|version| version.sha256.clone()).collect()
}

/// Whether nothing would change by a new version.
fn same(before: &Entry, after: &Entry) -> bool {
    let body = |entry: &Entry| entry.newest().map(|version| (version.sha256.clone(), version.inputs.clone()));
    body(before) == body(after) && before.folder == after.folder && before.origin == after.origin
}
