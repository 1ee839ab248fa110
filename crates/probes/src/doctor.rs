//! What this machine offers to the probes, and what to do where something is missing: facts for `skep doctor`.
//!
//! Looking changes nothing: no program is loaded, no device is touched, and the one map that is made is gone at once.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use rustix::process::{Resource, getrlimit};

use crate::bpf;
use crate::capability::{BPF, Capabilities};
use crate::fences;
use crate::probes::missing;
use crate::xdp::{self, InspectedDevice};
use crate::{ALL, Probe, Settings, Version, XdpConfig};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The kernel and how it is set up.
    pub machine: Vec<Finding>,
    /// What of skep works here.
    pub features: Vec<Finding>,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What scripts know it by; it stays the same between versions. What concerns one device ends with `:` and its name.
    pub key: String,
    /// What was looked at.
    pub name: String,
    /// Whether it is there; `None` where that is no question of yes or no.
    pub present: Option<bool>,
    /// What was seen, in words.
    pub seen: String,
    /// What to do about it, empty where nothing needs to be done.
    pub advice: String,
}

impl Report {
    /// Whether every feature works.
    pub fn is_healthy(&self) -> bool {
        self.features.iter().all(|feature| feature.present != Some(false))
    }
}

/// Looks at this machine.
pub fn examine() -> Report {
    Machine::look().report()
}

impl fmt::Display for Report {
    /// Aligned text: a heading, then `name  yes|no  what was seen`, and what to do on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.machine.iter().chain(&self.features).map(|finding| finding.name.chars().count()).max();
        let width = width.unwrap_or_default();
        for (heading, findings) in [("Machine", &self.machine), ("Features", &self.features)] {
            writeln!(f, "{heading}")?;
            for finding in findings {
                let mark = match finding.present {
                    Some(true) => "yes",
                    Some(false) => "no",
                    None => "-",
                };
                writeln!(f, "  {:width$}  {mark:3}  {}", finding.name, finding.seen)?;
                if !finding.advice.is_empty() {
                    writeln!(f, "  {:width$}       to do: {}", "", finding.advice)?;
                }
            }
        }
        Ok(())
    }
}

/// What was read, before it is judged.
struct Machine {
    release: String,
    architecture: String,
    capabilities: Capabilities,
    btf: bool,
    /// What the kernel says to bpf(2); none where the capability is missing.
    call: Option<Result<(), String>>,
    /// Lines such as `CONFIG_BPF=y`; none where the kernel does not show them.
    kernel_config: Option<String>,
    bpf_jit: Option<String>,
    unprivileged_bpf_disabled: Option<String>,
    lockdown: Option<String>,
    mounts: String,
    cgroup_controllers: bool,
    memlock_bytes: Option<u64>,
    devices: Result<Vec<InspectedDevice>, String>,
}

impl Machine {
    fn look() -> Self {
        let uname = rustix::system::uname();
        let capabilities = Capabilities::effective();
        let may_call = capabilities.missing(&[BPF]).is_empty();
        Self {
            release: uname.release().to_string_lossy().into_owned(),
            architecture: uname.machine().to_string_lossy().into_owned(),
            capabilities,
            call: may_call.then(|| bpf::is_allowed().map_err(|error| error.to_string())),
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            kernel_config: kernel_config(&uname.release().to_string_lossy()),
            bpf_jit: setting("/proc/sys/net/core/bpf_jit_enable"),
            unprivileged_bpf_disabled: setting("/proc/sys/kernel/unprivileged_bpf_disabled"),
            lockdown: fences::lockdown(),
            mounts: fs::read_to_string("/proc/self/mounts").unwrap_or_default(),
            cgroup_controllers: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            memlock_bytes: getrlimit(Resource::Memlock).current,
            devices: xdp::inspect_devices().map_err(|error| error.to_string()),
        }
    }

    fn report(&self) -> Report {
        let mut features = vec![self.xdp()];
        features.extend(self.native());
        features.extend(self.occupied());
        features.extend(self.others());
        let machine = vec![
            self.kernel(),
            self.capabilities(),
            self.call(),
            self.btf(),
            self.kernel_config(),
            self.jit(),
            self.bpf_filesystem(),
            self.tracefs(),
            self.memlock(),
            self.cgroup(),
            self.fences(),
        ];
        Report { machine, features }
    }

    fn version(&self) -> Version {
        Version::from_release(&self.release).unwrap_or(Version(0, 0))
    }

    fn kernel(&self) -> Finding {
        let enough = self.version() >= XdpConfig::KERNEL_MIN;
        let seen = format!("Linux {} on {}", self.release, self.architecture);
        let advice = format!("XDP counters need Linux {} or later", XdpConfig::KERNEL_MIN);
        finding("kernel", "kernel", Some(enough), seen, if enough { "" } else { &advice })
    }

    fn capabilities(&self) -> Finding {
        let names = self.capabilities.names();
        let lacking = self.capabilities.lacking();
        let seen = match names.as_slice() {
            [] => "none".to_owned(),
            _ if lacking.is_empty() => "all".to_owned(),
            names if names.len() > lacking.len() => format!("all but {}", lacking.join(" ")),
            names => names.join(" "),
        };
        finding("capabilities", "capabilities", None, seen, "")
    }

    fn call(&self) -> Finding {
        let (key, name) = ("bpf_call", "bpf(2)");
        match &self.call {
            None => finding(key, name, None, "not tried without CAP_BPF".to_owned(), ""),
            Some(Ok(())) => finding(key, name, Some(true), "this process may call it".to_owned(), ""),
            Some(Err(error)) => finding(key, name, Some(false), error.clone(), fences::REFUSED),
        }
    }

    fn btf(&self) -> Finding {
        let (seen, advice) = if self.btf {
            ("/sys/kernel/btf/vmlinux is there", "")
        } else {
            (
                "/sys/kernel/btf/vmlinux is not there",
                "only needed by the probes drops, tcp and udp, which read kernel structures: take a kernel with \
                 CONFIG_DEBUG_INFO_BTF=y",
            )
        };
        finding("btf", "BTF", Some(self.btf), seen.to_owned(), advice)
    }

    fn kernel_config(&self) -> Finding {
        let (key, name) = ("kernel_config", "kernel config");
        let Some(config) = &self.kernel_config else {
            return finding(key, name, None, "this kernel does not show its configuration".to_owned(), "");
        };
        let is_set = |option: &str| {
            config.lines().any(|line| line.strip_prefix(option).is_some_and(|rest| rest == "=y" || rest == "=m"))
        };
        let missing: Vec<_> = OPTIONS.iter().filter(|(option, _)| !is_set(option)).collect();
        if missing.is_empty() {
            return finding(key, name, Some(true), "every option that a probe needs is set".to_owned(), "");
        }
        let seen: Vec<String> = missing.iter().map(|(option, who)| format!("{option} is not set, for {who}")).collect();
        let wanted: Vec<String> = missing.iter().map(|(option, _)| format!("{option}=y")).collect();
        finding(key, name, Some(false), seen.join("; "), &format!("take a kernel with {}", wanted.join(" ")))
    }

    fn jit(&self) -> Finding {
        let (present, seen, advice) = match self.bpf_jit.as_deref() {
            Some("0") => {
                (Some(false), "programs are interpreted", "set net.core.bpf_jit_enable=1: counting costs less")
            }
            Some(_) => (Some(true), "programs are compiled", ""),
            None => (None, "this process may not see net.core.bpf_jit_enable", ""),
        };
        finding("bpf_jit", "BPF compiler", present, seen.to_owned(), advice)
    }

    fn bpf_filesystem(&self) -> Finding {
        let at = self.mounted("bpf");
        let advice = "only needed to see maps that others pinned, such as Cilium's: mount -t bpf bpf /sys/fs/bpf";
        self.mount("bpffs", "BPF file system", at, advice)
    }

    fn tracefs(&self) -> Finding {
        let at = self.mounted("tracefs");
        let advice = "no probe needs it, only tools beside skep do: mount -t tracefs tracefs /sys/kernel/tracing";
        self.mount("tracefs", "tracefs", at, advice)
    }

    fn mount(&self, key: &str, name: &str, at: Option<&str>, advice: &str) -> Finding {
        let seen = at.map_or_else(|| "not mounted".to_owned(), |at| format!("mounted at {at}"));
        finding(key, name, Some(at.is_some()), seen, if at.is_some() { "" } else { advice })
    }

    /// Where a file system of this type is mounted first.
    fn mounted(&self, wanted: &str) -> Option<&str> {
        self.mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (at, kind) = (words.next()?, words.next()?);
            (kind == wanted).then_some(at)
        })
    }

    fn memlock(&self) -> Finding {
        let limit = self.memlock_bytes.map_or_else(|| "no limit".to_owned(), |bytes| format!("{bytes} bytes"));
        if self.version() >= Version(5, 11) {
            return finding(
                "memlock",
                "memlock",
                None,
                format!("{limit}; this kernel does not count maps against it"),
                "",
            );
        }
        /// What the counters of 64 devices take on a machine with some dozen CPUs.
        const ENOUGH_BYTES: u64 = 8 << 20;
        let enough = self.memlock_bytes.is_none_or(|bytes| bytes >= ENOUGH_BYTES);
        let advice = "raise it (LimitMEMLOCK=infinity, ulimit -l unlimited) or add CAP_SYS_RESOURCE";
        finding("memlock", "memlock", Some(enough), limit, if enough { "" } else { advice })
    }

    fn cgroup(&self) -> Finding {
        let seen = match (self.cgroup_controllers, self.mounted("cgroup2"), self.mounted("cgroup")) {
            (true, ..) => "version 2".to_owned(),
            (false, Some(at), _) => format!("version 1, and version 2 at {at}"),
            (false, None, Some(_)) => "version 1".to_owned(),
            (false, None, None) => "not mounted".to_owned(),
        };
        finding("cgroup", "cgroup", None, seen, "")
    }

    fn fences(&self) -> Finding {
        let unprivileged = match self.unprivileged_bpf_disabled.as_deref() {
            Some("0") => "unprivileged BPF is allowed",
            Some(_) => "unprivileged BPF is off",
            None => "unprivileged BPF is unknown",
        };
        let lockdown = self.lockdown.as_deref();
        let advice = if fences::forbids_reading(lockdown) { fences::LOCKED } else { "" };
        let lockdown = lockdown.unwrap_or("none");
        finding("fences", "fences", None, format!("{unprivileged}, lockdown {lockdown}"), advice)
    }

    fn xdp(&self) -> Finding {
        let name = "XDP counters, generic mode";
        let reason = missing(XdpConfig::KERNEL_MIN, XdpConfig::TO_LOAD, self.version(), self.capabilities);
        if let Some(reason) = reason.or_else(|| self.refused()) {
            let (seen, advice) = reason.split_once("; ").unwrap_or((&reason, ""));
            return finding("probe:xdp", name, Some(false), seen.to_owned(), advice);
        }
        match &self.devices {
            Err(error) => finding("probe:xdp", name, Some(false), error.clone(), "mount /sys"),
            Ok(devices) => {
                let names: Vec<&str> = devices.iter().filter(|d| d.is_default).map(|d| d.name.as_str()).collect();
                let none = "possible, but there is no physical device and none with a default route";
                let seen =
                    if names.is_empty() { none.to_owned() } else { format!("by default on {}", names.join(", ")) };
                let advice = if names.is_empty() { "name devices in probes.xdp.devices" } else { "" };
                finding("probe:xdp", name, Some(true), seen, advice)
            }
        }
    }

    /// Where the kernel refuses bpf(2), no probe can be loaded whatever else is there.
    fn refused(&self) -> Option<String> {
        matches!(self.call, Some(Err(_))).then(|| fences::REFUSED.to_owned())
    }

    /// The other probes: kernel, capabilities and types, the same that a start looks at first.
    fn others(&self) -> Vec<Finding> {
        let others = ALL.iter().filter(|probe| probe.name != "xdp");
        let look = |probe: &Probe| {
            let name = format!("probe {}", probe.name);
            let key = format!("probe:{}", probe.name);
            let reason = missing(probe.kernel_min, probe.to_load, self.version(), self.capabilities);
            let is_locked = probe.reads_memory && fences::forbids_reading(self.lockdown.as_deref());
            let locked = || is_locked.then(|| fences::LOCKED.to_owned());
            match reason.or_else(|| self.refused()).or_else(locked) {
                Some(reason) => {
                    let (seen, advice) = reason.split_once("; ").unwrap_or((&reason, ""));
                    finding(&key, &name, Some(false), seen.to_owned(), advice)
                }
                None if probe.reads_types && !self.btf => {
                    let seen = "the kernel does not tell its types (BTF)".to_owned();
                    finding(&key, &name, Some(false), seen, "take a kernel with CONFIG_DEBUG_INFO_BTF=y")
                }
                None => finding(&key, &name, Some(true), "everything is there".to_owned(), ""),
            }
        };
        others.map(look).collect()
    }

    /// Devices with a program; where skep runs it may be its own.
    fn occupied(&self) -> Vec<Finding> {
        let devices = self.devices.iter().flatten();
        devices
            .filter_map(|device| {
                let id = device.program?;
                let seen = format!("program {id} sits there; skep leaves it alone unless it is its own");
                let advice = format!("`bpftool prog show id {id}` tells which it is");
                Some(finding(
                    &format!("xdp_program:{}", device.name),
                    &format!("XDP on {}", device.name),
                    None,
                    seen,
                    &advice,
                ))
            })
            .collect()
    }

    /// By the driver's name: asking the driver itself would mean to attach a program, which stops the device for a moment.
    fn native(&self) -> Vec<Finding> {
        let devices = self.devices.iter().flatten().filter(|device| device.is_default);
        devices
            .map(|device| {
                let key = format!("xdp_native:{}", device.name);
                let name = format!("XDP native mode on {}", device.name);
                match device.driver.as_deref() {
                    Some(driver) if NATIVE_DRIVERS.contains(&driver) => finding(
                        &key,
                        &name,
                        None,
                        format!("likely, driver {driver} has it"),
                        "set probes.xdp.mode to auto to use it",
                    ),
                    Some(driver) => finding(&key, &name, None, format!("not known of driver {driver}"), ""),
                    None => finding(&key, &name, None, "not a physical device".to_owned(), ""),
                }
            })
            .collect()
    }
}

/// Drivers of Linux 6 that implement XDP, by the name of their module.
const NATIVE_DRIVERS: [&str; 34] = [
    "atlantic",
    "bnxt_en",
    "cpsw",
    "ena",
    "enetc",
    "fec",
    "fsl_dpaa",
    "fsl_dpaa2_eth",
    "fsl_enetc",
    "gve",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mtk_soc_eth",
    "mvneta",
    "mvpp2",
    "netsec",
    "nfp",
    "qede",
    "rvu_nicpf",
    "sfc",
    "stmmaceth",
    "tsnep",
    "virtio_net",
    "vmxnet3",
    "xen-netfront",
    "vif",
];

fn finding(key: &str, name: &str, present: Option<bool>, seen: String, advice: &str) -> Finding {
    Finding { key: key.to_owned(), name: name.to_owned(), present, seen, advice: advice.to_owned() }
}

/// Options of the kernel without which a probe does not work, and which.
const OPTIONS: [(&str, &str); 5] = [
    ("CONFIG_BPF_SYSCALL", "every probe"),
    ("CONFIG_BPF_EVENTS", "drops, tcp and udp"),
    ("CONFIG_DEBUG_INFO_BTF", "drops, tcp and udp"),
    ("CONFIG_NET_CLS_ACT", "tc"),
    ("CONFIG_NET_SCH_INGRESS", "tc by filters"),
];

/// What a distribution may make of it without compression is some hundred kilobytes.
const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// From the kernel itself or where distributions lay it.
fn kernel_config(release: &str) -> Option<String> {
    let packed = fs::File::open("/proc/config.gz").map(|file| GzDecoder::new(file).take(CONFIG_BYTES_MAX));
    let mut text = String::new();
    if packed.is_ok_and(|mut packed| packed.read_to_string(&mut text).is_ok()) {
        return Some(text);
    }
    let files = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    files.iter().find_map(|path| fs::read_to_string(path).ok())
}

fn setting(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge_box() -> Machine {
        Machine {
            release: "6.1.0-18-amd64".to_owned(),
            architecture: "x86_64".to_owned(),
            capabilities: Capabilities(u64::MAX),
            btf: true,
            kernel_config: Some(OPTIONS.map(|(option, _)| format!("{option}=y\n")).concat()),
            bpf_jit: Some("1".to_owned()),
            unprivileged_bpf_disabled: Some("2".to_owned()),
            call: Some(Ok(())),
            lockdown: Some("none".to_owned()),
            mounts: "bpf /sys/fs/bpf bpf rw 0 0\ntracefs /sys/kernel/tracing tracefs rw 0 0\n".to_owned(),
            cgroup_controllers: true,
            memlock_bytes: Some(65_536),
            devices: Ok(vec![InspectedDevice {
                name: "eth0".to_owned(),
                driver: Some("virtio_net".to_owned()),
                is_default: true,
                program: None,
            }]),
        }
    }

    fn check(change: impl FnOnce(&mut Machine), healthy: bool, expected: &[&str]) {
        let mut machine = edge_box();
        change(&mut machine);
        let report = machine.report();
        let text = report.to_string();
        assert_eq!(report.is_healthy(), healthy, "{text}");
        for part in expected {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn findings() {
        check(
            |_| {},
            true,
            &["Linux 6.1.0-18-amd64 on x86_64", "by default on eth0", "driver virtio_net has it", "version 2"],
        );
        check(
            |m| m.capabilities = Capabilities(0),
            false,
            &["missing CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON", "to do: run as root"],
        );
        check(|m| m.release = "5.4.0".to_owned(), false, &["Linux 5.9 or later", "raise it"]);
        check(
            |m| m.release = "5.16.1".to_owned(),
            false,
            &["probe udp", "Linux 5.16 is too old", "to do: Linux 5.17 or later"],
        );
        check(|m| m.capabilities = Capabilities(1 << 12), false, &["CAP_NET_ADMIN\n", "missing CAP_BPF"]);
        check(|m| m.capabilities = Capabilities(!(1 << 24)), true, &["all but CAP_SYS_RESOURCE\n"]);
        check(|m| m.devices.as_mut().unwrap()[0].program = Some(7), true, &["XDP on eth0", "bpftool prog show id 7"]);
        check(
            |m| m.btf = false,
            false,
            &["probe tcp", "does not tell its types", "a kernel with CONFIG_DEBUG_INFO_BTF=y"],
        );
        check(|m| m.kernel_config = None, true, &["does not show its configuration"]);
        let without_events = |m: &mut Machine| {
            m.kernel_config =
                m.kernel_config.take().map(|text| text.replace("CONFIG_BPF_EVENTS=y", "CONFIG_BPF_EVENTS=n"));
        };
        check(
            without_events,
            true,
            &["CONFIG_BPF_EVENTS is not set, for drops, tcp and udp", "with CONFIG_BPF_EVENTS=y"],
        );
        check(|m| m.mounts.clear(), true, &["mount -t bpf", "mount -t tracefs"]);
        check(|m| m.devices = Ok(Vec::new()), true, &["name devices in probes.xdp.devices"]);
        check(|m| m.devices = Err("read /sys/class/net: gone".to_owned()), false, &["mount /sys"]);
        check(|m| m.lockdown = Some("integrity".to_owned()), true, &["lockdown integrity"]);
        check(
            |m| m.lockdown = Some("confidentiality".to_owned()),
            false,
            &["probe drops", "forbids programs that read kernel memory", "lockdown=integrity"],
        );
        check(
            |m| m.call = Some(Err("Operation not permitted (os error 1)".to_owned())),
            false,
            &["bpf(2)", "Operation not permitted", "refuses bpf(2) although the capabilities are there"],
        );
        check(|m| m.call = None, true, &["not tried without CAP_BPF"]);
        check(|m| m.bpf_jit = Some("0".to_owned()), true, &["bpf_jit_enable=1"]);
    }

    /// Scripts ask for them.
    #[test]
    fn keys_are_stable() {
        let report = edge_box().report();
        let keys = |findings: &[Finding]| findings.iter().map(|f| f.key.clone()).collect::<Vec<_>>().join(" ");
        let machine = "kernel capabilities bpf_call btf kernel_config bpf_jit bpffs tracefs memlock cgroup fences";
        assert_eq!(keys(&report.machine), machine);
        let features = "probe:xdp xdp_native:eth0 probe:tc probe:drops probe:tcp probe:udp probe:bpf probe:cilium";
        assert_eq!(keys(&report.features), features);
    }

    #[test]
    fn columns_are_aligned() {
        let text = edge_box().report().to_string();
        let column = |line: &str| line.find("  yes  ").or_else(|| line.find("  -    "));
        let columns: Vec<usize> = text.lines().filter_map(column).collect();
        assert!(columns.len() > 5 && columns.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }
}
