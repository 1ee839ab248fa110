//! Tables, and what is drawn in rows: states over time and alerts.

use std::cmp::Ordering;
use std::sync::Arc;

use dashboard::{
    AlertList, Align, BarMode, Cell as Look, CellHeight, Column, FieldType, Frame, ShowValue, StateTimeline, Style,
    Table, Value,
};
use model::status::{AlertState, AlertStatus, Rules};

use super::canvas::{Canvas, Cell as Shown, color, legend, word};
use super::model::{Alert, AlertsPicture, Cell, StateSpan, StatesPicture, StatesRow, TableColumn, TablePicture};

/// Rows of a table that are sent: what a person scrolls through.
const ROWS_MAX: usize = 1_000;
/// States of a row that are sent; more than pixels of a wide screen.
const SPANS_MAX: usize = 4_000;
/// Rows of states.
const STATES_ROWS_MAX: usize = 250;
/// Alerts where the panel names no limit.
const ALERTS: usize = 20;

/// Rows and columns of one answer.
pub(super) fn table(canvas: &Canvas<'_>, visual: &Table, wanted: Option<usize>) -> TablePicture {
    let frame = wanted.or(visual.frame.map(|frame| frame as usize)).unwrap_or(0);
    let frame = frame.min(canvas.frames.len().saturating_sub(1));
    let shown: Vec<Shown<'_>> = columns(canvas, frame);
    let rows = canvas.frames.get(frame).map_or(0, Frame::rows);
    let order = sorted(&shown, rows, &visual.sort);
    let row = |row: &usize| shown.iter().map(|column| cell(canvas, *column, *row)).collect();
    TablePicture {
        columns: shown.iter().map(|column| heading(*column, &visual.sort)).collect(),
        rows: order.iter().take(ROWS_MAX).map(row).collect(),
        omitted: rows.saturating_sub(ROWS_MAX),
        headless: visual.headless,
        footer: footer(canvas, visual, &shown),
        pages: visual.pages,
        height: word(CellHeight::WORDS, &visual.cell_height),
        frames: if canvas.frames.len() > 1 { names(canvas) } else { Vec::new() },
        frame,
    }
}

fn columns<'a>(canvas: &'a Canvas<'_>, frame: usize) -> Vec<Shown<'a>> {
    let Some((frame, styles)) = canvas.frames.get(frame).zip(canvas.styles.get(frame)) else { return Vec::new() };
    let all = frame.fields.iter().zip(styles).map(|(field, style)| Shown { frame, field, style });
    let is_shown =
        |cell: &Shown<'_>| cell.options().hidden != Some(true) && !cell.options().hide.is_some_and(|hide| hide.picture);
    all.filter(is_shown).collect()
}

/// Answers by their own names, else by those of their values.
fn names(canvas: &Canvas<'_>) -> Vec<String> {
    let name = |(frame, styles): (&Frame, &Vec<Style>)| match (frame.name.is_empty(), styles.last()) {
        (true, Some(style)) => style.name.clone(),
        _ => frame.name.clone(),
    };
    canvas.frames.iter().zip(&canvas.styles).map(name).collect()
}

fn sorted(columns: &[Shown<'_>], rows: usize, sort: &[(String, bool)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    let by: Vec<(&Column, bool)> = sort
        .iter()
        .filter_map(|(name, descending)| {
            let column = columns.iter().find(|column| column.style.name == *name || column.field.name == *name)?;
            Some((&column.field.values, *descending))
        })
        .collect();
    if !by.is_empty() {
        order.sort_by(|a, b| {
            let compare = |(column, descending): &(&Column, bool)| {
                let ordering = compared(&column.get(*a), &column.get(*b));
                if *descending { ordering.reverse() } else { ordering }
            };
            by.iter().map(compare).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
        });
    }
    order
}

fn compared(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        _ => a.number().unwrap_or(f64::NAN).total_cmp(&b.number().unwrap_or(f64::NAN)),
    }
}

fn heading(column: Shown<'_>, sort: &[(String, bool)]) -> TableColumn {
    let options = column.options();
    let look = options.cell.unwrap_or_default();
    let is_number = column.field.values.kind() == FieldType::Number;
    let align = match options.align.unwrap_or_default() {
        Align::Auto if is_number => "right",
        Align::Auto => "left",
        other => word(Align::WORDS, &other),
    };
    let sorted = sort.iter().find(|(name, _)| column.style.name == *name || column.field.name == *name);
    TableColumn {
        title: column.style.name.clone(),
        align,
        width: options.width,
        width_min: options.width_min,
        filterable: options.filterable == Some(true),
        look: match look {
            Look::ColorText => "text",
            Look::ColorBackground { row: false } => "ground",
            Look::ColorBackground { row: true } => "row",
            Look::Gauge(_) => "gauge",
            Look::Auto | Look::Sparkline | Look::Json => "plain",
        },
        bar: match look {
            Look::Gauge(mode) => Some(word(BarMode::WORDS, &mode)),
            _ => None,
        },
        sorted: sorted.map_or(0, |(_, descending)| if *descending { -1 } else { 1 }),
    }
}

fn cell(canvas: &Canvas<'_>, column: Shown<'_>, row: usize) -> Cell {
    let value = column.field.values.get(row);
    let display = column.style.display(value.mapped(), canvas.clock);
    let text = if value == Value::Null && column.options().no_value.is_none() {
        String::new()
    } else {
        display.text.to_string()
    };
    let look = column.options().cell.unwrap_or_default();
    let is_colored = !matches!(look, Look::Auto | Look::Sparkline | Look::Json);
    Cell {
        n: match &value {
            Value::Text(_) | Value::Null => None,
            other => other.number().filter(|number| number.is_finite()),
        },
        c: is_colored.then(|| color(display.color)),
        part: matches!(look, Look::Gauge(_)).then(|| column.part(&value)),
        links: canvas.links(column, &value, &text, Some(row)),
        t: text,
    }
}

fn footer(canvas: &Canvas<'_>, visual: &Table, columns: &[Shown<'_>]) -> Vec<String> {
    let Some(footer) = &visual.footer else { return Vec::new() };
    let is_wanted = |column: &Shown<'_>| match footer.fields.is_empty() {
        true => column.field.values.kind() == FieldType::Number,
        false => footer.fields.contains(&column.style.name) || footer.fields.contains(&column.field.name),
    };
    let text = |(at, column): (usize, &Shown<'_>)| match footer.calcs.first() {
        _ if footer.count_rows && at == 0 => format!("Count {}", column.frame.rows()),
        Some(calc) if !footer.count_rows && is_wanted(column) => canvas.calc(*column, *calc).text,
        Some(calc) if at == 0 && !footer.count_rows => calc.title().to_owned(),
        _ => String::new(),
    };
    columns.iter().enumerate().map(text).collect()
}

/// States over time: a row for each column of values.
pub(super) fn states(canvas: &Canvas<'_>, visual: &StateTimeline) -> StatesPicture {
    let is_drawn = |cell: &Shown<'_>| {
        cell.field.values.kind() != FieldType::Time && !cell.options().hide.is_some_and(|hide| hide.picture)
    };
    let cells: Vec<Shown<'_>> = canvas.cells().filter(is_drawn).take(STATES_ROWS_MAX).collect();
    let rows: Vec<StatesRow> = cells
        .iter()
        .map(|cell| StatesRow {
            title: cell.style.name.clone(),
            spans: spans(canvas, *cell, !visual.cells && visual.merge),
        })
        .collect();
    let mut states: Vec<(String, String)> = Vec::new();
    for span in rows.iter().flat_map(|row| &row.spans) {
        if !states.iter().any(|(text, _)| *text == span.text) && states.len() < ROWS_MAX {
            states.push((span.text.clone(), span.color.clone()));
        }
    }
    StatesPicture {
        from: canvas.range.from_ms,
        to: canvas.range.to_ms,
        show_value: word(ShowValue::WORDS, &visual.show_value),
        align: match visual.align {
            Align::Auto => "left",
            other => word(Align::WORDS, &other),
        },
        row_height: visual.row_height,
        gap: cells.first().and_then(|cell| cell.options().state_line_width).unwrap_or(0.0),
        page_rows: visual.page_rows,
        legend: legend(&visual.legend, (0..states.len()).collect()),
        rows,
        states,
    }
}

/// A state lasts until the next value, the last one for a step. Equal neighbours are one where they are merged.
fn spans(canvas: &Canvas<'_>, cell: Shown<'_>, merge: bool) -> Vec<StateSpan> {
    let times = cell.frame.fields.iter().find_map(|field| match &field.values {
        Column::Times(times) => Some(times),
        _ => None,
    });
    let Some(times) = times else { return Vec::new() };
    let step = canvas.grid.as_ref().map_or(0, |(step, _)| i64::try_from(*step).unwrap_or(i64::MAX));
    let mut spans: Vec<StateSpan> = Vec::new();
    for (row, from) in times.iter().enumerate() {
        let value = cell.field.values.get(row);
        let Some(from) = from.filter(|_| value != Value::Null) else { continue };
        let next = times.get(row + 1).copied().flatten();
        // A value that is missing is missing, however long the next one waits.
        let to = next.map_or(from + step, |next| if step > 0 { next.min(from + step) } else { next });
        let display = cell.style.display(value.mapped(), canvas.clock);
        let (text, color) = (display.text.to_string(), color(display.color));
        let has_room = spans.len() < SPANS_MAX;
        match spans.last_mut() {
            Some(last) if merge && last.to == from && last.text == text && last.color == color => last.to = to,
            _ if has_room => spans.push(StateSpan { from, to, text, color }),
            _ => break,
        }
    }
    spans
}

/// The alerts that a panel lists.
pub(super) fn alerts(rules: &Arc<dyn Rules>, visual: &AlertList) -> AlertsPicture {
    let limit = if visual.limit == 0 { ALERTS } else { visual.limit as usize };
    let matchers = promql::parse_selector(visual.labels.trim()).unwrap_or_default();
    let groups = rules.groups();
    let rules = groups.iter().flat_map(|group| &group.rules);
    let mut found: Vec<Alert> = Vec::new();
    for rule in rules.filter(|rule| rule.name.to_lowercase().contains(&visual.name.to_lowercase())) {
        let Some(alerting) = &rule.alerting else { continue };
        let fits = |alert: &&AlertStatus| matchers.iter().all(|matcher| matcher.matches_labels(&alert.labels));
        for alert in alerting.alerts.iter().filter(fits) {
            let state = match alert.state {
                AlertState::Firing if visual.firing => "firing",
                AlertState::Pending if visual.pending => "pending",
                _ => continue,
            };
            found.push(one(&rule.name, state, Some(alert)));
        }
        if visual.normal && alerting.alerts.is_empty() {
            found.push(one(&rule.name, "normal", None));
        }
    }
    let rank = |alert: &Alert| ["firing", "pending", "normal"].iter().position(|state| *state == alert.state);
    found.sort_by(|a, b| rank(a).cmp(&rank(b)).then(b.since.cmp(&a.since)).then(a.name.cmp(&b.name)));
    let omitted = found.len().saturating_sub(limit);
    found.truncate(limit);
    AlertsPicture { alerts: found, omitted }
}

fn one(name: &str, state: &'static str, alert: Option<&AlertStatus>) -> Alert {
    let labels = alert.map(|alert| alert.labels.iter().filter(|(name, _)| *name != "alertname"));
    let summary = alert.and_then(|alert| alert.annotations.get("summary").or(alert.annotations.get("description")));
    Alert {
        name: name.to_owned(),
        state,
        since: alert.map(|alert| alert.active_at),
        labels: labels
            .map(|labels| labels.map(|(name, value)| format!("{name}={value}")).collect())
            .unwrap_or_default(),
        summary: summary.unwrap_or_default().to_owned(),
    }
}
