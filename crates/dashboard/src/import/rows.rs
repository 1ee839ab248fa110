//! Rows and their panels, in the grid of today and in the rows of before.

use serde_json::Value;

use super::panel::{self, Kind};
use super::{ImportError, PANELS_MAX};
use crate::board::{Panel, Place, Row, Section};
use crate::json::{Node, Object, whole};

/// Columns of the grid.
const COLUMNS: u32 = 24;
/// Rows of the grid that a place can have; far more than anybody scrolls.
const ROWS_MAX: u32 = 100_000;
/// Height of a panel that names none.
const HEIGHT: u32 = 8;

pub(super) fn read(object: &Object<'_>) -> Result<Vec<Section>, ImportError> {
    // Before anything is made of them: an empty panel takes three bytes of the file and a thousand of memory.
    if count(object.node("panels")) + count(object.node("rows")) > PANELS_MAX {
        return Err(ImportError::Panels);
    }
    let mut sections = Vec::new();
    for panel in object.objects("panels") {
        read_panel(&panel, &mut sections, None);
    }
    let rows = object.objects("rows");
    // One row with a heading gives all of them one.
    let is_shown = |row: &Object<'_>| row.is("collapse") || row.is("showTitle") || row.filled("repeat").is_some();
    let titled = rows.iter().any(is_shown);
    let mut bottom = 0;
    for row in rows {
        bottom = old_row(&row, &mut sections, bottom, titled);
    }
    number(&mut sections);
    Ok(sections)
}

/// Panels and rows of a list, with those in them.
fn count(list: Option<Node<'_>>) -> usize {
    fn of(list: Option<&Value>) -> usize {
        let panels = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        panels.iter().map(|panel| 1 + of(panel.get("panels"))).sum()
    }
    of(list.map(|node| node.value))
}

fn read_panel(object: &Object<'_>, sections: &mut Vec<Section>, place: Option<Place>) {
    if is_copy(object) {
        object.ignore_rest();
        return;
    }
    let kind = Kind::of(object);
    if matches!(kind, Kind::Row) && place.is_none() {
        row(object, sections);
        return;
    }
    let place = place.unwrap_or_else(|| grid(object));
    let panel = panel::read(object, &kind, place);
    match sections.last_mut() {
        Some(section) => section.panels.push(panel),
        None => sections.push(Section { row: None, panels: vec![panel] }),
    }
}

/// A panel that was made for a value of a variable when the file was saved: it is made anew for the values of today.
fn is_copy(object: &Object<'_>) -> bool {
    object.has("repeatPanelId") && (!object.has("repeat") || object.has("repeatedByRow"))
}

fn row(object: &Object<'_>, sections: &mut Vec<Section>) {
    object.ignore(&["type", "datasource", "targets", "fieldConfig", "options", "scopedVars", "pluginVersion"]);
    object.ignore(&["titleSize", "showTitle", "editable", "error", "repeatIteration", "repeatRowId", "height"]);
    object.ignore(&["links", "$$hashKey", "id"]);
    let place = grid(object);
    let row = Row {
        id: object.number("id").unwrap_or(0.0) as i64,
        title: object.string("title"),
        collapsed: object.is("collapsed"),
        repeat: object.filled("repeat"),
        y: place.y,
    };
    sections.push(Section { row: Some(row), panels: Vec::new() });
    for panel in object.objects("panels") {
        read_panel(&panel, sections, None);
    }
}

fn grid(object: &Object<'_>) -> Place {
    let Some(pos) = object.object("gridPos") else { return Place { w: COLUMNS / 2, h: HEIGHT, ..Place::default() } };
    pos.ignore(&["static"]);
    let x = pos.count("x", COLUMNS - 1).unwrap_or(0);
    Place {
        x,
        y: pos.count("y", ROWS_MAX).unwrap_or(0),
        w: pos.count("w", COLUMNS).unwrap_or(COLUMNS / 2).clamp(1, COLUMNS - x),
        h: pos.count("h", ROWS_MAX).unwrap_or(HEIGHT).max(1),
    }
}

/// A row of before schema 16: panels have a span of twelve parts and stand beside each other until the row is full.
/// Answers with the grid's row below it.
fn old_row(object: &Object<'_>, sections: &mut Vec<Section>, top: u32, titled: bool) -> u32 {
    // Made for a value of its variable when the file was saved.
    if object.has("repeatIteration") && !object.has("repeat") {
        object.ignore_rest();
        return top;
    }
    object.ignore(&["editable", "titleSize", "repeatIteration", "repeatRowId", "showTitle", "$$hashKey"]);
    let collapsed = object.is("collapse");
    let repeat = object.filled("repeat");
    let title = object.string("title");
    let row = titled.then_some(Row { id: 0, title, collapsed, repeat, y: top });
    let height = cells(&object.string("height"));
    let mut line = Line { x: 0, y: top + u32::from(row.is_some()), height: 0 };
    sections.push(Section { row, panels: Vec::new() });
    for panel in object.objects("panels") {
        let place = line.place(&panel, height);
        read_panel(&panel, sections, Some(place));
    }
    line.y + line.height
}

/// The panels of a row beside each other.
struct Line {
    x: u32,
    y: u32,
    height: u32,
}

impl Line {
    fn place(&mut self, panel: &Object<'_>, height: u32) -> Place {
        let span = panel.number("span").unwrap_or(4.0);
        let w = whole(span.floor() * 2.0, COLUMNS).max(1);
        let h = panel.filled("height").map_or(height, |height| cells(&height));
        if self.x + w > COLUMNS {
            self.y += self.height;
            (self.x, self.height) = (0, 0);
        }
        let place = Place { x: self.x, y: self.y, w, h };
        self.x += w;
        self.height = self.height.max(h);
        place
    }
}

/// A height in pixels in cells of 30 pixels with 8 between them, three at least.
fn cells(height: &str) -> u32 {
    let pixels = height.trim().trim_end_matches("px").parse::<f64>().unwrap_or(250.0);
    whole((pixels / 38.0).ceil(), 1_000).max(3)
}

/// Panels without a number, or with that of another one, get one of their own.
fn number(sections: &mut [Section]) {
    let mut taken = std::collections::BTreeSet::new();
    let mut next = sections.iter().flat_map(|section| &section.panels).map(|panel| panel.id).max().unwrap_or(0).max(0);
    for panel in sections.iter_mut().flat_map(|section| &mut section.panels) {
        renumber(panel, &mut taken, &mut next);
    }
}

fn renumber(panel: &mut Panel, taken: &mut std::collections::BTreeSet<i64>, next: &mut i64) {
    if panel.id <= 0 || !taken.insert(panel.id) {
        *next = next.saturating_add(1);
        panel.id = *next;
        taken.insert(panel.id);
    }
}
