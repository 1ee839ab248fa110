//! The probe `bpf`: programs and maps that the test makes are listed, counted and forgotten. It needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]

mod pinned;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::{Collector as _, Families};
use probes::{
    BpfConfig, CiliumConfig, Config, DropsConfig, Probes, RunStatistics, TcpConfig, UdpConfig, XdpConfig, XdpMode,
};

use pinned::{Bpffs, HASH, LPM_TRIE, LRU_HASH, LRU_PERCPU_HASH, PERCPU_HASH, PERF_EVENT_ARRAY, is_root};

/// A machine under load takes its time; nothing here waits this long unless it is broken.
const DEADLINE: Duration = Duration::from_secs(60);

/// With the probe of packets on the loopback device, so that there is a program that runs.
fn config(run_statistics: RunStatistics) -> Config {
    Config {
        bpf: BpfConfig { enabled: true, run_statistics },
        xdp: XdpConfig {
            enabled: true,
            devices: vec!["lo".to_owned()],
            mode: XdpMode::Generic,
            ..XdpConfig::default()
        },
        cilium: CiliumConfig { enabled: false, ..CiliumConfig::default() },
        drops: DropsConfig { enabled: false, ..DropsConfig::default() },
        tcp: TcpConfig { enabled: false, ..TcpConfig::default() },
        udp: UdpConfig { enabled: false, ..UdpConfig::default() },
        ..Config::default()
    }
}

/// Values by `name{label="value",...}`.
fn collect(probes: &Probes) -> BTreeMap<String, f64> {
    let mut families = Families::default();
    probes.collect(&mut families).unwrap();
    let points = families.iter().flat_map(|family| family.points.iter().map(|point| (family.name.clone(), point)));
    points
        .map(|(name, point)| {
            let labels: Vec<_> = point.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            (format!("{name}{{{}}}", labels.join(",")), point.value)
        })
        .collect()
}

/// Collects until the values are as they should be; what is counted in turns takes its time.
fn wait_for(probes: &Probes, what: &str, is_so: impl Fn(&BTreeMap<String, f64>) -> bool) -> BTreeMap<String, f64> {
    let begun = Instant::now();
    loop {
        let values = collect(probes);
        if is_so(&values) {
            return values;
        }
        assert!(begun.elapsed() < DEADLINE, "{what}: {values:#?}");
    }
}

#[test]
fn maps_are_counted_and_forgotten() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("count");
    let kinds = [
        ("hash", HASH, 100),
        ("percpu_hash", PERCPU_HASH, 90),
        ("lru_hash", LRU_HASH, 80),
        ("lru_percpu_hash", LRU_PERCPU_HASH, 70),
        ("lpm_trie", LPM_TRIE, 60),
    ];
    for (name, kind, entries) in kinds {
        for part in ["a", "b"] {
            let map = bpffs.pin(&format!("t{part}_{name}"), kind, (8, 8), 1000);
            for number in 0..entries * if part == "a" { 1 } else { 2 } {
                let key = [32_u32.to_ne_bytes(), u32::to_be_bytes(number)].concat();
                map.put(&key, &[1; 8]);
            }
        }
    }
    bpffs.pin("t_events", PERF_EVENT_ARRAY, (4, 4), 2);
    let probes = Probes::start(&config(RunStatistics::Never));
    for (name, _, entries) in kinds {
        for (part, times) in [("a", 1), ("b", 2)] {
            let kernel_name: String = format!("t{part}_{name}").chars().take(15).collect();
            let series = |what: &str| format!("skep_bpf_map_{what}{{type=\"{name}\",name=\"{kernel_name}\"}}");
            let expected = f64::from(entries * times);
            let values = wait_for(&probes, &kernel_name, |values| values.get(&series("entries")) == Some(&expected));
            assert_eq!(values[&series("capacity")], 1000.0);
            assert_eq!(values[&series("pressure")], expected / 1000.0);
            assert!(values[&series("memory_bytes")] > expected * 16.0, "{values:#?}");
        }
    }
    let values = collect(&probes);
    let events = |what: &str| format!("skep_bpf_map_{what}{{type=\"perf_event_array\",name=\"t_events\"}}");
    assert_eq!(values[&events("capacity")], 2.0);
    assert!(!values.contains_key(&events("entries")), "{values:#?}");
    drop(bpffs);
    // The kernel lets go of a map some time after its last pin.
    wait_for(&probes, "maps are gone", |values| !values.keys().any(|series| series.contains("name=\"ta_hash\"")));
}

#[test]
fn runs_are_counted_while_wanted() {
    if !is_root() {
        return;
    }
    // Others on this machine may run skep too, on other devices.
    let is_xdp = |series: &&String| {
        series.starts_with("skep_bpf_program_runs_total{type=\"xdp\",name=\"skep_xdp")
            && series.ends_with("attachment=\"xdp lo\"}")
    };
    let runs =
        |values: &BTreeMap<String, f64>| values.keys().find(is_xdp).map(|series| (series.clone(), values[series]));
    let probes = Probes::start(&config(RunStatistics::Viewed));
    if collect(&probes)["skep_bpf_run_statistics_enabled{}"] == 1.0 {
        eprintln!("SKIPPED: somebody else counts the runs of programs on this machine");
        return;
    }
    assert_eq!(runs(&collect(&probes)), None);
    probes.surroundings().look();
    collect(&probes);
    for _ in 0..100 {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    }
    let values = wait_for(&probes, "runs", |values| runs(values).is_some_and(|(_, runs)| runs >= 100.0));
    let (series, _) = runs(&values).unwrap();
    let seconds = values[&series.replace("runs_total", "run_seconds_total")];
    assert!(seconds > 0.0, "{values:#?}");
    assert_eq!(values["skep_bpf_run_statistics_enabled{}"], 1.0);
    assert!(values["skep_bpf_programs{type=\"xdp\"}"] >= 1.0, "{values:#?}");
    // Somebody may want it still who is not the page.
    probes.apply(&config(RunStatistics::Never));
    wait_for(&probes, "statistics are off", |values| values["skep_bpf_run_statistics_enabled{}"] == 0.0);
}
