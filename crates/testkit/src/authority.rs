//! Certificates for tests: an authority, and what it signs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

/// Authorities are told apart by their names.
static MADE: AtomicU64 = AtomicU64::new(0);

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// Why a certificate could not be made.
pub type CertError = Box<dyn std::error::Error + Send + Sync>;

impl Authority {
    /// A new one.
    pub fn new() -> Result<Self, CertError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names and addresses, for a server or for a client.
    pub fn sign(&self, names: &[&str]) -> Result<Identity, CertError> {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.0)?;
        Ok(Identity { cert: cert.pem(), key: key.serialize_pem() })
    }

    /// A certificate that signs itself and may sign others, as `openssl req -x509` makes it.
    pub fn self_signed(names: &[&str]) -> Result<Identity, CertError> {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        Ok(Identity { cert: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }
}

impl Identity {
    /// Settings of a server that shows this certificate. It speaks HTTP/2 to those who offer it, TLS 1.3 only where
    /// `newest_only`, and serves only those whom `clients` signed, where that is given.
    pub fn server(&self, clients: Option<&Authority>, newest_only: bool) -> Result<ServerConfig, CertError> {
        let provider = Arc::new(ring::default_provider());
        let versions = if newest_only { &[&TLS13][..] } else { &[&TLS12, &TLS13][..] };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let builder = match clients {
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes())?)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let cert = CertificateDer::from_pem_slice(self.cert.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let mut settings = builder.with_single_cert(vec![cert], key)?;
        settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(settings)
    }
}
