//! Settings of a dashboard, its links and annotations.

use crate::board::{Annotation, Crosshair, Dashboard, Span};
use crate::json::{Node, Object, word};
use crate::link::Link;

pub(super) fn read(object: &Object<'_>, dashboard: &mut Dashboard) {
    object.ignore(&["id", "version", "editable", "iteration", "gnetId", "revision", "style", "preload", "liveNow"]);
    object.ignore(&["__inputs", "__requires", "fiscalYearStartMonth", "hideControls", "overwrite", "folderId"]);
    object.ignore(&["originalTitle", "sharedCrosshair", "scopeMeta", "weekStartDay", "snapshot"]);
    object.lose("__elements", "a library panel that no panel of this dashboard names");
    dashboard.uid = object.string("uid");
    dashboard.title = object.string("title");
    dashboard.description = object.string("description");
    dashboard.tags = object.strings("tags");
    dashboard.zone = object.string("timezone");
    dashboard.week_start = object.string("weekStart");
    dashboard.refresh = refresh(object);
    dashboard.crosshair = crosshair(object);
    if let Some(time) = object.object("time") {
        let default = Span::default();
        dashboard.time.from = time.filled("from").unwrap_or(default.from);
        dashboard.time.to = time.filled("to").unwrap_or(default.to);
    }
    if let Some(picker) = object.object("timepicker") {
        picker.ignore(&["time_options", "collapse", "enable", "notice", "now", "status", "type"]);
        dashboard.refresh_choices = picker.strings("refresh_intervals");
        dashboard.now_delay = picker.string("nowDelay");
        dashboard.time_hidden = picker.is("hidden");
    }
    dashboard.links = object.objects("links").iter().map(link).collect();
    dashboard.annotations = annotations(object);
}

/// Old dashboards have `false`, or a number of milliseconds.
fn refresh(object: &Object<'_>) -> String {
    match object.filled("refresh") {
        Some(text) if text == "true" || text == "false" => String::new(),
        Some(text) => text,
        None => String::new(),
    }
}

fn crosshair(object: &Object<'_>) -> Crosshair {
    match object.node("graphTooltip") {
        Some(node) => word(&node, Crosshair::WORDS).unwrap_or_default(),
        // Of before schema 14.
        None if object.is("sharedCrosshair") => Crosshair::Line,
        None => Crosshair::Off,
    }
}

/// A link of a dashboard, panel or value.
pub(super) fn link(object: &Object<'_>) -> Link {
    object.ignore(&["icon", "type", "dashboard", "dashUri", "origin", "oneClick", "placement", "$$hashKey"]);
    let by_tags = object.text("type").as_deref() == Some("dashboards");
    let tags = object.strings("tags");
    let mut url = object.string("url");
    if url.is_empty() {
        url = object.string("dashUri");
    }
    object.lose("params", "is not added to the address");
    Link {
        title: object.string("title"),
        tooltip: object.string("tooltip"),
        url,
        tags: by_tags.then_some(tags),
        dropdown: object.is("asDropdown"),
        new_tab: object.is("targetBlank"),
        keep_time: object.is("keepTime"),
        keep_variables: object.is("includeVars"),
    }
}

fn annotations(object: &Object<'_>) -> Vec<Annotation> {
    let Some(list) = object.object("annotations") else { return Vec::new() };
    list.ignore(&["enable"]);
    list.objects("list").iter().filter_map(annotation).collect()
}

fn annotation(object: &Object<'_>) -> Option<Annotation> {
    object.ignore(&["type", "target", "datasource", "showIn", "builtIn", "$$hashKey", "mappings", "rawQuery"]);
    object.ignore(&["limit", "tags", "matchAny", "showLine", "lineColor", "iconSize", "textField", "titleColumn"]);
    object.ignore(&["tagsColumn", "textColumn", "placement", "snapshotData"]);
    let built_in = object.is("builtIn");
    let source = super::target::Source::read(object);
    let target = object.object("target");
    let expr = query(object, target.as_ref());
    let step = object.filled("step").or_else(|| target.as_ref()?.filled("interval")).unwrap_or_default();
    if let Some(target) = target {
        target.ignore_rest();
    }
    if !built_in && (expr.is_empty() || !source.is_prometheus()) {
        object.lose_all("marks come from PromQL or from skep itself");
        return None;
    }
    let filter = object.object("filter");
    let panels = filter.as_ref().map(ids);
    let excluded = filter.as_ref().is_some_and(|filter| filter.is("exclude"));
    Some(Annotation {
        name: object.string("name"),
        enabled: object.flag("enable").unwrap_or(true),
        hidden: object.node("hide").is_some_and(|hide| hide.flag() == Some(true)),
        built_in,
        color: object.string("iconColor"),
        expr,
        step,
        title: object.string("titleFormat"),
        text: object.string("textFormat"),
        tag_labels: tags(object),
        value_for_time: object
            .node("useValueForTime")
            .is_some_and(|flag| flag.value == "on" || flag.flag() == Some(true)),
        only_panels: panels.clone().filter(|_| !excluded),
        except_panels: panels.filter(|_| excluded).unwrap_or_default(),
    })
}

fn query(object: &Object<'_>, target: Option<&Object<'_>>) -> String {
    let own = object.filled("expr").or_else(|| object.filled("query"));
    own.or_else(|| target?.filled("expr")).unwrap_or_default()
}

fn ids(filter: &Object<'_>) -> Vec<i64> {
    filter.list("ids").iter().filter_map(Node::number).map(|id| id as i64).collect()
}

/// Labels: a text of them with commas.
fn tags(object: &Object<'_>) -> Vec<String> {
    let keys = object.string("tagKeys");
    keys.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect()
}
