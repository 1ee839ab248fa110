//! The system calls that no library wraps the way we need: `bpf(2)` for loading programs and for links.
//!
//! aya loads objects too, but only after it read all types of the kernel into tens of megabytes, for every object anew;
//! and it attaches XDP programs, but falls back to a netlink request that replaces whatever sits on the device. A link
//! that is created here either takes a free place or fails.
#![allow(unsafe_code, reason = "bpf(2) is called directly")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use aya_obj::generated::bpf_insn;

// Numbers of linux/bpf.h.
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const BPF_BTF_LOAD: libc::c_int = 18;
const BPF_MAP_FREEZE: libc::c_int = 22;
const BPF_LINK_CREATE: libc::c_int = 28;

/// What the verifier writes about a program that it refuses; a longer text loses its end on older kernels.
const LOG_BYTES: usize = 16 << 20;

/// The kernel keeps that many bytes of a program's name, the zero at its end included.
const NAME_BYTES: usize = 16;
/// Of a record that says where a function of a program begins and what its type is.
const FUNCTION_BYTES: u32 = 8;

/// What a program is, and so where it can be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramKind {
    Xdp { several_buffers: bool },
    TrafficControl,
    Tracepoint,
}

/// A program to load.
pub(crate) struct ProgramLoad<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: ProgramKind,
    pub(crate) instructions: &'a [bpf_insn],
    pub(crate) license: &'a CStr,
    /// The types of its object.
    pub(crate) types: BorrowedFd<'a>,
    /// Where its functions begin and what their types are.
    pub(crate) functions: &'a [u8],
    pub(crate) functions_count: usize,
    /// The type of the tracepoint's function, for a program of that kind.
    pub(crate) tracepoint: Option<u32>,
}

/// The part of `union bpf_attr` that BPF_PROG_LOAD reads, up to what Linux 5.8 knows.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instructions_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; NAME_BYTES],
    device: u32,
    attach_type: u32,
    types: u32,
    function_bytes: u32,
    functions: u64,
    functions_count: u32,
    line_bytes: u32,
    lines: u64,
    lines_count: u32,
    attach_to_type: u32,
    attach_to_program: u32,
    padding: u32,
}

/// The part of `union bpf_attr` that BPF_BTF_LOAD reads.
#[repr(C)]
struct LoadTypes {
    types: u64,
    log: u64,
    types_size: u32,
    log_size: u32,
    log_level: u32,
    padding: u32,
}

/// The part of `union bpf_attr` that BPF_RAW_TRACEPOINT_OPEN reads.
#[repr(C)]
struct OpenTracepoint {
    name: u64,
    program: u32,
    padding: u32,
}

/// The part of `union bpf_attr` that BPF_MAP_UPDATE_ELEM reads; BPF_MAP_FREEZE reads its first word.
#[repr(C)]
struct Update {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

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

impl ProgramKind {
    /// Program type, attach type and flags, by the numbers of linux/bpf.h.
    fn numbers(self) -> [u32; 3] {
        match self {
            Self::Xdp { several_buffers: false } => [6, 37, 0],
            Self::Xdp { several_buffers: true } => [6, 37, 1 << 5],
            Self::TrafficControl => [3, 0, 0],
            Self::Tracepoint => [26, 23, 0],
        }
    }
}

impl ProgramLoad<'_> {
    /// Loads it. Beside the error is what the verifier wrote, which it is asked for when it refused.
    pub(crate) fn load(&self) -> Result<OwnedFd, (io::Error, String)> {
        self.attempt(&mut []).or_else(|_| {
            let mut log = vec![0; LOG_BYTES];
            self.attempt(&mut log).map_err(|error| {
                let text = CStr::from_bytes_until_nul(&log).map(CStr::to_string_lossy).unwrap_or_default();
                (error, text.into_owned())
            })
        })
    }

    fn attempt(&self, log: &mut [u8]) -> io::Result<OwnedFd> {
        let [kind, attach_type, flags] = self.kind.numbers();
        let mut name = [0; NAME_BYTES];
        for (byte, given) in name.iter_mut().take(NAME_BYTES - 1).zip(self.name.bytes()) {
            *byte = given;
        }
        let mut request = Load {
            kind,
            instructions_count: self.instructions.len() as u32,
            instructions: self.instructions.as_ptr() as u64,
            license: self.license.as_ptr() as u64,
            log_level: u32::from(!log.is_empty()),
            log_size: log.len() as u32,
            log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
            flags,
            name,
            attach_type,
            types: raw_as_u32(self.types.as_raw_fd()),
            function_bytes: FUNCTION_BYTES,
            functions: self.functions.as_ptr() as u64,
            functions_count: self.functions_count as u32,
            attach_to_type: self.tracepoint.unwrap_or_default(),
            ..Load::default()
        };
        let fd = bpf(BPF_PROG_LOAD, &mut request)?;
        // SAFETY: as below.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// Tells the kernel the types of an object.
pub(crate) fn load_types(types: &[u8]) -> io::Result<OwnedFd> {
    let (address, types_size) = (types.as_ptr() as u64, types.len() as u32);
    let mut request = LoadTypes { types: address, log: 0, types_size, log_size: 0, log_level: 0, padding: 0 };
    let fd = bpf(BPF_BTF_LOAD, &mut request)?;
    // SAFETY: as below.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes the program of a tracepoint run. Closing the result, or the end of the process, ends that.
pub(crate) fn attach_tracepoint(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut request = OpenTracepoint { name: 0, program: raw_as_u32(program.as_raw_fd()), padding: 0 };
    let fd = bpf(BPF_RAW_TRACEPOINT_OPEN, &mut request)?;
    // SAFETY: as below.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Writes the only value of a map that has one, which is as long as `value`.
pub(crate) fn fill(map: BorrowedFd<'_>, value: &[u8]) -> io::Result<()> {
    let key = 0u32;
    let (map, key, value) = (raw_as_u32(map.as_raw_fd()), &raw const key as u64, value.as_ptr() as u64);
    bpf(BPF_MAP_UPDATE_ELEM, &mut Update { map, padding: 0, key, value, flags: 0 }).map(drop)
}

/// From now on no process can change the map.
pub(crate) fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    bpf(BPF_MAP_FREEZE, &mut raw_as_u32(map.as_raw_fd())).map(drop)
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
