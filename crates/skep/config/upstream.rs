//! Sections of Prometheus' file that skep judges and does not act upon yet: each is read in full, and said to have no effect.

use client::config::{HttpConfig, TlsConfig};
use client::decode::{is_reserved_header, url};
use yaml::Shape::{Duration, Flag, Float, Integer, Text, TextMap, Texts, Unsigned};
use yaml::{Place, Section};

const WITHOUT_EFFECT: &str = "valid, but without effect in this version of skep";

/// Decodes `remote_write`, `remote_read`, `otlp`, `tracing` and `runtime`.
pub(super) fn judge(root: &Section<'_>) {
    remotes(root, "remote_write", "remote write config", "samples stay here", remote_write);
    remotes(root, "remote_read", "remote read config", "queries read what is stored here", remote_read);
    if let Some(section) = filled(root, "otlp", "nothing is received by OTLP") {
        otlp(root, &section);
        section.finish();
    }
    if let Some(section) = filled(root, "tracing", "skep sends no traces of itself") {
        tracing(&section);
        section.finish();
    }
    if let Some(section) = filled(root, "runtime", "skep has no garbage collector") {
        section.judge(&[("gogc", Integer)]);
        section.finish();
    }
}

/// A section with a value, which is warned about unless it holds nothing.
fn filled<'a>(root: &Section<'a>, key: &'static str, hint: &str) -> Option<Section<'a>> {
    let place = root.get(key).filter(given)?;
    warn(&place, hint);
    place.section()
}

fn warn(place: &Place<'_>, hint: &str) {
    let empty = match &place.node().value {
        yaml::Value::Mapping(pairs) => pairs.is_empty(),
        yaml::Value::Sequence(nodes) => nodes.is_empty(),
        yaml::Value::Scalar { .. } => false,
    };
    if !empty {
        place.warn(WITHOUT_EFFECT, hint);
    }
}

pub(super) fn given(place: &Place<'_>) -> bool {
    !place.node().is_null()
}

pub(super) fn text(section: &Section<'_>, key: &'static str) -> String {
    section.get(key).filter(given).and_then(|place| place.string()).unwrap_or_default()
}

/// `sigv4`, the signature of requests to AWS.
pub(super) fn signature(section: &Section<'_>) {
    let Some(place) = section.get("sigv4").filter(given) else { return };
    let Some(keys) = place.section() else { return };
    keys.judge(&[
        ("access_key", Text),
        ("external_id", Text),
        ("profile", Text),
        ("region", Text),
        ("role_arn", Text),
        ("secret_key", Text),
        ("service_name", Text),
        ("use_fips_sts_endpoint", Flag),
    ]);
    keys.finish();
    if text(&keys, "access_key").is_empty() != text(&keys, "secret_key").is_empty() {
        place.error(
            "must provide a AWS SigV4 Access key and Secret Key if credentials are specified",
            "add the other one",
        );
    }
    let others = ["basic_auth", "authorization", "oauth2"];
    let tokens = ["bearer_token", "bearer_token_file"];
    let other = others.iter().any(|key| section.get(key).is_some_and(|place| given(&place)));
    if other || tokens.iter().any(|key| !text(section, key).is_empty()) {
        place
            .error("at most one of basic_auth, authorization, oauth2, or sigv4 must be configured", "keep one of them");
    }
}

fn remotes(root: &Section<'_>, key: &'static str, what: &str, hint: &str, judge: fn(&Section<'_>)) {
    let Some(list) = root.get(key).filter(given) else { return };
    warn(&list, hint);
    let mut names: Vec<String> = Vec::new();
    for place in list.list() {
        if place.node().is_null() {
            place.error(format!("empty or null {what} section"), "remove it");
            continue;
        }
        let Some(section) = place.section() else { continue };
        remote(&section, key);
        judge(&section);
        section.finish();
        let name = text(&section, "name");
        if !name.is_empty() && names.contains(&name) {
            place.error(format!("found multiple {what}s with job name {name:?}"), "give one of them another name");
        }
        names.push(name);
    }
}

/// What both directions have.
fn remote(section: &Section<'_>, key: &str) {
    section.judge(&[("name", Text), ("remote_timeout", Duration), ("headers", TextMap)]);
    HttpConfig::decode(section);
    match section.get("url").filter(given) {
        Some(place) => drop(url::decode(&place)),
        None => section.place().error(format!("url for {key} is empty"), "add url: http://HOST/PATH"),
    }
    for (name, _) in section.get("headers").map(|place| place.entries()).unwrap_or_default() {
        let header = name.node().as_text().unwrap_or_default().to_owned();
        if header.eq_ignore_ascii_case("authorization") {
            let message =
                "authorization header must be changed via the basic_auth, authorization, oauth2, or sigv4 parameter";
            name.error(message, "");
        } else if is_reserved_header(&header) {
            name.error(format!("{header} is a reserved header. It must not be changed"), "remove it");
        }
    }
}

fn remote_write(section: &Section<'_>) {
    section.judge(&[("round_robin_dns", Flag), ("send_exemplars", Flag), ("send_native_histograms", Flag)]);
    signature(section);
    scrape::decode_rules(&section.list("write_relabel_configs"), "remote write");
    if let Some(place) = section.get("protobuf_message") {
        let known = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"];
        if !known.contains(&place.node().as_text().unwrap_or_default()) {
            place.error("unknown remote write protobuf message", format!("supported: {}", known.join(", ")));
        }
    }
    if let Some(queue) = section.section("queue_config") {
        queue.judge(&[
            ("batch_send_deadline", Duration),
            ("capacity", Integer),
            ("max_backoff", Duration),
            ("max_samples_per_send", Integer),
            ("max_shards", Integer),
            ("min_backoff", Duration),
            ("min_shards", Integer),
            ("retry_on_http_429", Flag),
            ("sample_age_limit", Duration),
        ]);
        queue.finish();
    }
    if let Some(metadata) = section.section("metadata_config") {
        metadata.judge(&[("max_samples_per_send", Integer), ("send", Flag), ("send_interval", Duration)]);
        metadata.finish();
    }
}

fn remote_read(section: &Section<'_>) {
    section.judge(&[
        ("chunked_read_limit", Unsigned),
        ("filter_external_labels", Flag),
        ("read_recent", Flag),
        ("required_matchers", TextMap),
    ]);
    for (name, _) in section.get("required_matchers").map(|place| place.entries()).unwrap_or_default() {
        if name.node().as_text() == Some("") {
            name.error("\"\" is not a valid label name", "");
        }
    }
}

/// How OTLP's names become Prometheus'; the last two need names of any letters.
const STRATEGIES: [&str; 3] = ["UnderscoreEscapingWithSuffixes", "NoUTF8EscapingWithSuffixes", "NoTranslation"];

fn otlp(root: &Section<'_>, section: &Section<'_>) {
    section.judge(&[
        ("convert_histograms_to_nhcb", Flag),
        ("keep_identifying_resource_attributes", Flag),
        ("label_name_preserve_multiple_underscores", Flag),
        ("label_name_underscore_sanitization", Flag),
        ("promote_all_resource_attributes", Flag),
        ("promote_resource_attributes", Texts),
        ("ignore_resource_attributes", Texts),
    ]);
    let all = section.get("promote_all_resource_attributes").filter(given).and_then(|place| place.boolean());
    let all = all.unwrap_or_default();
    let promoted = attributes(section, "promote_resource_attributes");
    let ignored = attributes(section, "ignore_resource_attributes");
    if let Some(place) = promoted.filter(|_| all) {
        let message =
            "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously";
        place.error(message, "keep one of them");
    }
    if let Some(place) = ignored.filter(|_| !all) {
        let message =
            "'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true";
        place.error(message, "");
    }
    let Some(place) = section.get("translation_strategy").filter(given) else { return };
    let word = place.string().unwrap_or_default();
    let legacy =
        root.section("global").is_some_and(|global| text(&global, "metric_name_validation_scheme") == "legacy");
    match STRATEGIES.iter().position(|strategy| *strategy == word) {
        None if word.is_empty() => {}
        None => place.error(format!("unsupported OTLP translation strategy {word:?}"), STRATEGIES.join(", ")),
        Some(1..) if legacy => {
            place.error(format!("OTLP translation strategy {word:?} is not allowed when UTF8 is disabled"), "");
        }
        Some(_) => {}
    }
}

/// The place of a list of attributes that is not empty, after its entries are judged.
fn attributes<'a>(section: &Section<'a>, key: &'static str) -> Option<Place<'a>> {
    let mut seen: Vec<String> = Vec::new();
    for place in section.list(key) {
        let name = place.node().as_text().unwrap_or_default().trim().to_owned();
        if name.is_empty() {
            place.error("empty OTel resource attribute", "remove it");
        } else if seen.contains(&name) {
            place.error(format!("duplicated OTel resource attribute {name:?}"), "remove one of the two");
        }
        seen.push(name);
    }
    section.get(key).filter(|_| !seen.is_empty())
}

fn tracing(section: &Section<'_>) {
    section.judge(&[
        ("endpoint", Text),
        ("sampling_fraction", Float),
        ("insecure", Flag),
        ("timeout", Duration),
        ("headers", TextMap),
    ]);
    if text(section, "endpoint").is_empty() {
        section.place().error("tracing endpoint must be set", "add endpoint");
    }
    if let Some(place) = section.get("tls_config") {
        TlsConfig::decode(&place);
    }
    let words = |key, words: &[&str]| {
        let Some(place) = section.get(key).filter(given) else { return };
        if !words.contains(&&*place.string().unwrap_or_default()) {
            place.error(format!("unknown {key}"), format!("one of: {}", words.join(", ")));
        }
    };
    words("client_type", &["http", "grpc"]);
    words("compression", &["", "gzip"]);
    for (name, _) in section.get("headers").map(|place| place.entries()).unwrap_or_default() {
        let header = name.node().as_text().unwrap_or_default().to_owned();
        if is_reserved_header(&header) {
            name.error(format!("the header {header} cannot be set"), "remove it");
        }
    }
}
