//! TLS over connections that speak something else than HTTP.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Failure;
use crate::config::TlsConfig;
use crate::tls::{Material, Roots, Tls};

/// Makes connections secure by the settings of a configuration; the system's authorities are read once.
#[derive(Default)]
pub struct SecureStreams {
    roots: Roots,
}

impl SecureStreams {
    /// Shakes hands with a server of this name, unless the settings name another. It gives no limit of time.
    pub async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &str,
        config: &TlsConfig,
    ) -> Result<TlsStream<S>, Failure> {
        let tls = Tls::new(config, &Material::read(config).await?, false, &self.roots).await?;
        let mut settings = (*tls.server).clone();
        settings.alpn_protocols.clear();
        let name = match tls.server_name {
            Some(name) => name,
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| Failure::Settings(format!("{host:?} is no name of a host")))?,
        };
        let connected = TlsConnector::from(Arc::new(settings)).connect(name, stream).await;
        connected.map_err(|error| Failure::Connection(format!("TLS: {error}")))
    }
}
