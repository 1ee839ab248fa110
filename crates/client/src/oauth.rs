//! Tokens for `oauth2`: fetched with the client's credentials, used until shortly before they expire.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::config::OAuth2;
use crate::transport::Transport;
use crate::{Failure, files};

/// A token is not used in its last seconds, in which it could expire on its way. Go's client has the same.
const EXPIRY_SPARE: Duration = Duration::from_secs(10);

/// Answers of token servers have a few kilobytes at most.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Gives tokens.
pub(crate) struct Tokens {
    config: OAuth2,
    transport: Transport,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    token: Option<Token>,
    /// Whether the server wants the credentials in the body; it is found out once.
    in_body: bool,
}

struct Token {
    /// The whole header `Authorization`.
    header: HeaderValue,
    /// The secret it was fetched with: another one needs another token.
    secret: String,
    expires: Option<Instant>,
}

impl Tokens {
    pub(crate) fn new(config: OAuth2, transport: Transport) -> Self {
        Self { config, transport, known: Mutex::default() }
    }

    /// The header `Authorization`, and whether it was used before. One request for a token is on its way at a time.
    pub(crate) async fn get(&self) -> Result<(HeaderValue, bool), Failure> {
        let secret = files::reveal(&self.config.client_secret).await?;
        let mut known = self.known.lock().await;
        let is_good = |token: &&Token| {
            token.secret == secret && token.expires.is_none_or(|expires| Instant::now() + EXPIRY_SPARE < expires)
        };
        if let Some(token) = known.token.as_ref().filter(is_good) {
            return Ok((token.header.clone(), true));
        }
        let token = self.fetch(secret, &mut known.in_body).await?;
        let header = token.header.clone();
        known.token = Some(token);
        Ok((header, false))
    }

    /// The server of the pages refused a token that worked before: the next request gets another one.
    pub(crate) async fn refused(&self, header: &HeaderValue) {
        let mut known = self.known.lock().await;
        known.token.take_if(|token| token.header == *header);
    }

    /// RFC 6749 wants the credentials in a header and allows servers that want them in the body.
    async fn fetch(&self, secret: String, in_body: &mut bool) -> Result<Token, Failure> {
        let first = self.ask(&secret, *in_body).await?;
        let answer = if first.status.is_success() || *in_body {
            first
        } else {
            let second = self.ask(&secret, true).await?;
            *in_body = second.status.is_success();
            second
        };
        answer.token(secret)
    }

    async fn ask(&self, secret: &str, in_body: bool) -> Result<Answer, Failure> {
        let mut request = Request::post(&self.config.token_url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(self.form(secret, in_body))))
            .map_err(|_| Failure::Token(format!("token_url {:?} is no URL", self.config.token_url)))?;
        if !in_body {
            let pair = format!("{}:{}", encoded(&self.config.client_id), encoded(secret));
            let text = format!("Basic {}", STANDARD.encode(pair));
            let value = HeaderValue::from_str(&text).map_err(|_| Failure::Credentials)?;
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let response = self.transport.send(request).await.map_err(|failure| Failure::Token(failure.to_string()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| match error {
            error if error.is::<LengthLimitError>() => Failure::Token(Failure::TooLong(ANSWER_BYTES_MAX).to_string()),
            error => Failure::Token(error.to_string()),
        })?;
        let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Answer { status: head.status, fields: Fields::parse(kind, &body.to_bytes()) })
    }

    fn form(&self, secret: &str, in_body: bool) -> String {
        let mut pairs: Vec<(&str, String)> = vec![("grant_type", "client_credentials".to_owned())];
        if in_body {
            pairs.push(("client_id", self.config.client_id.clone()));
            pairs.push(("client_secret", secret.to_owned()));
        }
        if !self.config.scopes.is_empty() {
            pairs.push(("scope", self.config.scopes.join(" ")));
        }
        pairs.extend(self.config.endpoint_params.iter().map(|(name, value)| (name.as_str(), value.clone())));
        pairs.sort_by_key(|(name, _)| *name);
        Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What a server of tokens says.
struct Answer {
    status: StatusCode,
    fields: Fields,
}

/// The answer's names and values: JSON, or a form as older servers send it.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(content_type: &str, body: &[u8]) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if matches!(kind, "application/x-www-form-urlencoded" | "text/plain") {
            return Self(form_urlencoded::parse(body).into_owned().collect());
        }
        let Ok(Value::Object(object)) = serde_json::from_slice(body) else { return Self(Vec::new()) };
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self(object.into_iter().map(|(name, value)| (name, text(value))).collect())
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Answer {
    fn token(self, secret: String) -> Result<Token, Failure> {
        let (error, description) = (self.fields.get("error"), self.fields.get("error_description"));
        match () {
            () if !error.is_empty() => {
                let description = if description.is_empty() { String::new() } else { format!(" {description:?}") };
                return Err(Failure::Token(format!("{error:?}{description}")));
            }
            () if !self.status.is_success() => {
                return Err(Failure::Token(format!("cannot fetch token: {}", self.status)));
            }
            () => {}
        }
        let token = self.fields.get("access_token");
        if token.is_empty() {
            return Err(Failure::Token("server response missing access_token".to_owned()));
        }
        let kind = match self.fields.get("token_type") {
            "" => "Bearer",
            kind if kind.eq_ignore_ascii_case("bearer") => "Bearer",
            kind => kind,
        };
        let mut header = HeaderValue::from_str(&format!("{kind} {token}")).map_err(|_| Failure::Credentials)?;
        header.set_sensitive(true);
        let seconds: u64 = self.fields.get("expires_in").parse().unwrap_or_default();
        let expires = (seconds > 0).then(|| Instant::now().checked_add(Duration::from_secs(seconds))).flatten();
        Ok(Token { header, secret, expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, content_type: &str, body: &str, expected: Result<(&str, bool), &str>) {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, fields: Fields::parse(content_type, body.as_bytes()) };
        let got = answer.token(String::new());
        let got = got.map(|token| (token.header.to_str().unwrap().to_owned(), token.expires.is_some()));
        let expected = expected.map(|(header, expires)| (header.to_owned(), expires));
        assert_eq!(got.map_err(|failure| failure.to_string()), expected.map_err(|e| format!("oauth2: {e}")), "{body}");
    }

    #[test]
    fn answers() {
        let json = "application/json; charset=utf-8";
        check(200, json, r#"{"access_token":"t"}"#, Ok(("Bearer t", false)));
        check(200, json, r#"{"access_token":"t","token_type":"bearer","expires_in":60}"#, Ok(("Bearer t", true)));
        check(200, json, r#"{"access_token":"t","token_type":"X","expires_in":"60"}"#, Ok(("X t", true)));
        check(200, "text/plain", "access_token=t&expires_in=60", Ok(("Bearer t", true)));
        check(200, json, r#"{"access_token":"t","expires_in":18446744073709551615}"#, Ok(("Bearer t", false)));
        check(200, json, "{}", Err("server response missing access_token"));
        check(200, json, "[", Err("server response missing access_token"));
        check(200, json, r#"{"error":"invalid_scope"}"#, Err("\"invalid_scope\""));
        check(400, json, r#"{"error":"e","error_description":"d"}"#, Err("\"e\" \"d\""));
        check(502, "text/html", "<p>", Err("cannot fetch token: 502 Bad Gateway"));
    }
}
