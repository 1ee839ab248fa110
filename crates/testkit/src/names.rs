//! A name server that knows what a test tells it, over UDP and TCP.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A record of a name; names end in a dot.
#[derive(Clone, Debug)]
pub enum NameRecord {
    /// An address of IPv4.
    A(Ipv4Addr),
    /// An address of IPv6.
    Aaaa(Ipv6Addr),
    /// A mail server.
    Mx(String),
    /// A name server.
    Ns(String),
    /// A host with its port.
    Srv(String, u16),
}

/// A running name server; dropping it ends it.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<BTreeMap<String, Vec<NameRecord>>>,
    failing: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// Answers that do not fit this size come over TCP alone; it is what questions here say to take, and more than those without
/// the extension allow is never sent to them.
const DATAGRAM_BYTES: usize = 4096;
const PLAIN_DATAGRAM_BYTES: usize = 512;

const HEADER_BYTES: usize = 12;
const FAILURE: u8 = 2;
const NO_SUCH_NAME: u8 = 3;

/// How many ports are tried until one is free for both protocols.
const PORTS_TRIED: usize = 100;

impl NameServer {
    /// Starts one on a port of this address; port 0 takes one that is free for both protocols.
    pub fn start(address: IpAddr, port: u16) -> io::Result<Self> {
        let (udp, tcp) = bind(address, port)?;
        let shared = Arc::new(Shared::default());
        let address = udp.local_addr()?;
        let (for_udp, for_tcp) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads =
            vec![thread::spawn(move || serve_datagrams(&udp, &for_udp)), thread::spawn(move || serve(&tcp, &for_tcp))];
        Ok(Self { address, shared, threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// These are the records of a name from now on; without any it exists and has none.
    pub fn set(&self, name: &str, records: impl IntoIterator<Item = NameRecord>) {
        lock(&self.shared.names).insert(name.to_owned(), records.into_iter().collect());
    }

    /// The name does not exist any more.
    pub fn remove(&self, name: &str) {
        lock(&self.shared.names).remove(name);
    }

    /// Names that end in one of these are answered with a failure of the server.
    pub fn fail(&self, endings: &[&str]) {
        *lock(&self.shared.failing) = endings.iter().map(|&ending| ending.to_owned()).collect();
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Both threads look at `stop` only after something came.
        if let Ok(socket) = UdpSocket::bind((self.address.ip(), 0)) {
            let _ = socket.send_to(&[0], self.address);
        }
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that is free for UDP may be taken for TCP; then another is tried.
fn bind(address: IpAddr, port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    let both = || {
        let udp = UdpSocket::bind((address, port))?;
        let tcp = TcpListener::bind(udp.local_addr()?)?;
        Ok((udp, tcp))
    };
    let tries = if port == 0 { PORTS_TRIED } else { 1 };
    (1..tries).find_map(|_| both().ok()).map_or_else(both, Ok)
}

fn serve_datagrams(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; DATAGRAM_BYTES];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let Some(mut reply) = shared.reply(&buffer[..length]) else { continue };
        // The question's additional record says how much is taken.
        let taken = if buffer[11] > 0 { DATAGRAM_BYTES } else { PLAIN_DATAGRAM_BYTES };
        if reply.len() > taken {
            reply.truncate(question_end(&buffer[..length]).unwrap_or(HEADER_BYTES));
            reply[2] |= 0x02;
            reply[6..8].fill(0);
        }
        let _ = socket.send_to(&reply, from);
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    for stream in listener.incoming().map_while(Result::ok) {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        // Whoever asks badly gets no answer.
        let _ = serve_stream(stream, shared);
    }
}

fn serve_stream(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question)?;
    let Some(reply) = shared.reply(&question) else { return Ok(()) };
    let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&reply)
}

/// Where the only question of a message ends.
fn question_end(message: &[u8]) -> Option<usize> {
    let zero = message.get(HEADER_BYTES..)?.iter().position(|&byte| byte == 0)?;
    Some(HEADER_BYTES + zero + 5).filter(|&end| end <= message.len())
}

impl Shared {
    fn reply(&self, message: &[u8]) -> Option<Vec<u8>> {
        let end = question_end(message)?;
        let name = name(&message[HEADER_BYTES..end - 4])?;
        let kind = u16::from_be_bytes([message[end - 4], message[end - 3]]);
        let mut reply = message[..end].to_vec();
        reply[4..HEADER_BYTES].fill(0);
        reply[5] = 1;
        // An answer, with recursion asked for and available.
        reply[2..4].copy_from_slice(&[0x81, 0x80]);
        if lock(&self.failing).iter().any(|ending| name.ends_with(ending)) {
            reply[3] |= FAILURE;
            return Some(reply);
        }
        match lock(&self.names).get(&name) {
            None => reply[3] |= NO_SUCH_NAME,
            Some(records) => {
                let records: Vec<_> = records.iter().map(NameRecord::encode).filter(|(k, _)| *k == kind).collect();
                reply[6..8].copy_from_slice(&u16::try_from(records.len()).ok()?.to_be_bytes());
                for (kind, data) in records {
                    push_record(&mut reply, kind, &data);
                }
            }
        }
        Some(reply)
    }
}

/// A name in small letters, with the dot at the end.
fn name(mut labels: &[u8]) -> Option<String> {
    let mut name = String::new();
    while let Some((&length, rest)) = labels.split_first().filter(|(length, _)| **length > 0) {
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
        name.push('.');
        labels = rest;
    }
    Some(name)
}

/// A record of the name that was asked for, which stands behind the header.
fn push_record(reply: &mut Vec<u8>, kind: u16, data: &[u8]) {
    reply.extend_from_slice(&[0xc0, HEADER_BYTES as u8]);
    reply.extend_from_slice(&kind.to_be_bytes());
    reply.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
    reply.extend_from_slice(&(data.len() as u16).to_be_bytes());
    reply.extend_from_slice(data);
}

impl NameRecord {
    /// The number of its type, and its data.
    fn encode(&self) -> (u16, Vec<u8>) {
        match self {
            Self::A(address) => (1, address.octets().to_vec()),
            Self::Ns(host) => (2, encode_name(host)),
            Self::Mx(host) => (15, [vec![0, 10], encode_name(host)].concat()),
            Self::Aaaa(address) => (28, address.octets().to_vec()),
            Self::Srv(host, port) => (33, [vec![0, 0, 0, 5], port.to_be_bytes().to_vec(), encode_name(host)].concat()),
        }
    }
}

fn encode_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}
