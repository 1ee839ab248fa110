//! Users and their passwords, of which only bcrypt's hashes are known.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderValue;
use base64::Engine;
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// A check takes a core for as long as the hash's cost says, about 50 ms at 10; guesses wait for each other.
const CHECKS_MAX: usize = 2;

/// Logins that were good and need no check again: one of each user, as a rule.
const GOOD_MAX: usize = 100;

/// bcrypt looks at no more; longer passwords are refused, as Go's library does.
const PASSWORD_BYTES_MAX: usize = 72;

/// A hash that no password has been chosen for: strangers' names take as long as known ones.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuMZEXbTAeGsVKzLJeGlKTBAyKGsYGyFe";

/// Who may come in.
pub(super) struct Users {
    hashes: BTreeMap<String, String>,
    checks: Semaphore,
    /// Keyed digests of logins that were good. The key is of this process and this configuration, the length of the name is
    /// digested too: two logins never share a digest by how they are put together.
    good: Mutex<HashSet<[u8; 32]>>,
    key: Option<Key>,
}

impl Default for Users {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Users {
    pub(super) fn new(hashes: BTreeMap<String, String>) -> Self {
        // Without randomness nothing is remembered.
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new()).ok();
        Self { hashes, checks: Semaphore::new(CHECKS_MAX), good: Mutex::default(), key }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether a header `Authorization` is of one of the users.
    pub(super) async fn admits(&self, header: Option<&HeaderValue>) -> bool {
        let Some((name, password)) = header.and_then(read) else { return false };
        let digest = self.digest(&name, &password);
        if digest.is_some_and(|digest| self.good().contains(&digest)) {
            return true;
        }
        let known = self.hashes.get(&name).cloned();
        let is_known = known.is_some();
        let hash = known.unwrap_or_else(|| NOBODY.to_owned());
        let Ok(_turn) = self.checks.acquire().await else { return false };
        let check = move || password.len() <= PASSWORD_BYTES_MAX && bcrypt::verify(password, &hash).unwrap_or(false);
        let good = spawn_blocking(check).await.unwrap_or(false) && is_known;
        if good && let Some(digest) = digest {
            let mut remembered = self.good();
            if remembered.len() >= GOOD_MAX {
                remembered.clear();
            }
            remembered.insert(digest);
        }
        good
    }

    fn good(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, name: &str, password: &str) -> Option<[u8; 32]> {
        let text = format!("{}:{name}{password}", name.len());
        sign(self.key.as_ref()?, text.as_bytes()).as_ref().try_into().ok()
    }
}

/// Name and password of `Basic BASE64`.
fn read(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> HeaderValue {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        HeaderValue::from_str(&format!("Basic {encoded}")).unwrap()
    }

    #[test]
    fn the_hash_of_nobody_takes_its_time() {
        assert_eq!(NOBODY.parse::<bcrypt::HashParts>().unwrap().get_cost(), 10);
    }

    #[tokio::test]
    async fn only_good_logins_are_admitted() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let users = Users::new(BTreeMap::from([("me".to_owned(), hash)]));
        let check = async |header: Option<HeaderValue>, expected: bool| {
            // Twice: what is remembered of the first time decides nothing else.
            for _ in 0..2 {
                assert_eq!(users.admits(header.as_ref()).await, expected, "{header:?}");
            }
        };
        check(None, false).await;
        check(Some(basic("me:secret")), true).await;
        check(Some(basic("me:secret2")), false).await;
        check(Some(basic("mes:ecret")), false).await;
        check(Some(basic("other:secret")), false).await;
        check(Some(basic("me")), false).await;
        check(Some(basic(&format!("me:{}", "x".repeat(100)))), false).await;
        check(Some(HeaderValue::from_static("Bearer me:secret")), false).await;
    }
}
