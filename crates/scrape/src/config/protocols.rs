//! `scrape_protocols` and `fallback_scrape_protocol`.

use exposition::Protocol;
use yaml::{Place, Section};

use super::global::given;

/// The protocols that a section asks for, in their order; nothing where it does not say.
pub(super) fn decode(section: &Section<'_>) -> Option<Vec<Protocol>> {
    let place = section.get("scrape_protocols").filter(given)?;
    let places = place.list();
    if places.is_empty() && matches!(place.node().value, yaml::Value::Sequence(_)) {
        place.error("scrape_protocols cannot be empty", "name a protocol, or remove the key");
    }
    let mut protocols = Vec::new();
    for place in &places {
        let Some(protocol) = protocol(place) else { continue };
        if protocols.contains(&protocol) {
            let message = format!("duplicated protocol {:?} in scrape_protocols", protocol.name());
            place.error(message, "remove one of the two");
        }
        protocols.push(protocol);
    }
    Some(protocols)
}

/// How a page without, or with an unknown, content type is read.
pub(super) fn fallback(section: &Section<'_>) -> Option<Protocol> {
    let place = section.get("fallback_scrape_protocol").filter(given)?;
    protocol(&Some(place).filter(|place| place.node().as_text() != Some(""))?)
}

fn protocol(place: &Place<'_>) -> Option<Protocol> {
    let word = if given(place) { place.string()? } else { String::new() };
    let protocol = Protocol::from_name(&word);
    if protocol.is_none() {
        let known = Protocol::ALL.map(Protocol::name).join(", ");
        place.error(format!("unknown scrape protocol {word:?}"), format!("supported: {known}"));
    }
    protocol
}
