//! Settings of TLS out of the configuration, and what decides whether a server is the right one.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::Failure;
use crate::config::{TlsConfig, TlsVersion};
use crate::files;

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// Certificates and key of a configuration as text, which tells whether they changed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Material {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

/// The system's authorities, read when they are first needed: they are files, and take memory.
#[derive(Default)]
pub(crate) struct Roots(OnceCell<Result<Arc<RootCertStore>, String>>);

/// What connections are made with.
#[derive(Clone)]
pub(crate) struct Tls {
    /// For servers.
    pub(crate) server: Arc<ClientConfig>,
    /// For a proxy, which speaks HTTP/1.1.
    pub(crate) proxy: Arc<ClientConfig>,
    /// The name that a server's certificate must have, instead of the one of the URL.
    pub(crate) server_name: Option<ServerName<'static>>,
}

impl Material {
    pub(crate) async fn read(config: &TlsConfig) -> Result<Self, Failure> {
        let mut material = Self::default();
        let Self { ca, cert, key } = &mut material;
        for (source, into) in [(&config.ca, ca), (&config.cert, cert), (&config.key, key)] {
            if let Some(source) = source {
                *into = Some(files::read(source).await?);
            }
        }
        Ok(material)
    }
}

impl Roots {
    async fn get(&self) -> Result<Arc<RootCertStore>, Failure> {
        let read = || async { spawn_blocking(read_system_roots).await.unwrap_or_else(|error| Err(error.to_string())) };
        self.0.get_or_init(read).await.clone().map_err(Failure::Settings)
    }
}

fn read_system_roots() -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("the system has no certificates of authorities, install ca-certificates{reason}"));
    }
    Ok(Arc::new(roots))
}

impl Tls {
    pub(crate) async fn new(
        config: &TlsConfig,
        material: &Material,
        http2: bool,
        roots: &Roots,
    ) -> Result<Self, Failure> {
        let provider = Arc::new(ring::default_provider());
        let versions = versions(config)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions);
        let builder = builder.map_err(|error| Failure::Settings(error.to_string()))?.dangerous();
        let verifier = verifier(config, material, provider, roots).await?;
        let builder = builder.with_custom_certificate_verifier(verifier);
        let mut settings = match identity(material)? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
                Failure::Settings(format!("the client's certificate and key cannot be used: {error}"))
            })?,
            None => builder.with_no_client_auth(),
        };
        let name = config.server_name.as_ref().filter(|name| !name.is_empty());
        let server_name = name.map(|name| {
            let owned = ServerName::try_from(name.clone());
            owned.map_err(|_| Failure::Settings(format!("server_name {name:?} is no name of a host")))
        });
        settings.alpn_protocols = vec![HTTP1.to_vec()];
        let proxy = Arc::new(settings.clone());
        if http2 {
            settings.alpn_protocols.insert(0, HTTP2.to_vec());
        }
        Ok(Self { server: Arc::new(settings), proxy, server_name: server_name.transpose()? })
    }
}

/// Whether both sides agreed on HTTP/2.
pub(crate) fn is_http2(alpn: Option<&[u8]>) -> bool {
    alpn == Some(HTTP2)
}

fn versions(config: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, Failure> {
    let min = config.min_version.unwrap_or(TlsVersion::Tls12);
    let max = config.max_version.unwrap_or(TlsVersion::Tls13);
    let known = [(TlsVersion::Tls12, &TLS12), (TlsVersion::Tls13, &TLS13)];
    let versions: Vec<_> =
        known.into_iter().filter(|(version, _)| (min..=max).contains(version)).map(|(_, version)| version).collect();
    if versions.is_empty() {
        let reason = "min_version and max_version leave neither TLS 1.2 nor TLS 1.3, and older ones are not spoken";
        return Err(Failure::Settings(reason.to_owned()));
    }
    Ok(versions)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(material: &Material) -> Result<Option<Identity>, Failure> {
    let (Some(cert), Some(key)) = (&material.cert, &material.key) else { return Ok(None) };
    let chain = certificates(cert, "the client's certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| Failure::Settings("the client's key is no key in PEM".to_owned()))?;
    Ok(Some((chain, key)))
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Failure::Settings(format!("{what} holds no certificate in PEM"))),
        Err(error) => Err(Failure::Settings(format!("{what} is no valid PEM: {error}"))),
    }
}

async fn verifier(
    config: &TlsConfig,
    material: &Material,
    provider: Arc<CryptoProvider>,
    roots: &Roots,
) -> Result<Arc<dyn ServerCertVerifier>, Failure> {
    if config.insecure_skip_verify {
        return Ok(Arc::new(Anybody(provider)));
    }
    let Some(pem) = &material.ca else {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.get().await?, provider).build();
        return verifier.map(|verifier| verifier as Arc<dyn ServerCertVerifier>).map_err(unusable);
    };
    let own = certificates(pem, "the authority (ca)")?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(own.iter().cloned());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
    Ok(Arc::new(Named { verifier: verifier.map_err(unusable)?, own }))
}

fn unusable(error: impl std::fmt::Display) -> Failure {
    Failure::Settings(format!("the certificates of authorities cannot be used: {error}"))
}

/// Signed by the configuration's authorities, or named by them: a certificate that signs itself and may sign others, as
/// `openssl req -x509` makes it, is its own authority. Go accepts it as a server's where it is among the authorities,
/// and so does half of the world's home networks.
#[derive(Debug)]
struct Named {
    verifier: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

/// `insecure_skip_verify`: a server proves only that it has the key of the certificate that it shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // Webpki looks at the time first, so a certificate that is refused as an authority is valid today.
            Err(error) if is_authority(&error) && self.own.iter().any(|own| own == end_entity) => {
                let certificate = webpki::EndEntityCert::try_from(end_entity)
                    .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
                let named = certificate.verify_is_valid_for_subject_name(server_name);
                named.map_err(|_| Error::InvalidCertificate(CertificateError::NotValidForName))?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
