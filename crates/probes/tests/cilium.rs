//! The probe `cilium` over maps of the documented layouts, pinned by the test: read right, or refused with a reason.
//!
//! Every scenario needs root, and says so where it skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]

mod pinned;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::status::{ProbeState, Probes as _};
use model::{Collector as _, Families};
use probes::{BpfConfig, CiliumConfig, Config, DropsConfig, Probes, TcpConfig, UdpConfig, XdpConfig};

use pinned::{
    Bpffs, HASH, LPM_TRIE, LRU_HASH, LRU_PERCPU_HASH, PERCPU_HASH, PERF_EVENT_ARRAY, Pinned, bytes, conntrack, is_root,
    monotonic_seconds, tuple,
};

/// A machine under load takes its time; nothing here waits this long unless it is broken.
const DEADLINE: Duration = Duration::from_secs(60);

fn config(path: PathBuf) -> Config {
    Config {
        cilium: CiliumConfig { enabled: true, path: Some(path) },
        bpf: BpfConfig { enabled: false, ..BpfConfig::default() },
        xdp: XdpConfig { enabled: false, ..XdpConfig::default() },
        drops: DropsConfig { enabled: false, ..DropsConfig::default() },
        tcp: TcpConfig { enabled: false, ..TcpConfig::default() },
        udp: UdpConfig { enabled: false, ..UdpConfig::default() },
        ..Config::default()
    }
}

fn start(bpffs: &Bpffs) -> Probes {
    Probes::start(&config(bpffs.globals()))
}

/// Values by `name{label="value",...}`.
fn collect(probes: &Probes) -> BTreeMap<String, f64> {
    let mut families = Families::default();
    probes.collect(&mut families).unwrap();
    let mut values = BTreeMap::new();
    for family in families.iter() {
        for point in &family.points {
            let labels: Vec<_> = point.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            let series = format!("{}{{{}}}", family.name, labels.join(","));
            assert!(values.insert(series.clone(), point.value).is_none(), "twice: {series}");
        }
    }
    values
}

/// Collects until a series has a value; what is not read each time takes its turn.
fn wait_for(probes: &Probes, series: &str, expected: f64) -> BTreeMap<String, f64> {
    let begun = Instant::now();
    loop {
        let values = collect(probes);
        if values.get(series) == Some(&expected) {
            return values;
        }
        assert!(begun.elapsed() < DEADLINE, "{series} is {:?}, not {expected}: {values:#?}", values.get(series));
    }
}

#[track_caller]
fn check(values: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    for (series, value) in expected {
        assert_eq!(values.get(*series), Some(value), "{series} in {values:#?}");
    }
}

fn state(probes: &Probes) -> (ProbeState, Vec<String>) {
    let status = probes.probes().into_iter().find(|status| status.name == "cilium").unwrap();
    (status.state, status.details)
}

#[track_caller]
fn check_details(probes: &Probes, expected: &[&str]) {
    let (_, details) = state(probes);
    for part in expected {
        assert!(details.iter().any(|detail| detail.contains(part)), "{part} in {details:#?}");
    }
}

/// What tells a version, by its documented names and sizes.
struct Release {
    version: &'static str,
    policy: (&'static str, u32, (u32, u32)),
    backends: (&'static str, (u32, u32)),
    ipcache: (&'static str, (u32, u32)),
    node_map: bool,
}

const POLICY: (u32, u32) = (12, 24);

fn releases() -> Vec<Release> {
    let old = ("cilium_lb4_backends_v2", (4, 8));
    let new = ("cilium_lb4_backends_v3", (4, 12));
    let ipcache = ("cilium_ipcache", (24, 12));
    let ipcache_v2 = ("cilium_ipcache_v2", (24, 24));
    let release =
        |version, policy, backends, ipcache, node_map| Release { version, policy, backends, ipcache, node_map };
    vec![
        release("1.13 or earlier", ("cilium_policy_00042", HASH, (8, 24)), old, ipcache, false),
        release("1.14 or 1.15", ("cilium_policy_00042", LPM_TRIE, POLICY), new, ipcache, false),
        release("1.16", ("cilium_policy_00042", LPM_TRIE, POLICY), new, ipcache, true),
        release("1.17", ("cilium_policy_v2_00042", LPM_TRIE, POLICY), new, ipcache, true),
        release("1.18", ("cilium_policy_v2_00042", LPM_TRIE, (12, 8)), new, ipcache_v2, true),
        release("1.19", ("cilium_policy_v2_00042", LPM_TRIE, (12, 12)), new, ipcache_v2, true),
        release("1.20 or later", ("cilium_policy_v3_00042", LPM_TRIE, (12, 12)), new, ipcache_v2, true),
    ]
}

/// Pins what tells the version. The maps live as long as they are pinned.
fn pin_release(bpffs: &Bpffs, release: &Release) {
    let (name, kind, sizes) = release.policy;
    let policy = bpffs.pin(name, kind, sizes, 16_384);
    // A prefix of 64 bits for tries; any key for the hash of old.
    for identity in 0..3_u32 {
        let key = bytes![64_u32.to_ne_bytes(), identity.to_ne_bytes(), [0; 4]];
        policy.put(&key[..sizes.0 as usize], &[]);
    }
    let (name, sizes) = release.ipcache;
    bpffs
        .pin(name, LPM_TRIE, sizes, 512_000)
        .put(&bytes![64_u32.to_ne_bytes(), [0, 0, 0, 1], [10, 0, 1, 7], [0; 12]], &[]);
    let (name, sizes) = release.backends;
    let backends = bpffs.pin(name, HASH, sizes, 65_536);
    for (id, state) in [(1_u32, 0), (2, 0), (3, 2)] {
        backends.put(&id.to_ne_bytes(), &bytes![[10, 0, 1, 7], 8080_u16.to_be_bytes(), [6, state]]);
    }
    if release.node_map {
        bpffs.pin("cilium_node_map_v2", HASH, (20, 4), 16_384);
    }
}

fn frontend(port: u16, slot: u16, protocol: u8) -> Vec<u8> {
    bytes![[10, 96, 0, 1], port.to_be_bytes(), slot.to_ne_bytes(), [protocol, 0, 0, 0]]
}

fn service(count: u16, id: u16, flags: [u8; 2]) -> Vec<u8> {
    bytes![[0; 4], count.to_ne_bytes(), id.to_be_bytes(), flags, [0, 0]]
}

fn pin_common(bpffs: &Bpffs) {
    let metrics = bpffs.pin("cilium_metrics", PERCPU_HASH, (8, 16), 1024);
    let cpus = aya::util::nr_cpus().unwrap() as u64;
    let value = |packets: u64, bytes: u64| bytes![packets.to_ne_bytes(), bytes.to_ne_bytes()].repeat(cpus as usize);
    metrics.put(&[133, 2, 0, 0, 0, 0, 0, 0], &value(20, 1500));
    metrics.put(&[133, 2, 9, 0, 1, 0, 0, 0], &value(1, 54));
    metrics.put(&[0, 1, 0, 0, 0, 0, 0, 0], &value(1000, 64_000));
    metrics.put(&[3, 1, 0, 0, 0, 0, 0, 0], &value(5, 300));
    metrics.put(&[9, 3, 0, 0, 0, 0, 0, 0], &value(7, 0));
    metrics.put(&[159, 1, 0, 0, 0, 0, 0, 0], &value(2, 0));

    let services = bpffs.pin("cilium_lb4_services_v2", HASH, (12, 12), 65_536);
    services.put(&frontend(443, 0, 6), &service(2, 7, [0, 0]));
    services.put(&frontend(443, 1, 6), &service(0, 7, [0, 0]));
    services.put(&frontend(80, 0, 6), &service(0, 8, [2, 0]));
    services.put(&frontend(81, 0, 6), &service(0, 9, [2 | 4, 0]));
    services.put(&frontend(0, 0, 0), &service(0, 0, [0, 0]));

    let names = bpffs.pin("cilium_lb4_reverse_nat", HASH, (2, 6), 65_536);
    names.put(&7_u16.to_be_bytes(), &bytes![[10, 96, 0, 1], 443_u16.to_be_bytes()]);

    let now = monotonic_seconds();
    let tcp = bpffs.pin("cilium_ct4_global", LRU_HASH, (14, 56), 4096);
    // Nobody closes a connection within the test, whose clock is the machine's.
    let (alive, expired) = (now + 3600, now - 1);
    for number in 0..100 {
        tcp.put(&tuple(number, 6, 4), &conntrack(alive, 0x10, 7));
        tcp.put(&tuple(number, 6, 0), &conntrack(alive, 0x10, 7));
    }
    for number in 100..140 {
        tcp.put(&tuple(number, 6, 4), &conntrack(expired, 0x10, 7));
    }
    for number in 140..145 {
        tcp.put(&tuple(number, 6, 4), &conntrack(alive, 0x13, 7));
        tcp.put(&tuple(number, 6, 1), &conntrack(alive, 0, 0));
    }
    let others = bpffs.pin("cilium_ct_any4_global", LRU_HASH, (14, 56), 4096);
    for number in 0..11 {
        others.put(&tuple(number, 17, 4), &conntrack(alive, 0, 11));
    }
    let sockets = bpffs.pin("cilium_lb4_reverse_sk", LRU_HASH, (16, 8), 65_536);
    for cookie in 0..13_u64 {
        sockets.put(&bytes![cookie.to_ne_bytes(), [10, 0, 1, 7], 8080_u16.to_be_bytes(), [0, 0]], &[0; 8]);
    }
    let stats = bpffs.pin("cilium_policystats", LRU_PERCPU_HASH, (12, 16), 65_536);
    stats.put(&bytes![7_u16.to_ne_bytes(), [0; 6], [0, 6, 0, 80]], &value(40, 4000));
    stats.put(&bytes![7_u16.to_ne_bytes(), [0; 6], [1, 17, 0, 53]], &value(2, 128));
    let endpoints = bpffs.pin("cilium_lxc", HASH, (20, 48), 65_535);
    for (id, flags) in [(7_u16, 0_u32), (8, 0), (1, 1)] {
        let key = bytes![[10, 0, 1], [id as u8], [0; 12], [1, 0, 0, 0]];
        endpoints.put(&key, &bytes![[2, 0, 0, 0, 0, 0], id.to_ne_bytes(), flags.to_ne_bytes(), [0; 36]]);
    }
    // The agent's: opening it by path is all that a mistake would take.
    bpffs.pin("cilium_events", PERF_EVENT_ARRAY, (4, 4), 2);
}

/// Every release whose layout is documented, from 1.12 to 1.20.
#[test]
fn maps_of_every_release_are_read_right() {
    if !is_root() {
        return;
    }
    for (number, release) in releases().iter().enumerate() {
        let bpffs = Bpffs::mount(&format!("release{number}"));
        pin_release(&bpffs, release);
        pin_common(&bpffs);
        check_release(&bpffs, release, number >= 4);
    }
}

fn check_release(bpffs: &Bpffs, release: &Release, has_live_sockets: bool) {
    let probes = start(bpffs);
    let cpus = aya::util::nr_cpus().unwrap() as f64;
    // By then the maps before it were read, in the order of their names.
    let last = "skep_cilium_endpoint_packets_total{endpoint=\"7\",direction=\"ingress\"}";
    let values = wait_for(&probes, last, 40.0 * cpus);
    check(
        &values,
        &[
            ("skep_cilium_drop_packets_total{reason=\"Policy denied\",direction=\"egress\"}", 21.0 * cpus),
            ("skep_cilium_drop_bytes_total{reason=\"Policy denied\",direction=\"egress\"}", 1554.0 * cpus),
            ("skep_cilium_drop_packets_total{reason=\"159, 0\",direction=\"ingress\"}", 2.0 * cpus),
            ("skep_cilium_forward_packets_total{reason=\"Success\",direction=\"ingress\"}", 1000.0 * cpus),
            ("cilium_drop_count_total{reason=\"Policy denied\",direction=\"EGRESS\"}", 21.0 * cpus),
            ("cilium_drop_bytes_total{reason=\"Policy denied\",direction=\"EGRESS\"}", 1554.0 * cpus),
            ("cilium_forward_count_total{direction=\"INGRESS\"}", 1005.0 * cpus),
            ("cilium_forward_bytes_total{direction=\"INGRESS\"}", 64_300.0 * cpus),
            ("skep_cilium_lb_services{family=\"ipv4\"}", 3.0),
            ("skep_cilium_lb_frontends{family=\"ipv4\",type=\"cluster_ip\"}", 1.0),
            ("skep_cilium_lb_frontends{family=\"ipv4\",type=\"node_port\"}", 2.0),
            ("skep_cilium_lb_frontends_without_backend{family=\"ipv4\",type=\"cluster_ip\"}", 0.0),
            ("skep_cilium_lb_frontends_without_backend{family=\"ipv4\",type=\"node_port\"}", 1.0),
            ("skep_cilium_lb_frontends_without_local_backend{family=\"ipv4\",type=\"node_port\"}", 1.0),
            ("skep_cilium_lb_backends{family=\"ipv4\",state=\"active\"}", 2.0),
            ("skep_cilium_lb_backends{family=\"ipv4\",state=\"quarantined\"}", 1.0),
            ("cilium_lb_active_connections{family=\"ipv4\",path=\"per_packet\",protocol=\"tcp\"}", 100.0),
            ("cilium_lb_active_connections{family=\"ipv4\",path=\"per_packet\",protocol=\"udp\"}", 11.0),
            ("skep_cilium_lb_service_connections{service=\"10.96.0.1:443\"}", 100.0),
            ("skep_cilium_lb_service_connections{service=\"service 11\"}", 11.0),
            ("skep_cilium_tcp_connections{family=\"ipv4\",state=\"established\"}", 100.0),
            ("skep_cilium_tcp_connections{family=\"ipv4\",state=\"half_open\"}", 5.0),
            ("skep_cilium_endpoints{}", 2.0),
            ("skep_cilium_endpoint_bytes_total{endpoint=\"7\",direction=\"egress\"}", 128.0 * cpus),
            ("skep_cilium_map_entries{map=\"ct4_global\"}", 250.0),
            ("skep_cilium_map_capacity{map=\"ct4_global\"}", 4096.0),
            ("skep_cilium_map_entries{map=\"policy\"}", 3.0),
            ("skep_cilium_map_entries{map=\"metrics\"}", 6.0),
            ("skep_cilium_maps_not_understood{}", 0.0),
            (&format!("skep_cilium_info{{version=\"{}\"}}", release.version), 1.0),
        ],
    );
    let expired = "skep_cilium_conntrack_entries{family=\"ipv4\",protocol=\"tcp\",kind=\"service\",state=\"expired\"}";
    check(&values, &[(expired, 40.0)]);
    let socket = "cilium_lb_active_connections{family=\"ipv4\",path=\"socket\",protocol=\"any\"}";
    let values = wait_for(&probes, "skep_cilium_lb_socket_entries{family=\"ipv4\"}", 13.0);
    assert_eq!(values.get(socket), has_live_sockets.then_some(&13.0), "{}", release.version);
    check_details(&probes, &[&format!("Cilium {}", release.version), "no backend: 10.96.0.1:80/tcp (node_port)"]);
    assert!(matches!(state(&probes).0, ProbeState::Running));
}

/// While the agent's endpoint is scraped its names are its own.
#[test]
fn the_agents_names_are_used_only_without_the_agent() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("agent");
    pin_common(&bpffs);
    pin_release(&bpffs, &releases()[6]);
    let is_agents = |series: &&String| series.starts_with("cilium_") && !series.starts_with("cilium_lb_active");
    for (is_scraped, expected) in [(true, false), (false, true)] {
        let probes = start(&bpffs);
        probes.surroundings().ask_for_agent(move || is_scraped);
        let values = collect(&probes);
        assert_eq!(values.keys().any(|series| is_agents(&series)), expected, "{is_scraped}: {values:#?}");
        assert!(values.keys().any(|series| series.starts_with("cilium_lb_active_connections")), "{values:#?}");
        check(&values, &[("skep_cilium_lb_services{family=\"ipv4\"}", 3.0)]);
    }
}

/// A layout that no known version has is counted and not understood, whatever the other maps are.
#[test]
fn unknown_layouts_are_refused() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("unknown");
    pin_release(&bpffs, &releases()[5]);
    bpffs.pin("cilium_ct4_global", LRU_HASH, (14, 64), 4096).put(&tuple(1, 6, 4), &[0xff; 64]);
    bpffs.pin("cilium_metrics", HASH, (8, 16), 1024).put(&[133, 2, 0, 0, 0, 0, 0, 0], &[1; 16]);
    bpffs.pin("cilium_lb4_services_v2", PERF_EVENT_ARRAY, (4, 4), 2);
    let probes = start(&bpffs);
    let values = wait_for(&probes, "skep_cilium_maps_not_understood{}", 3.0);
    check(
        &values,
        &[
            ("skep_cilium_map_entries{map=\"ct4_global\"}", 1.0),
            ("skep_cilium_map_capacity{map=\"ct4_global\"}", 4096.0),
            ("skep_cilium_map_capacity{map=\"metrics\"}", 1024.0),
        ],
    );
    let understood =
        ["skep_cilium_drop", "cilium_drop", "skep_cilium_conntrack", "cilium_lb_active", "skep_cilium_lb_services"];
    assert!(!values.keys().any(|series| understood.iter().any(|name| series.starts_with(name))), "{values:#?}");
    check_details(
        &probes,
        &[
            "cilium_ct4_global: keys and values of 14/64 bytes are unknown (known: 14/56); the other maps look like Cilium 1.19",
            "cilium_metrics: it is a hash, and every known version has a percpu_hash",
            "cilium_lb4_services_v2: it is a perf_event_array",
        ],
    );
}

/// Numbers without a pattern, the same in every run.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, length: u32) -> Vec<u8> {
        let next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 as u8
        };
        std::iter::repeat_with(next).take(length as usize).collect()
    }
}

/// The right layouts, and in them what no agent writes: whoever may pin maps there can write anything.
#[test]
fn maps_full_of_noise_do_no_harm() {
    if !is_root() {
        return;
    }
    let shapes: [(&str, u32, (u32, u32)); 16] = [
        ("cilium_metrics", PERCPU_HASH, (8, 16)),
        ("cilium_lb4_services_v2", HASH, (12, 12)),
        ("cilium_lb6_services_v2", HASH, (24, 12)),
        ("cilium_lb4_reverse_nat", HASH, (2, 6)),
        ("cilium_lb6_reverse_nat", HASH, (2, 18)),
        ("cilium_lb6_backends_v3", HASH, (4, 24)),
        ("cilium_ct4_global", LRU_HASH, (14, 56)),
        ("cilium_ct6_global", LRU_HASH, (38, 56)),
        ("cilium_ct_any4_global", LRU_HASH, (14, 56)),
        ("cilium_ct_any6_global", LRU_HASH, (38, 56)),
        ("cilium_snat_v4_external", LRU_HASH, (14, 40)),
        ("cilium_lxc", HASH, (20, 48)),
        ("cilium_policystats", LRU_PERCPU_HASH, (12, 16)),
        ("cilium_ratelimit_metrics", HASH, (4, 8)),
        ("cilium_lb4_reverse_sk", LRU_HASH, (16, 8)),
        ("cilium_lb_affinity_match", HASH, (8, 1)),
    ];
    let bpffs = Bpffs::mount("noise");
    pin_release(&bpffs, &releases()[6]);
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for (name, kind, (key_bytes, value_bytes)) in shapes {
        let map = bpffs.pin(name, kind, (key_bytes, value_bytes), 8192);
        for _ in 0..3000 {
            map.put(&noise.bytes(key_bytes), &noise.bytes(value_bytes));
        }
    }
    let probes = start(&bpffs);
    let last = "skep_cilium_map_readings_total{map=\"snat_v4_external\"}";
    let values = wait_for(&probes, last, 1.0);
    check(&values, &[("skep_cilium_maps_not_understood{}", 0.0)]);
    assert!(values.len() < 4000, "{} series", values.len());
    assert!(values.values().all(|value| value.is_finite() && *value >= 0.0), "{values:#?}");
    assert!(matches!(state(&probes), (ProbeState::Running, details) if details.len() < 100), "{:?}", state(&probes));
}

/// Signs of the version that do not fit together: the size of a conntrack entry alone does not tell what is in it.
#[test]
fn conntrack_of_an_unknown_version_is_only_counted() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("version");
    let release = Release { policy: ("cilium_policy_v3_00042", LPM_TRIE, (12, 40)), ..releases().pop().unwrap() };
    pin_release(&bpffs, &release);
    pin_common(&bpffs);
    let probes = start(&bpffs);
    let values = wait_for(&probes, "skep_cilium_map_entries{map=\"ct4_global\"}", 250.0);
    check(
        &values,
        &[("skep_cilium_info{version=\"unknown\"}", 1.0), ("skep_cilium_lb_services{family=\"ipv4\"}", 3.0)],
    );
    assert!(!values.keys().any(|series| series.starts_with("cilium_lb_active_connections")), "{values:#?}");
    check_details(&probes, &["values of 40 bytes", "cilium_ct4_global: only counted: "]);
}

/// A pin may be anything.
#[test]
fn pins_that_are_no_maps_are_refused() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("damaged");
    pin_release(&bpffs, &releases()[6]);
    std::fs::create_dir(bpffs.globals().join("cilium_metrics")).unwrap();
    let probes = start(&bpffs);
    wait_for(&probes, "skep_cilium_maps_not_understood{}", 1.0);
    check_details(&probes, &["cilium_metrics: "]);
}

/// The agent replaces its maps: what a descriptor that was kept would show is a map that nobody writes any more.
#[test]
fn a_map_that_is_replaced_is_followed() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("replaced");
    pin_release(&bpffs, &releases()[6]);
    let put = |metrics: &Pinned, packets: u64| {
        metrics.put(&[133, 1, 0, 0, 0, 0, 0, 0], &bytes![packets.to_ne_bytes(), [0; 8]]);
    };
    let drops = "skep_cilium_drop_packets_total{reason=\"Policy denied\",direction=\"ingress\"}";
    let old = bpffs.pin("cilium_metrics", PERCPU_HASH, (8, 16), 1024);
    put(&old, 3);
    let probes = start(&bpffs);
    check(&collect(&probes), &[(drops, 3.0)]);
    bpffs.unpin("cilium_metrics");
    let new = bpffs.pin("cilium_metrics", PERCPU_HASH, (8, 16), 1024);
    put(&old, 4);
    put(&new, 1);
    check(&collect(&probes), &[(drops, 1.0)]);
    bpffs.unpin("cilium_metrics");
    assert!(!collect(&probes).contains_key(drops));
}

/// Cilium may be installed, removed and installed again while skep runs.
#[test]
fn cilium_comes_and_goes() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("comes");
    let probes = start(&bpffs);
    assert!(collect(&probes).keys().all(|series| !series.starts_with("skep_cilium")));
    let (ProbeState::Unsupported { reason }, _) = state(&probes) else { panic!("{:?}", state(&probes)) };
    assert!(reason.contains("no pinned maps of Cilium") && reason.contains("empty"), "{reason}");
    pin_common(&bpffs);
    pin_release(&bpffs, &releases()[6]);
    check(&collect(&probes), &[("skep_cilium_lb_services{family=\"ipv4\"}", 3.0)]);
    assert!(matches!(state(&probes).0, ProbeState::Running));
}

/// The state of a node under load: all maps of a default installation, a conntrack map of 131,072 entries that is full.
/// Times are told and not judged; the process's CPU time is what the kernel accounts.
#[test]
fn the_cost_of_a_full_conntrack() {
    if !is_root() {
        return;
    }
    const ENTRIES: u32 = 131_072;
    let bpffs = Bpffs::mount("full");
    pin_release(&bpffs, &releases()[6]);
    pin_common(&bpffs);
    bpffs.unpin("cilium_ct4_global");
    let tcp = bpffs.pin("cilium_ct4_global", LRU_HASH, (14, 56), ENTRIES);
    let alive = monotonic_seconds() + 3600;
    // More than fit: what the kernel keeps then is a little less than there is room for.
    for number in 0..ENTRIES + ENTRIES / 10 {
        tcp.put(&tuple(number.wrapping_mul(2_654_435_761), 6, 4), &conntrack(alive, 0x10, 7));
    }
    let services = bpffs.pin("cilium_lb6_services_v2", HASH, (24, 12), 65_536);
    for port in 1..=1000_u16 {
        let key = bytes![[0xfd], [0; 15], port.to_be_bytes(), [0, 0, 6, 0, 0, 0]];
        services.put(&key, &service(1, port, [0, 0]));
    }
    let probes = start(&bpffs);
    let begun = pinned::cpu_time();
    let values = collect(&probes);
    let first = pinned::cpu_time() - begun;
    let of = |values: &BTreeMap<String, f64>, series: &str| values[series];
    let entries = of(&values, "skep_cilium_map_entries{map=\"ct4_global\"}");
    let active = of(&values, "cilium_lb_active_connections{family=\"ipv4\",path=\"per_packet\",protocol=\"tcp\"}");
    assert!(entries > 0.95 * f64::from(ENTRIES) && entries <= f64::from(ENTRIES), "{entries}");
    assert_eq!(active, entries);
    let conntrack_time = of(&values, "skep_cilium_map_read_cpu_seconds_total{map=\"ct4_global\"}");
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..20 {
        let begun = pinned::cpu_time();
        collect(&probes);
        times.push(pinned::cpu_time() - begun);
    }
    times.sort();
    let readings = of(&collect(&probes), "skep_cilium_map_readings_total{map=\"ct4_global\"}");
    assert_eq!(readings, 1.0, "conntrack is read once a minute");
    eprintln!(
        "conntrack of {entries} entries: {:.1} ms of CPU time; first collection {:.1} ms; then median {:.2} ms, at most {:.2} ms",
        conntrack_time * 1e3,
        first.as_secs_f64() * 1e3,
        times[10].as_secs_f64() * 1e3,
        times[19].as_secs_f64() * 1e3,
    );
}
