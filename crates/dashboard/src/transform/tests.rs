//! Each transformation over small answers, as lists of what goes in and what comes out.

use std::fmt::Write as _;

use super::*;
use crate::frame::{Column, Field, Frame, Value};

/// A column from `name: a b c`: numbers, `-` for none, `@5` for times, anything else a text; `name{label=value}` has
/// a label.
fn field(text: &str) -> Field {
    let (head, values) = text.split_once(": ").unwrap();
    let values: Vec<&str> = values.split(' ').filter(|value| !value.is_empty()).collect();
    let (name, labels) = head.split_once('{').map_or((head, ""), |(name, labels)| (name, labels.trim_end_matches('}')));
    let labels = labels.split(',').filter_map(|label| label.split_once('='));
    let column = if values.iter().any(|value| value.starts_with('@')) {
        Column::Times(values.iter().map(|value| value.trim_start_matches('@').parse().ok()).collect())
    } else if values.iter().all(|value| *value == "-" || value.parse::<f64>().is_ok()) {
        Column::Numbers(values.iter().map(|value| value.parse().ok()).collect())
    } else {
        Column::Texts(values.iter().map(|value| (*value != "-").then(|| (*value).into())).collect())
    };
    let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
    Field { labels, ..Field::new(name, column) }
}

/// An answer: its letter, then its columns.
fn frame(ref_id: &str, fields: &[&str]) -> Frame {
    Frame { ref_id: ref_id.to_owned(), name: String::new(), fields: fields.iter().map(|text| field(text)).collect() }
}

fn text(frames: &[Frame]) -> Vec<String> {
    let mut out = Vec::new();
    for (frame, names) in frames.iter().zip(apply::names(frames)) {
        for (field, name) in frame.fields.iter().zip(names) {
            let mut line = format!("{} {name}:", frame.ref_id);
            for row in 0..field.values.len() {
                let _ = match field.values.get(row) {
                    Value::Null => write!(line, " -"),
                    Value::Time(time) => write!(line, " @{time}"),
                    value => write!(line, " {}", value.text().unwrap()),
                };
            }
            out.push(line);
        }
    }
    out
}

fn check(frames: &[Frame], operation: Operation, expected: &[&str]) {
    let step = Step { operation, filter: None };
    let found = transform(frames.to_vec(), std::slice::from_ref(&step)).unwrap();
    assert_eq!(text(&found), expected, "{step:?}");
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn series() -> [Frame; 2] {
    [frame("A", &["Time: @1 @2", "Value{pod=a}: 10 20"]), frame("A", &["Time: @2 @3", "Value{pod=b}: 5 6"])]
}

fn tables() -> [Frame; 2] {
    [frame("A", &["pod: a b", "Value #A: 1 2"]), frame("B", &["pod: b c", "Value #B: 20 30"])]
}

#[test]
fn columns_are_organized() {
    let one = [frame("A", &["a: 1", "b: 2", "c: 3"])];
    let pairs = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect::<Vec<_>>();
    let organize = Organize {
        exclude: names(&["b"]),
        rename: vec![("a".to_owned(), "first".to_owned())],
        order: pairs(&[("c", 0), ("a", 1)]),
        include: Vec::new(),
    };
    check(&one, Operation::Organize(organize), &["A c: 3", "A first: 1"]);
    let organize = Organize { include: names(&["c"]), ..Organize::default() };
    check(&one, Operation::Organize(organize), &["A c: 3"]);
}

#[test]
fn answers_are_joined() {
    let join = |mode| Operation::Join { field: None, mode };
    check(&series(), join(JoinMode::Outer), &["A Time: @1 @2 @3", "A a: 10 20 -", "A b: - 5 6"]);
    check(&series(), join(JoinMode::Inner), &["A Time: @2", "A a: 20", "A b: 5"]);
    let by = Operation::Join { field: Some("pod".to_owned()), mode: JoinMode::Outer };
    check(&tables(), by, &["A pod: a b c", "A Value #A: 1 2 -", "A Value #B: - 20 30"]);
    check(&series()[..1], join(JoinMode::Outer), &["A Time: @1 @2", "A a: 10 20"]);
    let rows = ["A Time: @3 @2 @2 @1", "A Metric: b a b a", "A Value: 6 20 5 10"];
    check(&series(), Operation::SeriesToRows, &rows);
}

#[test]
fn answers_are_merged() {
    check(&tables(), Operation::Merge, &["A pod: a b c", "A Value #A: 1 2 -", "A Value #B: - 20 30"]);
    let differ = [frame("A", &["pod: a", "x: 1"]), frame("B", &["pod: a", "x: 2", "y: 3"])];
    check(&differ, Operation::Merge, &["A pod: a a", "A x: 1 2", "A y: - 3"]);
    let apart = [frame("A", &["a: 1"]), frame("B", &["b: 2"])];
    check(&apart, Operation::Merge, &["A a: 1", "B b: 2"]);
    check(&apart[..1], Operation::Merge, &["A a: 1"]);
}

#[test]
fn labels_become_columns() {
    let labels = |rows, keep: &[&str], value_label: Option<&str>| Operation::LabelsToFields {
        rows,
        keep: names(keep),
        value_label: value_label.map(str::to_owned),
    };
    let merged = ["A Time: @1 @2 @2 @3", "A pod: a a b b", "A Value: 10 20 5 6"];
    check(&series(), labels(false, &[], None), &merged);
    check(&series(), labels(false, &["x"], None), &["A Time: @1 @2 @2 @3", "A Value: 10 20 5 6"]);
    check(&series(), labels(false, &[], Some("pod")), &["A Time: @1 @2 @3", "A a: 10 20 -", "A b: - 5 6"]);
    check(&series()[..1], labels(true, &[], None), &["A a label: pod", "A a value: a"]);
}

#[test]
fn rows_are_grouped() {
    let table = [frame("A", &["pod: a b a", "x: 1 2 3", "y: 4 5 6"])];
    let roles =
        vec![("pod".to_owned(), GroupRole::Key), ("x".to_owned(), GroupRole::Calcs(vec![Reducer::Sum, Reducer::Max]))];
    check(&table, Operation::GroupBy(roles), &["A pod: a b", "A x (sum): 4 2", "A x (max): 3 2"]);
    let none = vec![("q".to_owned(), GroupRole::Key)];
    check(&table, Operation::GroupBy(none), &["A pod: a b a", "A x: 1 2 3", "A y: 4 5 6"]);
}

#[test]
fn columns_are_reduced() {
    let reduce = |columns, times, labels| Operation::Reduce {
        calcs: vec![Reducer::Max, Reducer::LastNotNull],
        columns,
        times,
        labels,
    };
    check(&series(), reduce(false, false, false), &["A Field: a b", "A Max: 20 6", "A Last *: 20 6"]);
    check(&series(), reduce(false, false, true), &["A Field: a b", "A pod: a b", "A Max: 20 6", "A Last *: 20 6"]);
    let columns = ["A Value Max a: 20", "A Value Last * a: 20"];
    check(&series()[..1], reduce(true, false, false), &columns);
    let one = Operation::Reduce { calcs: vec![Reducer::Sum], columns: true, times: false, labels: false };
    check(&series()[..1], one, &["A a: 30"]);
}

#[test]
fn columns_are_calculated() {
    let table = [frame("A", &["pod: a b", "x: 4 -", "y: 2 5"])];
    let calculate =
        |mode, alias: &str, replace| Operation::Calculate(Calculate { mode, alias: alias.to_owned(), replace });
    let base = ["A pod: a b", "A x: 4 -", "A y: 2 5"];
    let with = |new: &'static str| [base[0], base[1], base[2], new];
    let row = |include: &[&str]| CalculateMode::Row { include: names(include), reducer: Reducer::Sum };
    check(&table, calculate(row(&[]), "", false), &with("A Total: 6 5"));
    check(&table, calculate(row(&["y"]), "s", false), &with("A s: 2 5"));
    let binary = |operator, right| CalculateMode::Binary { left: Operand::Field("x".to_owned()), operator, right };
    check(
        &table,
        calculate(binary(Operator::Divide, Operand::Field("y".to_owned())), "", false),
        &with("A x / y: 2 -"),
    );
    check(&table, calculate(binary(Operator::Multiply, Operand::Number(10.0)), "", false), &with("A x * 10: 40 -"));
    let unary = CalculateMode::Unary { function: Function::Abs, field: "y".to_owned() };
    check(&table, calculate(unary, "", false), &with("A abs(y): 2 5"));
    let sum = CalculateMode::Cumulative { field: "y".to_owned(), reducer: Reducer::Sum };
    check(&table, calculate(sum, "c", false), &with("A c: 2 7"));
    check(&table, calculate(CalculateMode::Index { percentile: false }, "", true), &["A Row: 0 1"]);
    let joined = ["A Time: @1 @2 @3", "A a: 10 20 -", "A b: - 5 6", "A Total: 10 25 6"];
    check(&series(), calculate(row(&[]), "", false), &joined);
    check(&table, calculate(row(&["q"]), "", false), &base);
}

#[test]
fn rows_are_filtered_and_sorted() {
    let table = [frame("A", &["pod: b a c", "x: 2 - 10"])];
    let sort = |field: &str, descending| Operation::Sort { field: field.to_owned(), descending };
    check(&table, sort("x", false), &["A pod: a b c", "A x: - 2 10"]);
    check(&table, sort("x", true), &["A pod: c b a", "A x: 10 2 -"]);
    check(&table, sort("pod", false), &["A pod: a b c", "A x: - 2 10"]);
    check(&table, sort("q", false), &["A pod: b a c", "A x: 2 - 10"]);
    check(&table, Operation::Limit(1), &["A pod: b", "A x: 2"]);
    let filter = |include, all, tests: &[(&str, Test)]| Operation::FilterRows {
        include,
        all,
        conditions: tests
            .iter()
            .map(|(field, test)| Condition { field: (*field).to_owned(), test: test.clone() })
            .collect(),
    };
    let pods = |operation, expected: &str| {
        let step = Step { operation, filter: None };
        assert_eq!(text(&transform(table.to_vec(), &[step]).unwrap())[0], expected);
    };
    pods(filter(true, true, &[("x", Test::Greater(2.0))]), "A pod: c");
    pods(filter(true, true, &[("x", Test::GreaterOrEqual(2.0))]), "A pod: b c");
    pods(filter(false, true, &[("x", Test::GreaterOrEqual(2.0))]), "A pod: a");
    pods(filter(true, true, &[("x", Test::Null)]), "A pod: a");
    pods(filter(true, false, &[("x", Test::NotNull), ("pod", Test::Equal("a".to_owned()))]), "A pod: b a c");
    pods(filter(true, true, &[("x", Test::NotNull), ("pod", Test::Regex("^[ab]$".to_owned()))]), "A pod: b");
    pods(filter(true, true, &[("x", Test::Equal("2.0".to_owned()))]), "A pod: b");
    pods(filter(true, true, &[("x", Test::Between(2.0, 11.0))]), "A pod: c");
    pods(filter(true, true, &[("pod", Test::Contains("A".to_owned()))]), "A pod: a");
    pods(filter(true, true, &[("pod", Test::NotContains("a".to_owned()))]), "A pod: b c");
    pods(filter(true, true, &[("q", Test::Null)]), "A pod: b a c");
}

#[test]
fn columns_and_answers_are_filtered() {
    let fields = |include: Option<Matcher>, exclude: Option<Matcher>| Operation::FilterFields { include, exclude };
    let by = |pattern: &str| Some(Matcher::RegexpOrNames { pattern: Some(pattern.to_owned()), names: Vec::new() });
    check(&tables(), fields(by("/Value/"), None), &["A Value #A: 1 2", "B Value #B: 20 30"]);
    check(&tables(), fields(None, by("/Value #B|pod/")), &["A Value #A: 1 2"]);
    let frames =
        |include: &str| Operation::FilterFrames { include: Some(Matcher::Query(include.to_owned())), exclude: None };
    check(&tables(), frames("B"), &["B pod: b c", "B Value #B: 20 30"]);
    check(&tables(), frames("A|B"), &["A pod: a b", "A Value #A: 1 2", "B pod: b c", "B Value #B: 20 30"]);
    let rename = Operation::Rename { pattern: "/Value #(.)/".to_owned(), replacement: "$1!".to_owned() };
    check(&tables()[..1], rename, &["A pod: a b", "A A!: 1 2"]);
    let convert = Operation::Convert(vec![("Value #A".to_owned(), FieldType::Text)]);
    check(&tables()[..1], convert, &["A pod: a b", "A Value #A: 1 2"]);
    let times = Operation::Convert(vec![("t".to_owned(), FieldType::Time)]);
    check(&[frame("A", &["t: 1970-01-01T00:00:01Z 2000 x"])], times, &["A t: @1000 @2000 -"]);
}

#[test]
fn steps_follow_each_other_for_their_answers() {
    let steps = [
        Step { operation: Operation::Limit(1), filter: Some(Matcher::Query("B".to_owned())) },
        Step { operation: Operation::Merge, filter: None },
    ];
    let found = transform(tables().to_vec(), &steps).unwrap();
    assert_eq!(text(&found), ["B pod: b a", "B Value #B: 20 -", "B Value #A: 2 1"]);
}

#[test]
fn joins_have_an_end() {
    let wide = |from: i64| Frame {
        fields: vec![
            Field::new("Time", Column::Times((from..from + 10_000).map(Some).collect())),
            Field::new("Value", Column::Numbers(vec![Some(1.0); 10_000])),
        ],
        ..Frame::default()
    };
    let frames: Vec<Frame> = (0..100).map(|at| wide(at * 10_000)).collect();
    let step = Step { operation: Operation::Join { field: None, mode: JoinMode::Outer }, filter: None };
    let error = transform(frames, &[step]).unwrap_err();
    assert_eq!(error, TooLarge("joinByField".to_owned()));
}
