//! Through which server requests go.

use yaml::{Place, Section};

use super::{given, text, url};
use crate::config::{ProxyConfig, Secret};
use crate::proxy::refusal;

pub(super) fn decode(section: &Section<'_>) -> ProxyConfig {
    let url = section.get("proxy_url").filter(given);
    let read = url.as_ref().and_then(|place| url::decode(place)).unwrap_or_default();
    if let Some(place) = url.as_ref().filter(|_| !read.scheme.is_empty())
        && let Some(reason) = refusal(&read.scheme)
    {
        place.warn(reason, "every request that goes through it will fail");
    }
    let text_of_url = read.text;
    let connect = section.get("proxy_connect_header").filter(given);
    let environment = section.get("proxy_from_environment").filter(given);
    let config = ProxyConfig {
        url: Some(text_of_url).filter(|text| !text.is_empty()).map(Secret::new),
        no_proxy: text(section, "no_proxy").unwrap_or_default(),
        from_environment: environment.and_then(|place| place.boolean()).unwrap_or_default(),
        connect_headers: connect.as_ref().map(connect_headers).unwrap_or_default(),
    };
    let written = url.is_some_and(|place| place.node().as_text() != Some(""));
    check(section, &config, written);
    config
}

fn connect_headers(place: &Place<'_>) -> Vec<(String, Vec<Secret>)> {
    let header = |(name, values): &(Place<'_>, Place<'_>)| {
        let values = values.list().iter().filter_map(Place::string).map(Secret::new).collect();
        (name.node().as_text().unwrap_or_default().to_owned(), values)
    };
    place.entries().iter().map(header).collect()
}

/// `written` says that `proxy_url` holds something, a URL or not.
fn check(section: &Section<'_>, config: &ProxyConfig, written: bool) {
    let error = |key, message: &str| {
        if let Some(place) = section.get(key) {
            place.error(message, "");
        }
    };
    if !config.connect_headers.is_empty() && !config.from_environment && !written {
        let message =
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured";
        error("proxy_connect_header", message);
    }
    if config.from_environment && written {
        error("proxy_url", "if proxy_from_environment is configured, proxy_url must not be configured");
    }
    if config.no_proxy.is_empty() {
        return;
    }
    if config.from_environment {
        error("no_proxy", "if proxy_from_environment is configured, no_proxy must not be configured");
    } else if !written {
        error("no_proxy", "if no_proxy is configured, proxy_url must also be configured");
    }
}
