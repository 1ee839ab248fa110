//! The fuzz target of dashboards. `cargo test` replays its corpus, too: `tests/fuzz.rs` takes this file in.

use dashboard::{
    Choice, Clock, Column, Dashboard, Field, Frame, MinStep, Panel, Resolution, Scope, Selected, Selection, Steps,
    Syntax, TimeRange, Variable, VariableKind, VariableQuery, custom_choices, import, interval_choices, legend_name,
    order, parse_duration_ms, parts, query_choices, select, style, transform,
};
use jiff::tz::TimeZone;

/// Reads the bytes as a dashboard, fills in its variables, lays it out and shows every panel with made-up answers.
pub fn dashboard(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(imported) = import(&text) else { return };
    let _ = imported.report.to_string();
    let dashboard = &imported.dashboard;
    let range = TimeRange { from_ms: 1_594_671_549_254, to_ms: 1_594_675_149_254 };
    let scope = variables(dashboard, &range);
    let (parts, _) = parts(dashboard, |name| scope.get(name).cloned());
    for shown in parts.iter().flat_map(|part| &part.panels) {
        assert!(shown.place.x + shown.place.w <= 24 && shown.place.w > 0, "{:?}", shown.place);
    }
    dashboard.panels().for_each(|panel| show(panel, &scope, &range));
}

/// Gives each variable the values that it has with an answer of three.
fn variables(dashboard: &Dashboard, range: &TimeRange) -> Scope {
    let mut scope = Scope::new(range.clone(), TimeZone::UTC);
    let Ok(order) = order(&dashboard.variables) else { return scope };
    for at in order {
        let variable = &dashboard.variables[at];
        let choices = choices(variable, &scope, range);
        let selection = select(variable, &choices, &variable.current);
        assert!(variable.include_all || selection != Selection::All);
        scope.set(&variable.name, Selected::of(variable, &selection, &choices));
    }
    scope
}

fn choices(variable: &Variable, scope: &Scope, range: &TimeRange) -> Vec<Choice> {
    match &variable.kind {
        VariableKind::Query(query) => {
            let Ok(query) = scope.fill(query, Syntax::PromQl) else { return Vec::new() };
            let _ = VariableQuery::parse(&query);
            let regex = scope.fill(&variable.regex, Syntax::Regex).unwrap_or_default();
            let answers = ["node-1:9100", "up{pod=\"a\"} 1 2", ""].map(str::to_owned);
            query_choices(&answers, &regex, variable.sort).unwrap_or_default()
        }
        VariableKind::Custom(list) => custom_choices(list),
        VariableKind::Interval { choices, auto } => interval_choices(choices, auto.as_ref(), range),
        VariableKind::Constant(value) => vec![Choice::same(value.as_str())],
        _ => Vec::new(),
    }
}

/// Asks and draws a panel.
fn show(panel: &Panel, scope: &Scope, range: &TimeRange) {
    let _ = scope.fill(&panel.title, Syntax::Text);
    let mut frames = Vec::new();
    for target in &panel.targets {
        let resolution = Resolution {
            points: panel.points_max.unwrap_or(0).into(),
            min_step: MinStep::parse(&target.min_step),
            panel_step_ms: parse_duration_ms(&panel.min_step),
            scrape_interval_ms: None,
            factor: target.step_factor.into(),
        };
        let steps = Steps::of(range, &resolution);
        assert!(steps.step_ms > 0);
        let expr = scope.with_steps(steps).fill(&target.expr, Syntax::PromQl).unwrap_or_default();
        frames.extend(
            ["a", "b"].map(|pod| answer(&target.ref_id, pod, legend_name(&target.legend, &labels(pod), &expr))),
        );
    }
    let Ok(frames) = transform(frames, &panel.transforms) else { return };
    for (frame, styles) in frames.iter().zip(style(&frames, &panel.fields)) {
        for (field, style) in frame.fields.iter().zip(styles) {
            for row in 0..field.values.len() {
                let value = field.values.get(row);
                let shown = style.display(value.mapped(), &Clock::default());
                assert!(shown.color.css().starts_with('#'));
            }
        }
    }
}

fn labels(pod: &str) -> Vec<(String, String)> {
    [("__name__", "up"), ("pod", pod)].map(|(label, value)| (label.to_owned(), value.to_owned())).to_vec()
}

fn answer(ref_id: &str, pod: &str, display: Option<String>) -> Frame {
    let numbers = vec![Some(-1.5), None, Some(f64::NAN), Some(1e30), Some(f64::INFINITY), Some(0.0)];
    let value = Field { labels: labels(pod), display, ..Field::new("Value", Column::Numbers(numbers)) };
    let time = Field::new("Time", Column::Times((0..6).map(|at| Some(at * 60_000)).collect()));
    Frame { ref_id: ref_id.to_owned(), name: String::new(), fields: vec![time, value] }
}
