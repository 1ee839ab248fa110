//! What survives a kill, damage and a full disk. The kill is a real one: this test binary starts itself as the victim.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use catalog::{Catalog, Error, State};
use model::KeyValue;

/// Set in the victim: the folder to write to.
const VICTIM: &str = "SKEP_CATALOG_VICTIM";

/// Kills in a run; more in `cargo xtask soak`.
const KILLS: u64 = 30;

/// Opens a catalog that this process may have closed a moment ago: sled's threads let go of the lock soon after the last
/// handle is dropped, not with it.
fn reopen(folder: &Path) -> Catalog {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match Catalog::open(folder) {
            Err(Error::InUse { .. }) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            result => return result.unwrap(),
        }
    }
}

/// Writes numbers for ever, and says each one when it is acknowledged. A test only in name: it is the victim's main.
#[test]
fn victim() {
    let Ok(folder) = env::var(VICTIM) else { return };
    let catalog = Catalog::open(Path::new(&folder)).unwrap();
    let start = last(&catalog);
    for n in start + 1.. {
        let key = format!("k{}", n % 50);
        let body = format!("{n}:{}", "x".repeat((n % 300) as usize));
        catalog
            .change("numbers", &[(key, Some(body.into_bytes())), ("last".to_owned(), Some(n.to_string().into()))])
            .unwrap();
        println!("acked {n}");
    }
}

fn last(catalog: &Catalog) -> u64 {
    let value = catalog.get("numbers", "last");
    value.map_or(0, |bytes| String::from_utf8(bytes).unwrap().parse().unwrap())
}

#[test]
fn a_kill_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    let mut slowest = Duration::ZERO;
    let kills = KILLS * testkit::soak_factor();
    for round in 0..kills {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "victim", "--nocapture", "--test-threads=1"])
            .env(VICTIM, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = 3 + round * 7 % 40;
        let mut note = |line: &str| {
            let number = line.rsplit_once("acked ").and_then(|(_, n)| n.parse().ok());
            acknowledged = number.unwrap_or(acknowledged);
            u64::from(number.is_some())
        };
        while left > 0 {
            let line = lines.next().expect("the victim ended by itself").unwrap();
            left -= note(&line);
        }
        child.kill().unwrap();
        // What it still said before the kill counts as well.
        for line in lines.map_while(Result::ok) {
            note(&line);
        }
        child.wait().unwrap();
        let started = Instant::now();
        let catalog = reopen(folder.path());
        slowest = slowest.max(started.elapsed());
        assert_eq!(catalog.state(), State::Open, "round {round}");
        assert!(last(&catalog) >= acknowledged, "round {round}: {} < {acknowledged}", last(&catalog));
        check_numbers(&catalog, last(&catalog));
    }
    println!("{kills} kills, {acknowledged} changes acknowledged, none lost, slowest start {slowest:?}");
}

/// Every key holds the newest number that belongs to it.
fn check_numbers(catalog: &Catalog, last: u64) {
    for (key, value) in catalog.entries("numbers").into_iter().filter(|(key, _)| key != "last") {
        let text = String::from_utf8(value).unwrap();
        let n: u64 = text.split_once(':').unwrap().0.parse().unwrap();
        assert_eq!(format!("k{}", n % 50), key);
        assert!(n <= last && n + 50 > last, "{key} holds {n} of {last}");
    }
}

fn fill(folder: &Path, count: u32) {
    let catalog = Catalog::open(folder).unwrap();
    for n in 0..count {
        catalog.change("things", &[(format!("key{n}"), Some(format!("value {n}").into_bytes()))]).unwrap();
    }
}

#[test]
fn flipped_bits_give_no_wrong_value() {
    let origin = tempfile::tempdir().unwrap();
    fill(origin.path(), 100);
    let (mut recovered, mut lost) = (0, 0);
    const FLIPS: u64 = 60;
    for flip in 0..FLIPS {
        let folder = tempfile::tempdir().unwrap();
        copy(origin.path(), folder.path());
        let file = if flip % 10 == 0 { folder.path().join("snapshot.json") } else { database_file(folder.path()) };
        let mut bytes = fs::read(&file).unwrap();
        // A file of segments is mostly empty: aim at bytes that mean something.
        let used: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i] != 0).collect();
        let at = used[(flip.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) as usize % used.len()];
        bytes[at] ^= 1 << (flip % 8);
        fs::write(&file, bytes).unwrap();
        let catalog = reopen(folder.path());
        for n in 0..100 {
            match catalog.get("things", &format!("key{n}")) {
                Some(value) => assert_eq!(value, format!("value {n}").into_bytes(), "flip {flip} at {at}"),
                None => lost += 1,
            }
        }
        recovered += u32::from(matches!(catalog.state(), State::Recovered(_)));
        catalog.change("things", &[("after".to_owned(), Some(b"x".to_vec()))]).unwrap();
        drop(catalog);
        assert_eq!(reopen(folder.path()).get("things", "after").as_deref(), Some(&b"x"[..]));
    }
    println!(
        "{FLIPS} flipped bits: {recovered} noticed and repaired, the others harmless; 0 wrong values, {lost} values lost"
    );
    // The snapshot was up to date, so that nothing may be missing.
    assert_eq!(lost, 0);
}

fn database_file(folder: &Path) -> std::path::PathBuf {
    folder.join("db").join("db")
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn rubbish_instead_of_a_database_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20);
    for file in fs::read_dir(folder.path().join("db")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()) {
        fs::write(file, b"rubbish").unwrap();
    }
    let catalog = reopen(folder.path());
    assert!(matches!(catalog.state(), State::Recovered(_)), "{:?}", catalog.state());
    assert_eq!(catalog.entries("things").len(), 20);
}

#[test]
fn a_database_that_kills_the_process_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20);
    fs::write(folder.path().join("opening"), b"...").unwrap();
    let catalog = reopen(folder.path());
    assert!(matches!(catalog.state(), State::Recovered(_)), "{:?}", catalog.state());
    assert_eq!(catalog.entries("things").len(), 20);
}

#[test]
fn a_second_owner_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _catalog = Catalog::open(folder.path()).unwrap();
    assert!(matches!(Catalog::open(folder.path()), Err(Error::InUse { .. })));
}

#[test]
fn keeps_spaces_apart_and_limits() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = reopen(folder.path());
    let set = |space: &str, key: &str, value: &[u8]| catalog.change(space, &[(key.to_owned(), Some(value.to_vec()))]);
    set("a", "k", b"1").unwrap();
    set("ab", "k", b"2").unwrap();
    set("a", "", b"3").unwrap();
    assert_eq!(catalog.entries("a"), [(String::new(), b"3".to_vec()), ("k".to_owned(), b"1".to_vec())]);
    catalog.change("a", &[("k".to_owned(), None), ("k".to_owned(), Some(b"4".to_vec()))]).unwrap();
    assert_eq!(catalog.get("a", "k").as_deref(), Some(&b"4"[..]));
    assert!(set("", "k", b"").is_err());
    assert!(set("a\0", "k", b"").is_err());
    assert!(set("a", "k", &vec![0; (1 << 20) + 1]).is_err());
    for n in 0..15 {
        set("big", &n.to_string(), &vec![n; 1 << 20]).unwrap();
    }
    assert!((15..20).any(|n| set("big", &n.to_string(), &vec![n; 1 << 20]).is_err()));
}

/// A real file system without room: needs root for the mount.
#[test]
fn opens_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        println!("SKIPPED opens_on_a_full_disk: a tmpfs cannot be mounted here (needs root)");
        return;
    }
    let unmount = Unmount(folder.path().to_owned());
    let home = folder.path().join("catalog");
    fill(&home, 50);
    let ballast = folder.path().join("ballast");
    // Zeros until nothing fits.
    let _ = std::io::copy(&mut std::io::repeat(0), &mut fs::File::create(&ballast).unwrap());
    let catalog = reopen(&home);
    println!("on a full disk: {:?}", catalog.state());
    assert_eq!(catalog.entries("things").len(), 50);
    let full = catalog.change("things", &[("more".to_owned(), Some(vec![1; 600_000]))]);
    println!("a change on a full disk: {:?}", full.as_ref().map_err(ToString::to_string));
    assert_eq!(catalog.get("things", "more").is_some(), full.is_ok());
    assert_eq!(matches!(catalog.state(), State::ReadOnly(_)), full.is_err());
    fs::remove_file(&ballast).unwrap();
    catalog.change("things", &[("later".to_owned(), Some(b"y".to_vec()))]).unwrap();
    assert_eq!(catalog.state(), State::Open);
    drop(catalog);
    let catalog = reopen(&home);
    assert_eq!(catalog.entries("things").len(), 51 + usize::from(full.is_ok()));
    drop(catalog);
    drop(unmount);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A backup takes what was acknowledged before it began, while the catalog goes on.
#[test]
fn an_export_of_a_catalog_in_use_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("catalog");
    assert_eq!(catalog::export(&source, &folder.path().join("none")).unwrap(), catalog::Export::default());
    let open = Catalog::open(&source).unwrap();
    let write = |n: u64| open.change("numbers", &[("last".to_owned(), Some(n.to_string().into_bytes()))]).unwrap();
    write(1);
    thread::scope(|scope| {
        let writer = scope.spawn(|| (2..200).for_each(write));
        for n in 0..3 {
            let known = last(&open);
            let target = folder.path().join(format!("export{n}"));
            let done = catalog::export(&source, &target).unwrap();
            assert_eq!(done, catalog::Export { files: vec![target.join("snapshot.json")], incomplete: None });
            assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
            assert!(last(&Catalog::open(&target).unwrap()) >= known);
        }
        writer.join().unwrap();
    });
}

/// A database that is damaged gives what is left of it, and says so.
#[test]
fn an_export_of_a_damaged_catalog_tells_that_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("catalog");
    fill(&source, 100);
    fs::write(source.join("snapshot.json"), "damaged").unwrap();
    let done = catalog::export(&source, &folder.path().join("export")).unwrap();
    assert!(done.incomplete.is_some_and(|reason| reason.contains("snapshot.json is damaged")));
    assert_eq!(done.files.len(), 1);
}
