//! `tls_server_config`: the certificate that the server shows, and those that it asks for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use yaml::{Place, Section};

/// What clients are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clients {
    Anybody,
    VerifiedIfGiven,
    Verified,
}

/// Decodes the section; certificates are read. The files it names go to `files`.
pub(super) fn decode(place: &Place<'_>, files: &mut Vec<PathBuf>) -> Option<Arc<ServerConfig>> {
    let section = place.section()?;
    let mut pem = |inline, file| pem(&section, inline, file, files);
    let (certificate, key, authority) =
        (pem("cert", "cert_file"), pem("key", "key_file"), pem("client_ca", "client_ca_file"));
    let clients = clients(&section);
    let versions = versions(&section);
    let provider = provider(&section);
    refuse(&section);
    section.judge(&[("prefer_server_cipher_suites", yaml::Shape::Flag), ("curve_preferences", yaml::Shape::Texts)]);
    section.finish();
    let missing = |what: &str| place.error(format!("missing one of {what} or {what}_file"), format!("add {what}_file"));
    if certificate.is_none() && section.get("cert").or(section.get("cert_file")).is_none() {
        missing("cert");
    }
    if key.is_none() && section.get("key").or(section.get("key_file")).is_none() {
        missing("key");
    }
    if authority.is_none() && matches!(clients?, Clients::Verified | Clients::VerifiedIfGiven) {
        place.error("clients cannot be verified without an authority", "add client_ca_file");
    }
    if authority.is_some() && clients? == Clients::Anybody {
        place.error(
            "client CAs are configured without a client_auth_type",
            "add client_auth_type: RequireAndVerifyClientCert",
        );
    }
    let build = || -> Result<ServerConfig, String> {
        let verifier = verifier(clients.unwrap_or(Clients::Verified), authority.as_deref(), &provider)?;
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_protocol_versions(&versions).map_err(|error| error.to_string())?;
        let config = match verifier {
            Some(verifier) => config.with_client_cert_verifier(verifier),
            None => config.with_no_client_auth(),
        };
        let (certificate, key) = (certificate.as_deref().unwrap_or_default(), key.as_deref().unwrap_or_default());
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key: {error}"))?;
        let mut config = config.with_single_cert(certificates(certificate)?, key).map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    };
    if certificate.is_none() || key.is_none() {
        return None;
    }
    build().map(Arc::new).map_err(|reason| place.error(format!("TLS cannot be served: {reason}"), "")).ok()
}

/// The text of a key, or of the file that another key names.
fn pem(section: &Section<'_>, inline: &'static str, file: &'static str, files: &mut Vec<PathBuf>) -> Option<Vec<u8>> {
    let text = |key| section.get(key).and_then(|place| Some((place.string().filter(|text| !text.is_empty())?, place)));
    let (here, there) = (text(inline), text(file));
    if let (Some(_), Some((_, place))) = (&here, &there) {
        place.error(format!("at most one of {inline} and {file} may be given"), "keep one of them");
    }
    if let Some((text, _)) = here {
        return Some(text.into_bytes());
    }
    let (name, place) = there?;
    let path = Path::new(place.file()).parent().unwrap_or(Path::new("")).join(name);
    let bytes = std::fs::read(&path);
    files.push(path);
    bytes.map_err(|error| place.error(format!("cannot be read: {error}"), "name another file")).ok()
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| format!("the certificate: {error}"))?;
    if all.is_empty() { Err("there is no certificate in PEM".to_owned()) } else { Ok(all) }
}

fn verifier(
    clients: Clients,
    authority: Option<&[u8]>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let Some(authority) = authority.filter(|_| clients != Clients::Anybody) else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots.add(certificate).map_err(|error| format!("the authority: {error}"))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if clients == Clients::VerifiedIfGiven { builder.allow_unauthenticated() } else { builder };
    builder.build().map(Some).map_err(|error| error.to_string())
}

fn clients(section: &Section<'_>) -> Option<Clients> {
    let Some(place) = section.get("client_auth_type") else { return Some(Clients::Anybody) };
    match &*place.string()? {
        "" | "NoClientCert" => Some(Clients::Anybody),
        "RequestClientCert" => {
            place.warn("certificates that decide nothing are not asked for", "write NoClientCert");
            Some(Clients::Anybody)
        }
        "VerifyClientCertIfGiven" => Some(Clients::VerifiedIfGiven),
        "RequireAndVerifyClientCert" => Some(Clients::Verified),
        "RequireAnyClientCert" | "RequireClientCert" => {
            place.error("certificates that nobody verifies are no protection", "write RequireAndVerifyClientCert");
            None
        }
        word => {
            place.error(
                format!("invalid client_auth_type {word:?}"),
                "one of NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert",
            );
            None
        }
    }
}

/// 1.2 and 1.3, of which the two keys may leave one. Older versions are broken and never spoken.
fn versions(section: &Section<'_>) -> Vec<&'static SupportedProtocolVersion> {
    let bound = |key, default: u8| {
        let Some(place) = section.get(key) else { return default };
        match &*place.string().unwrap_or_default() {
            "TLS10" | "TLS11" if key == "min_version" => {
                place.warn("versions before TLS12 are broken and not spoken", "write TLS12");
                12
            }
            "TLS12" => 12,
            "TLS13" => 13,
            word => {
                place.error(format!("unknown TLS version: {word}"), "TLS12 or TLS13");
                default
            }
        }
    };
    let (least, most) = (bound("min_version", 12), bound("max_version", 13));
    if least > most
        && let Some(place) = section.get("max_version")
    {
        place.error("less than min_version", "");
    }
    [(12, &TLS12), (13, &TLS13)].into_iter().filter(|(n, _)| (least..=most).contains(n)).map(|(_, v)| v).collect()
}

/// The suites of TLS 1.2 that are wanted, and those of 1.3, which are not to choose.
fn provider(section: &Section<'_>) -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    let Some(place) = section.get("cipher_suites") else { return Arc::new(provider) };
    let wanted: Vec<String> = place.list().iter().filter_map(Place::string).collect();
    if !wanted.is_empty() {
        provider.cipher_suites.retain(|suite| {
            let name = format!("{:?}", suite.suite());
            name.starts_with("TLS13_") || wanted.contains(&name)
        });
    }
    Arc::new(provider)
}

/// Keys that cannot be ignored: doing without them would let in whom they keep out.
fn refuse(section: &Section<'_>) {
    if let Some(place) = section.get("client_allowed_sans").filter(|place| !place.node().is_null()) {
        place.error("names of clients are not checked in this version of skep", "use a client CA of its own for skep");
    }
}
