//! Grafana's schema v2, in which panels are `elements` and a `layout` says where they stand, as the classic one: what is the
//! same there is taken over as it is, and read as everything else is.

use serde_json::{Map, Value, json};

/// Rows of the grid that a panel of a layout without places has.
const HEIGHT: u64 = 8;
/// Panels beside each other where such a layout does not say how many.
const BESIDE: u64 = 3;
/// Columns of the grid.
const COLUMNS: u64 = 24;
/// Rows of the grid that a place can have; far more than anybody scrolls.
const PLACE_MAX: u64 = 100_000;
/// Layouts in layouts; Grafana's editor makes two levels.
const DEPTH_MAX: usize = 8;

/// What has no place in the classic schema: where it stood, what it was, and what is shown in its place.
pub(super) type Lost = (String, Value, &'static str);

/// Whether it is of the second schema.
pub(super) fn is_second(dashboard: &Value) -> bool {
    dashboard.get("elements").is_some_and(Value::is_object) && dashboard.get("layout").is_some_and(Value::is_object)
}

/// The same dashboard in the classic schema.
pub(super) fn classic(spec: &Value) -> (Value, Vec<Lost>) {
    let mut grid = Grid { elements: &spec["elements"], panels: Vec::new(), lost: Vec::new(), bytes: 0 };
    grid.layout(&spec["layout"], 0, 0);
    let mut dashboard = Map::new();
    for key in ["title", "description", "tags", "links", "editable", "liveNow", "preload", "revision"] {
        dashboard.extend(spec.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let word = |key: &str| spec.get(key).and_then(Value::as_str).unwrap_or_default();
    let crosshair = ["Off", "Crosshair", "Tooltip"].iter().position(|known| *known == word("cursorSync")).unwrap_or(0);
    let time = &spec["timeSettings"];
    let rest = json!({
        "schemaVersion": super::SCHEMA_MAX,
        "graphTooltip": crosshair,
        "timezone": time["timezone"],
        "weekStart": time["weekStart"],
        "fiscalYearStartMonth": time["fiscalYearStartMonth"],
        "refresh": time["autoRefresh"],
        "time": {"from": time["from"], "to": time["to"]},
        "timepicker": {
            "refresh_intervals": time["autoRefreshIntervals"], "hidden": time["hideTimepicker"], "nowDelay": time["nowDelay"],
        },
        "annotations": {"list": list(&spec["annotations"], annotation)},
        "templating": {"list": list(&spec["variables"], variable)},
        "panels": grid.panels,
    });
    dashboard.extend(rest.as_object().cloned().unwrap_or_default());
    (Value::Object(dashboard), grid.lost)
}

fn list(values: &Value, each: fn(&Value) -> Value) -> Vec<Value> {
    values.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(each).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The first of these keys that holds something.
fn either<'v>(value: &'v Value, keys: [&str; 2]) -> &'v Value {
    keys.iter().map(|key| &value[*key]).find(|value| !value.is_null()).unwrap_or(&Value::Null)
}

/// Puts the keys of an object over those that are there.
fn overlay(onto: &mut Value, from: &Value) {
    if let (Some(onto), Some(from)) = (onto.as_object_mut(), from.as_object()) {
        onto.extend(from.clone());
    }
}

/// The kind of what is asked stands in `group`, in the first drafts in `kind`; the data source beside it or around it.
fn source(query: &Value, around: &Value) -> Value {
    let kind = if query["group"].is_null() { &query["kind"] } else { &query["group"] };
    let named = if query["datasource"].is_null() { around } else { &query["datasource"] };
    json!({"type": if named["type"].is_null() { kind } else { &named["type"] }, "uid": either(named, ["name", "uid"])})
}

fn annotation(annotation: &Value) -> Value {
    let spec = &annotation["spec"];
    let mut classic = json!({"datasource": source(&spec["query"], &spec["datasource"])});
    for from in [&spec["query"]["spec"], &spec["legacyOptions"], spec] {
        overlay(&mut classic, from);
    }
    if let Some(map) = classic.as_object_mut() {
        map.remove("query");
        map.remove("legacyOptions");
        map.insert("datasource".to_owned(), source(&spec["query"], &spec["datasource"]));
    }
    classic
}

/// Words of the second schema in the order of the classic one's numbers.
const HIDE: [&str; 4] = ["dontHide", "hideLabel", "hideVariable", "inControlsMenu"];
const REFRESH: [&str; 3] = ["never", "onDashboardLoad", "onTimeRangeChanged"];
const SORT: [&str; 9] = [
    "disabled",
    "alphabeticalAsc",
    "alphabeticalDesc",
    "numericalAsc",
    "numericalDesc",
    "alphabeticalCaseInsensitiveAsc",
    "alphabeticalCaseInsensitiveDesc",
    "naturalAsc",
    "naturalDesc",
];

fn variable(variable: &Value) -> Value {
    let spec = &variable["spec"];
    let kind = text(&variable["kind"]).trim_end_matches("Variable").to_lowercase();
    let mut classic = spec.clone();
    let kind = if kind == "text" { "textbox" } else { &kind };
    let number = |words: &[&str], key: &str| words.iter().position(|word| *word == text(&spec[key])).unwrap_or(0);
    let mut words = json!({
        "type": kind, "hide": number(&HIDE, "hide"), "refresh": number(&REFRESH, "refresh"), "sort": number(&SORT, "sort"),
    });
    if kind == "datasource" {
        words["query"] = spec["pluginId"].clone();
    }
    if kind == "query" {
        let query = &spec["query"];
        words["query"] = either(&query["spec"], ["query", "__legacyStringValue"]).clone();
        words["datasource"] = source(query, &spec["datasource"]);
    }
    overlay(&mut classic, &words);
    if let Some(map) = classic.as_object_mut() {
        map.remove("pluginId");
        map.remove("group");
    }
    classic
}

/// Panels in the order of the page, and how far down it reaches.
struct Grid<'a> {
    elements: &'a Value,
    panels: Vec<Value>,
    lost: Vec<Lost>,
    /// Text of the elements that were put into places: many places may name a large one.
    bytes: usize,
}

impl Grid<'_> {
    /// Lays out what begins at this row of the grid; the answer is the row below it.
    fn layout(&mut self, layout: &Value, top: u64, depth: usize) -> u64 {
        let spec = &layout["spec"];
        match text(&layout["kind"]) {
            "GridLayout" => self.items(&spec["items"], top),
            "AutoGridLayout" => self.beside(spec, top),
            "RowsLayout" if depth < DEPTH_MAX => self.rows(&spec["rows"], top, depth),
            "TabsLayout" if depth < DEPTH_MAX => {
                self.lost.push((
                    "layout".to_owned(),
                    json!("TabsLayout"),
                    "tabs are shown as rows, one below the other",
                ));
                self.rows(&spec["tabs"], top, depth)
            }
            _ => {
                self.lost.push((
                    "layout".to_owned(),
                    layout["kind"].clone(),
                    "is no layout that skep knows; its panels are left out",
                ));
                top
            }
        }
    }

    fn rows(&mut self, rows: &Value, mut top: u64, depth: usize) -> u64 {
        for row in rows.as_array().into_iter().flatten() {
            let spec = &row["spec"];
            self.condition(spec);
            self.panels.push(json!({
                "type": "row", "title": spec["title"], "collapsed": either(spec, ["collapse", "collapsed"]),
                "repeat": spec["repeat"]["value"], "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            }));
            top = self.layout(&spec["layout"], top + 1, depth + 1);
        }
        top
    }

    fn items(&mut self, items: &Value, top: u64) -> u64 {
        let mut bottom = top;
        for item in items.as_array().into_iter().flatten() {
            let spec = &item["spec"];
            let number = |key: &str| spec[key].as_u64().unwrap_or(0).min(PLACE_MAX);
            // The first drafts had rows among the panels.
            if text(&item["kind"]) == "GridLayoutRow" {
                self.panels.push(json!({
                    "type": "row", "title": spec["title"], "collapsed": spec["collapsed"], "repeat": spec["repeat"]["value"],
                    "gridPos": {"x": 0, "y": top + number("y"), "w": COLUMNS, "h": 1},
                }));
                bottom = self.items(&spec["elements"], bottom.max(top + number("y") + 1));
                continue;
            }
            let y = top + number("y");
            let place = json!({"x": number("x"), "y": y, "w": number("width"), "h": number("height")});
            self.panel(spec, &place);
            bottom = bottom.max(y + number("height"));
        }
        bottom
    }

    /// Panels without places: so many beside each other.
    fn beside(&mut self, spec: &Value, top: u64) -> u64 {
        let count = spec["maxColumnCount"].as_u64().unwrap_or(BESIDE).clamp(1, COLUMNS);
        let items = spec["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (at, item) in (0..).zip(items) {
            let width = COLUMNS / count;
            let place = json!({"x": at % count * width, "y": top + at / count * HEIGHT, "w": width, "h": HEIGHT});
            self.panel(&item["spec"], &place);
        }
        top + (items.len() as u64).div_ceil(count) * HEIGHT
    }

    fn panel(&mut self, item: &Value, place: &Value) {
        self.condition(item);
        let Some(element) = self.elements.get(text(&item["element"]["name"])) else { return };
        self.bytes += element.to_string().len();
        if self.bytes > super::DASHBOARD_BYTES_MAX {
            self.lost.push(("layout".to_owned(), item["element"].clone(), "is past what all panels together may have"));
            return;
        }
        let mut panel = panel(element);
        let repeat = &item["repeat"];
        let rest = json!({
            "gridPos": place, "repeat": repeat["value"], "repeatDirection": repeat["direction"],
            "maxPerRow": either(repeat, ["maxPerRow", "max"]),
        });
        overlay(&mut panel, &rest);
        self.panels.push(panel);
    }

    fn condition(&mut self, spec: &Value) {
        let condition = &spec["conditionalRendering"];
        if condition["spec"]["items"].as_array().is_some_and(|items| !items.is_empty()) {
            let lost = (
                "layout.conditionalRendering".to_owned(),
                condition.clone(),
                "what is shown does not depend on conditions",
            );
            self.lost.push(lost);
        }
    }
}

fn panel(element: &Value) -> Value {
    let spec = &element["spec"];
    let mut panel = json!({"id": spec["id"], "title": spec["title"], "description": spec["description"], "links": spec["links"], "transparent": spec["transparent"]});
    if text(&element["kind"]) == "LibraryPanel" {
        panel["libraryPanel"] = spec["libraryPanel"].clone();
        return panel;
    }
    let (look, data) = (&spec["vizConfig"], &spec["data"]["spec"]);
    let kind = if look["group"].is_null() { &look["kind"] } else { &look["group"] };
    overlay(
        &mut panel,
        &json!({
            "type": kind, "options": look["spec"]["options"], "fieldConfig": look["spec"]["fieldConfig"],
            "targets": list(&data["queries"], target), "transformations": list(&data["transformations"], transformation),
        }),
    );
    overlay(&mut panel, &data["queryOptions"]);
    panel
}

fn target(query: &Value) -> Value {
    let spec = &query["spec"];
    let mut target = spec["query"]["spec"].clone();
    overlay(
        &mut target,
        &json!({
            "refId": spec["refId"], "hide": spec["hidden"], "datasource": source(&spec["query"], &spec["datasource"]),
        }),
    );
    target
}

fn transformation(transformation: &Value) -> Value {
    let mut classic = transformation["spec"].clone();
    let kind = text(&transformation["kind"]);
    // The name stood in `kind`, then in `group` beside the kind `Transformation`.
    let id = if transformation["group"].is_null() { json!(kind) } else { transformation["group"].clone() };
    overlay(&mut classic, &json!({"id": id}));
    classic
}
