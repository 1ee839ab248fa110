//! Mail: what is written; `smtp` brings it to a server.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::config::{Source, TlsConfig};
use template::Output;
use yaml::Section;

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, keys};
use crate::outgoing::reveal;
use crate::smtp::{Credentials, Security, Server};
use crate::speech::{Speech, shortened};

/// RFC 5322 allows longer subjects, people do not read them.
const SUBJECT_MAX: usize = 250;

/// Lines of quoted-printable (RFC 2045, section 6.7).
const LINE_MAX: usize = 76;

/// Recipients of one mail; servers take a hundred at least (RFC 5321, section 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mail {
    host: String,
    port: u16,
    hello: String,
    from: String,
    to: String,
    username: String,
    password: Option<Source>,
    secret: Option<Source>,
    identity: String,
    security: Security,
    tls: TlsConfig,
    /// By name in canonical spelling; `Subject`, `From` and `To` among them.
    headers: Vec<(String, String)>,
    html: String,
    text: String,
    /// Whether mails of a group are replies to each other; of a day, or for ever.
    thread: Option<ThreadBy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ThreadBy {
    Day,
    Ever,
}

/// A mail and where it goes.
pub(crate) struct Letter {
    pub(crate) server: Server,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Headers and body, lines ended by CR and LF.
    pub(crate) data: Vec<u8>,
}

pub(super) fn decode(section: &Section<'_>, globals: &Globals) -> Option<Kind> {
    let mail = &globals.mail;
    let missing = |message: &str, hint: &str| section.place().error(message, hint);
    let to = keys::template(section, "to", "");
    if to.is_empty() {
        missing("missing to address in email config", "");
    }
    let from =
        Some(keys::template(section, "from", "")).filter(|from| !from.is_empty()).unwrap_or_else(|| mail.from.clone());
    if from.is_empty() {
        missing("no global SMTP from set", "write from, or smtp_from below global");
    }
    let (host, port) = keys::host_port(section, "smarthost").or_else(|| mail.smarthost.clone()).unwrap_or_default();
    if host.is_empty() && section.get("smarthost").is_none() {
        missing("no global SMTP smarthost set", "write smarthost, or smtp_smarthost below global");
    }
    let implicit = section.boolean("force_implicit_tls").or(mail.implicit_tls).unwrap_or(port == 465);
    let required = section.boolean("require_tls").or(mail.require_tls).unwrap_or(true);
    let given = |key, global: &str| keys::text(section, key).unwrap_or_else(|| global.to_owned());
    Some(Kind::Mail(Box::new(Mail {
        host,
        port,
        hello: given("hello", &mail.hello),
        headers: headers(section, &from, &to),
        from,
        to,
        username: given("auth_username", &mail.username),
        password: keys::secret(section, "auth_password", "auth_password_file").or_else(|| mail.password.clone()),
        secret: keys::secret(section, "auth_secret", "auth_secret_file").or_else(|| mail.secret.clone()),
        identity: given("auth_identity", &mail.identity),
        security: match (implicit, required) {
            (true, _) => Security::Implicit,
            (false, true) => Security::Required,
            (false, false) => Security::Opportunistic,
        },
        tls: section.get("tls_config").map_or_else(|| mail.tls.clone(), |place| TlsConfig::decode(&place)),
        html: keys::template(section, "html", "{{ template \"email.default.html\" . }}"),
        text: keys::template(section, "text", ""),
        thread: thread(section),
    })))
}

fn thread(section: &Section<'_>) -> Option<ThreadBy> {
    let section = section.section("threading")?;
    let is_on = section.boolean("enabled").unwrap_or(false);
    let by = match section.get("thread_by_date").map(|place| (place.string().unwrap_or_default(), place)) {
        None => ThreadBy::Day,
        Some((word, _)) if word == "daily" || word.is_empty() => ThreadBy::Day,
        Some((word, _)) if word == "none" => ThreadBy::Ever,
        Some((word, place)) => {
            place.error(format!("{word:?} is no way of threading"), "write daily or none");
            ThreadBy::Day
        }
    };
    section.finish();
    is_on.then_some(by)
}

/// The configuration's headers and those that every mail has.
fn headers(section: &Section<'_>, from: &str, to: &str) -> Vec<(String, String)> {
    let subject = "{{ template \"email.default.subject\" . }}";
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, template) in keys::templates(section, "headers") {
        let name = canonical(&name);
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if headers.iter().any(|(known, _)| *known == name) {
            section.place().error(format!("duplicate header {name:?} in email config"), "");
        }
        if !is_name {
            section.place().error(format!("{name:?} is no name of a header"), "");
        }
        headers.push((name, template));
    }
    for (name, template) in [("Subject", subject), ("To", to), ("From", from)] {
        if !headers.iter().any(|(known, _)| known == name) {
            headers.insert(0, (name.to_owned(), template.to_owned()));
        }
    }
    headers
}

/// As Go spells headers: the first letter of each word large.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let spell = |c: char| {
        let spelled = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        upper = c == '-';
        spelled
    };
    name.chars().map(spell).collect()
}

impl Mail {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Letter, Error> {
        let from = addresses(&speech.text(&self.from))?;
        let [sender] = &from[..] else {
            return Err(Error::Settings(format!("must be exactly one 'from' address (got: {})", from.len())));
        };
        let to = addresses(&speech.text(&self.to))?;
        if to.is_empty() || to.len() > RECIPIENTS_MAX {
            return Err(Error::Settings(format!("{} addresses to send to; 1 to {RECIPIENTS_MAX} can be", to.len())));
        }
        Ok(Letter { server: self.server()?, data: self.data(speech), from: sender.clone(), to })
    }

    fn server(&self) -> Result<Server, Error> {
        let open = |source: &Option<Source>| source.as_ref().map(reveal).transpose();
        Ok(Server {
            host: self.host.clone(),
            port: self.port,
            hello: self.hello.clone(),
            security: self.security,
            tls: self.tls.clone(),
            credentials: Credentials {
                username: self.username.clone(),
                password: open(&self.password)?,
                secret: open(&self.secret)?,
                identity: self.identity.clone(),
            },
        })
    }

    fn data(&self, speech: &Speech<'_>) -> Vec<u8> {
        let now = jiff::Timestamp::from_millisecond(speech.now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let random = RandomState::new().hash_one(now.as_nanosecond());
        let mut data = String::new();
        for (name, template) in &self.headers {
            let text = if name == "Subject" { speech.title(template) } else { speech.text(template) };
            push_header(&mut data, name, &encoded(&shortened(&text, header_max(name))));
        }
        let host = self.hello.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "");
        let has = |name: &str| self.headers.iter().any(|(known, _)| known == name);
        if !has("Message-Id") {
            push_header(&mut data, "Message-Id", &format!("<{}.{random:016x}@{host}>", now.as_millisecond()));
        }
        if !has("Date") {
            push_header(&mut data, "Date", &now.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string());
        }
        if let Some(by) = self.thread {
            let day = now.strftime("%Y-%m-%d").to_string();
            let day = if by == ThreadBy::Day { day.as_str() } else { "" };
            let root = format!("<alert-{}-{day}@{host}>", &speech.group_id()[..16]);
            push_header(&mut data, "References", &root);
            push_header(&mut data, "In-Reply-To", &root);
        }
        let boundary = format!("{random:016x}{:016x}", RandomState::new().hash_one(random));
        push_header(&mut data, "Content-Type", &format!("multipart/alternative; boundary={boundary}"));
        push_header(&mut data, "MIME-Version", "1.0");
        data.push_str("\r\n");
        let text = (!self.text.is_empty()).then(|| speech.body(&self.text, Output::Text));
        let html = (!self.html.is_empty()).then(|| speech.body(&self.html, Output::Html));
        for (kind, part) in [("text/plain", text), ("text/html", html)] {
            let Some(part) = part else { continue };
            data.push_str(&format!("--{boundary}\r\nContent-Transfer-Encoding: quoted-printable\r\n"));
            data.push_str(&format!("Content-Type: {kind}; charset=UTF-8\r\n\r\n{}\r\n", quoted_printable(&part)));
        }
        data.push_str(&format!("--{boundary}--\r\n"));
        data.into_bytes()
    }
}

fn header_max(name: &str) -> usize {
    if name == "Subject" { SUBJECT_MAX } else { 8 * SUBJECT_MAX }
}

fn push_header(data: &mut String, name: &str, value: &str) {
    data.push_str(&format!("{name}: {value}\r\n"));
}

/// A value of a header: one line, and what is not plain ASCII as words of base64 (RFC 2047).
fn encoded(text: &str) -> String {
    let text: String =
        text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return text;
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        // 45 bytes are 60 letters: with their frame fewer than the 75 that a word may have.
        if word.len() + c.len_utf8() > 45 {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

/// Quoted-printable (RFC 2045, section 6.7).
fn quoted_printable(text: &str) -> String {
    let mut output = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line).as_bytes();
        let mut width = 0;
        for (i, byte) in line.iter().enumerate() {
            let is_plain =
                matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && i + 1 < line.len());
            let piece = if is_plain { char::from(*byte).to_string() } else { format!("={byte:02X}") };
            if width + piece.len() >= LINE_MAX {
                output.push_str("=\r\n");
                width = 0;
            }
            width += piece.len();
            output.push_str(&piece);
        }
        output.push_str("\r\n");
    }
    output.truncate(output.len() - 2);
    output
}

/// The addresses of a list such as `a@b, "C, D" <c@d>`.
fn addresses(text: &str) -> Result<Vec<String>, Error> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            ',' if !quoted => parts.push(String::new()),
            c => {
                quoted ^= c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                parts.last_mut().map(|part| part.push(c)).unwrap_or_default();
            }
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.map(address).collect()
}

fn address(text: &str) -> Result<String, Error> {
    let inner = match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(start), Some(whole)) => &whole[start + 1..],
        _ => text,
    };
    let is_one = inner.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && !inner.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | ','));
    match is_one {
        true => Ok(inner.to_owned()),
        false => Err(Error::Settings(format!("{text:?} is no address of mail; write NAME@HOST"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_mail_as_the_standards_say() {
        assert_eq!(quoted_printable("a=b ü \nend "), "a=3Db =C3=BC=20\r\nend=20");
        let long = quoted_printable(&"x".repeat(200));
        assert!(long.split("\r\n").all(|line| line.len() <= LINE_MAX), "{long}");
        assert_eq!(encoded("plain\r\nBcc: x"), "plain Bcc: x");
        assert_eq!(encoded("ü"), "=?utf-8?B?w7w=?=");
        assert_eq!(canonical("x-my-HEADER"), "X-My-Header");
        let of = |text: &str| addresses(text).map_err(|e| e.to_string());
        assert_eq!(of("a@b, \"C, D\" <c@d>,").unwrap(), ["a@b", "c@d"]);
        assert!(of("a b").unwrap_err().contains("no address"));
        assert!(of("a@b>\r\nRCPT TO:<x@y").is_err());
    }
}
