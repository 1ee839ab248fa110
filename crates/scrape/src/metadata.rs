//! Type, help and unit of a target's families; the store is told only of what changed.

use std::hash::BuildHasher;

use exposition::{Format, unescape, unescape_help};
use hashbrown::{DefaultHashBuilder, HashTable};
use model::{AppendError, Appender, Metadata, MetricKind};

/// A family that no page showed for so many pages is forgotten.
const PAGES_KEPT: u64 = 10;

/// Families in the order in which they came first. A page mostly has those of the page before in the same order, so that the
/// next one is guessed; only where the guess fails is the name hashed.
#[derive(Debug, Default)]
pub(crate) struct Families {
    families: Vec<Family>,
    by_name: HashTable<usize>,
    hasher: DefaultHashBuilder,
    /// The family that was said something of last.
    last: usize,
    page: u64,
    changed: bool,
}

#[derive(Debug)]
struct Family {
    name: Box<str>,
    kind: MetricKind,
    /// As on the page, escapes kept.
    help: Box<str>,
    unit: Box<str>,
    seen: u64,
    changed: bool,
}

impl Families {
    pub(crate) fn set_kind(&mut self, family: &str, kind: MetricKind) {
        self.change(family, |known| std::mem::replace(&mut known.kind, kind) != kind);
    }

    pub(crate) fn set_help(&mut self, family: &str, help: &str) {
        self.change(family, |known| replace(&mut known.help, help));
    }

    pub(crate) fn set_unit(&mut self, family: &str, unit: &str) {
        self.change(family, |known| replace(&mut known.unit, unit));
    }

    fn change(&mut self, family: &str, apply: impl FnOnce(&mut Family) -> bool) {
        self.last = self.find(family).unwrap_or_else(|| self.add(family));
        let known = &mut self.families[self.last];
        known.seen = self.page;
        known.changed |= apply(known);
        self.changed |= known.changed;
    }

    fn find(&self, name: &str) -> Option<usize> {
        let is_named = |at: &usize| self.families.get(*at).is_some_and(|family| &*family.name == name);
        let guesses = [self.last, self.last + 1, 0];
        let guess = guesses.into_iter().find(is_named);
        guess.or_else(|| self.by_name.find(self.hasher.hash_one(name), is_named).copied())
    }

    fn add(&mut self, name: &str) -> usize {
        let at = self.families.len();
        let (help, unit) = (Box::default(), Box::default());
        let kind = MetricKind::default();
        self.families.push(Family { name: name.into(), kind, help, unit, seen: 0, changed: false });
        self.index(at);
        at
    }

    fn index(&mut self, at: usize) {
        let Self { families, by_name, hasher, .. } = self;
        let hash = |at: &usize| hasher.hash_one(&*families[*at].name);
        by_name.insert_unique(hash(&at), at, hash);
    }

    /// Tells the store what changed since it was last told. The format of the page decides how its help texts are
    /// escaped.
    pub(crate) fn append(&mut self, batch: &mut dyn Appender, format: Format) -> Result<(), AppendError> {
        if !self.changed {
            return Ok(());
        }
        for family in self.families.iter_mut().filter(|family| family.changed) {
            let help = match format {
                Format::Text => unescape_help(&family.help),
                Format::OpenMetrics => unescape(&family.help),
                Format::Protobuf => family.help.as_ref().into(),
            };
            let help = help.into_owned();
            batch.set_metadata(&family.name, &Metadata { kind: family.kind, help, unit: family.unit.to_string() })?;
            family.changed = false;
        }
        self.changed = false;
        Ok(())
    }

    /// How many families are remembered.
    pub(crate) fn len(&self) -> usize {
        self.families.len()
    }

    /// Ends a page that was read to its end.
    pub(crate) fn finish(&mut self) {
        let page = self.page;
        let known = self.families.len();
        if page.is_multiple_of(PAGES_KEPT) {
            self.families.retain(|family| family.seen + PAGES_KEPT > page);
        }
        if self.families.len() < known {
            self.by_name.clear();
            (0..self.families.len()).for_each(|at| self.index(at));
        }
        self.page += 1;
    }
}

fn replace(known: &mut Box<str>, text: &str) -> bool {
    let changed = &**known != text;
    if changed {
        *known = Box::from(text);
    }
    changed
}
