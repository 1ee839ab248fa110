//! `tls_config`

use yaml::{Place, Section};

use super::{at_most_one, given, no_references, source, text};
use crate::config::{TlsConfig, TlsVersion};

impl TlsConfig {
    /// Decodes the section `tls_config` of a client.
    pub fn decode(place: &Place<'_>) -> Self {
        let Some(section) = place.section() else { return Self::default() };
        at_most_one(&section, &["ca", "ca_file", "ca_ref"]);
        at_most_one(&section, &["cert", "cert_file", "cert_ref"]);
        at_most_one(&section, &["key", "key_file", "key_ref"]);
        check_pair(place, &section);
        let config = Self {
            ca: source(&section, "ca", "ca_file"),
            cert: source(&section, "cert", "cert_file"),
            key: source(&section, "key", "key_file"),
            server_name: text(&section, "server_name"),
            insecure_skip_verify: section
                .get("insecure_skip_verify")
                .filter(given)
                .and_then(|place| place.boolean())
                .unwrap_or_default(),
            min_version: section.get("min_version").filter(given).and_then(|place| version(&place)),
            max_version: section.get("max_version").filter(given).and_then(|place| version(&place)),
        };
        no_references(&section, &["ca_ref", "cert_ref", "key_ref"]);
        section.finish();
        config
    }
}

/// A certificate needs a key, and a key a certificate; files go with files.
fn check_pair(place: &Place<'_>, section: &Section<'_>) {
    let has = |keys: [&'static str; 3]| keys.iter().any(|key| text(section, key).is_some());
    let (cert, key) = (has(["cert", "cert_file", "cert_ref"]), has(["key", "key_file", "key_ref"]));
    if cert && !key {
        let message = "exactly one of key or key_file must be configured when a client certificate is configured";
        place.error(message, "add key_file");
    }
    if key && !cert {
        let message = "exactly one of cert or cert_file must be configured when a client key is configured";
        place.error(message, "add cert_file");
    }
    if cert && key && text(section, "cert_file").is_some() != text(section, "key_file").is_some() {
        place.error("cert_file and key_file belong together", "give both as files, or both as cert and key");
    }
}

fn version(place: &Place<'_>) -> Option<TlsVersion> {
    let word = place.string()?;
    let version = match &*word {
        "TLS10" | "TLS11" => {
            place.warn("TLS 1.0 and 1.1 are broken (RFC 8996) and never spoken", "TLS12 is the oldest that is");
            if word == "TLS10" { TlsVersion::Tls10 } else { TlsVersion::Tls11 }
        }
        "TLS12" => TlsVersion::Tls12,
        "TLS13" => TlsVersion::Tls13,
        _ => {
            place.error(format!("unknown TLS version: {word}"), "known: TLS10, TLS11, TLS12, TLS13");
            return None;
        }
    };
    Some(version)
}
