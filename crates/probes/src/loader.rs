//! Loads the objects of `ebpf/objects`: one way into the kernel for all probes, with errors that say why.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::{Btf, Endianness, Pod};
use aya_obj::btf::BtfFeatures;
use aya_obj::{EbpfSectionKind, Function, ProgramSection};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::meter::Meter;
use crate::syscall::{self, ProgramKind};
use crate::types::Types;
use crate::{Error, Surroundings, Version, fences};

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
    types: OnceCell<Result<Types, String>>,
    surroundings: Surroundings,
}

/// An object with its maps in the kernel. Its programs are loaded one by one; dropping it detaches those of tracepoints
/// and closes what was not moved out of it.
pub(crate) struct Object {
    name: &'static str,
    license: CString,
    types: OwnedFd,
    programs: HashMap<String, Code>,
    maps: HashMap<String, MapData>,
    tracepoints: Vec<OwnedFd>,
    meter: Meter,
}

/// A program that refers to the maps of this process already.
struct Code {
    kind: ProgramKind,
    function: Function,
}

/// Kernels as old as 5.8 know all that the compiler writes about the types of these objects: functions, sections.
const TYPES_KNOWN: BtfFeatures = BtfFeatures::new(true, true, true, true, true, true, true, true);

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
        Self { types: OnceCell::from(Ok(Types::parse(bytes).unwrap())), surroundings: Surroundings::default() }
    }

    /// What the rest of the program tells.
    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The types of the running kernel.
    pub(crate) fn types(&self) -> Result<&Types, Error> {
        let types = self.types.get_or_init(|| Types::of_kernel().map_err(|error| error.to_string()));
        types.as_ref().map_err(|error| Error::Unsupported {
            reason: format!("the kernel does not tell its types ({error}); take one with CONFIG_DEBUG_INFO_BTF"),
        })
    }

    /// Makes an object's maps, with values of its globals, and fits its programs to the kernel's structures.
    pub(crate) fn load(
        &self,
        (name, bytes): (&'static str, &[u8]),
        globals: &[(&'static str, &[u8])],
    ) -> Result<Object, Error> {
        let mut image = aya_obj::Object::parse(bytes).map_err(|error| load_error(name, &error))?;
        let globals = globals.iter().map(|(name, value)| (*name, (*value, true))).collect();
        image.patch_map_data(globals).map_err(|error| load_error(name, &error))?;
        let types = image.fixup_and_sanitize_btf(&TYPES_KNOWN).map_err(|error| load_error(name, &error))?;
        let types = types.map(Btf::to_bytes).unwrap_or_default();
        let loaded = syscall::load_types(&types).map_err(|error| load_error(name, &error))?;
        if image.has_btf_relocations() {
            let kernel = self.subset(types).map_err(|reason| Error::Load { object: name, reason })?;
            image.relocate_btf(&kernel).map_err(|error| load_error(name, &error))?;
        }
        Object::new(name, image, loaded)
    }

    /// The kernel's types of the names that are in an object's.
    fn subset(&self, object: Vec<u8>) -> Result<Btf, String> {
        let object = Types::parse(object).ok_or("its types cannot be read")?;
        let kernel = self.types().map_err(|error| error.to_string())?.subset(&object.names());
        Btf::parse(&kernel, Endianness::default()).map_err(|error| error.to_string())
    }
}

impl Object {
    fn new(name: &'static str, mut image: aya_obj::Object, types: OwnedFd) -> Result<Self, Error> {
        let mut meter = Meter::default();
        let mut maps = HashMap::new();
        for (map_name, definition) in &image.maps {
            let map = create(definition, map_name, &types).map_err(|error| load_error(name, &error))?;
            meter.map(map_name, map.fd()).map_err(|error| load_error(name, &error))?;
            maps.insert(map_name.clone(), map);
        }
        let definitions = std::mem::take(&mut image.maps);
        let numbers = maps.iter().map(|(name, map)| (name.as_str(), map.fd().as_fd().as_raw_fd(), &definitions[name]));
        let sections = image.functions.keys().map(|(section, _)| *section).collect();
        image.relocate_maps(numbers, &sections).map_err(|error| load_error(name, &error))?;
        image.relocate_calls(&sections).map_err(|error| load_error(name, &error))?;
        let mut programs = HashMap::new();
        for (program, described) in &image.programs {
            let function = image.functions.get(&described.function_key());
            if let Some((kind, function)) = kind_of(&described.section).zip(function) {
                programs.insert(program.clone(), Code { kind, function: function.clone() });
            }
        }
        let license = image.license;
        Ok(Self { name, license, types, programs, maps, tracepoints: Vec::new(), meter })
    }

    /// Loads one of its programs.
    pub(crate) fn program(&mut self, program: &str) -> Result<OwnedFd, Error> {
        self.load(program, None)
    }

    /// Loads a program of a tracepoint, whose arguments the kernel's types describe, and attaches it.
    pub(crate) fn tracepoint(&mut self, program: &str, tracepoint: &str, types: &Types) -> Result<(), Error> {
        let missing =
            || Error::Load { object: self.name, reason: format!("the kernel has no tracepoint {tracepoint}") };
        let described = types.tracepoint(tracepoint).ok_or_else(missing)?;
        let loaded = self.load(program, Some(described))?;
        let attached = syscall::attach_tracepoint(loaded.as_fd()).map_err(|error| load_error(self.name, &error))?;
        self.tracepoints.push(attached);
        Ok(())
    }

    fn load(&mut self, program: &str, tracepoint: Option<u32>) -> Result<OwnedFd, Error> {
        let object = self.name;
        let code = self.programs.get(program);
        let code = code.ok_or_else(|| Error::Load { object, reason: format!("it has no program {program}") })?;
        let attempt = syscall::ProgramLoad {
            name: program,
            kind: code.kind,
            instructions: &code.function.instructions,
            license: &self.license,
            types: self.types.as_fd(),
            functions: &code.function.func_info.func_info_bytes(),
            functions_count: code.function.func_info.len(),
            tracepoint,
        };
        let loaded = attempt.load().map_err(|(error, log)| refused(object, program, &error, &log))?;
        self.meter.program(program, &loaded).map_err(|error| load_error(object, &error))?;
        Ok(loaded)
    }

    /// Moves a map out of it, which the caller then keeps open.
    pub(crate) fn map<M: TryFrom<Map, Error = MapError>>(&mut self, name: &'static str) -> Result<M, Error> {
        let map = self.maps.remove(name).ok_or_else(|| MapError::InvalidName { name: name.to_owned() });
        map.and_then(Map::from_map_data).and_then(M::try_from).map_err(|source| Error::Map { map: name, source })
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

/// The kinds of programs that the probes have.
fn kind_of(section: &ProgramSection) -> Option<ProgramKind> {
    match section {
        ProgramSection::Xdp { frags, .. } => Some(ProgramKind::Xdp { several_buffers: *frags }),
        ProgramSection::SchedClassifier => Some(ProgramKind::TrafficControl),
        ProgramSection::BtfTracePoint => Some(ProgramKind::Tracepoint),
        _ => None,
    }
}

/// A map; constants are written into theirs, which nobody can change from then on.
fn create(definition: &aya_obj::Map, name: &str, types: &OwnedFd) -> Result<MapData, MapError> {
    let map = MapData::create(definition.clone(), name, Some(types.as_fd()))?;
    if !definition.data().is_empty() {
        syscall::fill(map.fd().as_fd(), definition.data())?;
    }
    if definition.section_kind() == EbpfSectionKind::Rodata {
        syscall::freeze(map.fd().as_fd())?;
    }
    Ok(map)
}

/// The verifier wrote why.
fn refused(object: &'static str, program: &str, error: &io::Error, log: &str) -> Error {
    match load_error(object, error) {
        Error::Load { .. } => Error::Load { object, reason: last_words(&format!("{program}: {error}\n{log}")) },
        other => other,
    }
}

/// With the capabilities checked before, EPERM comes from a fence around the process. EACCES is the verifier's no.
fn load_error(object: &'static str, error: &(dyn std::error::Error + 'static)) -> Error {
    let causes = || std::iter::successors(Some(error), |cause| cause.source());
    let mut errors = causes().filter_map(|cause| cause.downcast_ref::<io::Error>());
    if errors.any(|error| error.raw_os_error() == Some(libc::EPERM)) {
        return Error::Unsupported { reason: fences::REFUSED.to_owned() };
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
        let error = MapError::ProgIdNotSupported;
        let text = load_error("x.bpf.o", &error).to_string();
        assert_eq!(text, format!("load x.bpf.o: {error}"));
    }
}
