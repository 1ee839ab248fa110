//! Messages of DNS on the wire (RFC 1035, RFC 2782, RFC 6891): one question, and the records of the answer.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const MX: u16 = 15;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
const OPT: u16 = 41;
const INTERNET: u16 = 1;

/// The largest answer over UDP that we say to take, as Prometheus does.
pub(crate) const DATAGRAM_BYTES: u16 = 4096;

/// A name has at most 255 bytes, so that more jumps than half of it are a loop.
const JUMPS_MAX: usize = 127;

const HEADER_BYTES: usize = 12;

/// The answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The answer did not fit; another transport has all of it.
    pub(crate) truncated: bool,
    /// 0 is success, 3 a name that is not there.
    pub(crate) code: u8,
    pub(crate) records: Vec<Record>,
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) data: Data,
}

/// What a record holds. Names end in a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Mx(String),
    Ns(String),
    Srv { target: String, port: u16 },
    Other,
}

/// A question of the internet class that asks for recursion; nothing where the name cannot be one.
pub(crate) fn question(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(64);
    // One question, one additional record, which says how large an answer may be.
    for number in [id, 0x0100, 1, 0, 0, 1] {
        message.extend_from_slice(&number.to_be_bytes());
    }
    for label in name.strip_suffix('.').unwrap_or(name).split('.').filter(|_| name != ".") {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    if message.len() > HEADER_BYTES + 254 {
        return None;
    }
    message.push(0);
    for number in [kind, INTERNET] {
        message.extend_from_slice(&number.to_be_bytes());
    }
    message.push(0);
    for number in [OPT, DATAGRAM_BYTES, 0, 0, 0] {
        message.extend_from_slice(&number.to_be_bytes());
    }
    Some(message)
}

/// Reads the answer to the question of this number; nothing where it is none, or is damaged.
pub(crate) fn answer(id: u16, message: &[u8]) -> Option<Answer> {
    let mut reader = Reader { message, at: 0 };
    let (answered, flags) = (reader.number()?, reader.number()?);
    if answered != id || flags & 0x8000 == 0 {
        return None;
    }
    let (questions, answers) = (reader.number()?, reader.number()?);
    reader.at = HEADER_BYTES;
    for _ in 0..questions {
        reader.name()?;
        reader.skip(4)?;
    }
    let truncated = flags & 0x0200 != 0;
    let mut records = Vec::new();
    for _ in 0..answers {
        match reader.record() {
            Some(record) => records.push(record),
            None if truncated => break,
            None => return None,
        }
    }
    Some(Answer { truncated, code: (flags & 0x000f) as u8, records })
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.message.len())?;
        Some(())
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.message.get(self.at..self.at.checked_add(N)?)?.try_into().ok()?;
        self.at += N;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    /// A name; parts that were said before in the message are named by their place.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut end = None;
        for _ in 0..JUMPS_MAX * 2 {
            let [length] = self.take()?;
            match length {
                0 => {
                    self.at = end.unwrap_or(self.at);
                    return Some(if name.is_empty() { ".".to_owned() } else { name });
                }
                1..64 => {
                    let label = self.message.get(self.at..self.at + usize::from(length))?;
                    name.push_str(&String::from_utf8_lossy(label));
                    name.push('.');
                    self.skip(usize::from(length))?;
                }
                192.. => {
                    let [low] = self.take()?;
                    end.get_or_insert(self.at);
                    self.at = usize::from(length & 0x3f) << 8 | usize::from(low);
                }
                _ => return None,
            }
            if name.len() > 255 {
                return None;
            }
        }
        None
    }

    fn record(&mut self) -> Option<Record> {
        self.name()?;
        let kind = self.number()?;
        // Class and time to live.
        self.skip(6)?;
        let length = usize::from(self.number()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.message.len())?;
        let data = match kind {
            A => Data::A(Ipv4Addr::from(self.take::<4>()?)),
            AAAA => Data::Aaaa(Ipv6Addr::from(self.take::<16>()?)),
            NS => Data::Ns(self.name()?),
            MX => self.number().and_then(|_| Some(Data::Mx(self.name()?)))?,
            SRV => {
                // Priority and weight.
                self.skip(4)?;
                let port = self.number()?;
                Data::Srv { target: self.name()?, port }
            }
            _ => Data::Other,
        };
        self.at = end;
        Some(Record { data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with records written by hand: name, type, class, time, data.
    fn reply(records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question(7, "_a._tcp.example.org", SRV).unwrap();
        message.truncate(message.len() - 11);
        message[2] = 0x81;
        message[3] = 0x80;
        message[7] = records.len() as u8;
        message[11] = 0;
        for (kind, data) in records {
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 9]);
            message.extend_from_slice(&(data.len() as u16).to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    #[test]
    fn records_are_read() {
        let check = |kind, data: &[u8], expected| {
            let answer = answer(7, &reply(&[(kind, data)]));
            assert_eq!(answer.map(|answer| answer.records[0].data.clone()), expected, "{kind} {data:?}");
        };
        check(A, &[10, 0, 0, 1], Some(Data::A(Ipv4Addr::new(10, 0, 0, 1))));
        // The name `example.org` stands at byte 20 of the question.
        let srv = [0, 1, 0, 2, 0x23, 0x82, 1, b'h', 0xc0, 20];
        check(SRV, &srv, Some(Data::Srv { target: "h.example.org.".to_owned(), port: 9090 }));
        check(MX, &[0, 5, 1, b'm', 0], Some(Data::Mx("m.".to_owned())));
        check(NS, &[0], Some(Data::Ns(".".to_owned())));
        check(5, &[1, b'x', 0], Some(Data::Other));
        check(A, &[10, 0, 0], None);
        // A name that names itself.
        check(NS, &[0xc0, 49], None);
        assert_eq!(answer(8, &reply(&[])), None);
        assert_eq!(answer(7, &reply(&[])), Some(Answer { truncated: false, code: 0, records: Vec::new() }));
    }

    #[test]
    fn names_have_a_form() {
        let check = |name: &str, good: bool| assert_eq!(question(1, name, A).is_some(), good, "{name}");
        check("a.b", true);
        check("a.b.", true);
        check(".", true);
        check("a..b", false);
        check("", false);
        check(&"x".repeat(64), false);
        check(&"x.".repeat(130), false);
    }

    #[test]
    fn damaged_messages_are_refused() {
        let whole = reply(&[(SRV, &[0, 1, 0, 2, 0x23, 0x82, 1, b'h', 0xc0, 20]), (A, &[1, 2, 3, 4])]);
        for length in 0..whole.len() {
            assert_eq!(answer(7, &whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                let _ = answer(7, &flipped);
            }
        }
    }
}
