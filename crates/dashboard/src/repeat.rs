//! Repeated rows and panels: one for each value of a variable, each with a scope and a place of its own.

use crate::board::{Dashboard, Panel, Place, Section};
use crate::variable::{Choice, Selected};

/// Panels of a page, repeated ones each. Past it the page says how many it leaves out: each is a query.
pub const REPEATED_PANELS_MAX: usize = 500;

/// Columns of the grid.
const COLUMNS: u32 = 24;

/// A section of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<'a> {
    /// The section that it is of.
    pub section: &'a Section,
    /// The value that it was repeated for, of the variable of this name.
    pub value: Option<(&'a str, Choice)>,
    /// Its panels from above, places counted from the section's own top.
    pub panels: Vec<Shown<'a>>,
}

/// A panel of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown<'a> {
    /// The panel.
    pub panel: &'a Panel,
    /// The value that it was repeated for, of the variable of this name.
    pub value: Option<(&'a str, Choice)>,
    /// Its place.
    pub place: Place,
}

/// The sections of a page, and how many panels past [`REPEATED_PANELS_MAX`] are left out.
///
/// `selected` says what is chosen of a variable. A panel whose variable has no value is shown once, as it is.
pub fn parts<'a>(dashboard: &'a Dashboard, selected: impl Fn(&str) -> Option<Selected>) -> (Vec<Part<'a>>, usize) {
    let mut room = Room { left: REPEATED_PANELS_MAX, omitted: 0 };
    let mut parts = Vec::new();
    for section in &dashboard.sections {
        let variable = section.row.as_ref().and_then(|row| row.repeat.as_deref());
        let values = variable.map(|name| (name, choices(name, &selected)));
        let Some((name, values)) = values.filter(|(_, values)| !values.is_empty()) else {
            parts.push(part(section, None, &selected, &mut room));
            continue;
        };
        for value in values {
            // A part without room for its panels says nothing that the count of those left out does not.
            if room.left == 0 {
                room.omitted += section.panels.len();
                continue;
            }
            parts.push(part(section, Some((name, value)), &selected, &mut room));
        }
    }
    (parts, room.omitted)
}

/// How many panels still have room.
struct Room {
    left: usize,
    omitted: usize,
}

impl Room {
    /// How many of so many panels have room.
    fn take(&mut self, wanted: usize) -> usize {
        let fit = wanted.min(self.left);
        self.left -= fit;
        self.omitted += wanted - fit;
        fit
    }
}

fn choices(name: &str, selected: &impl Fn(&str) -> Option<Selected>) -> Vec<Choice> {
    selected(name).map(|selected| selected.choices).unwrap_or_default()
}

fn part<'a>(
    section: &'a Section,
    value: Option<(&'a str, Choice)>,
    selected: &impl Fn(&str) -> Option<Selected>,
    room: &mut Room,
) -> Part<'a> {
    let mut panels: Vec<&Panel> = section.panels.iter().collect();
    panels.sort_by_key(|panel| (panel.place.y, panel.place.x));
    let top = panels.first().map_or(0, |panel| panel.place.y);
    let mut shown: Vec<Shown<'a>> = Vec::new();
    // Rows that repeated panels above have added.
    let mut added = 0;
    for panel in panels {
        let at = Place { y: (panel.place.y - top).saturating_add(added), ..panel.place };
        let (copies, rows) = repeated(panel, at, selected, room);
        added = added.saturating_add(rows);
        shown.extend(copies);
    }
    Part { section, value, panels: shown }
}

/// The panel once or for each value, and how many rows more than its own they take.
fn repeated<'a>(
    panel: &'a Panel,
    at: Place,
    selected: &impl Fn(&str) -> Option<Selected>,
    room: &mut Room,
) -> (Vec<Shown<'a>>, u32) {
    let values = panel.repeat.as_ref().map(|repeat| choices(&repeat.variable, selected)).unwrap_or_default();
    let Some(repeat) = panel.repeat.as_ref().filter(|_| !values.is_empty()) else {
        let alone = Shown { panel, value: None, place: at };
        return (std::iter::repeat_n(alone, room.take(1)).collect(), 0);
    };
    let fit = room.take(values.len());
    let per_row = if repeat.vertical { 1 } else { repeat.per_row_max.clamp(1, COLUMNS).min(values.len() as u32) };
    let width = if repeat.vertical { at.w } else { COLUMNS / per_row };
    let place = |index: u32| Place {
        x: if repeat.vertical { at.x } else { index % per_row * width },
        y: at.y.saturating_add((index / per_row).saturating_mul(at.h)),
        w: width,
        h: at.h,
    };
    let rows = (values.len() as u32).div_ceil(per_row) - 1;
    let shown = |(index, value): (usize, Choice)| Shown {
        panel,
        value: Some((repeat.variable.as_str(), value)),
        place: place(index as u32),
    };
    (values.into_iter().take(fit).enumerate().map(shown).collect(), rows.saturating_mul(at.h))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line for each section: its value, then each panel's value and place.
    fn check(json: &str, values: &[&str], expected: &[&str]) {
        let imported = crate::import(json).unwrap();
        let selected = |name: &str| {
            let choices = values.iter().copied().map(Choice::same).collect();
            (name == "v").then(|| Selected { choices, many: true, ..Selected::default() })
        };
        let (parts, omitted) = parts(&imported.dashboard, selected);
        let value = |value: &Option<(&str, Choice)>| value.as_ref().map_or("-".to_owned(), |(_, it)| it.value.clone());
        let panel = |shown: &Shown<'_>| {
            let Place { x, y, w, h } = shown.place;
            format!(" {}@{x},{y},{w},{h}", value(&shown.value))
        };
        let line =
            |part: &Part<'_>| format!("{}:{}", value(&part.value), part.panels.iter().map(panel).collect::<String>());
        assert_eq!((parts.iter().map(line).collect::<Vec<_>>(), omitted), (names(expected), 0), "{json}");
    }

    fn names(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn panels_stand_beside_and_below_each_other() {
        let panel = |repeat: &str| {
            format!(
                r#"{{"panels": [{{"type": "stat", "gridPos": {{"x": 3, "y": 5, "w": 6, "h": 4}} {repeat}}},
                               {{"type": "stat", "gridPos": {{"x": 0, "y": 9, "w": 24, "h": 2}}}}]}}"#
            )
        };
        let across = panel(r#", "repeat": "v", "maxPerRow": 2"#);
        check(&across, &["a", "b", "c"], &["-: a@0,0,12,4 b@12,0,12,4 c@0,4,12,4 -@0,8,24,2"]);
        check(&across, &["a"], &["-: a@0,0,24,4 -@0,4,24,2"]);
        let down = panel(r#", "repeat": "v", "repeatDirection": "v""#);
        check(&down, &["a", "b"], &["-: a@3,0,6,4 b@3,4,6,4 -@0,8,24,2"]);
        let once: &[&str] = &["-: -@3,0,6,4 -@0,4,24,2"];
        check(&down, &[], once);
        check(&panel(r#", "repeat": "unknown""#), &["a"], once);
        check(&panel(""), &["a"], once);
    }

    #[test]
    fn rows_are_repeated() {
        let row = r#"{"panels": [{"type": "row", "title": "$v", "repeat": "v", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}},
                                 {"type": "stat", "gridPos": {"x": 0, "y": 1, "w": 6, "h": 4}}]}"#;
        check(row, &["a", "b"], &["a: -@0,0,6,4", "b: -@0,0,6,4"]);
        check(row, &[], &["-: -@0,0,6,4"]);
    }

    #[test]
    fn a_page_has_an_end() {
        let json = r#"{"panels": [{"type": "row", "repeat": "v"}, {"type": "stat", "repeat": "v"}]}"#;
        let imported = crate::import(json).unwrap();
        let choices: Vec<Choice> = (0..600).map(|at| Choice::same(at.to_string())).collect();
        let selected = |_: &str| Some(Selected { choices: choices.clone(), ..Selected::default() });
        let (parts, omitted) = parts(&imported.dashboard, selected);
        let shown: usize = parts.iter().map(|part| part.panels.len()).sum();
        assert_eq!((parts.len(), shown, omitted), (1, REPEATED_PANELS_MAX, 100 + 599));
    }
}
