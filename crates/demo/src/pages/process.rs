//! What every Go program shows of itself.

use crate::activity::Activity::{Cluster, Packets, Timers};
use crate::schema::{Gauge, Page, constant, durations, flow, level};

const MIB: f64 = 1_048_576.0;

/// How large a program is.
pub(crate) struct Size {
    cpu: f64,
    resident_mib: f64,
    goroutines: f64,
    files: f64,
}

pub(crate) const AGENT: Size = Size { cpu: 0.085, resident_mib: 212.0, goroutines: 690.0, files: 118.0 };
pub(crate) const OPERATOR: Size = Size { cpu: 0.011, resident_mib: 74.0, goroutines: 265.0, files: 17.0 };
pub(crate) const RELAY: Size = Size { cpu: 0.006, resident_mib: 38.0, goroutines: 64.0, files: 19.0 };

/// The process collector's metrics under a prefix, then the Go collector's.
pub(crate) fn describe(page: &mut Page, prefix: &str, size: &Size) {
    process(page, prefix, size);
    memory(page, size);
    runtime(page, size);
}

fn process(page: &mut Page, prefix: &str, size: &Size) {
    let resident = size.resident_mib * MIB;
    let name = |metric: &str| format!("{prefix}_{metric}");
    page.counter(name("cpu_seconds_total"), "CPU time used in user and kernel mode, in seconds.")
        .row(&[], flow(Packets, size.cpu).fractional());
    page.gauge(name("max_fds"), "Most file descriptors that may be open.").row(&[], constant(1_048_576.0));
    page.gauge(name("open_fds"), "File descriptors that are open.")
        .row(&[], level(Cluster, size.files, 1.0, size.files * 0.06));
    page.gauge(name("resident_memory_bytes"), "Memory held in RAM, in bytes.")
        .row(&[], level(Packets, resident, resident * 0.05, resident * 0.04));
    page.gauge(name("virtual_memory_bytes"), "Address space in use, in bytes.")
        .row(&[], level(Cluster, resident * 5.0 + 1_024.0 * MIB, 0.0, 6.0 * MIB));
    page.gauge(name("virtual_memory_max_bytes"), "Most address space that may be used, in bytes.")
        .row(&[], constant(-1.0));
    page.gauge(name("start_time_seconds"), "When the process started, in seconds since 1970.").row(&[], Gauge::Started);
    page.counter(name("network_receive_bytes_total"), "Bytes that the process's network namespace received.")
        .row(&[], flow(Packets, size.cpu * 22_000_000.0));
    page.counter(name("network_transmit_bytes_total"), "Bytes that the process's network namespace sent.")
        .row(&[], flow(Packets, size.cpu * 19_000_000.0));
}

fn memory(page: &mut Page, size: &Size) {
    let heap = size.resident_mib * MIB * 0.45;
    let mut gauge = |name: &'static str, help, share: f64, sway: f64| {
        page.gauge(name, help).row(&[], level(Packets, heap * share, heap * share * 0.06, heap * share * sway));
    };
    gauge("go_memstats_alloc_bytes", "Bytes of live and not yet swept heap objects.", 0.80, 0.20);
    gauge("go_memstats_heap_inuse_bytes", "Bytes of heap spans that hold at least one object.", 0.92, 0.15);
    gauge("go_memstats_heap_idle_bytes", "Bytes of heap spans that hold none.", 0.35, 0.25);
    gauge("go_memstats_heap_objects", "Objects on the heap.", 0.006, 0.10);
    gauge("go_memstats_next_gc_bytes", "Heap size at which the next collection begins.", 1.30, 0.05);
    gauge("go_memstats_stack_inuse_bytes", "Bytes of stacks in use.", 0.06, 0.03);
    gauge("go_memstats_sys_bytes", "Bytes obtained from the system.", 1.60, 0.01);
    page.counter("go_memstats_alloc_bytes_total", "Bytes allocated on the heap so far, freed ones included.")
        .row(&[], flow(Packets, heap * 0.018));
}

fn runtime(page: &mut Page, size: &Size) {
    page.gauge("go_goroutines", "Goroutines that exist.")
        .row(&[], level(Cluster, size.goroutines, size.goroutines * 0.01, size.goroutines * 0.02));
    page.gauge("go_threads", "Threads made by the runtime.").row(&[], constant(19.0));
    page.gauge("go_info", "The Go version the program was built with.").row(&[("version", "go1.25.4")], constant(1.0));
    page.gauge("go_sched_gomaxprocs_threads", "Threads that may run Go code at once.").row(&[], constant(4.0));
    page.gauge("go_gc_gogc_percent", "Heap growth that starts a collection, in percent.").row(&[], constant(100.0));
    page.counter("go_gc_cycles_total_gc_cycles_total", "Garbage collections so far.").row(&[], flow(Timers, 0.021));
    page.histogram("go_sched_latencies_seconds", "Time that goroutines wait before they run.")
        .row(&[], durations(Packets, 900.0, &[6.4e-8, 6.4e-7, 7.168e-6, 8.192e-5, 0.000_917_504, 0.010_485_76], 4e-6));
}
