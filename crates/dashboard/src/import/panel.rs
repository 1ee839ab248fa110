//! A panel: what all kinds have, and which kind it is.

use super::{defaults, field, graph, old_table, settings, singlestat, target, transform, visual};
use crate::board::{Panel, Place, Repeat};
use crate::json::Object;
use crate::visual::Visual;

/// What a panel calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Row,
    Graph,
    SingleStat,
    OldTable,
    Other(String),
}

impl Kind {
    pub(super) fn of(object: &Object<'_>) -> Self {
        let name = object.string("type");
        match name.as_str() {
            "row" => Self::Row,
            "graph" => Self::Graph,
            "singlestat" | "grafana-singlestat-panel" => Self::SingleStat,
            "table-old" => Self::OldTable,
            "table" if object.has("styles") || (object.has("columns") && !object.has("fieldConfig")) => Self::OldTable,
            _ => Self::Other(name),
        }
    }
}

pub(super) fn read(object: &Object<'_>, kind: &Kind, place: Place) -> Panel {
    object.ignore(&["type", "gridPos", "pluginVersion", "datasource", "editable", "error", "span", "height", "width"]);
    object.ignore(&["cacheTimeout", "queryCachingTTL", "scopedVars", "repeatIteration", "repeatPanelId", "isNew"]);
    object.ignore(&["renderer", "$$hashKey", "id", "title", "repeatedByRow", "minSpan", "collapsed", "panels"]);
    object.ignore(&["titleSize", "hideTimeOverride", "timeFrom", "timeShift", "headings", "style", "timeCompare"]);
    object.ignore(&["snapshotData", "fullscreen", "isEditing", "isInView", "hasRefreshed", "cacheTtl", "key"]);
    let id = object.number("id").unwrap_or(0.0) as i64;
    let title = object.string("title");
    object.losses().enter(Some((id, title.clone())));
    library(object);
    let fields = field::config(object);
    let mut panel = Panel {
        id,
        title,
        description: object.string("description"),
        transparent: object.is("transparent"),
        place,
        visual: Visual::Unsupported { kind: String::new() },
        fields,
        targets: target::read(object),
        transforms: transform::read(object),
        links: object.objects("links").iter().map(settings::link).collect(),
        repeat: repeat(object),
        points_max: object.count("maxDataPoints", 1_000_000).filter(|points| *points > 0),
        min_step: object.string("interval"),
        time_from: object.string("timeFrom"),
        time_shift: object.string("timeShift"),
        hide_time: object.is("hideTimeOverride"),
    };
    match kind {
        Kind::Graph => graph::read(object, &mut panel),
        Kind::SingleStat => singlestat::read(object, &mut panel),
        Kind::OldTable => old_table::read(object, &mut panel),
        Kind::Row | Kind::Other(_) => {
            panel.visual = visual::read(object);
            visual::old_pie_fields(object, &mut panel.fields);
        }
    }
    defaults::fill(&mut panel);
    // What was not asked for belongs to this panel, not to the one that is entered next.
    object.report_rest();
    object.losses().enter(None);
    panel
}

/// A library panel that came with all of its settings is like any other; where it has only its name, nothing can be drawn.
fn library(object: &Object<'_>) {
    object.ignore(&["libraryPanel"]);
    if !object.has("type") {
        let reason = "this library panel is not in the file; export the dashboard from Grafana for sharing externally, which puts it in";
        object.lose("libraryPanel", reason);
    }
    object.lose("alert", "an alert of Grafana's old kind is not carried; write it as a rule");
}

fn repeat(object: &Object<'_>) -> Option<Repeat> {
    object.ignore(&["repeatDirection", "maxPerRow", "minSpan"]);
    let variable = object.filled("repeat")?;
    let vertical = object.word("repeatDirection", &[("h", false), ("v", true)]).unwrap_or(false);
    let per_row_max = object.count("maxPerRow", 24).filter(|count| *count > 0);
    // Before schema 17 there was a smallest width, in columns of today's grid.
    let by_width = || object.count("minSpan", 24).filter(|span| *span > 0).map(|span| 24 / span);
    let per_row_max = per_row_max.or_else(by_width).unwrap_or(4);
    Some(Repeat { variable, vertical, per_row_max })
}
