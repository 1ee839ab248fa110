//! What an import does not carry, as the pages list it.

use dashboard::{Loss, Report};

/// Losses on a page; who has more reads the JSON.
const SHOWN_MAX: usize = 500;

/// A report as a page lists it.
#[derive(Default)]
pub(super) struct Losses {
    pub(super) total: usize,
    pub(super) of_panels: usize,
    pub(super) groups: Vec<Group>,
    pub(super) hidden: usize,
}

/// The losses of a panel, or of the dashboard itself.
pub(super) struct Group {
    /// A panel's number; absent for the dashboard itself.
    pub(super) id: Option<i64>,
    pub(super) title: String,
    pub(super) losses: Vec<Loss>,
}

impl Losses {
    pub(super) fn new(report: &Report) -> Self {
        let own = Group { id: None, title: "The dashboard itself".to_owned(), losses: report.dashboard.clone() };
        let panels = report.panels.iter().map(|panel| Group {
            id: Some(panel.id),
            title: if panel.title.is_empty() { "Panel without a title".to_owned() } else { panel.title.clone() },
            losses: panel.losses.clone(),
        });
        let mut left = SHOWN_MAX;
        let mut groups = Vec::new();
        for mut group in [own].into_iter().chain(panels).filter(|group| !group.losses.is_empty()) {
            group.losses.truncate(left);
            left -= group.losses.len();
            groups.extend(Some(group).filter(|group| !group.losses.is_empty()));
        }
        let shown = SHOWN_MAX - left;
        Self { total: report.count(), of_panels: report.panels.len(), groups, hidden: report.count() - shown }
    }
}
