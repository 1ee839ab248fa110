//! An entry of `kubernetes_sd_configs`, judged: which roles, selectors and ways to the API server go together.

use client::config::HttpConfig;
use client::decode::url;
use yaml::{Place, Section, Shape};

use super::others::one_of;

const ROLES: [&str; 6] = ["pod", "service", "endpoints", "endpointslice", "node", "ingress"];

/// Roles with the roles that their selectors may have.
const SELECTED: [(&str, &[&str]); 6] = [
    ("pod", &["pod"]),
    ("service", &["service"]),
    ("endpointslice", &["pod", "service", "endpointslice"]),
    ("endpoints", &["pod", "service", "endpoints"]),
    ("node", &["node"]),
    ("ingress", &["ingress"]),
];

pub(super) fn judge(section: &Section<'_>) {
    one_of(section, "role", &ROLES);
    let http = HttpConfig::decode(section);
    let custom = http != HttpConfig::default();
    let given = |key| section.get(key).filter(|place| !place.node().is_null());
    let server = given("api_server");
    if let Some(place) = &server {
        url::decode(place);
    }
    section.judge(&[("kubeconfig_file", Shape::Text)]);
    let kubeconfig = given("kubeconfig_file").is_some_and(|place| place.node().as_text() != Some(""));
    let own = namespaces(section);
    let error = |message: &str, hint: &str| section.place().error(message, hint);
    if server.is_some() && kubeconfig {
        error("cannot use 'kubeconfig_file' and 'api_server' simultaneously", "keep one of them");
    }
    if kubeconfig && custom {
        error("cannot use a custom HTTP client configuration together with 'kubeconfig_file'", "");
    }
    if server.is_none() && !kubeconfig && custom {
        error(
            "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
            "add api_server",
        );
    }
    if server.is_some() && own {
        error("cannot use 'api_server' and 'namespaces.own_namespace' simultaneously", "");
    }
    if kubeconfig && own {
        error("cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously", "");
    }
    if let Some(metadata) = section.section("attach_metadata") {
        metadata.judge(&[("node", Shape::Flag)]);
        metadata.finish();
    }
    selectors(section);
}

/// Whether the namespace is the one that the program runs in.
fn namespaces(section: &Section<'_>) -> bool {
    let Some(namespaces) = section.section("namespaces") else { return false };
    namespaces.judge(&[("names", Shape::Texts)]);
    let own = namespaces.get("own_namespace").filter(|place| !place.node().is_null()).and_then(|p| p.boolean());
    namespaces.finish();
    own.unwrap_or_default()
}

fn selectors(section: &Section<'_>) {
    let role = section.get("role").and_then(|place| place.node().as_text().map(str::to_owned)).unwrap_or_default();
    let allowed = SELECTED.iter().find(|(name, _)| *name == role).map(|(_, allowed)| *allowed);
    let mut seen = Vec::new();
    for place in section.list("selectors") {
        let Some(selector) = place.section() else { continue };
        let text = |key| selector.get(key).and_then(|p: Place<'_>| p.string()).unwrap_or_default();
        let (kind, label, field) = (text("role"), text("label"), text("field"));
        selector.finish();
        if seen.contains(&kind) {
            place.error(format!("duplicated selector role: {kind}"), "join the two");
        } else if allowed.is_some_and(|allowed| !allowed.contains(&&*kind)) {
            let allowed = allowed.unwrap_or_default().join(", ");
            place.error(format!("{role} role supports only {allowed} selectors"), "");
        }
        seen.push(kind);
        for (key, result) in [("label", check_labels(&label)), ("field", check_fields(&field))] {
            if let (Err(reason), Some(place)) = (result, selector.get(key)) {
                place.error(format!("not a selector: {reason}"), "");
            }
        }
    }
}

/// Requirements between commas: `a`, `!a`, `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a>1`, `a<1`.
fn check_labels(text: &str) -> Result<(), String> {
    let mut rest = text.trim();
    while !rest.is_empty() {
        rest = requirement(rest)?.trim_start();
        match rest.strip_prefix(',') {
            Some(more) if more.trim().is_empty() => return Err("it ends in a comma".to_owned()),
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => {}
            None => return Err(format!("unexpected {rest:?}")),
        }
    }
    Ok(())
}

/// Takes one requirement off the front.
fn requirement(text: &str) -> Result<&str, String> {
    if let Some(rest) = text.strip_prefix('!') {
        return Ok(word(rest.trim_start())?.1);
    }
    let rest = word(text)?.1.trim_start();
    if rest.is_empty() || rest.starts_with(',') {
        return Ok(rest);
    }
    for operator in ["==", "!=", "=", ">", "<"] {
        if let Some(value) = rest.strip_prefix(operator) {
            let value = value.trim_start();
            return Ok(word(value).map_or(value, |(_, rest)| rest));
        }
    }
    let (operator, rest) = word(rest)?;
    if !matches!(operator, "in" | "notin") {
        return Err(format!("unknown operator {operator:?}"));
    }
    let inner = rest.trim_start().strip_prefix('(').ok_or("a list in parentheses is missing")?;
    inner.split_once(')').map(|(_, rest)| rest).ok_or_else(|| "no closing parenthesis".to_owned())
}

fn word(text: &str) -> Result<(&str, &str), String> {
    let end = text.find(|c: char| c.is_whitespace() || "=!(),<>".contains(c)).unwrap_or(text.len());
    if end == 0 { Err(format!("a name is missing before {text:?}")) } else { Ok(text.split_at(end)) }
}

/// Terms between commas: `a=b`, `a==b`, `a!=b`; in values `\` escapes `\`, `,` and `=`.
fn check_fields(text: &str) -> Result<(), String> {
    let mut terms = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('\\' | ',' | '=') => terms.last_mut().into_iter().for_each(|term| term.push('_')),
                other => return Err(format!("invalid escape sequence: \\{}", other.unwrap_or_default())),
            },
            ',' => terms.push(String::new()),
            letter => terms.last_mut().into_iter().for_each(|term| term.push(letter)),
        }
    }
    match terms.iter().find(|term| !term.is_empty() && !term.contains('=')) {
        Some(term) => Err(format!("can't understand {term:?}")),
        None => Ok(()),
    }
}
