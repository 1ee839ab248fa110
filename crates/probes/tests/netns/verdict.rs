//! XDP programs of a few instructions, for what no real program should do.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

// Numbers of linux/bpf.h.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const GENERIC: u32 = 1 << 1;
const HELPER_REDIRECT: u32 = 23;

/// A program on a device. Dropping it takes it off.
pub(crate) struct Verdict {
    _program: OwnedFd,
    _link: OwnedFd,
}

#[repr(C)]
struct Load {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    device: u32,
    attach_type: u32,
}

#[repr(C)]
struct Link {
    program: i32,
    device: u32,
    attach_type: u32,
    flags: u32,
}

impl Verdict {
    /// Returns this number for every packet.
    pub(crate) fn number(device: &str, number: u32) -> Self {
        Self::attach(device, &[set(0, number), EXIT])
    }

    /// Sends every packet to a device, by its index.
    pub(crate) fn redirect(device: &str, to: u32) -> Self {
        Self::attach(device, &[set(1, to), set(2, 0), 0x85 | u64::from(HELPER_REDIRECT) << 32, EXIT])
    }

    fn attach(device: &str, instructions: &[u64]) -> Self {
        let (license, name) = (CString::new("GPL").unwrap(), CString::new(device).unwrap());
        let mut load = Load {
            kind: BPF_PROG_TYPE_XDP,
            instruction_count: instructions.len() as u32,
            instructions: instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
            name: [0; 16],
            device: 0,
            attach_type: BPF_XDP,
        };
        let program = bpf(BPF_PROG_LOAD, &mut load);
        // SAFETY: `name` is a live string that ends with a zero.
        let device = unsafe { libc::if_nametoindex(name.as_ptr()) };
        let mut link = Link { program: program.as_raw_fd(), device, attach_type: BPF_XDP, flags: GENERIC };
        Self { _link: bpf(BPF_LINK_CREATE, &mut link), _program: program }
    }
}

const EXIT: u64 = 0x95;

/// Sets a register to a number of 32 bits.
fn set(register: u64, number: u32) -> u64 {
    0xb4 | register << 8 | u64::from(number) << 32
}

fn bpf<T>(command: libc::c_int, request: &mut T) -> OwnedFd {
    // SAFETY: the request is live, of the layout that the command reads, and its size is given with it.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(request), size_of::<T>()) };
    assert!(fd >= 0, "bpf({command}): {}", io::Error::last_os_error());
    // SAFETY: the kernel just made this descriptor and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}
