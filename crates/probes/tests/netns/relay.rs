//! A wire between two network namespaces that loses and delays packets: two tunnel devices and threads in between.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{mem, thread};

use super::packet_socket::tunnel;
use super::run;

/// The other end's namespace, which is gone at the end of the test.
pub(crate) struct Wire {
    pub(crate) namespace: String,
    quality: Arc<Mutex<Quality>>,
}

/// What the wire does to packets, in both directions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quality {
    /// How long each is on its way.
    pub(crate) delay: Duration,
    /// One of so many is lost; none at 0. Which ones looks random and is the same every time.
    pub(crate) one_lost_of: u32,
}

impl Wire {
    /// A wire from `10.77.0.1` and `fd77::1` here to `10.77.0.2` and `fd77::2` in a namespace of its own.
    pub(crate) fn new(quality: Quality) -> Self {
        let namespace = format!("skep-{}-far", std::process::id());
        let [near, far] = ["skw0", "skw1"].map(|device| Arc::new(tunnel(device).unwrap()));
        run(&format!("ip netns add {namespace}"));
        let wire = Self { namespace, quality: Arc::new(Mutex::new(quality)) };
        run(&format!("ip link set skw1 netns {}", wire.namespace));
        for (prefix, device, host) in [("ip".to_owned(), "skw0", 1), (format!("ip -n {}", wire.namespace), "skw1", 2)] {
            run(&format!("{prefix} addr add 10.77.0.{host}/24 dev {device}"));
            run(&format!("{prefix} addr add fd77::{host}/64 dev {device} nodad"));
            run(&format!("{prefix} link set lo up"));
            run(&format!("{prefix} link set {device} up"));
        }
        for (from, to) in [(near.clone(), far.clone()), (far, near)] {
            let (sender, receiver) = channel();
            let quality = wire.quality.clone();
            thread::spawn(move || take(&from, &sender, &quality));
            thread::spawn(move || give(&to, &receiver));
        }
        wire
    }

    /// From now on.
    pub(crate) fn set(&self, quality: Quality) {
        let _ = mem::replace(&mut *self.quality.lock().unwrap(), quality);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}

fn take(from: &File, into: &Sender<(Instant, Vec<u8>)>, quality: &Mutex<Quality>) {
    let mut random: u32 = 1;
    let mut packet = [0; 2048];
    while let Ok(length) = { from }.read(&mut packet) {
        let Quality { delay, one_lost_of } = *quality.lock().unwrap();
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let is_lost = (random >> 8).checked_rem(one_lost_of) == Some(0);
        if !is_lost && into.send((Instant::now() + delay, packet[..length].to_vec())).is_err() {
            return;
        }
    }
}

/// In the order of arrival, each not before its time.
fn give(mut to: &File, from: &Receiver<(Instant, Vec<u8>)>) {
    for (due, packet) in from {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // A device that is not up takes nothing.
        let _ = to.write_all(&packet);
    }
}
