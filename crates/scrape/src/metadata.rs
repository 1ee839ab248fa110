//! Type, help and unit of a target's families; the store is told only of what changed.

use exposition::{Format, unescape, unescape_help};
use hashbrown::HashMap;
use model::{AppendError, Appender, Metadata, MetricKind};

/// A family that no page showed for so many pages is forgotten.
const PAGES_KEPT: u64 = 10;

#[derive(Debug, Default)]
pub(crate) struct Families {
    families: HashMap<Box<str>, Family>,
    page: u64,
    changed: bool,
}

#[derive(Debug, Default)]
struct Family {
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
        if !self.families.contains_key(family) {
            self.families.insert(Box::from(family), Family::default());
        }
        if let Some(known) = self.families.get_mut(family) {
            known.seen = self.page;
            known.changed |= apply(known);
            self.changed |= known.changed;
        }
    }

    /// Tells the store what changed since it was last told. The format of the page decides how its help texts are
    /// escaped.
    pub(crate) fn append(&mut self, batch: &mut dyn Appender, format: Format) -> Result<(), AppendError> {
        if !self.changed {
            return Ok(());
        }
        for (name, family) in self.families.iter_mut().filter(|(_, family)| family.changed) {
            let help = match format {
                Format::Text => unescape_help(&family.help),
                Format::OpenMetrics => unescape(&family.help),
                Format::Protobuf => family.help.as_ref().into(),
            };
            let help = help.into_owned();
            batch.set_metadata(name, &Metadata { kind: family.kind, help, unit: family.unit.to_string() })?;
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
        if page.is_multiple_of(PAGES_KEPT) {
            self.families.retain(|_, family| family.seen + PAGES_KEPT > page);
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
