//! Programs that sit on devices without a link, asked by rtnetlink: XDP programs, and filters of the hooks of clsact, as
//! Cilium uses them before Linux 6.6. It takes no capability, and sees the devices of this network namespace.

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// Devices whose filters are asked for, two questions each of some ten microseconds.
const DEVICES_MAX: usize = 256;
/// The kernel fills answers of at most this size.
const ANSWER_BYTES: usize = 32 << 10;
/// Answers to one question; a thousand devices take about a hundred.
const ANSWERS_MAX: usize = 4096;

// Numbers of linux/netlink.h, linux/rtnetlink.h, linux/if_link.h and linux/pkt_cls.h.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const GET_LINK: u16 = 18;
const GET_FILTER: u16 = 46;
const REQUEST_DUMP: u16 = 0x301;
const LINK_NAME: u16 = 3;
const LINK_XDP: u16 = 43;
/// The program where there is one, then those of each mode where there are several.
const XDP_PROGRAMS: [u16; 4] = [4, 5, 6, 7];
const FILTER_KIND: u16 = 1;
const FILTER_OPTIONS: u16 = 2;
const FILTER_PROGRAM: u16 = 11;
const HOOKS: [(u32, &str); 2] = [(0xffff_fff2, "tc_ingress"), (0xffff_fff3, "tc_egress")];

const MESSAGE_HEADER_BYTES: usize = 16;
const LINK_HEADER_BYTES: usize = 16;
const FILTER_HEADER_BYTES: usize = 20;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// The two bits that mark an attribute as nested or in network byte order.
const ATTRIBUTE_KIND_MASK: u16 = 0x3fff;

/// Programs by id, and where each sits.
pub(super) fn attached() -> io::Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    let mut devices = Vec::new();
    dump(GET_LINK, &[0; LINK_HEADER_BYTES], |message| {
        let Some((index, name, programs)) = parse_link(message) else { return };
        found.extend(programs.into_iter().map(|program| (program, format!("xdp {name}"))));
        devices.push((index, name));
    })?;
    for (index, name) in devices.into_iter().take(DEVICES_MAX) {
        for (parent, hook) in HOOKS {
            let mut header = [0; FILTER_HEADER_BYTES];
            header[4..8].copy_from_slice(&index.to_ne_bytes());
            header[12..16].copy_from_slice(&parent.to_ne_bytes());
            // A device without such a hook says EINVAL.
            let _ = dump(GET_FILTER, &header, |message| {
                found.extend(parse_filter(message).map(|program| (program, format!("{hook} {name}"))));
            });
        }
    }
    Ok(found)
}

/// Asks, and walks the answers until the kernel says that they end.
fn dump(kind: u16, header: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    // NETLINK_ROUTE is protocol 0, which rustix spells as none.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let length = (MESSAGE_HEADER_BYTES + header.len()) as u32;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8]);
    request.extend(header);
    send(&socket, &request, SendFlags::empty())?;
    let mut answer = vec![0; ANSWER_BYTES];
    for _ in 0..ANSWERS_MAX {
        let (_, length) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
        for (kind, message) in messages(answer.get(..length).unwrap_or_default()) {
            match kind {
                DONE => return Ok(()),
                ERROR => return Err(io::Error::other("the kernel refused")),
                _ => each(message),
            }
        }
    }
    Ok(())
}

/// Index, name and XDP programs of a device.
fn parse_link(message: &[u8]) -> Option<(u32, String, Vec<u32>)> {
    let index = u32_at(message, 4)?;
    let rest = || attributes(message.get(LINK_HEADER_BYTES..).unwrap_or_default());
    let (_, name) = rest().find(|(kind, _)| *kind == LINK_NAME)?;
    let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
    let xdp = rest().filter(|(kind, _)| *kind == LINK_XDP).flat_map(|(_, xdp)| attributes(xdp));
    let programs = xdp.filter(|(kind, _)| XDP_PROGRAMS.contains(kind)).filter_map(|(_, id)| u32_at(id, 0));
    Some((index, name, programs.filter(|id| *id != 0).collect()))
}

/// The program of a filter, if it is one of the kind `bpf`.
fn parse_filter(message: &[u8]) -> Option<u32> {
    let rest = || attributes(message.get(FILTER_HEADER_BYTES..).unwrap_or_default());
    rest().find(|(kind, value)| *kind == FILTER_KIND && value.starts_with(b"bpf\0"))?;
    let (_, options) = rest().find(|(kind, _)| *kind == FILTER_OPTIONS)?;
    let (_, id) = attributes(options).find(|(kind, _)| *kind == FILTER_PROGRAM)?;
    u32_at(id, 0)
}

/// Messages: length (header included), type, flags, sequence, port; each begins at a multiple of four.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let kind = u16_at(bytes, 4)?;
        let message = bytes.get(MESSAGE_HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, message))
    })
}

/// Attributes: length (header included), type, value; each begins at a multiple of four. Ends where a length makes no sense.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & ATTRIBUTE_KIND_MASK;
        let value = bytes.get(ATTRIBUTE_HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (value.len() as u16 + 4).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link(parts: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0; LINK_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        bytes.extend(parts.concat());
        bytes
    }

    #[test]
    fn links() {
        let name = attribute(LINK_NAME, b"eth0\0");
        let id = |kind, id: u32| attribute(kind, &id.to_ne_bytes());
        let check = |parts: &[Vec<u8>], expected: Option<&[u32]>| {
            let expected = expected.map(|programs| (7, "eth0".to_owned(), programs.to_vec()));
            assert_eq!(parse_link(&link(parts)), expected, "{parts:?}");
        };
        check(&[], None);
        check(std::slice::from_ref(&name), Some(&[]));
        check(&[name.clone(), attribute(LINK_XDP | 0x8000, &[attribute(2, &[1]), id(4, 9)].concat())], Some(&[9]));
        check(&[name.clone(), attribute(LINK_XDP, &[id(4, 0), id(5, 3), id(6, 4)].concat())], Some(&[3, 4]));
        assert_eq!(parse_link(&[1, 2, 3]), None);
    }

    #[test]
    fn filters() {
        let check = |kind: &[u8], options: &[u8], expected| {
            let mut bytes = vec![0; FILTER_HEADER_BYTES];
            bytes.extend(attribute(FILTER_KIND, kind));
            bytes.extend(attribute(FILTER_OPTIONS, options));
            assert_eq!(parse_filter(&bytes), expected, "{kind:?} {options:?}");
        };
        let program = attribute(FILTER_PROGRAM, &5_u32.to_ne_bytes());
        check(b"bpf\0", &[attribute(7, b"cil\0"), program.clone()].concat(), Some(5));
        check(b"bpf\0", &attribute(7, b"cil\0"), None);
        check(b"flower\0", &program, None);
        check(b"bpf\0", &[255, 255, 11, 0, 1], None);
        assert_eq!(parse_filter(&[]), None);
    }

    #[test]
    fn this_machine_answers() {
        let mut names = Vec::new();
        let link = |message: &[u8]| names.extend(parse_link(message).map(|(_, name, _)| name));
        dump(GET_LINK, &[0; LINK_HEADER_BYTES], link).unwrap();
        assert!(names.iter().any(|name| name == "lo"), "{names:?}");
        attached().unwrap();
    }
}
