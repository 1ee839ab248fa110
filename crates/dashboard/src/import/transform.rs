//! Transformations of a panel.

use super::{matcher, visual};
use crate::field::{FieldType, Matcher};
use crate::json::{Node, Object, word};
use crate::pattern::Pattern;
use crate::reduce::Reducer;
use crate::transform::{
    Calculate, CalculateMode, Condition, Function, GroupRole, JoinMode, Operand, Operation, Operator, Organize,
    STEPS_MAX, Step, Test,
};

pub(super) fn read(panel: &Object<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for node in panel.list("transformations") {
        if steps.len() >= STEPS_MAX {
            node.lose(format!("is past the first {STEPS_MAX} transformations"));
        } else if let Some(object) = node.object() {
            steps.extend(one(&object));
        }
    }
    steps
}

fn one(object: &Object<'_>) -> Option<Step> {
    if object.is("disabled") {
        object.ignore_rest();
        return None;
    }
    object.ignore(&["topic"]);
    let filter = object.object("filter").and_then(|filter| matcher::read(&filter));
    let id = object.string("id");
    let options = object.object("options");
    let found = match &options {
        Some(options) => operation(&id, options),
        None => without_options(&id),
    };
    if found.is_none() {
        if let Some(options) = &options {
            options.ignore_rest();
        }
        object.lose_all("this transformation is not carried; the answers go on as they are");
    }
    Some(Step { operation: found?, filter })
}

fn without_options(id: &str) -> Option<Operation> {
    Some(match id {
        "merge" => Operation::Merge,
        "seriesToRows" => Operation::SeriesToRows,
        "seriesToColumns" | "joinByField" => Operation::Join { field: None, mode: JoinMode::Outer },
        "labelsToFields" => Operation::LabelsToFields { rows: false, keep: Vec::new(), value_label: None },
        _ => return None,
    })
}

fn operation(id: &str, options: &Object<'_>) -> Option<Operation> {
    Some(match id {
        "organize" => Operation::Organize(organize(options)),
        "merge" => Operation::Merge,
        "seriesToColumns" | "joinByField" => join(options),
        "seriesToRows" => Operation::SeriesToRows,
        "groupBy" => Operation::GroupBy(groups(options)),
        "calculateField" => Operation::Calculate(calculate(options)?),
        "sortBy" => sort(options)?,
        "filterFieldsByName" => filter_names(options),
        "filterFields" => {
            Operation::FilterFields { include: side(options, "include"), exclude: side(options, "exclude") }
        }
        "filterByRefId" | "filterFrames" => filter_frames(options),
        "filterByValue" => filter_values(options),
        "labelsToFields" => labels(options),
        "reduce" => reduce(options),
        "limit" => Operation::Limit(options.count("limitField", 1_000_000).unwrap_or(10)),
        "renameByRegex" => rename(options)?,
        "convertFieldType" => convert(options),
        _ => return None,
    })
}

fn organize(options: &Object<'_>) -> Organize {
    options.ignore(&["orderByMode", "orderBy"]);
    if options.string("orderByMode") == "auto" {
        options.lose("orderByMode", "columns stand as their places say");
    }
    let flags = |key| {
        let map = options.object(key);
        let names = map.iter().flat_map(Object::entries).filter(|(_, node)| node.flag() == Some(true));
        names.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let order = options.object("indexByName");
    let order = order
        .iter()
        .flat_map(Object::entries)
        .filter_map(|(name, node)| Some((name.to_owned(), node.number()? as i64)));
    let rename = options.object("renameByName");
    let rename =
        rename.iter().flat_map(Object::entries).filter_map(|(name, node)| Some((name.to_owned(), node.text()?)));
    Organize {
        exclude: flags("excludeByName"),
        include: flags("includeByName"),
        rename: rename.filter(|(_, new)| !new.is_empty()).collect(),
        order: order.collect(),
    }
}

fn join(options: &Object<'_>) -> Operation {
    options.ignore(&["mode"]);
    let mode = match options.string("mode").as_str() {
        "inner" => JoinMode::Inner,
        "outer" | "" => JoinMode::Outer,
        _ => {
            options.lose("mode", "rows are joined as if it were outer");
            JoinMode::Outer
        }
    };
    Operation::Join { field: options.filled("byField"), mode }
}

fn groups(options: &Object<'_>) -> Vec<(String, GroupRole)> {
    let Some(fields) = options.object("fields") else { return Vec::new() };
    let one = |(name, node): (&str, Node<'_>)| {
        let field = node.object()?;
        let calcs = visual::reducers(&field, "aggregations");
        let role = match field.string("operation").as_str() {
            "groupby" => GroupRole::Key,
            "aggregate" => GroupRole::Calcs(calcs),
            _ => return None,
        };
        Some((name.to_owned(), role))
    };
    fields.entries().filter_map(one).collect()
}

fn calculate(options: &Object<'_>) -> Option<Calculate> {
    options.ignore(&["mode", "reduce", "binary", "unary", "cumulative", "index", "window"]);
    let mode = match options.string("mode").as_str() {
        "reduceRow" | "" => {
            let reduce = options.object("reduce")?;
            reduce.ignore(&["nullValueMode"]);
            CalculateMode::Row { include: reduce.strings("include"), reducer: reducer(&reduce)? }
        }
        "binary" => binary(&options.object("binary")?)?,
        "unary" => {
            let unary = options.object("unary")?;
            CalculateMode::Unary {
                function: unary.word("operator", Function::WORDS)?,
                field: unary.string("fieldName"),
            }
        }
        "cumulativeFunctions" => {
            let cumulative = options.object("cumulative")?;
            CalculateMode::Cumulative { field: cumulative.string("field"), reducer: reducer(&cumulative)? }
        }
        "index" => {
            let index = options.object("index");
            CalculateMode::Index { percentile: index.is_some_and(|index| index.is("asPercentile")) }
        }
        _ => return None,
    };
    // Settings of the modes that are not chosen stay in the file.
    for key in ["reduce", "binary", "unary", "cumulative", "index", "window"] {
        if let Some(unused) = options.object(key) {
            unused.ignore_rest();
        }
    }
    Some(Calculate { mode, alias: options.string("alias"), replace: options.is("replaceFields") })
}

fn reducer(object: &Object<'_>) -> Option<Reducer> {
    let found = Reducer::parse(&object.string("reducer"));
    if found.is_none() {
        object.lose("reducer", "is no reducer that skep knows");
    }
    found
}

fn binary(object: &Object<'_>) -> Option<CalculateMode> {
    object.ignore(&["reducer"]);
    let operator = object.word("operator", Operator::WORDS)?;
    Some(CalculateMode::Binary { left: operand(object, "left")?, operator, right: operand(object, "right")? })
}

/// A name or number, or an object with a fixed one or with a matcher of a name.
fn operand<'a>(object: &Object<'a>, key: &'a str) -> Option<Operand> {
    let node = object.node(key)?;
    if !node.value.is_object() {
        let text = node.text()?;
        return Some(text.trim().parse().map_or(Operand::Field(text), Operand::Number));
    }
    let side = node.object()?;
    if let Some(matcher) = side.object("matcher") {
        return match matcher::read(&matcher)? {
            Matcher::Name(name) => Some(Operand::Field(name)),
            _ => None,
        };
    }
    let text = side.text("fixed")?;
    Some(text.trim().parse().map_or(Operand::Field(text), Operand::Number))
}

fn sort(options: &Object<'_>) -> Option<Operation> {
    options.ignore(&["fields"]);
    let first = options.objects("sort").into_iter().next()?;
    first.ignore(&["index"]);
    Some(Operation::Sort { field: first.filled("field")?, descending: first.is("desc") })
}

fn filter_names(options: &Object<'_>) -> Operation {
    options.ignore(&["byVariable", "variable"]);
    if options.is("byVariable") {
        options.lose("variable", "columns chosen by a variable are not carried; all are kept");
    }
    Operation::FilterFields { include: names(options, "include"), exclude: names(options, "exclude") }
}

fn names<'a>(options: &Object<'a>, key: &'a str) -> Option<Matcher> {
    let object = options.object(key)?;
    object.ignore(&["variable"]);
    let names = object.strings("names");
    let pattern = object.filled("pattern");
    if let Some(Err(error)) = pattern.as_ref().map(|text| Pattern::new(text)) {
        object.lose("pattern", &error.to_string());
        return None;
    }
    (pattern.is_some() || !names.is_empty()).then_some(Matcher::RegexpOrNames { pattern, names })
}

fn side<'a>(options: &Object<'a>, key: &'a str) -> Option<Matcher> {
    matcher::read(&options.object(key)?)
}

/// `include: "A|B"`, or matchers in objects.
fn filter_frames(options: &Object<'_>) -> Operation {
    let side = |key| {
        let node = options.node(key)?;
        match node.value {
            serde_json::Value::String(text) if !text.is_empty() => Some(Matcher::Query(text.clone())),
            serde_json::Value::Object(_) => matcher::read(&node.object()?),
            _ => None,
        }
    };
    Operation::FilterFrames { include: side("include"), exclude: side("exclude") }
}

fn filter_values(options: &Object<'_>) -> Operation {
    let include = options.word("type", &[("include", true), ("exclude", false)]).unwrap_or(true);
    let all = options.word("match", &[("all", true), ("any", false)]).unwrap_or(false);
    let one = |object: &Object<'_>| {
        let field = object.string("fieldName");
        let config = object.object("config")?;
        let test = test(&config);
        if test.is_none() {
            config.lose_all("this condition is not carried; it holds for no row");
        }
        Some(Condition { field, test: test? })
    };
    Operation::FilterRows { include, all, conditions: options.objects("filters").iter().filter_map(one).collect() }
}

fn test(config: &Object<'_>) -> Option<Test> {
    let id = config.string("id");
    let options = config.object("options");
    let options = options.as_ref();
    if let Some(options) = options {
        // A condition may keep settings of the one that it was before.
        options.ignore(&["value", "from", "to"]);
    }
    let text = || options.map(|options| options.string("value"));
    let number = |key| options.and_then(|options| options.number(key));
    Some(match id.as_str() {
        "isNull" => Test::Null,
        "isNotNull" => Test::NotNull,
        "equal" => Test::Equal(text()?),
        "notEqual" => Test::NotEqual(text()?),
        "greater" => Test::Greater(number("value")?),
        "greaterOrEqual" => Test::GreaterOrEqual(number("value")?),
        "lower" => Test::Less(number("value")?),
        "lowerOrEqual" => Test::LessOrEqual(number("value")?),
        "range" | "between" => Test::Between(number("from")?, number("to")?),
        "regex" => Test::Regex(text().filter(|text| Pattern::new(&test_pattern(text)).is_ok())?),
        "substring" => Test::Contains(text()?),
        "notSubstring" => Test::NotContains(text()?),
        _ => return None,
    })
}

/// The pattern of a condition, which is found anywhere in the text.
pub(crate) fn test_pattern(text: &str) -> String {
    format!("/{text}/")
}

fn labels(options: &Object<'_>) -> Operation {
    let rows = options.word("mode", &[("columns", false), ("rows", true)]).unwrap_or(false);
    Operation::LabelsToFields { rows, keep: options.strings("keepLabels"), value_label: options.filled("valueLabel") }
}

fn reduce(options: &Object<'_>) -> Operation {
    let columns = options.word("mode", &[("seriesToRows", false), ("reduceFields", true)]).unwrap_or(false);
    Operation::Reduce {
        calcs: visual::reducers(options, "reducers"),
        columns,
        times: options.is("includeTimeField"),
        labels: options.is("labelsToFields"),
    }
}

fn rename(options: &Object<'_>) -> Option<Operation> {
    let pattern = options.string("regex");
    if let Err(error) = Pattern::new(&pattern) {
        options.lose("regex", &error.to_string());
        return None;
    }
    Some(Operation::Rename { pattern, replacement: options.string("renamePattern") })
}

fn convert(options: &Object<'_>) -> Operation {
    options.ignore(&["fields"]);
    let one = |object: &Object<'_>| {
        object.ignore(&["joinWith", "timezone", "enumConfig"]);
        object.lose("dateFormat", "dates are read as ISO 8601 and as milliseconds");
        let kind = object.node("destinationType").and_then(|node| word(&node, FieldType::WORDS))?;
        Some((object.filled("targetField")?, kind))
    };
    Operation::Convert(options.objects("conversions").iter().filter_map(one).collect())
}
