//! Finding things in the list of all dashboards.

use std::cmp::Ordering;

use model::Timestamp;

use crate::entry::Origin;

/// Which dashboards are wanted; by default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Words that all stand in the title, the folder or a tag, small and large letters alike.
    pub text: String,
    /// The folder, `""` for those without one.
    pub folder: Option<String>,
    /// Tags that all are there.
    pub tags: Vec<String>,
    /// Only favourites.
    pub favourites: bool,
    /// Their order.
    pub sort: Sort,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By folder, those without one first, then by title.
    #[default]
    Folder,
    /// By title.
    Title,
    /// By title, backwards.
    TitleDescending,
    /// The newest change first.
    Changed,
}

/// A dashboard in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its name in addresses.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// The end of its address, see [`crate::slug`].
    pub slug: String,
    /// Empty for none.
    pub folder: String,
    /// Words that it is found by.
    pub tags: Vec<String>,
    /// Whether somebody marked it.
    pub favourite: bool,
    /// Whether it is shown at the beginning.
    pub home: bool,
    /// Where it came from.
    pub origin: Origin,
    /// Its newest version.
    pub version: u32,
    /// Panels, those of collapsed rows too.
    pub panels: usize,
    /// How many things are not carried.
    pub losses: usize,
    /// When it was last changed; 0 for those inside the program.
    pub saved: Timestamp,
}

impl Filter {
    /// Whether it lets a dashboard through.
    pub fn matches(&self, board: &Listed) -> bool {
        let text = format!("{}\n{}\n{}", board.title, board.folder, board.tags.join("\n")).to_lowercase();
        let words = self.text.to_lowercase();
        words.split_whitespace().all(|word| text.contains(word))
            && self.folder.as_ref().is_none_or(|folder| *folder == board.folder)
            && self.tags.iter().all(|tag| board.tags.contains(tag))
            && (board.favourite || !self.favourites)
    }
}

impl Sort {
    /// The order of two dashboards.
    pub fn compare(self, a: &Listed, b: &Listed) -> Ordering {
        let title = || caseless(&a.title, &b.title);
        let order = match self {
            Self::Folder => caseless(&a.folder, &b.folder).then_with(title),
            Self::Title => title(),
            Self::TitleDescending => title().reverse(),
            Self::Changed => b.saved.cmp(&a.saved).then_with(title),
        };
        order.then_with(|| a.uid.cmp(&b.uid))
    }
}

fn caseless(a: &str, b: &str) -> Ordering {
    a.to_lowercase().cmp(&b.to_lowercase()).then_with(|| a.cmp(b))
}
