//! How a client of HTTP reaches its server, as the configuration says it: one set of types for scrapes, discoveries, remote
//! write and notifications. Decoding belongs to the rooms that own the keys; here are only the results.

use std::fmt;
use std::path::PathBuf;

/// A text that nobody may see: it has no `Display`, its `Debug` shows nothing, and nothing serialises it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the wire and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A text in the configuration itself, or the file where it stands. Files are read again when they are used, so that a new
/// token or certificate needs no reload; blanks around a secret of a file do not count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// In the configuration.
    Inline(Secret),
    /// In a file; the path is absolute, or counts from the working folder.
    File(PathBuf),
}

impl Default for Source {
    /// The empty text.
    fn default() -> Self {
        Self::Inline(Secret::default())
    }
}

/// Everything that the configuration says about a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpConfig {
    /// `basic_auth`, `authorization` (or the older `bearer_token`) or `oauth2`; the configuration allows one of them.
    pub auth: Auth,
    /// `tls_config`
    pub tls: TlsConfig,
    /// `proxy_url`, `no_proxy`, `proxy_from_environment`, `proxy_connect_header`
    pub proxy: ProxyConfig,
    /// `http_headers`, by name in the order of the configuration.
    pub headers: Vec<Header>,
    /// `follow_redirects`, by default true.
    pub follow_redirects: bool,
    /// `enable_http2`, by default true: offered to servers with TLS.
    pub enable_http2: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            tls: TlsConfig::default(),
            proxy: ProxyConfig::default(),
            headers: Vec::new(),
            follow_redirects: true,
            enable_http2: true,
        }
    }
}

/// How a request proves who sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `basic_auth`
    Basic(BasicAuth),
    /// `authorization`, `bearer_token`, `bearer_token_file`
    Authorization(Authorization),
    /// `oauth2`
    OAuth2(Box<OAuth2>),
}

/// User and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BasicAuth {
    /// `username`, `username_file`
    pub username: Source,
    /// `password`, `password_file`
    pub password: Source,
}

/// `Authorization: KIND CREDENTIALS`, or `Authorization: KIND` where the credentials are empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authorization {
    /// `type`, by default `Bearer`.
    pub kind: String,
    /// `credentials`, `credentials_file`, by default empty.
    pub credentials: Source,
}

/// A token that is fetched with the client's credentials (RFC 6749, section 4.4) and used until it expires.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OAuth2 {
    /// `client_id`
    pub client_id: String,
    /// `client_secret`, `client_secret_file`
    pub client_secret: Source,
    /// `scopes`
    pub scopes: Vec<String>,
    /// `token_url`
    pub token_url: String,
    /// `endpoint_params`: more parameters of the request for a token.
    pub endpoint_params: Vec<(String, String)>,
    /// `tls_config`, for the server of tokens.
    pub tls: TlsConfig,
    /// The four keys of a proxy, for the server of tokens.
    pub proxy: ProxyConfig,
}

/// `tls_config`
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsConfig {
    /// `ca`, `ca_file`: certificates in PEM that sign servers, instead of the system's.
    pub ca: Option<Source>,
    /// `cert`, `cert_file`: the client's certificate and what signs it, in PEM. The configuration gives both or neither of
    /// certificate and key.
    pub cert: Option<Source>,
    /// `key`, `key_file`: the key of the client's certificate, in PEM.
    pub key: Option<Source>,
    /// `server_name`: the name that the server's certificate must have, instead of the one of the URL.
    pub server_name: Option<String>,
    /// `insecure_skip_verify`: whoever answers is taken for the server.
    pub insecure_skip_verify: bool,
    /// `min_version`, by default TLS 1.2.
    pub min_version: Option<TlsVersion>,
    /// `max_version`, by default TLS 1.3.
    pub max_version: Option<TlsVersion>,
}

/// `TLS10` to `TLS13` of the configuration. The first two are broken (RFC 8996) and never spoken: as a minimum they mean
/// 1.2, as a maximum they leave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// `TLS10`
    Tls10,
    /// `TLS11`
    Tls11,
    /// `TLS12`
    Tls12,
    /// `TLS13`
    Tls13,
}

/// Through which server requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyConfig {
    /// `proxy_url`: `http://` or `https://`, with user and password where the proxy asks for them.
    pub url: Option<Secret>,
    /// `no_proxy`: hosts, domains, addresses and networks that are reached without the proxy, between commas.
    pub no_proxy: String,
    /// `proxy_from_environment`: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` decide.
    pub from_environment: bool,
    /// `proxy_connect_header`: what `CONNECT` says to the proxy, each name with its values.
    pub connect_headers: Vec<(String, Vec<Secret>)>,
}

/// One entry of `http_headers`; all values are sent, those of the configuration first and those of files last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Header {
    /// The name as written.
    pub name: String,
    /// `values`
    pub values: Vec<String>,
    /// `secrets`
    pub secrets: Vec<Secret>,
    /// `files`
    pub files: Vec<PathBuf>,
}
