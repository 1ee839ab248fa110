//! Maps laid out as Cilium lays them out, made by the test and pinned in a bpffs of its own mount. It takes root.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]
#![allow(unsafe_code, reason = "bpf(2) and mount(2) are called directly")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

// Kinds of maps.
pub(crate) const HASH: u32 = 1;
pub(crate) const PERF_EVENT_ARRAY: u32 = 4;
pub(crate) const PERCPU_HASH: u32 = 5;
pub(crate) const LRU_HASH: u32 = 9;
pub(crate) const LRU_PERCPU_HASH: u32 = 10;
pub(crate) const LPM_TRIE: u32 = 11;

// Commands of linux/bpf.h.
const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_DELETE_ELEM: libc::c_int = 3;
const OBJ_PIN: libc::c_int = 6;
const NO_PREALLOC: u32 = 1;

/// A bpffs that is gone at the end of the test, also of one that failed, and with it every map in it.
pub(crate) struct Bpffs {
    root: PathBuf,
}

/// A map of the test.
pub(crate) struct Pinned {
    fd: OwnedFd,
    key_bytes: usize,
    value_bytes: usize,
}

/// Whether the test can run; it says so where it cannot.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: BPF maps and a bpffs need root");
    }
    root
}

impl Bpffs {
    /// `name` tells the tests of one process apart.
    pub(crate) fn mount(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("skep-bpffs-{}-{name}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let path = CString::new(root.as_os_str().as_bytes()).unwrap();
        // SAFETY: all texts end with a zero byte and outlive the call.
        let result = unsafe { libc::mount(c"bpf".as_ptr(), path.as_ptr(), c"bpf".as_ptr(), 0, std::ptr::null()) };
        assert_eq!(result, 0, "mount a bpffs: {}", io::Error::last_os_error());
        let bpffs = Self { root };
        fs::create_dir_all(bpffs.globals()).unwrap();
        bpffs
    }

    /// The folder in which Cilium would pin.
    pub(crate) fn globals(&self) -> PathBuf {
        self.root.join("tc/globals")
    }

    /// Makes a map and pins it.
    pub(crate) fn pin(&self, name: &str, kind: u32, (key_bytes, value_bytes): (u32, u32), entries_max: u32) -> Pinned {
        let map = Pinned::create(name, kind, (key_bytes, value_bytes), entries_max);
        map.pin(&self.globals().join(name));
        map
    }

    pub(crate) fn unpin(&self, name: &str) {
        fs::remove_file(self.globals().join(name)).unwrap();
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let path = CString::new(self.root.as_os_str().as_bytes()).unwrap();
        // SAFETY: the path ends with a zero byte and outlives the call.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        let _ = fs::remove_dir(&self.root);
    }
}

impl Pinned {
    fn create(name: &str, kind: u32, (key_bytes, value_bytes): (u32, u32), entries_max: u32) -> Self {
        // Tries have to be made like this; as Cilium makes its hashes by default, so that a test costs little memory.
        let flags = if [HASH, PERCPU_HASH, LPM_TRIE].contains(&kind) { NO_PREALLOC } else { 0 };
        let mut attributes = [0_u8; 56];
        for (at, number) in (0..).step_by(4).zip([kind, key_bytes, value_bytes, entries_max, flags]) {
            attributes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        let kernel_name = &name.as_bytes()[..name.len().min(15)];
        attributes[28..28 + kernel_name.len()].copy_from_slice(kernel_name);
        let fd = bpf(MAP_CREATE, &attributes).unwrap_or_else(|error| panic!("create {name}: {error}"));
        // SAFETY: the kernel just made this descriptor for us and nobody else knows of it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let per_cpu = [PERCPU_HASH, LRU_PERCPU_HASH].contains(&kind);
        let cpus = if per_cpu { aya::util::nr_cpus().unwrap() } else { 1 };
        Self { fd, key_bytes: key_bytes as usize, value_bytes: value_bytes as usize * cpus }
    }

    pub(crate) fn pin(&self, path: &Path) {
        let text = CString::new(path.as_os_str().as_bytes()).unwrap();
        let mut attributes = [0_u8; 56];
        attributes[..8].copy_from_slice(&(text.as_ptr() as u64).to_ne_bytes());
        attributes[8..12].copy_from_slice(&self.fd.as_raw_fd().to_ne_bytes());
        bpf(OBJ_PIN, &attributes).unwrap_or_else(|error| panic!("pin {}: {error}", path.display()));
    }

    /// Puts an entry. Of maps with a value per CPU the value is that of the first CPU, or of all in a row.
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) {
        assert_eq!(key.len(), self.key_bytes);
        let mut padded = value.to_vec();
        padded.resize(self.value_bytes, 0);
        self.element(MAP_UPDATE_ELEM, key, Some(&padded)).unwrap();
    }

    pub(crate) fn delete(&self, key: &[u8]) {
        self.element(MAP_DELETE_ELEM, key, None).unwrap();
    }

    fn element(&self, command: libc::c_int, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        let mut attributes = [0_u8; 56];
        attributes[..4].copy_from_slice(&self.fd.as_raw_fd().to_ne_bytes());
        attributes[8..16].copy_from_slice(&(key.as_ptr() as u64).to_ne_bytes());
        let value = value.map_or(0, |value| value.as_ptr() as u64);
        attributes[16..24].copy_from_slice(&value.to_ne_bytes());
        bpf(command, &attributes).map(drop)
    }
}

fn bpf(command: libc::c_int, attributes: &[u8; 56]) -> io::Result<libc::c_int> {
    // SAFETY: the callers put only addresses of memory in it that has the length of the map's keys and values.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), attributes.len()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

/// Seconds of CLOCK_MONOTONIC, the clock of Cilium's datapath.
pub(crate) fn monotonic_seconds() -> u32 {
    rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec as u32
}

/// Numbers in the machine's order, and raw bytes, one after the other.
macro_rules! bytes {
    ($($part:expr),* $(,)?) => {{
        let mut bytes: Vec<u8> = Vec::new();
        $(bytes.extend_from_slice(&$part[..]);)*
        bytes
    }};
}
pub(crate) use bytes;

/// A conntrack key of IPv4: the `number` makes it one of its own.
pub(crate) fn tuple(number: u32, protocol: u8, flags: u8) -> Vec<u8> {
    bytes![number.to_be_bytes(), [10, 0, 1, 7], 443_u16.to_be_bytes(), 50_000_u16.to_be_bytes(), [protocol, flags]]
}

/// A conntrack value: what versions disagree about is ones.
pub(crate) fn conntrack(lifetime: u32, flags: u16, service: u16) -> Vec<u8> {
    bytes![[0xff; 32], lifetime.to_ne_bytes(), flags.to_ne_bytes(), service.to_be_bytes(), [0xff; 16]]
}

/// CPU time of this thread.
pub(crate) fn cpu_time() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
