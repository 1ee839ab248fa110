//! Library panels that a shared file brings along, in the places of the panels that name them.

use serde_json::{Map, Value};

use super::DASHBOARD_BYTES_MAX;

/// What a panel keeps of itself: its place and number.
const OWN: [&str; 2] = ["gridPos", "id"];

/// Puts what `__elements` holds into the panels that name it. What no panel names stays there.
pub(super) fn inline(dashboard: &mut Value) {
    let Some(elements) = dashboard.get_mut("__elements").map(Value::take).and_then(by_uid) else { return };
    let mut library = Library { elements, bytes: 0 };
    for key in ["panels", "rows"] {
        library.fill(dashboard.get_mut(key));
    }
    library.elements.retain(|_, element| element.get("used").is_none());
    dashboard["__elements"] = Value::Object(library.elements);
}

/// By uid; the first versions that exported them had a list.
fn by_uid(elements: Value) -> Option<Map<String, Value>> {
    match elements {
        Value::Object(map) => Some(map),
        Value::Array(list) => {
            let uid = |element: &Value| element.get("uid").and_then(Value::as_str).map(str::to_owned);
            Some(list.into_iter().filter_map(|element| Some((uid(&element)?, element))).collect())
        }
        _ => None,
    }
}

struct Library {
    elements: Map<String, Value>,
    /// Text of what was put in: many panels may name a large one.
    bytes: usize,
}

impl Library {
    /// Recursion ends where the reader of JSON ended it, 128 deep.
    fn fill(&mut self, list: Option<&mut Value>) {
        for panel in list.and_then(Value::as_array_mut).into_iter().flatten() {
            self.fill(panel.get_mut("panels"));
            if let Some(whole) = self.whole(panel) {
                *panel = whole;
            }
        }
    }

    fn whole(&mut self, panel: &Value) -> Option<Value> {
        let uid = panel.get("libraryPanel")?.get("uid")?.as_str()?;
        let element = self.elements.get_mut(uid)?;
        let Value::Object(mut model) = element.get("model")?.clone() else { return None };
        self.bytes += element.to_string().len();
        if self.bytes > DASHBOARD_BYTES_MAX {
            return None;
        }
        element["used"] = Value::Bool(true);
        for key in OWN {
            model.remove(key);
            model.extend(panel.get(key).map(|own| (key.to_owned(), own.clone())));
        }
        Some(Value::Object(model))
    }
}
