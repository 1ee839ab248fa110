//! A client of SMTP (RFC 5321) with TLS from the beginning or by STARTTLS (RFC 3207), and AUTH (RFC 4954) by CRAM-MD5,
//! PLAIN and LOGIN.
//!
//! It is its own and no library: the well-kept one speaks no CRAM-MD5, takes no client settings of TLS such as ours, and
//! brings thirty crates for what is two hundred lines here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::SecureStreams;
use client::config::TlsConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::client::Error;
use crate::kinds::mail::Letter;

/// A line of a reply has 512 bytes at most (RFC 5321, section 4.5.3.1.5); servers are generous.
const LINE_BYTES_MAX: u64 = 4096;

/// Lines of one reply; of the longest, the answer to EHLO, servers send twenty.
const LINES_MAX: usize = 100;

/// A server that takes mail.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) hello: String,
    pub(crate) security: Security,
    pub(crate) tls: TlsConfig,
    pub(crate) credentials: Credentials,
}

/// When the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// From the beginning.
    Implicit,
    /// By STARTTLS, or not at all is nothing sent.
    Required,
    /// By STARTTLS where the server has it and credentials are sent; else not.
    Opportunistic,
}

/// Who sends; empty is nobody.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: Option<String>,
    /// Of CRAM-MD5.
    pub(crate) secret: Option<String>,
    pub(crate) identity: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({:?}, <secret>)", self.username)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

struct Session {
    stream: BufReader<Box<dyn Stream>>,
    is_secure: bool,
    /// What the server says that it can, in capitals.
    abilities: Vec<String>,
}

/// A reply of the server.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn is_good(&self) -> bool {
        (200..400).contains(&self.code)
    }

    fn refusal(&self, doing: &str) -> Error {
        Error::Mail { doing: doing.to_owned(), code: self.code, answer: self.lines.join(" ") }
    }
}

/// Brings a mail to its server; it gives no limit of time.
pub(crate) async fn deliver(letter: &Letter, streams: &SecureStreams) -> Result<(), Error> {
    let server = &letter.server;
    let failed = |e: std::io::Error| Error::Connection(format!("connect to {}:{}: {e}", server.host, server.port));
    let stream = TcpStream::connect((&*server.host, server.port)).await.map_err(failed)?;
    let mut session = match server.security {
        Security::Implicit => Session::new(secured(stream, server, streams).await?, true),
        _ => Session::new(Box::new(stream), false),
    };
    session.expect("greeting").await?;
    session.hello(&server.hello).await?;
    if server.security != Security::Implicit {
        session = session.upgrade(server, streams).await?;
    }
    session.login(&server.credentials, &server.host).await?;
    let is_8bit = session.abilities.iter().any(|ability| ability == "8BITMIME");
    session.ask(&format!("MAIL FROM:<{}>{}", letter.from, if is_8bit { " BODY=8BITMIME" } else { "" })).await?;
    for to in &letter.to {
        session.ask(&format!("RCPT TO:<{to}>")).await?;
    }
    session.ask("DATA").await?;
    session.send(&stuffed(&letter.data)).await?;
    session.expect("the mail").await?;
    // It has been taken; how the connection ends changes nothing.
    let _ = session.ask("QUIT").await;
    Ok(())
}

async fn secured(stream: TcpStream, server: &Server, streams: &SecureStreams) -> Result<Box<dyn Stream>, Error> {
    Ok(Box::new(streams.secure(stream, &server.host, &server.tls).await?))
}

impl Session {
    fn new(stream: Box<dyn Stream>, is_secure: bool) -> Self {
        Self { stream: BufReader::new(stream), is_secure, abilities: Vec::new() }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let broken = |e: std::io::Error| Error::Connection(e.to_string());
        self.stream.write_all(bytes).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)
    }

    async fn reply(&mut self) -> Result<Reply, Error> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await;
            let broken = |reason: &str| Error::Connection(format!("the server of mail {reason}"));
            if read.map_err(|e| broken(&e.to_string()))? == 0 {
                return Err(broken("closed the connection"));
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let code = text.get(..3).and_then(|code| code.parse().ok());
            let Some(code) = code.filter(|_| line.ends_with(b"\n") && lines.len() < LINES_MAX) else {
                return Err(broken("does not speak SMTP"));
            };
            lines.push(text.get(4..).unwrap_or_default().to_owned());
            if text.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    async fn expect(&mut self, doing: &str) -> Result<Reply, Error> {
        let reply = self.reply().await?;
        if reply.is_good() { Ok(reply) } else { Err(reply.refusal(doing)) }
    }

    /// Sends a command and takes its good reply.
    async fn ask(&mut self, command: &str) -> Result<Reply, Error> {
        self.send(format!("{command}\r\n").as_bytes()).await?;
        self.expect(command).await
    }

    /// As [`Self::ask`], with a text that no message shows.
    async fn ask_secretly(&mut self, text: &str, doing: &str) -> Result<Reply, Error> {
        self.send(format!("{text}\r\n").as_bytes()).await?;
        self.expect(doing).await
    }

    async fn hello(&mut self, name: &str) -> Result<(), Error> {
        match self.ask(&format!("EHLO {name}")).await {
            Ok(reply) => {
                self.abilities = reply.lines.iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
                Ok(())
            }
            // A server that knows no extensions.
            Err(Error::Mail { code: 500..=599, .. }) => self.ask(&format!("HELO {name}")).await.map(drop),
            Err(error) => Err(error),
        }
    }

    /// Goes on encrypted, if the server can and the configuration wants it.
    async fn upgrade(mut self, server: &Server, streams: &SecureStreams) -> Result<Self, Error> {
        let can = self.abilities.iter().any(|ability| ability == "STARTTLS");
        match server.security {
            Security::Required if !can => {
                let message = format!(
                    "'require_tls' is true (default) but \"{}:{}\" does not advertise the STARTTLS extension",
                    server.host, server.port
                );
                return Err(Error::Settings(message));
            }
            Security::Required => {}
            _ => return Ok(self),
        }
        self.ask("STARTTLS").await?;
        // What came before the handshake was not encrypted and could be anybody's.
        if !self.stream.buffer().is_empty() {
            return Err(Error::Connection("the server of mail spoke before the handshake".to_owned()));
        }
        let stream = streams.secure(self.stream.into_inner(), &server.host, &server.tls).await?;
        let mut session = Self::new(Box::new(stream), true);
        session.hello(&server.hello).await?;
        Ok(session)
    }

    async fn login(&mut self, credentials: &Credentials, host: &str) -> Result<(), Error> {
        let ways = self.abilities.iter().find_map(|ability| ability.strip_prefix("AUTH")).map(str::to_owned);
        if credentials.username.is_empty() {
            return Ok(());
        }
        // A server without AUTH takes mail from whom it likes.
        let Some(ways) = ways else { return Ok(()) };
        let ways: Vec<&str> = ways.split([' ', '=']).filter(|way| !way.is_empty()).collect();
        let mut missing = Vec::new();
        for way in &ways {
            match (*way, &credentials.password, &credentials.secret) {
                ("CRAM-MD5", _, Some(secret)) => return self.cram(&credentials.username, secret).await,
                ("PLAIN" | "LOGIN", Some(_), _) if !self.is_secure && !is_local(host) => {
                    missing.push(format!("{way} needs an encrypted connection"));
                }
                ("PLAIN", Some(password), _) => {
                    let text = format!("{}\0{}\0{password}", credentials.identity, credentials.username);
                    let text = format!("AUTH PLAIN {}", STANDARD.encode(text));
                    return self.ask_secretly(&text, "AUTH PLAIN").await.map(drop);
                }
                ("LOGIN", Some(password), _) => {
                    self.ask("AUTH LOGIN").await?;
                    self.ask_secretly(&STANDARD.encode(&credentials.username), "AUTH LOGIN").await?;
                    return self.ask_secretly(&STANDARD.encode(password), "AUTH LOGIN").await.map(drop);
                }
                ("CRAM-MD5", ..) => missing.push("missing secret for CRAM-MD5 auth mechanism".to_owned()),
                ("PLAIN" | "LOGIN", ..) => missing.push(format!("missing password for {way} auth mechanism")),
                _ => {}
            }
        }
        if missing.is_empty() {
            missing.push(format!("unknown auth mechanism: {}", ways.join(" ")));
        }
        Err(Error::Settings(missing.join("; ")))
    }

    async fn cram(&mut self, username: &str, secret: &str) -> Result<(), Error> {
        let reply = self.ask("AUTH CRAM-MD5").await?;
        let challenge = reply.lines.first().and_then(|line| STANDARD.decode(line.trim()).ok());
        let challenge = challenge.ok_or_else(|| Error::Connection("CRAM-MD5: no challenge".to_owned()))?;
        let answer = cram_md5(username, secret, &challenge);
        self.ask_secretly(&STANDARD.encode(answer), "AUTH CRAM-MD5").await.map(drop)
    }
}

/// Passwords may go to this machine in the open.
fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The answer to a challenge (RFC 2195): HMAC-MD5 (RFC 2104) over it.
fn cram_md5(username: &str, secret: &str, challenge: &[u8]) -> String {
    let mut key = [0; 64];
    let secret = if secret.len() > 64 { md5::compute(secret).0.to_vec() } else { secret.as_bytes().to_vec() };
    key[..secret.len()].copy_from_slice(&secret);
    let pad = |byte: u8| key.map(|k| k ^ byte).to_vec();
    let inner = md5::compute([pad(0x36), challenge.to_vec()].concat());
    format!("{username} {:x}", md5::compute([pad(0x5c), inner.0.to_vec()].concat()))
}

/// The mail with its end; lines that begin with a dot get another one (RFC 5321, section 4.5.2).
fn stuffed(data: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(data.len() + 16);
    let mut at_line_start = true;
    for &byte in data {
        if at_line_start && byte == b'.' {
            output.push(b'.');
        }
        output.push(byte);
        at_line_start = byte == b'\n';
    }
    output.extend_from_slice(if at_line_start { b".\r\n" } else { b"\r\n.\r\n" });
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 2195.
    #[test]
    fn answers_challenges() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        assert_eq!(cram_md5("tim", "tanstaaftanstaaf", challenge), "tim b913a602c7eda7a495b4e6e7334d3890");
    }

    #[test]
    fn stuffs_dots() {
        assert_eq!(stuffed(b".a\r\n.\r\nb"), b"..a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(stuffed(b"a\r\n"), b"a\r\n.\r\n");
    }
}
