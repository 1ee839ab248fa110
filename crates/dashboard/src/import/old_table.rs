//! The table of before Grafana 7 as today's.

use super::field::DECIMALS_MAX;
use super::singlestat;
use crate::board::Panel;
use crate::color::ColorMode;
use crate::field::{Align, Cell, FieldOptions, Matcher, OVERRIDES_MAX, Override};
use crate::json::{Node, Object};
use crate::link::Link;
use crate::pattern::Pattern;
use crate::reduce::Reducer;
use crate::transform::{JoinMode, Operation, Step};
use crate::visual::{Table, Visual};

pub(super) fn read(object: &Object<'_>, panel: &mut Panel) {
    object.ignore(&["options", "fontSize", "scroll", "filterNull", "transform", "columns", "showHeader", "pageSize"]);
    let mut overrides = Vec::new();
    for style in object.objects("styles").iter().take(OVERRIDES_MAX) {
        overrides.extend(one(style));
    }
    // The first style that fitted held; of overrides it is the last one.
    overrides.reverse();
    panel.fields.overrides.splice(0..0, overrides);
    panel.transforms.splice(0..0, transforms(object));
    panel.visual = Visual::Table(Table {
        headless: object.flag("showHeader") == Some(false),
        sort: sort(object),
        pages: object.number("pageSize").is_some(),
        ..Table::default()
    });
}

/// The number of a column and a direction. Which column it is is known when there is an answer.
fn sort(object: &Object<'_>) -> Vec<(String, bool)> {
    let Some(sort) = object.object("sort") else { return Vec::new() };
    let descending = sort.is("desc");
    if sort.number("col").is_some_and(|column| column > 0.0) {
        sort.lose("col", "is the number of a column, which has no name here; rows are as they come");
        return Vec::new();
    }
    if sort.node("col").is_some() { vec![("Time".to_owned(), descending)] } else { Vec::new() }
}

fn transforms(object: &Object<'_>) -> Vec<Step> {
    let operation = match object.string("transform").as_str() {
        "timeseries_to_columns" => Some(Operation::Join { field: None, mode: JoinMode::Outer }),
        "timeseries_to_rows" => Some(Operation::SeriesToRows),
        "timeseries_aggregations" => {
            let word = |column: &Object<'_>| {
                column.ignore(&["text"]);
                Reducer::parse(&column.string("value"))
            };
            let calcs: Vec<Reducer> = object.objects("columns").iter().filter_map(word).collect();
            Some(Operation::Reduce { calcs, columns: false, times: false, labels: false })
        }
        "table" => Some(Operation::Merge),
        "" => None,
        _ => {
            object.lose("transform", "is not carried; the answers are shown as they are");
            None
        }
    };
    operation.map(|operation| Step { operation, filter: None }).into_iter().collect()
}

fn one(style: &Object<'_>) -> Option<Override> {
    style.ignore(&["$$hashKey", "dateFormat", "preserveFormat", "sanitize", "mappingType", "valueMaps", "rangeMaps"]);
    style.ignore(&["thresholds", "colors", "link", "linkUrl", "linkTooltip", "linkTargetBlank", "unit", "aliasMode"]);
    let pattern = style.filled("pattern")?;
    let matcher = match pattern.strip_prefix('/') {
        Some(_) => match Pattern::new(&pattern) {
            Ok(_) if pattern == "/.*/" => Matcher::Any,
            Ok(_) => Matcher::Regexp(pattern),
            Err(error) => {
                style.lose_all(&error.to_string());
                return None;
            }
        },
        None => Matcher::Name(pattern),
    };
    let kind = style.string("type");
    let mut options = FieldOptions {
        display_name: style.filled("alias"),
        align: style.filled("align").and_then(|align| align_word(&align)),
        links: link(style).map(|link| vec![link]),
        hidden: (kind == "hidden").then_some(true),
        ..FieldOptions::default()
    };
    match kind.as_str() {
        "number" => number(style, &mut options),
        "date" => options.unit = style.filled("dateFormat").map(|format| format!("time:{format}")),
        "string" => options.mappings = Some(singlestat::mappings(style)).filter(|mappings| !mappings.is_empty()),
        _ => {}
    }
    style.ignore(&["decimals", "colorMode"]);
    Some(Override { matcher, options })
}

fn align_word(word: &str) -> Option<Align> {
    Align::WORDS.iter().find(|(known, _)| *known == word).map(|(_, align)| *align)
}

fn number(style: &Object<'_>, options: &mut FieldOptions) {
    options.unit = style.filled("unit");
    options.decimals = style.count("decimals", DECIMALS_MAX);
    let limits: Vec<String> = style.list("thresholds").iter().filter_map(Node::text).collect();
    options.thresholds = singlestat::steps(limits.iter().map(String::as_str), &style.strings("colors"));
    options.cell = match style.string("colorMode").as_str() {
        "cell" => Some(Cell::ColorBackground { row: false }),
        "row" => Some(Cell::ColorBackground { row: true }),
        "value" => Some(Cell::ColorText),
        _ => None,
    };
    options.color = options.cell.map(|_| ColorMode::Thresholds);
}

/// Columns that a link may name by their number.
const CELLS_MAX: usize = 30;

/// `$__cell` and `$__cell_3` in today's words.
fn cells(text: &str) -> String {
    let mut text = text.replace(":raw", "");
    for at in (0..CELLS_MAX).rev() {
        let field = format!("${{__data.fields[{at}]}}");
        text = text.replace(&format!("${{__cell_{at}}}"), &field).replace(&format!("$__cell_{at}"), &field);
    }
    text.replace("${__cell}", "${__value.raw}").replace("$__cell", "${__value.raw}")
}

fn link(style: &Object<'_>) -> Option<Link> {
    if !style.is("link") {
        return None;
    }
    let tooltip = cells(&style.string("linkTooltip"));
    Some(Link {
        title: tooltip.clone(),
        tooltip,
        url: cells(&style.string("linkUrl")),
        new_tab: style.is("linkTargetBlank"),
        ..Link::default()
    })
}
