//! The system calls that no library wraps the way we need: `bpf(2)` for links on devices.
//!
//! aya attaches XDP programs too, but falls back to a netlink request that replaces whatever sits on the device.
//! A link that is created here either takes a free place or fails.
#![allow(unsafe_code, reason = "bpf(2) is called directly")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

// Numbers of linux/bpf.h.
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_CREATE: libc::c_int = 28;

/// A program on a device. Closing it, or the end of the process, takes the program off.
pub(crate) struct DeviceLink(OwnedFd);

/// Where on a device, by the numbers of attach types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Xdp = 37,
    /// Linux 6.6 and later, as the next one.
    TcxIngress = 46,
    TcxEgress = 47,
}

/// The part of `union bpf_attr` that BPF_LINK_CREATE reads.
#[repr(C)]
struct LinkCreate {
    program: u32,
    device: u32,
    attach_type: u32,
    flags: u32,
}

/// The part of `union bpf_attr` that BPF_OBJ_GET_INFO_BY_FD reads.
#[repr(C)]
struct GetInfo {
    object: u32,
    info_length: u32,
    info: u64,
}

/// How often a program ran and how long, while BPF statistics were on, and how often it did not run although it should
/// have, because the CPU was at it already; the kernel counts that always, from Linux 5.12 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) count: u64,
    pub(crate) time: Duration,
    pub(crate) misses: u64,
}

/// `struct bpf_prog_info` up to the run statistics, which lie behind 192 bytes that are of no interest here.
#[repr(C)]
struct ProgramInfo {
    before: [u64; 24],
    run_time_ns: u64,
    run_count: u64,
    recursion_misses: u64,
}

/// The head of `struct bpf_link_info` with the part for devices.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    device: u32,
    rest: [u32; 11],
}

impl DeviceLink {
    /// Puts a program on a device. At the hook XDP `EBUSY` and `EEXIST` mean that another program sits there; it is left
    /// alone.
    pub(crate) fn create(program: BorrowedFd<'_>, device: u32, hook: Hook, flags: u32) -> io::Result<Self> {
        let program = raw_as_u32(program.as_raw_fd());
        let mut request = LinkCreate { program, device, attach_type: hook as u32, flags };
        let fd = bpf(BPF_LINK_CREATE, &mut request)?;
        // SAFETY: the kernel just made this descriptor for us and nobody else knows of it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Whether it still sits on a device: the kernel clears the index when the device goes or an administrator detaches it.
    pub(crate) fn is_attached(&self) -> io::Result<bool> {
        let mut info = LinkInfo::default();
        get_info(self.0.as_fd(), &mut info)?;
        Ok(info.device != 0)
    }
}

/// What a program cost so far. It takes no capability.
pub(crate) fn program_runs(program: BorrowedFd<'_>) -> io::Result<Runs> {
    let mut info = ProgramInfo { before: [0; 24], run_time_ns: 0, run_count: 0, recursion_misses: 0 };
    get_info(program, &mut info)?;
    let time = Duration::from_nanos(info.run_time_ns);
    Ok(Runs { count: info.run_count, time, misses: info.recursion_misses })
}

/// Fills `info`, a structure of plain numbers that begins as the kernel's does for this kind of object.
fn get_info<T>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut request = GetInfo {
        object: raw_as_u32(object.as_raw_fd()),
        info_length: size_of::<T>() as u32,
        info: &raw mut *info as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut request).map(drop)
}

/// Descriptors are never negative once opened; the kernel's structures hold them unsigned.
fn raw_as_u32(fd: RawFd) -> u32 {
    fd.cast_unsigned()
}

fn bpf<T>(command: libc::c_int, request: &mut T) -> io::Result<RawFd> {
    // SAFETY: `request` is a live, exclusively borrowed `repr(C)` structure with the layout that this command reads,
    // its size is given with it, and an address inside of it points to a structure that outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, request as *mut T, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}
