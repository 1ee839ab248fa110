//! A disk in memory that remembers every operation, so that a test can look at what a power cut would have left at
//! any moment, and can make it full or faulty.
//!
//! What counts as durable is the least that POSIX promises: content by a sync of the file, names by a sync of the
//! folder. Everything else may be there, be missing, or be there in part.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tsdb::{Disk, DiskFile};

/// Disks write sectors of this size whole or not at all.
const SECTOR_BYTES: usize = 512;

/// "No space left on device".
const ENOSPC: i32 = 28;
/// "Input/output error".
const EIO: i32 = 5;

/// A disk in memory. Clones share it.
#[derive(Clone, Default)]
pub struct CrashDisk(Arc<Mutex<State>>);

/// What a power cut takes of the things that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process was killed, the kernel went on.
    Nothing,
    /// All of it.
    Everything,
    /// Some of it, chosen by this seed: names kept or lost, writes kept, lost, torn at a sector or left as zeros.
    Some(u64),
}

/// One operation, in the order in which they were made.
#[derive(Clone, Debug)]
enum Operation {
    CreateDir(PathBuf),
    Create {
        path: PathBuf,
        inode: usize,
    },
    Append {
        inode: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        inode: usize,
        len: u64,
    },
    Sync {
        inode: usize,
    },
    /// A sync that failed: what was not durable before never will be, as the kernel forgets it.
    FailedSync {
        inode: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove(PathBuf),
    SyncDir(PathBuf),
}

#[derive(Default)]
struct State {
    operations: Vec<Operation>,
    tree: Tree,
    locked: BTreeSet<PathBuf>,
    faults: Faults,
    bytes_written: u64,
}

/// Names and contents.
#[derive(Clone, Debug, Default)]
struct Tree {
    folders: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    inodes: BTreeMap<usize, Vec<u8>>,
    /// Lengths of files that hold space and no bytes; not remembered by images, where they are empty files.
    reserved: BTreeMap<usize, u64>,
}

#[derive(Default)]
struct Faults {
    full: bool,
    /// Bytes that all files may take together.
    capacity: Option<u64>,
    /// Counts down at each operation that needs space; the one that finds zero fails half done.
    fail_write_in: Option<u64>,
    /// Counts down at each sync of a file.
    fail_sync_in: Option<u64>,
}

impl CrashDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations were made; the argument of [`CrashDisk::image`].
    pub fn operations(&self) -> usize {
        self.state().operations.len()
    }

    /// Bytes that were written to files in all.
    pub fn bytes_written(&self) -> u64 {
        self.state().bytes_written
    }

    /// The disk as it comes back after a power cut that let only the first `operations` happen.
    pub fn image(&self, operations: usize, loss: Loss) -> Self {
        let state = self.state();
        let tree = survive(&state.operations[..operations], loss);
        Self(Arc::new(Mutex::new(State { operations: tree.as_operations(), tree, ..State::default() })))
    }

    /// A disk with the same content and a history of its own.
    pub fn copy(&self) -> Self {
        self.image(self.operations(), Loss::Nothing)
    }

    /// From now on nothing that needs space succeeds, or all does again.
    pub fn set_full(&self, full: bool) {
        self.state().faults.full = full;
    }

    /// From now on files hold so many bytes in all; creating files and folders takes none.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().faults.capacity = Some(bytes);
    }

    /// The write or creation after the next `count` ones fails for want of space, once, half done.
    pub fn fail_write_after(&self, count: u64) {
        self.state().faults.fail_write_in = Some(count);
    }

    /// The sync of a file after the next `count` ones fails, once, and loses what it should have saved.
    pub fn fail_sync_after(&self, count: u64) {
        self.state().faults.fail_sync_in = Some(count);
    }

    /// Whether a fault that was asked for has not come yet.
    pub fn has_fault_left(&self) -> bool {
        let state = self.state();
        state.faults.fail_write_in.is_some() || state.faults.fail_sync_in.is_some()
    }

    /// All files and their lengths.
    pub fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.state();
        state.tree.names.iter().map(|(path, inode)| (path.clone(), state.tree.inodes[inode].len())).collect()
    }

    /// Inverts bits of one byte of a file, as a disk does behind everybody's back.
    pub fn flip(&self, path: &Path, byte: usize, mask: u8) {
        let mut state = self.state();
        if let Some(&inode) = state.tree.names.get(path)
            && let Some(byte) = state.tree.inodes.get_mut(&inode).and_then(|bytes| bytes.get_mut(byte))
        {
            *byte ^= mask;
        }
    }

    /// Takes the end of a file away from this byte on, as a write that was torn does.
    pub fn cut(&self, path: &Path, length: usize) {
        let mut state = self.state();
        if let Some(&inode) = state.tree.names.get(path)
            && let Some(bytes) = state.tree.inodes.get_mut(&inode)
        {
            bytes.truncate(length);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, operation: Operation) {
        self.tree.apply(&operation);
        self.operations.push(operation);
    }

    /// Makes a file, or cuts one to nothing; returns its inode.
    fn create(&mut self, path: &Path) -> usize {
        let inode = self.tree.inodes.keys().next_back().map_or(0, |last| last + 1);
        self.apply(Operation::Create { path: path.to_owned(), inode });
        inode
    }

    /// Bytes that files may still take.
    fn free(&self) -> u64 {
        let sizes = self.tree.names.values().map(|inode| {
            self.tree.inodes[inode].len() as u64 + self.tree.reserved.get(inode).copied().unwrap_or_default()
        });
        let capacity = if self.faults.full { 0 } else { self.faults.capacity.unwrap_or(u64::MAX) };
        capacity.saturating_sub(sizes.sum())
    }

    /// Whether an operation that needs this many bytes has to fail.
    fn refuses_bytes(&mut self, bytes: u64) -> bool {
        self.refuses_space() || (self.faults.capacity.is_some() && self.free() < bytes)
    }

    /// Whether an operation that needs space has to fail.
    fn refuses_space(&mut self) -> bool {
        let due = self.faults.fail_write_in == Some(0);
        self.faults.fail_write_in = self.faults.fail_write_in.and_then(|n| n.checked_sub(1));
        due || self.faults.full
    }

    fn refuses_sync(&mut self) -> bool {
        let due = self.faults.fail_sync_in == Some(0);
        self.faults.fail_sync_in = self.faults.fail_sync_in.and_then(|n| n.checked_sub(1));
        due
    }
}

impl Tree {
    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::CreateDir(path) => self.folders.extend(path.ancestors().map(Path::to_owned)),
            Operation::Create { path, inode } => {
                self.inodes.insert(*inode, Vec::new());
                self.names.insert(path.clone(), *inode);
            }
            Operation::Append { inode, bytes } => self.inodes.entry(*inode).or_default().extend_from_slice(bytes),
            Operation::Truncate { inode, len } => {
                self.inodes.entry(*inode).or_default().truncate(usize::try_from(*len).unwrap_or(usize::MAX));
            }
            Operation::Rename { from, to } => self.rename(from, to),
            Operation::Remove(path) => {
                self.names.retain(|name, _| !name.starts_with(path));
                self.folders.retain(|folder| !folder.starts_with(path));
            }
            Operation::Sync { .. } | Operation::FailedSync { .. } | Operation::SyncDir(_) => {}
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let moved = |path: &PathBuf| path.strip_prefix(from).ok().map(|rest| join(to, rest));
        self.folders = self.folders.iter().map(|path| moved(path).unwrap_or_else(|| path.clone())).collect();
        let names = std::mem::take(&mut self.names);
        let (moving, staying): (BTreeMap<_, _>, BTreeMap<_, _>) =
            names.into_iter().partition(|(path, _)| path.starts_with(from));
        self.names = staying;
        self.names.extend(moving.into_iter().map(|(path, inode)| (moved(&path).unwrap_or(path), inode)));
    }

    /// The shortest history that leads here, all of it synced.
    fn as_operations(&self) -> Vec<Operation> {
        let folders = self.folders.iter().map(|path| Operation::CreateDir(path.clone()));
        let mut operations: Vec<Operation> = folders.collect();
        for (path, &inode) in &self.names {
            operations.push(Operation::Create { path: path.clone(), inode });
            operations.push(Operation::Append { inode, bytes: self.inodes[&inode].clone() });
            operations.push(Operation::Sync { inode });
        }
        operations.extend(self.folders.iter().map(|path| Operation::SyncDir(path.clone())));
        operations
    }
}

/// As `Path::join`, without a slash at the end when the rest is empty.
fn join(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { base.to_owned() } else { base.join(rest) }
}

/// What the syncs made of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Durable,
    /// A sync failed over it.
    Lost,
    /// Nobody synced it.
    Open,
}

/// The first sync after an operation decides over it; so this walks from the end.
fn fates(operations: &[Operation]) -> Vec<Fate> {
    let mut files: BTreeMap<usize, Fate> = BTreeMap::new();
    let mut folders: BTreeSet<&Path> = BTreeSet::new();
    let mut fates = vec![Fate::Open; operations.len()];
    for (fate, operation) in fates.iter_mut().zip(operations).rev() {
        let named = |path: &PathBuf| path.parent().is_some_and(|parent| folders.contains(parent));
        let durable = match operation {
            // Folders are few and made at the start; a store that cannot find them makes them again.
            Operation::CreateDir(_) => true,
            Operation::Append { inode, .. } | Operation::Truncate { inode, .. } => {
                *fate = files.get(inode).copied().unwrap_or(Fate::Open);
                continue;
            }
            Operation::Create { path, .. } | Operation::Remove(path) => named(path),
            Operation::Rename { from, to } => named(from) || named(to),
            Operation::Sync { .. } | Operation::FailedSync { .. } | Operation::SyncDir(_) => false,
        };
        if durable {
            *fate = Fate::Durable;
        }
        match operation {
            Operation::Sync { inode } => drop(files.insert(*inode, Fate::Durable)),
            Operation::FailedSync { inode } => drop(files.insert(*inode, Fate::Lost)),
            Operation::SyncDir(folder) => drop(folders.insert(folder)),
            _ => {}
        }
    }
    fates
}

fn survive(operations: &[Operation], loss: Loss) -> Tree {
    let mut tree = Tree::default();
    if loss == Loss::Nothing {
        operations.iter().for_each(|operation| tree.apply(operation));
        return tree;
    }
    let mut dice = Dice::of(loss);
    for (operation, fate) in operations.iter().zip(fates(operations)) {
        if fate == Fate::Durable {
            tree.apply(operation);
        } else if let Some(rest) = dice.remainder(operation, fate == Fate::Lost) {
            tree.apply(&rest);
        }
    }
    tree
}

/// Decides about what is neither durable nor lost.
struct Dice {
    seed: Option<u64>,
    /// One in this many operations is lost; it differs between images.
    odds: u64,
}

impl Dice {
    fn of(loss: Loss) -> Self {
        let seed = match loss {
            Loss::Some(seed) => Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            _ => None,
        };
        Self { seed, odds: seed.map_or(1, |seed| 2 + (seed >> 33) % 7) }
    }

    /// Marsaglia's xorshift.
    fn roll(&mut self, sides: u64) -> u64 {
        let Some(seed) = &mut self.seed else { return 0 };
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed % sides.max(1)
    }

    /// What reached the disk of an operation that was not synced; appends keep their length or end the file early.
    fn remainder(&mut self, operation: &Operation, lost: bool) -> Option<Operation> {
        let gone = self.seed.is_none() || lost || self.roll(self.odds) == 0;
        match operation {
            Operation::Append { inode, bytes } if gone => {
                // Later writes may have come through, so this one leaves a hole; with everything gone it leaves nothing.
                let hole = self.seed.is_some() && self.roll(2) == 0;
                hole.then(|| Operation::Append { inode: *inode, bytes: vec![0; bytes.len()] })
            }
            Operation::Append { inode, bytes } if self.roll(3) == 0 => {
                let sectors = bytes.len() / SECTOR_BYTES;
                let kept = self.roll(sectors as u64 + 1) as usize * SECTOR_BYTES;
                let kept = if sectors == 0 { self.roll(bytes.len() as u64) as usize } else { kept };
                Some(Operation::Append { inode: *inode, bytes: bytes[..kept].to_vec() })
            }
            _ if gone => None,
            other => Some(other.clone()),
        }
    }
}

/// A file of the disk.
struct CrashFile {
    disk: CrashDisk,
    path: PathBuf,
    inode: usize,
}

/// Frees a lock when dropped.
struct Lock {
    disk: CrashDisk,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.path);
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("{} is not there", path.display()))
}

impl Disk for CrashDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.tree.folders.contains(path) {
            return Ok(());
        }
        if state.refuses_space() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        state.apply(Operation::CreateDir(path.to_owned()));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let all = state.tree.names.keys().chain(&state.tree.folders);
        let here = all.filter(|entry| entry.parent() == Some(path));
        Ok(here.filter_map(|entry| Some(entry.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if !path.parent().is_some_and(|parent| state.tree.folders.contains(parent)) {
            return Err(not_found(path));
        }
        if state.refuses_space() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let inode = state.create(path);
        Ok(Box::new(CrashFile { disk: self.clone(), path: path.to_owned(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = *self.state().tree.names.get(path).ok_or_else(|| not_found(path))?;
        Ok(Box::new(CrashFile { disk: self.clone(), path: path.to_owned(), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.tree.names.contains_key(from) && !state.tree.folders.contains(from) {
            return Err(not_found(from));
        }
        state.apply(Operation::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.tree.names.contains_key(path) && !state.tree.folders.contains(path) {
            return Err(not_found(path));
        }
        state.apply(Operation::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.state().apply(Operation::SyncDir(path.to_owned()));
        Ok(())
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        if self.state().free() < bytes {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        drop(self.create(path)?);
        let mut state = self.state();
        if let Some(&inode) = state.tree.names.get(path) {
            state.tree.reserved.insert(inode, bytes);
        }
        Ok(())
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.state().free())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut state = self.state();
        if !state.locked.insert(path.to_owned()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        if !state.tree.names.contains_key(path) {
            state.create(path);
        }
        Ok(Box::new(Lock { disk: self.clone(), path: path.to_owned() }))
    }
}

impl DiskFile for CrashFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.refuses_bytes(bytes.len() as u64) {
            let bytes = bytes[..bytes.len() / 2].to_vec();
            state.apply(Operation::Append { inode: self.inode, bytes });
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        state.bytes_written += bytes.len() as u64;
        state.apply(Operation::Append { inode: self.inode, bytes: bytes.to_vec() });
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.state().apply(Operation::Truncate { inode: self.inode, len });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let inode = self.inode;
        if state.refuses_sync() {
            state.apply(Operation::FailedSync { inode });
            return Err(io::Error::from_raw_os_error(EIO));
        }
        state.apply(Operation::Sync { inode });
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        let bytes = state.tree.inodes.get(&self.inode).ok_or_else(|| not_found(&self.path))?;
        Ok(bytes.len() as u64 + state.tree.reserved.get(&self.inode).copied().unwrap_or_default())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        let bytes = state.tree.inodes.get(&self.inode).ok_or_else(|| not_found(&self.path))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = bytes.get(start..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(disk: &CrashDisk, path: &str) -> Option<Vec<u8>> {
        let file = disk.open(Path::new(path)).ok()?;
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        Some(bytes)
    }

    fn scenario() -> CrashDisk {
        let disk = CrashDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        let file = disk.create(Path::new("/d/a.tmp")).unwrap();
        file.append(b"one").unwrap();
        file.sync().unwrap();
        file.append(b"two").unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.rename(Path::new("/d/a.tmp"), Path::new("/d/a")).unwrap();
        disk
    }

    #[test]
    fn only_what_is_synced_is_sure() {
        let disk = scenario();
        let all = disk.operations();
        assert_eq!(content(&disk.image(all, Loss::Nothing), "/d/a"), Some(b"onetwo".to_vec()));
        let worst = disk.image(all, Loss::Everything);
        assert_eq!(content(&worst, "/d/a"), None);
        assert_eq!(content(&worst, "/d/a.tmp"), Some(b"one".to_vec()));
        assert_eq!(disk.image(all - 2, Loss::Everything).files(), []);
        for seed in 0..100 {
            let image = disk.image(all, Loss::Some(seed));
            let bytes = content(&image, "/d/a").or_else(|| content(&image, "/d/a.tmp")).unwrap();
            assert!(bytes.starts_with(b"one"));
        }
    }

    #[test]
    fn a_failed_sync_loses_what_it_should_have_saved() {
        let disk = scenario();
        let file = disk.open(Path::new("/d/a")).unwrap();
        disk.fail_sync_after(0);
        assert!(file.sync().is_err());
        file.append(b"three").unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        assert_eq!(content(&disk.image(disk.operations(), Loss::Everything), "/d/a"), Some(b"onethree".to_vec()));
    }

    #[test]
    fn a_full_disk_takes_half() {
        let disk = scenario();
        let file = disk.create(Path::new("/d/b")).unwrap();
        disk.fail_write_after(1);
        file.append(b"1234").unwrap();
        assert_eq!(file.append(b"5678").unwrap_err().kind(), ErrorKind::StorageFull);
        file.append(b"9").unwrap();
        assert_eq!(content(&disk, "/d/b"), Some(b"1234569".to_vec()));
    }
}
