//! Asks the servers of `/etc/resolv.conf`, with its search domains.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{Answer, DATAGRAM_BYTES, Record, answer, question};
use super::type_number;
use crate::RecordKind;

const FILE: &str = "/etc/resolv.conf";
const PORT: u16 = 53;

/// A server that does not answer within this time is passed over, as Prometheus does.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

const SUCCESS: u8 = 0;
const NO_SUCH_NAME: u8 = 3;

/// Servers and search domains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolver {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    dots: usize,
}

impl Resolver {
    /// What this system uses. It reads a file.
    pub(crate) fn of_system() -> Result<Self, String> {
        let text = fs::read_to_string(FILE).map_err(|error| format!("cannot read {FILE}: {error}"))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut resolver = Self { servers: Vec::new(), search: Vec::new(), dots: 1 };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
                    resolver.servers.extend(address.map(|address| SocketAddr::new(address, PORT)));
                }
                Some("domain") => resolver.search = words.take(1).map(str::to_owned).collect(),
                Some("search") => resolver.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let dots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()).next_back();
                    // The limit of the C library.
                    resolver.dots = dots.unwrap_or(resolver.dots).min(15);
                }
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            resolver.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        resolver
    }

    /// The records of a name. A name that exists nowhere has none; the error says that nobody could tell.
    pub(crate) async fn look_up(&self, name: &str, kind: RecordKind) -> Result<Vec<Record>, String> {
        let mut all_answered = true;
        for full in self.names(name) {
            match self.ask_any(&full, kind).await {
                Some(answer) if answer.code == SUCCESS => return Ok(answer.records),
                Some(_) => {}
                // A later name may have an answer, but now it cannot be said that there is none.
                None => all_answered = false,
            }
        }
        if all_answered {
            return Ok(Vec::new());
        }
        Err(format!("could not resolve {name:?}: no server answered for at least one search domain"))
    }

    /// The names to ask for: as it is first where it has dots enough, else last.
    fn names(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let as_it_is = format!("{name}.");
        let searched = self.search.iter().map(|domain| format!("{name}.{}.", domain.trim_matches('.')));
        let mut names: Vec<String> = searched.collect();
        let labels = name.split('.').count();
        names.insert(if labels > self.dots { 0 } else { names.len() }, as_it_is);
        names
    }

    async fn ask_any(&self, name: &str, kind: RecordKind) -> Option<Answer> {
        for server in &self.servers {
            let answer = ask(*server, name, kind).await;
            if let Some(answer) = answer.filter(|answer| matches!(answer.code, SUCCESS | NO_SUCH_NAME)) {
                return Some(answer);
            }
        }
        None
    }
}

/// Asks over UDP, and over TCP where the answer does not fit.
async fn ask(server: SocketAddr, name: &str, kind: RecordKind) -> Option<Answer> {
    // Who guesses the number and the port could answer for the server.
    let id = (RandomState::new().hash_one(name) & 0xffff) as u16;
    let message = question(id, name, type_number(kind))?;
    let answer = timeout(SERVER_TIMEOUT, ask_datagram(server, id, &message)).await.ok()??;
    if !answer.truncated {
        return Some(answer);
    }
    timeout(SERVER_TIMEOUT, ask_stream(server, id, &message)).await.ok()?
}

async fn ask_datagram(server: SocketAddr, id: u16, message: &[u8]) -> Option<Answer> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(message).await.ok()?;
    let mut buffer = vec![0; usize::from(DATAGRAM_BYTES)];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        // Late answers to others' questions, and forged ones, are not the answer.
        if let Some(answer) = answer(id, &buffer[..length]) {
            return Some(answer);
        }
    }
}

async fn ask_stream(server: SocketAddr, id: u16, message: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    let mut framed = u16::try_from(message.len()).ok()?.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await.ok()?;
    let length = stream.read_u16().await.ok()?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await.ok()?;
    answer(id, &buffer)
}

#[cfg(test)]
mod tests {
    use testkit::{NameRecord, NameServer};

    use super::*;

    #[test]
    fn names_with_search_domains() {
        let resolver = Resolver::parse(
            "# a\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\ndomain x\nsearch a.b c.\noptions timeout:1 ndots:2\n",
        );
        assert_eq!(resolver.servers, ["10.0.0.1:53".parse().unwrap(), "[fe80::1]:53".parse::<SocketAddr>().unwrap()]);
        let check = |name: &str, expected: &[&str]| assert_eq!(resolver.names(name), expected, "{name}");
        check("h", &["h.a.b.", "h.c.", "h."]);
        check("h.i", &["h.i.a.b.", "h.i.c.", "h.i."]);
        check("h.i.j", &["h.i.j.", "h.i.j.a.b.", "h.i.j.c."]);
        check("h.", &["h."]);
        assert_eq!(Resolver::parse("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[tokio::test]
    async fn servers_are_asked() {
        let server = NameServer::start(Ipv4Addr::LOCALHOST.into(), 0).unwrap();
        // More than a datagram holds.
        server.set("known.", (0..300).map(|i| NameRecord::A(Ipv4Addr::from(i))));
        server.fail(&["broken."]);
        let resolver = Resolver { servers: vec![server.address()], search: vec!["sub".to_owned()], dots: 1 };
        let check = async |name: &str, expected: Result<usize, ()>| {
            let got = resolver.look_up(name, RecordKind::A).await;
            assert_eq!(got.map(|records| records.len()).map_err(drop), expected, "{name}");
        };
        check("known.", Ok(300)).await;
        check("known", Ok(300)).await;
        check("nothing.", Ok(0)).await;
        check("broken.", Err(())).await;
    }
}
