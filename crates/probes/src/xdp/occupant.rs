//! Which XDP program sits on a device, asked by rtnetlink. It needs no capability.

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

// Numbers of linux/rtnetlink.h and linux/if_link.h.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 1;
const IFLA_XDP: u16 = 43;
/// The program where there is one.
const IFLA_XDP_PROG_ID: u16 = 4;
/// With programs in several modes at once each has an attribute of its own: driver, generic, hardware.
const IFLA_XDP_MODE_PROG_IDS: [u16; 3] = [5, 6, 7];

const MESSAGE_HEADER_BYTES: usize = 16;
const LINK_HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = MESSAGE_HEADER_BYTES + LINK_HEADER_BYTES;
/// The two bits that mark an attribute as nested or in network byte order.
const ATTRIBUTE_TYPE_MASK: u16 = 0x3fff;

/// The kernel describes a device in a few kilobytes; one with hundreds of virtual functions takes more, and is then
/// answered as unknown.
const ANSWER_BYTES_MAX: usize = 32 << 10;

/// The id of the program on a device. None where there is none, or the kernel does not say.
pub(crate) fn program_id(device: u32) -> Option<u32> {
    let answer = ask(device).ok()?;
    parse(&answer)
}

fn ask(device: u32) -> io::Result<Vec<u8>> {
    // NETLINK_ROUTE is protocol 0, which rustix spells as none.
    let protocol = None;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    send(&socket, &request(device), SendFlags::empty())?;
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    let (_, length) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}

/// A message header (length, type, flags, sequence, port) and a link header that names the device by its index.
fn request(device: u32) -> [u8; REQUEST_BYTES] {
    let mut request = [0; REQUEST_BYTES];
    request[0..4].copy_from_slice(&(REQUEST_BYTES as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    request[20..24].copy_from_slice(&device.to_ne_bytes());
    request
}

fn parse(answer: &[u8]) -> Option<u32> {
    if u16_at(answer, 4)? != RTM_NEWLINK {
        return None;
    }
    let (_, xdp) = attributes(answer.get(REQUEST_BYTES..)?).find(|(kind, _)| *kind == IFLA_XDP)?;
    let id = |wanted: u16| {
        let (_, value) = attributes(xdp).find(|(kind, _)| *kind == wanted)?;
        value.get(..4)?.try_into().ok().map(u32::from_ne_bytes)
    };
    id(IFLA_XDP_PROG_ID).filter(|id| *id != 0).or_else(|| IFLA_XDP_MODE_PROG_IDS.into_iter().find_map(id))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

/// Attributes: length (header included), type, value; each begins at a multiple of four. Ends where a length makes no sense.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const HEADER_BYTES: usize = 4;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & ATTRIBUTE_TYPE_MASK;
        let value = bytes.get(HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(HEADER_BYTES)..).unwrap_or_default();
        Some((kind, value))
    })
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

    fn check(kind: u16, attributes: &[u8], expected: Option<u32>) {
        let mut answer = vec![0; REQUEST_BYTES];
        answer[4..6].copy_from_slice(&kind.to_ne_bytes());
        answer.extend(attributes);
        assert_eq!(parse(&answer), expected, "{answer:?}");
    }

    #[test]
    fn answers() {
        let name = attribute(3, b"eth0\0");
        let id = |kind: u16, id: u32| attribute(kind, &id.to_ne_bytes());
        let xdp = |inner: &[u8]| [name.clone(), attribute(IFLA_XDP | 0x8000, inner)].concat();
        check(RTM_NEWLINK, &xdp(&attribute(2, &[0])), None);
        check(RTM_NEWLINK, &xdp(&[attribute(2, &[2]), id(IFLA_XDP_PROG_ID, 7)].concat()), Some(7));
        check(RTM_NEWLINK, &xdp(&[id(IFLA_XDP_PROG_ID, 0), id(6, 9)].concat()), Some(9));
        check(RTM_NEWLINK, &name, None);
        check(RTM_NEWLINK, &[3, 0, 0, 0], None);
        check(RTM_NEWLINK, &[255, 255, 43, 0], None);
        check(2, &xdp(&id(IFLA_XDP_PROG_ID, 7)), None);
        assert_eq!(parse(&[]), None);
    }

    #[test]
    fn the_loopback_device_answers() {
        assert_eq!(u16_at(&ask(1).unwrap(), 4), Some(RTM_NEWLINK));
    }
}
