//! The words of a notification: templates of the configuration over its alerts.

use std::cell::RefCell;
use std::sync::Arc;

use model::{Labels, Timestamp};
use template::{Library, NoticeFunctions, Object, Output, Template, Value};

use crate::group::Told;
use crate::payload::{Message, common, status};

/// What receivers say where the configuration leaves it to them.
const DEFAULTS: &str = include_str!("defaults.tmpl");

/// The name of the file of defaults in messages.
const DEFAULTS_NAME: &str = "default.tmpl";

/// Alerts that are named where a template failed; the rest are counted.
const NAMED_MAX: usize = 10;

/// Problems of templates that are told of one notification; most have the same cause.
const PROBLEMS_MAX: usize = 3;

/// The templates that come with skep.
pub(crate) fn defaults() -> Library {
    let mut library = Library::default();
    let functions = NoticeFunctions { now: jiff::Timestamp::UNIX_EPOCH };
    if let Err(error) = library.add(DEFAULTS_NAME, DEFAULTS, &functions) {
        // A test holds that this cannot be.
        tracing::error!(%error, "the templates that come with skep");
    }
    library
}

/// One notification about to be worded.
pub(crate) struct Speech<'a> {
    pub(crate) message: Message<'a>,
    pub(crate) now: Timestamp,
    data: Value,
    library: &'a Library,
    functions: NoticeFunctions,
    problems: RefCell<Vec<String>>,
}

impl<'a> Speech<'a> {
    pub(crate) fn new(message: Message<'a>, library: &'a Library, now: Timestamp) -> Self {
        let moment = jiff::Timestamp::from_millisecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let functions = NoticeFunctions { now: moment };
        Self { now, data: data(&message, message.told), message, library, functions, problems: RefCell::default() }
    }

    /// Whether anything fires.
    pub(crate) fn fires(&self) -> bool {
        self.message.told.iter().any(|told| !told.resolved)
    }

    /// A number of the group that stays the same: receivers know by it what belongs together.
    pub(crate) fn group_id(&self) -> String {
        let hash = ring::digest::digest(&ring::digest::SHA256, self.message.group_key.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What a template says; nothing, and a problem, where it fails.
    pub(crate) fn text(&self, template: &str) -> String {
        self.expand(template, Output::Text, &self.data).unwrap_or_default()
    }

    /// What a template says that must say something: where it fails, the plain facts.
    pub(crate) fn body(&self, template: &str, output: Output) -> String {
        self.expand(template, output, &self.data).unwrap_or_else(|| {
            let plain = self.plain();
            if output == Output::Html { format!("<pre>{}</pre>", escape(&plain)) } else { plain }
        })
    }

    /// As [`Self::body`] with the first alerts only.
    pub(crate) fn body_of(&self, template: &str, told: &[Told]) -> String {
        let data = data(&self.message, told);
        self.expand(template, Output::Text, &data).unwrap_or_else(|| self.plain())
    }

    /// What a title says; where its template fails, the group.
    pub(crate) fn title(&self, template: &str) -> String {
        self.expand(template, Output::Text, &self.data).unwrap_or_else(|| self.headline())
    }

    /// What was wrong with templates, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let problems = self.problems.borrow();
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    fn expand(&self, template: &str, output: Output, data: &Value) -> Option<String> {
        if !template.contains("{{") {
            return Some(template.to_owned());
        }
        let parsed = Template::parse("", template, &self.functions);
        match parsed.and_then(|parsed| parsed.execute_with(self.library, output, data, &self.functions)) {
            Ok(text) => Some(text),
            Err(error) => {
                let mut problems = self.problems.borrow_mut();
                let message = error.to_string();
                if problems.len() < PROBLEMS_MAX && !problems.contains(&message) {
                    problems.push(message);
                }
                None
            }
        }
    }

    fn headline(&self) -> String {
        let firing = self.message.told.iter().filter(|told| !told.resolved).count();
        let state = if firing > 0 { format!("FIRING:{firing}") } else { "RESOLVED".to_owned() };
        let labels: Vec<&str> = self.message.group_labels.iter().map(|(_, value)| value).collect();
        format!("[{state}] {}", labels.join(" "))
    }

    /// What can be said without the template that failed, and why it is said so.
    fn plain(&self) -> String {
        let mut text = self.headline();
        for told in self.message.told.iter().take(NAMED_MAX) {
            text.push_str(&format!("\n{} {}", status(told.resolved), told.alert.labels));
            for (name, value) in &told.alert.annotations {
                text.push_str(&format!("\n  {name}: {value}"));
            }
        }
        let rest = self.message.told.len().saturating_sub(NAMED_MAX);
        if rest > 0 {
            text.push_str(&format!("\nand {rest} more"));
        }
        let problem = self.problem().unwrap_or_default();
        text + &format!("\n\nThe template of this notification failed: {problem}")
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The dot of templates.
fn data(message: &Message<'_>, told: &[Told]) -> Value {
    let resolved = told.iter().all(|told| told.resolved);
    let labels = |labels: &Labels| Value::pairs(labels.iter());
    let shared = |sets: &mut dyn Iterator<Item = &Labels>| Value::pairs(common(sets));
    Value::Object(Arc::new(Object {
        type_name: "*template.Data",
        fields: vec![
            ("Receiver", Value::string(message.receiver)),
            ("Status", Value::string(status(resolved))),
            ("Alerts", Value::List(told.iter().map(alert).collect())),
            ("NotificationReason", Value::string(message.reason.text())),
            ("GroupLabels", labels(message.group_labels)),
            ("CommonLabels", shared(&mut told.iter().map(|told| &told.alert.labels))),
            ("CommonAnnotations", shared(&mut told.iter().map(|told| &told.alert.annotations))),
            ("ExternalURL", Value::string(message.external_url)),
        ],
    }))
}

fn alert(told: &Told) -> Value {
    let Told { alert, resolved, fingerprint } = told;
    Value::Object(Arc::new(Object {
        type_name: template::ALERT,
        fields: vec![
            ("Status", Value::string(status(*resolved))),
            ("Labels", Value::pairs(alert.labels.iter())),
            ("Annotations", Value::pairs(alert.annotations.iter())),
            ("StartsAt", Value::time(Some(alert.starts_at))),
            ("EndsAt", Value::time(resolved.then_some(alert.ends_at))),
            ("GeneratorURL", Value::string(alert.generator_url.as_str())),
            ("Fingerprint", Value::string(format!("{fingerprint:016x}"))),
        ],
    }))
}

/// A text of at most so many characters; what is cut off is shown by an ellipsis.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}
