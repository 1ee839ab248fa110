//! The newest values of panels as words, for readers without scripts.

use dashboard::StatText;

use super::model::{Panel, Picture, Text};

/// Rows of a table, and values of a panel.
const ROWS_MAX: usize = 100;

/// What a panel says without a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plain {
    /// Titles of columns; empty where rows need none.
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// Rows that are left out.
    pub(super) omitted: usize,
    pub(super) notes: Vec<String>,
}

/// How lines over time are told: each by its last value.
pub(super) fn last_values() -> dashboard::Stat {
    dashboard::Stat { text: StatText::ValueAndName, ..dashboard::Stat::default() }
}

impl Plain {
    /// The panel's values and its notes.
    pub(super) fn of(panel: &Panel) -> Self {
        let (head, mut rows, omitted) = rows(&panel.picture);
        let cut = rows.len().saturating_sub(ROWS_MAX);
        rows.truncate(ROWS_MAX);
        let mut notes: Vec<String> = panel.notes.iter().map(|note| note.text.clone()).collect();
        if let Picture::Heatmap(_) = panel.picture {
            notes.push("A heatmap is drawn by the page's script; its query answers as a table, too.".to_owned());
        }
        Self { head, rows, omitted: omitted + cut, notes }
    }
}

fn rows(picture: &Picture) -> (Vec<String>, Vec<Vec<String>>, usize) {
    let pairs = |pairs: Vec<(&str, Option<&Text>)>| {
        let row =
            |(name, value): (&str, Option<&Text>)| vec![name.to_owned(), value.map(Text::whole).unwrap_or_default()];
        (Vec::new(), pairs.into_iter().map(row).collect(), 0)
    };
    match picture {
        Picture::Stat(stat) => pairs(stat.tiles.iter().map(|tile| (&*tile.title, tile.value.as_ref())).collect()),
        Picture::Gauge(gauge) => pairs(gauge.dials.iter().map(|dial| (&*dial.title, Some(&dial.value))).collect()),
        Picture::Bars(bars) => pairs(bars.bars.iter().map(|bar| (&*bar.title, Some(&bar.value))).collect()),
        Picture::Pie(pie) => pairs(pie.parts.iter().map(|part| (&*part.title, Some(&part.value))).collect()),
        Picture::Table(table) => {
            let head = table.columns.iter().map(|column| column.title.clone()).collect();
            let row = |row: &Vec<super::model::Cell>| row.iter().map(|cell| cell.t.clone()).collect();
            (head, table.rows.iter().map(row).collect(), table.omitted)
        }
        Picture::States(states) => {
            let last =
                |row: &super::model::StatesRow| row.spans.last().map(|span| span.text.clone()).unwrap_or_default();
            (Vec::new(), states.rows.iter().map(|row| vec![row.title.clone(), last(row)]).collect(), 0)
        }
        Picture::Alerts(alerts) => {
            let row =
                |alert: &super::model::Alert| vec![alert.name.clone(), alert.state.to_owned(), alert.summary.clone()];
            (Vec::new(), alerts.alerts.iter().map(row).collect(), alerts.omitted)
        }
        Picture::Time(_) | Picture::Heatmap(_) | Picture::None => (Vec::new(), Vec::new(), 0),
    }
}
