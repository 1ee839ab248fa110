//! What the keys of many receivers have in common, and the settings that hold for all receivers.

use std::path::PathBuf;
use std::time::Duration;

use client::config::{HttpConfig, Secret, Source, TlsConfig};
use client::decode::beside;
use hyper::Uri;
use template::{NoticeFunctions, Template};
use yaml::{Place, Section};

use super::receivers::{Target, http_config, parse_url};

/// Settings of `global` for receivers that do not say otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Globals {
    pub(crate) http: HttpConfig,
    pub(crate) slack_url: Option<Target>,
    pub(crate) slack_token: Option<Source>,
    pub(crate) slack_app_url: Uri,
    pub(crate) opsgenie_key: Option<Source>,
    pub(crate) opsgenie_url: Uri,
    pub(crate) pagerduty_url: Uri,
    pub(crate) telegram_url: Uri,
    pub(crate) telegram_token: Option<Source>,
    pub(crate) mail: MailGlobals,
}

/// `smtp_*`
#[derive(Clone, Debug, Default)]
pub(crate) struct MailGlobals {
    pub(crate) from: String,
    pub(crate) hello: String,
    pub(crate) smarthost: Option<(String, u16)>,
    pub(crate) username: String,
    pub(crate) password: Option<Source>,
    pub(crate) secret: Option<Source>,
    pub(crate) identity: String,
    pub(crate) require_tls: Option<bool>,
    pub(crate) implicit_tls: Option<bool>,
    pub(crate) tls: TlsConfig,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            http: HttpConfig::default(),
            slack_url: None,
            slack_token: None,
            slack_app_url: Uri::from_static("https://slack.com/api/chat.postMessage"),
            opsgenie_key: None,
            opsgenie_url: Uri::from_static("https://api.opsgenie.com/"),
            pagerduty_url: Uri::from_static("https://events.pagerduty.com/v2/enqueue"),
            telegram_url: Uri::from_static("https://api.telegram.org"),
            telegram_token: None,
            mail: MailGlobals { hello: "localhost".to_owned(), ..MailGlobals::default() },
        }
    }
}

impl Globals {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        let default = Self::default();
        Self {
            http: http_config(section).unwrap_or_default(),
            slack_url: target(section, "slack_api_url", "slack_api_url_file"),
            slack_token: secret(section, "slack_app_token", "slack_app_token_file"),
            slack_app_url: url(section, "slack_app_url").unwrap_or(default.slack_app_url),
            opsgenie_key: secret(section, "opsgenie_api_key", "opsgenie_api_key_file"),
            opsgenie_url: url(section, "opsgenie_api_url").unwrap_or(default.opsgenie_url),
            pagerduty_url: url(section, "pagerduty_url").unwrap_or(default.pagerduty_url),
            telegram_url: url(section, "telegram_api_url").unwrap_or(default.telegram_url),
            telegram_token: secret(section, "telegram_bot_token", "telegram_bot_token_file"),
            mail: MailGlobals {
                from: text(section, "smtp_from").unwrap_or_default(),
                hello: text(section, "smtp_hello").unwrap_or(default.mail.hello),
                smarthost: host_port(section, "smtp_smarthost"),
                username: text(section, "smtp_auth_username").unwrap_or_default(),
                password: secret(section, "smtp_auth_password", "smtp_auth_password_file"),
                secret: secret(section, "smtp_auth_secret", "smtp_auth_secret_file"),
                identity: text(section, "smtp_auth_identity").unwrap_or_default(),
                require_tls: section.boolean("smtp_require_tls"),
                implicit_tls: section.boolean("smtp_force_implicit_tls"),
                tls: section.get("smtp_tls_config").map(|place| TlsConfig::decode(&place)).unwrap_or_default(),
            },
        }
    }
}

/// A text that is there and not empty.
pub(crate) fn text(section: &Section<'_>, key: &'static str) -> Option<String> {
    section.get(key)?.string().filter(|text| !text.is_empty())
}

/// A template of a notification, checked as far as it can be without data.
pub(crate) fn template(section: &Section<'_>, key: &'static str, default: &str) -> String {
    let Some(place) = section.get(key) else { return default.to_owned() };
    template_at(&place).unwrap_or_else(|| default.to_owned())
}

pub(crate) fn template_at(place: &Place<'_>) -> Option<String> {
    let text = place.string()?;
    check_template(place, &text);
    Some(text)
}

/// Alertmanager loads broken templates and fails at the first notification; so this is no error either, but it is said.
pub(crate) fn check_template(place: &Place<'_>, text: &str) {
    let functions = NoticeFunctions { now: jiff::Timestamp::UNIX_EPOCH };
    if text.contains("{{")
        && let Err(error) = Template::parse("", text, &functions)
    {
        place.warn(format!("this template will fail: {error}"), "its notifications go out with plain facts instead");
    }
}

/// Templates by name, in the order of the configuration.
pub(crate) fn templates(section: &Section<'_>, key: &'static str) -> Vec<(String, String)> {
    let entries = section.get(key).map(|place| place.entries()).unwrap_or_default();
    entries.iter().filter_map(|(name, value)| Some((name.node().as_text()?.to_owned(), template_at(value)?))).collect()
}

/// Of two keys that exclude each other both are there.
fn both(section: &Section<'_>, first: &'static str, second: &'static str) -> bool {
    let (one, other) = (text(section, first), text(section, second));
    let are_both = one.is_some() && other.is_some();
    if are_both && let Some(place) = section.get(second) {
        place.error(format!("at most one of {first} & {second} must be configured"), format!("{first} is set too"));
    }
    are_both
}

/// A secret under one key, or under another the file where it stands.
pub(crate) fn secret(section: &Section<'_>, inline: &'static str, file: &'static str) -> Option<Source> {
    both(section, inline, file);
    let here = text(section, inline).map(|text| Source::Inline(Secret::new(text)));
    here.or_else(|| text(section, file).map(|file| Source::File(beside(section.place(), &file))))
}

/// A secret that must be there.
pub(crate) fn needed(section: &Section<'_>, inline: &'static str, file: &'static str) -> Source {
    secret(section, inline, file).unwrap_or_else(|| {
        section.place().error(format!("one of {inline} or {file} must be configured"), "");
        Source::default()
    })
}

/// An address that is a secret, under one key or in a file.
pub(crate) fn target(section: &Section<'_>, inline: &'static str, file: &'static str) -> Option<Target> {
    both(section, inline, file);
    let here = || section.get(inline).filter(|place| !place.node().is_null());
    match (here(), text(section, file)) {
        (Some(_), None) => Some(Target::Url(url(section, inline).unwrap_or_default())),
        (None, Some(file)) => Some(Target::File(beside(section.place(), &file))),
        (Some(_), Some(_)) => Some(Target::File(PathBuf::new())),
        (None, None) => None,
    }
}

pub(crate) fn needed_target(section: &Section<'_>, inline: &'static str, file: &'static str) -> Target {
    target(section, inline, file).unwrap_or_else(|| {
        section.place().error(format!("one of {inline} or {file} must be configured"), "");
        Target::File(PathBuf::new())
    })
}

/// An address of HTTP.
pub(crate) fn url(section: &Section<'_>, key: &'static str) -> Option<Uri> {
    let place = section.get(key)?;
    let text = place.string()?;
    if text.trim() != text {
        place.error("blanks or line ends around the URL", "remove them");
        return None;
    }
    parse_url(&text).map_err(|message| place.error(message, "such as http://127.0.0.1:8080/alerts")).ok()
}

/// A server of mail.
pub(crate) fn host_port(section: &Section<'_>, key: &'static str) -> Option<(String, u16)> {
    let place = section.get(key)?;
    let text = place.string().filter(|text| !text.is_empty())?;
    let wrong = |message: String| {
        place.error(message, "write HOST:PORT");
        None
    };
    let Some((host, port)) = text.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
    else {
        return wrong(format!("address {text}: missing port in address"));
    };
    match port.parse() {
        Ok(port) if port > 0 => Some((host.trim_matches(['[', ']']).to_owned(), port)),
        _ => wrong(format!("address {text}: invalid port {port:?}")),
    }
}

/// A time of Go's: `1h30m`; `0` and nothing are none.
pub(crate) fn whole_seconds(section: &Section<'_>, key: &'static str) -> Option<Duration> {
    section.duration(key).filter(|duration| !duration.is_zero())
}
