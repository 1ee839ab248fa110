//! What an import does not carry: the honest part of it.

use std::fmt;

/// A dashboard that loses more than this is not worth listing entry by entry; the rest is counted.
pub const LOSSES_MAX: usize = 2_000;

/// Everything that a dashboard asked for and does not get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Of the dashboard itself: variables, links, annotations, settings.
    pub dashboard: Vec<Loss>,
    /// Of its panels, in their order; panels that are carried whole do not appear.
    pub panels: Vec<PanelReport>,
    /// How many more there were past [`LOSSES_MAX`].
    pub omitted: usize,
}

/// What one panel loses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanelReport {
    /// The panel's number in its file.
    pub id: i64,
    /// Its title, variables not filled in.
    pub title: String,
    /// In the order of the file's objects.
    pub losses: Vec<Loss>,
}

/// One thing that is not carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where it stands in the JSON, as in `panels[3].options.legend.width`.
    pub path: String,
    /// What was written there, cut after some characters.
    pub value: String,
    /// Why it is not carried, and what is shown in its place.
    pub reason: String,
}

impl Report {
    /// Whether the dashboard is carried whole.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many losses there are, those that are only counted too.
    pub fn count(&self) -> usize {
        self.dashboard.len() + self.panels.iter().map(|panel| panel.losses.len()).sum::<usize>() + self.omitted
    }

    pub(crate) fn push(&mut self, panel: Option<(i64, &str)>, loss: Loss) {
        let Some((id, title)) = panel else {
            self.dashboard.push(loss);
            return;
        };
        match self.panels.last_mut() {
            Some(last) if last.id == id && last.title == title => last.losses.push(loss),
            _ => self.panels.push(PanelReport { id, title: title.to_owned(), losses: vec![loss] }),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for loss in &self.dashboard {
            writeln!(f, "dashboard: {loss}")?;
        }
        for panel in &self.panels {
            for loss in &panel.losses {
                writeln!(f, "panel {} {:?}: {loss}", panel.id, panel.title)?;
            }
        }
        if self.omitted > 0 {
            writeln!(f, "and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {}", self.path, self.value, self.reason)
    }
}
