//! Loads the objects of `ebpf/objects`: one way into the kernel for all probes, with errors that say why.

use std::cell::OnceCell;
use std::io;

use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::programs::{BtfTracePoint, Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, Pod};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::meter::Meter;
use crate::{Error, Surroundings, Version};

/// From this kernel on, maps are charged to the memory cgroup and RLIMIT_MEMLOCK does not matter.
const KERNEL_WITHOUT_MEMLOCK: Version = Version(5, 11);

/// Bytes of an object of `ebpf/objects`, aligned as the loader needs them.
macro_rules! object {
    ($name:literal) => {
        ($name, aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ebpf/objects/", $name)))
    };
}
pub(crate) use object;

/// What loading takes; it lives while the probes start. Reading the kernel's types takes some megabytes and
/// milliseconds, so it is done once for all probes, and only for those that ask.
pub struct Loader {
    types: OnceCell<Result<Btf, String>>,
    surroundings: Surroundings,
}

/// A loaded object. Dropping it detaches and unloads what was not moved out of it.
pub(crate) struct Object {
    name: &'static str,
    ebpf: Ebpf,
    meter: Meter,
}

impl Loader {
    /// One loader; the memory lock limit is raised where the kernel still has it.
    pub(crate) fn new(surroundings: Surroundings) -> Self {
        if Version::current() < KERNEL_WITHOUT_MEMLOCK {
            // Without CAP_SYS_RESOURCE this fails; then the maps may still fit under the old limit.
            let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
        }
        Self { types: OnceCell::new(), surroundings }
    }

    /// One loader for a kernel like this one, but from before a type: its name is another there.
    #[cfg(test)]
    pub(crate) fn before(missing: &str) -> Self {
        let mut bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let name = [b"\0", missing.as_bytes(), b"\0"].concat();
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
        bytes[at + 1] = b'_';
        let types = Btf::parse(&bytes, aya::Endianness::default()).unwrap();
        Self { types: OnceCell::from(Ok(types)), surroundings: Surroundings::default() }
    }

    /// What the rest of the program tells.
    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The types of the running kernel.
    pub(crate) fn types(&self) -> Result<&Btf, Error> {
        let types = self.types.get_or_init(|| Btf::from_sys_fs().map_err(|error| error.to_string()));
        types.as_ref().map_err(|error| Error::Unsupported {
            reason: format!("the kernel does not tell its types ({error}); take one with CONFIG_DEBUG_INFO_BTF"),
        })
    }

    /// Loads an object whose programs read kernel structures, with values of its globals.
    pub(crate) fn tracing(
        &self,
        object: (&'static str, &[u8]),
        globals: &[(&'static str, u32)],
    ) -> Result<Object, Error> {
        let mut settings = EbpfLoader::new();
        settings.btf(Some(self.types()?));
        for (name, value) in globals {
            settings.override_global(name, value, true);
        }
        self.load(object, &mut settings)
    }

    /// Loads with settings of the caller's, such as sizes of maps and values of globals; types are part of them.
    pub(crate) fn load(
        &self,
        (name, bytes): (&'static str, &[u8]),
        settings: &mut EbpfLoader<'_>,
    ) -> Result<Object, Error> {
        let ebpf = settings.load(bytes).map_err(|error| load_error(name, &error))?;
        let mut meter = Meter::default();
        for (map_name, map) in ebpf.maps() {
            if let Some(map) = data_of(map) {
                meter.map(map_name, map.fd()).map_err(|error| load_error(name, &error))?;
            }
        }
        Ok(Object { name, ebpf, meter })
    }
}

impl Object {
    /// Loads one of its programs, and attaches it where `load` does so.
    ///
    /// `P` is the type of the program by its section, such as [`aya::programs::TracePoint`].
    pub(crate) fn start<P, T>(
        &mut self,
        program: &str,
        load: impl FnOnce(&mut P) -> Result<T, ProgramError>,
    ) -> Result<T, Error>
    where
        for<'a> &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let object = self.name;
        let fail = |error: ProgramError| load_error(object, &error);
        let unknown = || Error::Load { object, reason: format!("it has no program {program}") };
        let found = self.ebpf.program_mut(program).ok_or_else(unknown)?;
        let result = load(found.try_into().map_err(fail)?).map_err(fail)?;
        let loaded = self.ebpf.program(program).ok_or_else(unknown)?.fd().map_err(fail)?;
        self.meter.program(program, loaded).map_err(|error| load_error(object, &error))?;
        Ok(result)
    }

    /// Loads a program of a tracepoint, whose arguments the kernel's types describe, and attaches it.
    pub(crate) fn tracepoint(&mut self, program: &str, tracepoint: &str, types: &Btf) -> Result<(), Error> {
        self.start(program, |loaded: &mut BtfTracePoint| {
            loaded.load(tracepoint, types)?;
            loaded.attach().map(drop)
        })
    }

    /// One of its programs that is loaded already.
    pub(crate) fn program<P>(&mut self, program: &str) -> Result<&mut P, Error>
    where
        for<'a> &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let object = self.name;
        let found = self.ebpf.program_mut(program);
        let found = found.ok_or_else(|| Error::Load { object, reason: format!("it has no program {program}") })?;
        found.try_into().map_err(|error: ProgramError| load_error(object, &error))
    }

    /// Moves a map out of it, which the caller then keeps open.
    pub(crate) fn map<M: TryFrom<Map, Error = MapError>>(&mut self, name: &'static str) -> Result<M, Error> {
        let map = self.ebpf.take_map(name).ok_or_else(|| MapError::InvalidName { name: name.to_owned() });
        map.and_then(M::try_from).map_err(|source| Error::Map { map: name, source })
    }

    /// Its programs and maps.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }
}

/// Writes zeros for every CPU.
pub(crate) fn clear<V: Pod>(
    map: &mut PerCpuArray<MapData, V>,
    name: &'static str,
    index: u32,
    zeros: V,
) -> Result<(), Error> {
    let cpus = aya::util::nr_cpus().map_err(|(path, source)| Error::Read { path: path.to_owned(), source })?;
    let zeros = PerCpuValues::try_from(vec![zeros; cpus])
        .map_err(|source| Error::Read { path: "/sys/devices/system/cpu/possible".to_owned(), source })?;
    map.set(index, zeros, 0).map_err(|source| Error::map(name, source))
}

/// The common part of a map of the kinds that probes use.
fn data_of(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::SkStorage(data)
        | Map::Unsupported(data) => Some(data),
        _ => None,
    }
}

/// With the capabilities checked before, EPERM comes from a fence around the process. EACCES is the verifier's no.
fn load_error(object: &'static str, error: &(dyn std::error::Error + 'static)) -> Error {
    let causes = || std::iter::successors(Some(error), |cause| cause.source());
    let mut errors = causes().filter_map(|cause| cause.downcast_ref::<io::Error>());
    if errors.any(|error| error.raw_os_error() == Some(libc::EPERM)) {
        let reason = "the kernel refuses bpf(2) although the capabilities are there: a user namespace, a container's \
                      seccomp profile, kernel lockdown or RLIMIT_MEMLOCK forbids it; allow it there";
        return Error::Unsupported { reason: reason.to_owned() };
    }
    // An error's own text often has that of its source at its end already.
    let mut text = String::new();
    for cause in causes().map(ToString::to_string) {
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    Error::Load { object, reason: last_words(&text) }
}

/// The verifier writes thousands of lines; the first says which call failed and the last ones why.
fn last_words(text: &str) -> String {
    const LINES_KEPT: usize = 5;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.split_first() {
        Some((first, rest)) if rest.len() > LINES_KEPT => {
            format!("{first} ... {}", rest[rest.len() - LINES_KEPT..].join("; "))
        }
        _ => lines.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_logs_are_cut() {
        let check = |text: &str, expected: &str| assert_eq!(last_words(text), expected);
        check("", "");
        check("EINVAL", "EINVAL");
        check("EACCES\n\n a\nb\n", "EACCES; a; b");
        check("EACCES\n1\n2\n3\n4\n5\n6\n7", "EACCES ... 3; 4; 5; 6; 7");
    }

    #[test]
    fn errors_name_the_object_and_each_cause_once() {
        let error = aya::EbpfError::NoBTF;
        let text = load_error("x.bpf.o", &error).to_string();
        assert_eq!(text, format!("load x.bpf.o: {error}"));
    }
}
