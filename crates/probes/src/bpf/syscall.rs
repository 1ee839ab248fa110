//! `bpf(2)` for looking at objects of others: listed by id or opened at a path, described, and maps read in batches.
//!
//! Structures of the kernel are written and read by offset, as `linux/bpf.h` lays them out: they grow with every
//! release, and a field that the running kernel does not know reads as zero.
#![allow(unsafe_code, reason = "bpf(2) is called directly")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::kind::MapKind;

// Commands of linux/bpf.h.
const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_GET_NEXT_KEY: libc::c_int = 4;
const OBJ_GET: libc::c_int = 7;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const MAP_LOOKUP_BATCH: libc::c_int = 24;
const ENABLE_STATS: libc::c_int = 32;

/// BPF_F_RDONLY: reading is all that the descriptor allows.
const READ_ONLY: u32 = 1 << 3;
/// BPF_STATS_RUN_TIME.
const RUN_TIME: u32 = 0;

/// As much of `union bpf_attr` as BPF_MAP_LOOKUP_BATCH reads, the longest of the commands here.
const ATTRIBUTES_BYTES: usize = 56;
/// Longer than every description of Linux 6.18 (the longest, of a program, has 232 bytes). The kernel fills what it knows.
const INFO_BYTES: usize = 256;
/// Names of tracepoints and functions have at most 128 bytes (KSYM_NAME_LEN of older kernels); longer ones are cut.
const NAME_BYTES: usize = 128;

/// A kind of object that the kernel numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Program,
    Map,
    Link,
}

/// What OBJ_GET_INFO_BY_FD told.
pub(crate) struct Info {
    bytes: Box<[u8; INFO_BYTES]>,
    /// The name that lies outside of the description, where one was asked for.
    pub(crate) name: String,
}

/// Where a description holds the address of a name's buffer, and its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameAt {
    pub(crate) address: usize,
    pub(crate) length: usize,
}

/// A map that is open for reading, and its shape, which never changes.
#[derive(Debug)]
pub(crate) struct Map {
    fd: OwnedFd,
    shape: Shape,
    /// Bytes of a value as the kernel hands it over: for maps with a value per CPU, all of them.
    stride: usize,
}

/// What a map is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: MapKind,
    pub(crate) id: u32,
    pub(crate) key_bytes: u32,
    pub(crate) value_bytes: u32,
    pub(crate) entries_max: u32,
    pub(crate) flags: u32,
    /// The kernel's name, cut to 15 characters when it was made.
    pub(crate) name: String,
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) count: usize,
    /// Whether the map ended with it.
    pub(crate) last: bool,
}

/// `union bpf_attr`, as far as the commands here reach into it.
#[repr(C, align(8))]
struct Attributes([u8; ATTRIBUTES_BYTES]);

impl Attributes {
    fn zero() -> Self {
        Self([0; ATTRIBUTES_BYTES])
    }

    fn u32(mut self, at: usize, value: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    /// An address or another 64-bit number.
    fn u64(mut self, at: usize, value: u64) -> Self {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn fd(self, at: usize, fd: &OwnedFd) -> Self {
        self.u32(at, fd.as_raw_fd().cast_unsigned())
    }

    fn get_u32(&self, at: usize) -> u32 {
        u32_at(&self.0, at)
    }
}

impl Object {
    /// The command that tells the next id.
    fn next_id(self) -> libc::c_int {
        match self {
            Self::Program => 11,
            Self::Map => 12,
            Self::Link => 31,
        }
    }

    /// The command that opens an id.
    fn by_id(self) -> libc::c_int {
        match self {
            Self::Program => 13,
            Self::Map => 14,
            Self::Link => 30,
        }
    }

    /// The smallest id behind `after`; none behind the last one. It takes CAP_SYS_ADMIN.
    pub(crate) fn next(self, after: u32) -> io::Result<Option<u32>> {
        let mut attributes = Attributes::zero().u32(0, after);
        // SAFETY: the command holds no address.
        match unsafe { bpf(self.next_id(), &mut attributes) } {
            Ok(_) => Ok(Some(attributes.get_u32(4))),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens an id; maps for reading only. `ENOENT` where it is gone.
    pub(crate) fn open(self, id: u32) -> io::Result<OwnedFd> {
        let flags = if self == Self::Map { READ_ONLY } else { 0 };
        let mut attributes = Attributes::zero().u32(0, id).u32(8, flags);
        // SAFETY: the command holds no address, and returns a descriptor.
        unsafe { bpf_fd(self.by_id(), &mut attributes) }
    }
}

/// Whether the kernel lets this thread use BPF: the smallest map there is can be made, and is gone again.
pub(crate) fn is_allowed() -> io::Result<()> {
    const ARRAY: u32 = 2;
    let mut attributes = Attributes::zero().u32(0, ARRAY).u32(4, 4).u32(8, 4).u32(12, 1);
    // SAFETY: the command holds no address, and returns a descriptor.
    unsafe { bpf_fd(MAP_CREATE, &mut attributes) }.map(drop)
}

/// Counts and times the runs of every program of this machine until the descriptor is closed. Linux 5.8, CAP_SYS_ADMIN.
pub(crate) fn count_runs() -> io::Result<OwnedFd> {
    let mut attributes = Attributes::zero().u32(0, RUN_TIME);
    // SAFETY: the command holds no address, and returns a descriptor.
    unsafe { bpf_fd(ENABLE_STATS, &mut attributes) }
}

/// The description of an object.
pub(crate) fn info(fd: &OwnedFd) -> io::Result<Info> {
    describe(fd, None)
}

/// The description of an object, with a name that the kernel writes into a buffer of ours.
pub(crate) fn info_with_name(fd: &OwnedFd, name: NameAt) -> io::Result<Info> {
    describe(fd, Some(name))
}

fn describe(fd: &OwnedFd, name_at: Option<NameAt>) -> io::Result<Info> {
    let mut bytes = Box::new([0; INFO_BYTES]);
    let mut name = [0_u8; NAME_BYTES];
    if let Some(at) = name_at {
        bytes[at.address..at.address + 8].copy_from_slice(&(name.as_mut_ptr() as u64).to_ne_bytes());
        bytes[at.length..at.length + 4].copy_from_slice(&(NAME_BYTES as u32).to_ne_bytes());
    }
    let mut attributes =
        Attributes::zero().fd(0, fd).u32(4, INFO_BYTES as u32).u64(8, bytes.as_mut_ptr() as u64);
    // SAFETY: both buffers have the lengths that the kernel is told and outlive the call.
    let result = unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes) };
    // ENOSPC: the name was longer than the buffer, and is there as far as it fits.
    match result {
        Err(error) if name_at.is_none() || error.raw_os_error() != Some(libc::ENOSPC) => return Err(error),
        _ => {}
    }
    Ok(Info { bytes, name: text(&name) })
}

impl Info {
    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32_at(&self.bytes[..], at)
    }

    pub(crate) fn u64(&self, at: usize) -> u64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes[at..at + 8]);
        u64::from_ne_bytes(eight)
    }

    /// A name inside of the description.
    pub(crate) fn text(&self, at: usize, length: usize) -> String {
        text(&self.bytes[at..at + length])
    }
}

impl Map {
    /// Opens a pinned map for reading.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
        let mut attributes = Attributes::zero().u64(0, path.as_ptr() as u64).u32(12, READ_ONLY);
        // SAFETY: the path ends with a zero byte and outlives the call, which returns a descriptor.
        Self::new(unsafe { bpf_fd(OBJ_GET, &mut attributes) }?)
    }

    /// Opens a map by its id.
    pub(crate) fn by_id(id: u32) -> io::Result<Self> {
        Self::new(Object::Map.open(id)?)
    }

    /// A map that was made here, by a descriptor of its own.
    pub(crate) fn of(map: impl AsFd) -> io::Result<Self> {
        Self::new(map.as_fd().try_clone_to_owned()?)
    }

    /// A path may hold a program or a link as well, whose description would read as nonsense.
    fn new(fd: OwnedFd) -> io::Result<Self> {
        let what = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        if !what.to_string_lossy().contains("bpf-map") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is no map", what.display())));
        }
        let shape = Shape::of(&info(&fd)?);
        let stride = shape.stride()?;
        Ok(Self { fd, shape, stride })
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of kernel memory, an estimate before Linux 6.4.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.fd.as_raw_fd())).ok()?;
        text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
    }

    /// Reads as many entries as fit into both buffers, from where `cursor` was left, which is empty at first. It is
    /// only changed by success. Linux 5.6 for hashes, 5.13 for tries. `ENOSPC`: a bucket is larger than the buffers.
    pub(crate) fn batch(&self, cursor: &mut Vec<u8>, keys: &mut [u8], values: &mut [u8]) -> io::Result<Read> {
        let key_bytes = self.shape.key_bytes as usize;
        let room = (keys.len() / key_bytes.max(1)).min(values.len() / self.stride.max(1));
        // Hashes leave the number of a bucket there, others a key.
        let mut next = vec![0_u8; key_bytes.max(4)];
        if !cursor.is_empty() && cursor.len() != next.len() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let from = if cursor.is_empty() { 0 } else { cursor.as_ptr() as u64 };
        let mut attributes = Attributes::zero()
            .u64(0, from)
            .u64(8, next.as_mut_ptr() as u64)
            .u64(16, keys.as_mut_ptr() as u64)
            .u64(24, values.as_mut_ptr() as u64)
            .u32(32, u32::try_from(room).unwrap_or(u32::MAX))
            .fd(36, &self.fd);
        // SAFETY: the cursors have the length of a key, at least four bytes; the buffers hold `room` keys and values of
        // this very map, whose shape came from the kernel. All of them outlive the call.
        let last = match unsafe { bpf(MAP_LOOKUP_BATCH, &mut attributes) } {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        *cursor = next;
        Ok(Read { count: (attributes.get_u32(32) as usize).min(room), last })
    }

    /// The key behind `after`, or the first one; false behind the last. A key that is gone leads to the first one again.
    pub(crate) fn next_key(&self, after: Option<&[u8]>, next: &mut [u8]) -> io::Result<bool> {
        self.check_lengths(after.map_or(next.len(), <[u8]>::len), self.stride)?;
        self.check_lengths(next.len(), self.stride)?;
        let after = after.map_or(0, |key| key.as_ptr() as u64);
        let mut attributes = Attributes::zero().fd(0, &self.fd).u64(8, after).u64(16, next.as_mut_ptr() as u64);
        // SAFETY: both keys have the length of this map's keys and outlive the call.
        found(unsafe { bpf(MAP_GET_NEXT_KEY, &mut attributes) })
    }

    /// The value of a key; false where there is none.
    pub(crate) fn lookup(&self, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
        self.check_lengths(key.len(), value.len())?;
        let mut attributes =
            Attributes::zero().fd(0, &self.fd).u64(8, key.as_ptr() as u64).u64(16, value.as_mut_ptr() as u64);
        // SAFETY: key and value have the lengths that the kernel uses for this map and outlive the call.
        found(unsafe { bpf(MAP_LOOKUP_ELEM, &mut attributes) })
    }

    fn check_lengths(&self, key: usize, value: usize) -> io::Result<()> {
        let fits = key >= self.shape.key_bytes as usize && value >= self.stride;
        if fits { Ok(()) } else { Err(io::Error::from(io::ErrorKind::InvalidInput)) }
    }
}

impl Shape {
    /// By the offsets of `struct bpf_map_info`.
    fn of(info: &Info) -> Self {
        Self {
            kind: MapKind(info.u32(0)),
            id: info.u32(4),
            key_bytes: info.u32(8),
            value_bytes: info.u32(12),
            entries_max: info.u32(16),
            flags: info.u32(20),
            name: info.text(24, 16),
        }
    }

    /// The kernel rounds each CPU's value up to eight bytes and hands over those of all CPUs that could ever be there.
    fn stride(&self) -> io::Result<usize> {
        let value = self.value_bytes as usize;
        if !self.kind.is_per_cpu() {
            return Ok(value);
        }
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
        Ok(value.next_multiple_of(8) * cpus)
    }
}

fn found(result: io::Result<libc::c_int>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_ne_bytes(four)
}

/// Up to the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes);
    String::from_utf8_lossy(end).into_owned()
}

/// # Safety
///
/// Every address that the command reads from `attributes` must be null or point to memory of the length that the
/// command uses, alive until the call returns.
unsafe fn bpf(command: libc::c_int, attributes: &mut Attributes) -> io::Result<libc::c_int> {
    // SAFETY: the structure is alive and exclusively borrowed, its size is given with it; the caller answers for addresses.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<Attributes>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

/// # Safety
///
/// As [`bpf`], of a command that returns a new descriptor.
unsafe fn bpf_fd(command: libc::c_int, attributes: &mut Attributes) -> io::Result<OwnedFd> {
    // SAFETY: as the caller promises.
    let fd = unsafe { bpf(command, attributes) }?;
    // SAFETY: the kernel just made this descriptor for us and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
