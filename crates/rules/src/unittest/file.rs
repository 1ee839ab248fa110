//! The test file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Labels;
use yaml::{Place, Report, Section};

use super::INTERVAL;

/// A test file.
pub(super) struct Tests {
    /// Where the patterns of rule files start.
    pub(super) base: PathBuf,
    pub(super) rule_files: Vec<String>,
    pub(super) evaluation_interval: Duration,
    /// Names of groups that are evaluated in this order.
    pub(super) order: Vec<String>,
    pub(super) groups: Vec<TestGroup>,
}

/// Series and what must come of them.
pub(super) struct TestGroup {
    pub(super) name: String,
    pub(super) interval: Duration,
    pub(super) series: Vec<(Labels, Vec<Option<f64>>)>,
    pub(super) alerts: Vec<AlertTest>,
    pub(super) exprs: Vec<ExprTest>,
    pub(super) external_labels: Labels,
    pub(super) external_url: String,
}

/// Alerts that must fire at a time, and no others of that name.
pub(super) struct AlertTest {
    pub(super) at: Duration,
    pub(super) name: String,
    /// Labels and annotations.
    pub(super) expected: Vec<(Labels, Labels)>,
}

/// What an expression must give at a time.
pub(super) struct ExprTest {
    pub(super) at: Duration,
    pub(super) expr: String,
    /// Series as they are written, and values.
    pub(super) samples: Vec<(String, f64)>,
}

/// Reads a test file; `None` if it has errors, which are reported.
pub(super) fn load(path: &Path, report: &Report) -> Option<Tests> {
    let text = yaml::read(path, report)?;
    let file = path.display().to_string();
    let root = yaml::parse_first(&file, &text, report)?;
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let tests = Place::root(&root, &file, report).section().map(|section| decode(&section, base))?;
    (!report.has_errors()).then_some(tests)
}

fn decode(section: &Section<'_>, base: PathBuf) -> Tests {
    let evaluation_interval = section.duration("evaluation_interval").filter(|d| !d.is_zero()).unwrap_or(INTERVAL);
    let order = section.strings("group_eval_order");
    for (i, name) in order.iter().enumerate() {
        if order[..i].contains(name) {
            section.place().error(format!("group name repeated in evaluation order: {name}"), "");
        }
    }
    let groups = section.list("tests");
    let tests = Tests {
        base,
        rule_files: section.strings("rule_files"),
        evaluation_interval,
        order,
        groups: groups.iter().filter_map(|place| test_group(&place.section()?, evaluation_interval)).collect(),
    };
    section.finish();
    tests
}

fn test_group(section: &Section<'_>, interval: Duration) -> Option<TestGroup> {
    let interval = section.duration("interval").filter(|d| !d.is_zero()).unwrap_or(interval);
    let group = TestGroup {
        name: section.string("name").unwrap_or_default(),
        interval,
        series: section.list("input_series").iter().filter_map(input_series).collect(),
        alerts: section.list("alert_rule_test").iter().filter_map(alert_test).collect(),
        exprs: section.list("promql_expr_test").iter().filter_map(expr_test).collect(),
        external_labels: section.get("external_labels").map(|place| texts(&place)).unwrap_or_default(),
        external_url: section.string("external_url").unwrap_or_default(),
    };
    section.finish();
    Some(group)
}

fn input_series(place: &Place<'_>) -> Option<(Labels, Vec<Option<f64>>)> {
    let section = place.section()?;
    let (series, values) = (section.string("series").unwrap_or_default(), section.string("values").unwrap_or_default());
    section.finish();
    let read = promql::script::read_series(&format!("{series} {}", values.replace('\n', " ")));
    read.map_err(|message| place.error(message, "such as series: 'up{job=\"a\"}' with values: '1 0x5'")).ok()
}

fn alert_test(place: &Place<'_>) -> Option<AlertTest> {
    let section = place.section()?;
    let name = section.string("alertname").unwrap_or_default();
    let alerts = section.list("exp_alerts");
    let test = AlertTest {
        at: section.duration("eval_time").unwrap_or_default(),
        expected: alerts.iter().filter_map(|place| expected_alert(place, &name)).collect(),
        name,
    };
    section.finish();
    Some(test)
}

fn expected_alert(place: &Place<'_>, name: &str) -> Option<(Labels, Labels)> {
    let section = place.section()?;
    let read = |key| section.get(key).map(|place| texts(&place)).unwrap_or_default();
    let (labels, annotations) = (read("exp_labels"), read("exp_annotations"));
    section.finish();
    let labels = labels.iter().chain([("alertname", name)]);
    Some((Labels::of_texts(labels), annotations))
}

fn expr_test(place: &Place<'_>) -> Option<ExprTest> {
    let section = place.section()?;
    let samples = section.list("exp_samples");
    let test = ExprTest {
        at: section.duration("eval_time").unwrap_or_default(),
        expr: section.string("expr").unwrap_or_default(),
        samples: samples.iter().filter_map(expected_sample).collect(),
    };
    section.finish();
    Some(test)
}

fn expected_sample(place: &Place<'_>) -> Option<(String, f64)> {
    let section = place.section()?;
    let labels = section.string("labels").unwrap_or_default();
    let value = section.get("value").and_then(|place| place.float()).unwrap_or(0.0);
    if let Some(place) = section.get("histogram") {
        place.error("native histograms are not built yet", "");
    }
    section.finish();
    Some((labels, value))
}

/// A mapping of texts.
fn texts(place: &Place<'_>) -> Labels {
    let entries = place.entries().into_iter();
    Labels::of_texts(entries.filter_map(|(key, value)| Some((key.string()?, value.string()?))))
}
