//! What somebody wants to keep: the bytes, read.

use std::collections::BTreeMap;

use dashboard::{Dashboard, Imported, Report, import};
use serde_json::Value;

use crate::Error;
use crate::bodies::hash;

/// Grafana's own limit: what is longer does not come from there.
pub const UID_CHARS_MAX: usize = 40;

/// Longest name of a folder, Grafana's own limit too.
pub const FOLDER_CHARS_MAX: usize = 190;

/// Letters of the hash that stand for a uid where the file has none, as long as Grafana's own ones.
const UID_MADE_CHARS: usize = 14;

/// What a title stands for that is empty.
const UNTITLED: &str = "Untitled";

/// Values for the inputs of a file, by name.
pub type Inputs = BTreeMap<String, String>;

/// What a file that was made to be shared leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name, as in `DS_PROMETHEUS`.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// What it is about.
    pub description: String,
    /// What is asked for.
    pub kind: InputKind,
    /// What it is when nobody says otherwise.
    pub value: String,
}

/// What an input asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A data source of this kind; skep itself is the one of the kind `prometheus`.
    DataSource(String),
    /// A text.
    Constant,
}

/// A dashboard that was read and can be kept.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) uid: String,
    pub(crate) title: String,
    pub(crate) sha256: String,
    pub(crate) dashboard: Dashboard,
    pub(crate) report: Report,
    pub(crate) inputs: Vec<Input>,
}

impl Offer {
    /// Reads a body; `uid` stands before the file's own.
    pub(crate) fn read(body: &[u8], uid: Option<&str>, values: &Inputs) -> Result<Self, Error> {
        Self::read_as(body, uid, None, values)
    }

    /// Reads the body of a file; without a uid it has one that is made of the file's name.
    pub(crate) fn read_named(body: &[u8], name: &str) -> Result<Self, Error> {
        Self::read_as(body, None, Some(name), &Inputs::new())
    }

    fn read_as(body: &[u8], uid: Option<&str>, name: Option<&str>, values: &Inputs) -> Result<Self, Error> {
        let text = std::str::from_utf8(body).map_err(|error| Error::Encoding(error.valid_up_to()))?;
        let (Imported { mut dashboard, report }, inputs) = resolved(text, values)?;
        if dashboard.title.trim().is_empty() {
            dashboard.title = UNTITLED.to_owned();
        }
        let given = [uid.unwrap_or_default(), &dashboard.uid].into_iter().find(|uid| !uid.is_empty());
        let uid = given
            .map(str::to_owned)
            .or_else(|| resource_name(text))
            .unwrap_or_else(|| made_uid(name.unwrap_or(&dashboard.title)));
        if !is_uid(&uid) {
            return Err(Error::Uid(uid));
        }
        dashboard.uid = uid.clone();
        Ok(Self { uid, title: dashboard.title.clone(), sha256: hash(body), dashboard, report, inputs })
    }

    /// The values that its inputs have, those of others left out.
    pub(crate) fn values(&self, values: &Inputs) -> Inputs {
        let of = |input: &Input| values.get(&input.name).cloned().unwrap_or_else(|| input.value.clone());
        self.inputs.iter().map(|input| (input.name.clone(), of(input))).collect()
    }
}

/// A uid that is the same each time for the same name.
fn made_uid(name: &str) -> String {
    hash(name.as_bytes()).chars().take(UID_MADE_CHARS).collect()
}

fn is_uid(uid: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=UID_CHARS_MAX).contains(&uid.len()) && uid.bytes().all(fits)
}

/// Resources have their uid outside of the dashboard: `{"metadata": {"name": …}, "spec": …}`.
fn resource_name(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    let name = value.get("metadata")?.get("name")?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// Reads the dashboard with the values of its constants where `${NAME}` stands.
fn resolved(text: &str, values: &Inputs) -> Result<(Imported, Vec<Input>), Error> {
    let shared = text.contains("\"__inputs\"");
    let value = shared.then(|| serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')).ok()).flatten();
    let Some(mut value) = value else { return Ok((import(text)?, Vec::new())) };
    let inputs = inputs(&value);
    let constants: Vec<(String, &str)> = inputs
        .iter()
        .filter(|input| input.kind == InputKind::Constant)
        .map(|input| (format!("${{{}}}", input.name), values.get(&input.name).unwrap_or(&input.value).as_str()))
        .collect();
    if constants.is_empty() {
        return Ok((import(text)?, inputs));
    }
    fill(&mut value, &constants);
    Ok((import(&value.to_string())?, inputs))
}

fn inputs(value: &Value) -> Vec<Input> {
    let inner = ["dashboard", "spec", "json"].iter().find_map(|key| value.get(key)).unwrap_or(value);
    let listed = inner.get("__inputs").and_then(Value::as_array);
    // What was sent to Grafana's import has the values beside the dashboard.
    let given = value.get("inputs").and_then(Value::as_array);
    let given = |name: &str| {
        let mut given = given.into_iter().flatten().filter(|one| one.get("name").and_then(Value::as_str) == Some(name));
        given.next()?.get("value")?.as_str().map(str::to_owned)
    };
    let filled = |input: Input| Input { value: given(&input.name).unwrap_or(input.value), ..input };
    listed.into_iter().flatten().filter_map(input).map(filled).collect()
}

fn input(value: &Value) -> Option<Input> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text("name");
    let kind = match text("type").as_str() {
        "datasource" => InputKind::DataSource(text("pluginId")),
        "constant" => InputKind::Constant,
        _ => return None,
    };
    (!name.is_empty()).then(|| Input {
        name,
        label: text("label"),
        description: text("description"),
        kind,
        value: text("value"),
    })
}

/// Recursion ends where the reader of JSON ended it, 128 deep.
fn fill(value: &mut Value, constants: &[(String, &str)]) {
    match value {
        Value::String(text) => {
            for (place, constant) in constants {
                if text.contains(place.as_str()) {
                    *text = text.replace(place.as_str(), constant);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| fill(value, constants)),
        Value::Object(values) => values.values_mut().for_each(|value| fill(value, constants)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<(&str, &str), &str>) {
        let got = Offer::read(body.as_bytes(), None, &Inputs::new());
        match (got, expected) {
            (Ok(offer), Ok(expected)) => assert_eq!((&*offer.uid, &*offer.title), expected, "{body}"),
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected, "{body}"),
            (got, _) => panic!("{body}: {got:?}"),
        }
    }

    #[test]
    fn names_of_dashboards() {
        check(r#"{"uid": "a-B_1", "title": "x", "panels": []}"#, Ok(("a-B_1", "x")));
        check(r#"{"dashboard": {"uid": "a", "title": "x", "panels": []}, "meta": {}}"#, Ok(("a", "x")));
        let resource = r#"{"kind": "Dashboard", "metadata": {"name": "m"}, "spec": {"title": "x", "panels": []}}"#;
        check(resource, Ok(("m", "x")));
        check(r#"{"title": "x", "panels": []}"#, Ok((&made_uid("x"), "x")));
        check(r#"{"title": " ", "panels": []}"#, Ok((&made_uid("Untitled"), "Untitled")));
        let uid = "no name of 1 to 40 letters, digits, - and _; change it in the file";
        check(r#"{"uid": "a/b", "panels": []}"#, Err(&format!("the uid \"a/b\" is {uid}")));
        check("{\n \"uid\": ,\n}", Err("line 2, column 9: expected value"));
        check("[]", Err("this is no dashboard: it is not an object"));
        let bytes = Offer::read(b"{\"a\": \"\xff\"}", None, &Inputs::new()).unwrap_err();
        assert_eq!(bytes.to_string(), "byte 7 is not UTF-8; save the file as UTF-8");
    }

    #[test]
    fn constants_are_filled_in() {
        let sent = r#"{"dashboard": {"__inputs": [{"name": "V", "type": "constant", "value": "a"}], "title": "${V}", "panels": []},
            "inputs": [{"name": "V", "type": "constant", "value": "sent"}], "overwrite": true, "folderId": 0}"#;
        assert_eq!(Offer::read(sent.as_bytes(), None, &Inputs::new()).unwrap().title, "sent");
        let body = r#"{"__inputs": [{"name": "VAR_J", "type": "constant", "label": "Job", "value": "a"},
            {"name": "DS_P", "type": "datasource", "pluginId": "prometheus"}], "title": "of ${VAR_J}", "panels": []}"#;
        let title = |inputs: &[(&str, &str)]| {
            let inputs = inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let offer = Offer::read(body.as_bytes(), None, &inputs).unwrap();
            assert_eq!(offer.inputs.len(), 2);
            offer.title
        };
        assert_eq!(title(&[]), "of a");
        assert_eq!(title(&[("VAR_J", "b\"")]), "of b\"");
    }
}
