//! Filters of traffic control, the older way to put a program on a device: requests to the kernel over netlink, see
//! `linux/rtnetlink.h` and `linux/pkt_cls.h`.
//!
//! A filter stands in the queueing discipline clsact, which others may use as well; it is made where it is missing and
//! never removed.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// NETLINK_ROUTE is zero.
const ROUTE: Option<Protocol> = None;

// Kinds of messages and their flags.
const ERROR: u16 = 2;
const NEW_QDISC: u16 = 36;
const NEW_FILTER: u16 = 44;
const DELETE_FILTER: u16 = 45;
const GET_FILTER: u16 = 46;
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
/// Make it, and fail if it is there.
const CREATE: u16 = 0x600;

// Attributes.
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const BPF_DESCRIPTOR: u16 = 6;
const BPF_NAME: u16 = 7;
const BPF_FLAGS: u16 = 8;
/// The program's result is the verdict.
const DIRECT: u32 = 1;

/// Of clsact: its place at a device, and its own number.
const CLSACT_PARENT: u32 = 0xffff_fff1;
const CLSACT: u32 = 0xffff_0000;

/// Who sees a packet first has the smallest number; all protocols, in the order of the network's bytes.
const FIRST_OF_ALL_PROTOCOLS: u32 = 1 << 16 | (3u16.to_be() as u32);
/// The letters `skep`: filters of others in the same priority count from one.
const HANDLE: u32 = 0x736b_6570;

/// Bytes before the attributes: the head of a message, and what it is about.
const HEAD_BYTES: usize = 16;
const ANSWER_BYTES: usize = 8192;

/// On which side of a device; its number in clsact is this and what all of them begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ingress = 0xfff2,
    Egress = 0xfff3,
}

/// A program on a device. Dropping it takes the program off; the end of the process does not.
#[derive(Debug)]
pub(crate) struct Filter {
    device: u32,
    side: Side,
}

impl Filter {
    /// Puts a program on a device.
    pub(crate) fn create(program: BorrowedFd<'_>, name: &str, device: u32, side: Side) -> io::Result<Self> {
        let filter = ManuallyDrop::new(Self { device, side });
        filter.put(program, name)?;
        Ok(ManuallyDrop::into_inner(filter))
    }

    /// Puts it there, again where it went. A filter of this name that is there is one that a killed process left, and goes.
    pub(crate) fn put(&self, program: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        // It is there already where others use it.
        let _ =
            ask(&message(NEW_QDISC, ACKNOWLEDGE | CREATE, [self.device, CLSACT, CLSACT_PARENT, 0], &kind("clsact")));
        if self.get().is_ok_and(|answer| names(&answer, name)) {
            let _ = self.delete();
        }
        let options = [
            attribute(BPF_DESCRIPTOR, &program.as_raw_fd().to_ne_bytes()),
            attribute(BPF_NAME, &text(name)),
            attribute(BPF_FLAGS, &DIRECT.to_ne_bytes()),
        ];
        let attributes = [kind("bpf"), attribute(OPTIONS, &options.concat())].concat();
        ask(&message(NEW_FILTER, ACKNOWLEDGE | CREATE, self.place(), &attributes)).map(drop)
    }

    /// Whether it still sits there: it goes with clsact, which anybody may remove.
    pub(crate) fn is_attached(&self) -> bool {
        self.get().is_ok()
    }

    fn get(&self) -> io::Result<Vec<u8>> {
        ask(&message(GET_FILTER, 0, self.place(), &kind("bpf")))
    }

    fn delete(&self) -> io::Result<Vec<u8>> {
        ask(&message(DELETE_FILTER, ACKNOWLEDGE, self.place(), &kind("bpf")))
    }

    fn place(&self) -> [u32; 4] {
        [self.device, HANDLE, CLSACT | self.side as u32, FIRST_OF_ALL_PROTOCOLS]
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // The device may have gone, and the filter with it.
        let _ = self.delete();
    }
}

/// `about` is a device, a handle, a parent, and the priority with the protocol.
fn message(kind: u16, flags: u16, about: [u32; 4], attributes: &[u8]) -> Vec<u8> {
    let mut message = vec![0; HEAD_BYTES];
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
    // No address family.
    message.extend([0; 4]);
    message.extend(about.iter().flat_map(|word| word.to_ne_bytes()));
    message.extend(attributes);
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut attribute = [(length as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
    attribute.extend(value);
    attribute.resize(length.next_multiple_of(4), 0);
    attribute
}

fn kind(name: &str) -> Vec<u8> {
    attribute(KIND, &text(name))
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// Whether a filter's description holds this name.
fn names(answer: &[u8], name: &str) -> bool {
    let wanted = attribute(BPF_NAME, &text(name));
    answer.windows(wanted.len()).any(|window| window == wanted)
}

/// The kernel's answer, or the error that it is.
fn ask(message: &[u8]) -> io::Result<Vec<u8>> {
    let socket: OwnedFd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, ROUTE)?;
    send(&socket, message, SendFlags::empty())?;
    let mut answer = vec![0; ANSWER_BYTES];
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    answer.truncate(length);
    let number = answer.get(HEAD_BYTES..HEAD_BYTES + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match number {
        Some(number) if answer[4..6] == ERROR.to_ne_bytes() && number != 0 => {
            Err(io::Error::from_raw_os_error(number.wrapping_neg()))
        }
        _ => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let words = [7u16, 7].map(u16::to_ne_bytes).concat();
        assert_eq!(attribute(7, b"ab\0"), [&words[..], b"ab\0\0"].concat());
        let message = message(GET_FILTER, 0, [1, 2, 3, 4], &kind("bpf"));
        assert_eq!((message.len(), &message[..4]), (44, &44u32.to_ne_bytes()[..]));
        assert!(names(&[vec![0; 3], attribute(BPF_NAME, b"skep\0")].concat(), "skep"));
        assert!(!names(&attribute(BPF_NAME, b"skepper\0"), "skep"));
    }
}
