//! URLs as Go's `net/url` takes them apart, as far as a configuration is judged by it.

use yaml::Place;

/// A URL that Go would take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// All of it.
    pub text: String,
    /// In lower case; empty where there is none.
    pub scheme: String,
    /// Host and port, without user and password; empty where there is none.
    pub host: String,
}

/// Reads a URL; what is none is reported.
pub fn decode(place: &Place<'_>) -> Option<Url> {
    let text = place.string()?;
    // The text may hold a password, so that it is not repeated.
    parse(&text).map_err(|reason| place.error(format!("not a URL: {reason}"), "")).ok()
}

/// Reads the URL of a service: `http` or `https`, with a host.
pub fn decode_http(place: &Place<'_>) -> Option<Url> {
    let url = decode(place)?;
    if !matches!(&*url.scheme, "http" | "https") {
        place.error("URL scheme must be 'http' or 'https'", "write http://HOST:PORT/PATH");
        return None;
    }
    if url.host.is_empty() {
        place.error("host is missing in URL", "write http://HOST:PORT/PATH");
        return None;
    }
    Some(url)
}

/// Takes a URL apart; the error says what is wrong with it.
pub fn parse(text: &str) -> Result<Url, String> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err("invalid control character in URL".to_owned());
    }
    let whole = text.split('#').next().unwrap_or_default();
    text.split_once('#').map_or(Ok(()), |(_, fragment)| check_escapes(fragment))?;
    if whole.is_empty() || whole == "*" {
        return Ok(Url { text: text.to_owned(), ..Url::default() });
    }
    let (scheme, rest) = split_scheme(whole)?;
    let rest = rest.split('?').next().unwrap_or_default();
    let mut url = Url { text: text.to_owned(), scheme: scheme.to_ascii_lowercase(), host: String::new() };
    let Some(after) = rest.strip_prefix("//") else {
        let opaque = !scheme.is_empty() && !rest.starts_with('/');
        let first = rest.split('/').next().unwrap_or_default();
        if !opaque && !rest.starts_with('/') && first.contains(':') {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
        return if opaque { Ok(url) } else { check_escapes(rest).map(|()| url) };
    };
    let (authority, path) = after.find('/').map_or((after, ""), |at| after.split_at(at));
    check_escapes(path)?;
    let host = match authority.rsplit_once('@') {
        None => authority,
        Some((user, host)) => check_user(user).map(|()| host)?,
    };
    check_host(host)?;
    url.host = host.to_owned();
    Ok(url)
}

/// A scheme is letters, and after the first one digits, `+`, `-` and `.`, up to a colon.
fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' if i > 0 => return Ok((&text[..i], &text[i + 1..])),
            b':' => return Err("missing protocol scheme".to_owned()),
            _ => break,
        }
    }
    Ok(("", text))
}

fn check_user(user: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if user.bytes().all(allowed) { check_escapes(user) } else { Err("invalid userinfo".to_owned()) }
}

fn check_host(host: &str) -> Result<(), String> {
    let port = if host.starts_with('[') {
        let end = host.rfind(']').ok_or("missing ']' in host")?;
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |at| &host[at..])
    };
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit())) {
        return Err(format!("invalid port {port:?} after host"));
    }
    let allowed = |byte: u8| byte >= 0x80 || byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]<>\"%".contains(&byte);
    if let Some(bad) = host.bytes().find(|&byte| !allowed(byte)) {
        return Err(format!("invalid character {:?} in host name", char::from(bad).to_string()));
    }
    // In a host only bytes beyond ASCII may be escaped, and the zone of an address.
    match host.split_once('%') {
        Some((_, after))
            if !host.starts_with('[')
                && !after.starts_with(|c: char| matches!(c, '8' | '9' | 'a'..='f' | 'A'..='F')) =>
        {
            Err(format!("invalid URL escape {:?}", format!("%{}", after.chars().take(2).collect::<String>())))
        }
        _ => check_escapes(host),
    }
}

/// Every `%` is followed by two hexadecimal digits.
fn check_escapes(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            let shown: String = text[at..].chars().take(3).collect();
            return Err(format!("invalid URL escape {shown:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_apart_as_go_does() {
        let check = |text: &str, expected: Result<(&str, &str), &str>| {
            let got = parse(text);
            let got = got.as_ref().map(|url| (&*url.scheme, &*url.host)).map_err(|e| &**e);
            assert_eq!(got, expected, "{text}");
        };
        check("http://h:1/p?q#f", Ok(("http", "h:1")));
        check("HTTP://u:p@h", Ok(("http", "h")));
        check("p", Ok(("", "")));
        check("", Ok(("", "")));
        check("mailto:x", Ok(("mailto", "")));
        check("unix:///x", Ok(("unix", "")));
        check("http://[::1]:80", Ok(("http", "[::1]:80")));
        check("http://:80", Ok(("http", ":80")));
        check(":", Err("missing protocol scheme"));
        check("1:2", Err("first path segment in URL cannot contain colon"));
        check("http://a b", Err("invalid character \" \" in host name"));
        check("http://h:x", Err("invalid port \":x\" after host"));
        check("http://[::1", Err("missing ']' in host"));
        check("http://%zz", Err("invalid URL escape \"%zz\""));
        check("http://%41", Err("invalid URL escape \"%41\""));
        check("http://h/%zz", Err("invalid URL escape \"%zz\""));
        check("http://h/\u{1}", Err("invalid control character in URL"));
    }
}
