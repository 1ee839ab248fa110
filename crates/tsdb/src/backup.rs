//! A copy of a data folder, taken while its owner works, and a folder made from such a copy.
//!
//! A backup reads the folder and asks nobody: it works beside a running server, beside one that hangs or whose disk is
//! full, and on a folder at rest; nothing has to listen for it, so nobody on the network can make a server write files,
//! unless its administration was switched on.
//! What it needs from the store is what the store promises anyway: a block is never changed and has its name only when it
//! is whole; log segments only grow, and go only after blocks that hold their samples have their names; a merged block
//! has its name before the blocks that it replaces go.
//!
//! So the log is read first and the blocks after it: whatever was in the log is in what was read of it, or in a block
//! that is found later. A block that goes while it is copied was merged or expired, and the folder is looked at again. A
//! block becomes a second name of the same file where both lie on one file system, else a copy; the end of the log that
//! was being written is left out.
//!
//! A backup is written beside its target and renamed when all of it is on the disk. It is laid out like a data folder,
//! so that all tools read it, with the file `backup` beside: name, length and checksum of every file.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use model::{StorageError, Timestamp};

use crate::block::block_name;
use crate::bytes::{Damage, Reader, put_bytes, put_int, put_uint};
use crate::db::{BLOCKS_FOLDER, LOCK_FILE, LOG_FOLDER, QUARANTINE_FOLDER, REMOVED_SUFFIX, TEMPORARY_SUFFIX};
use crate::error::{io as io_error, is_gone};
use crate::frame::{self, Scanned, Scanner};
use crate::record::Record;
use crate::{Disk, DiskFile, Error, Folder, log, reserve};

/// The file that makes a folder a backup.
const MANIFEST: &str = "backup";

/// The kind of its frame.
const KIND: u8 = 32;

/// What to do about a folder, or a file, that has no such list.
const NO_BACKUP: &str = "this is no whole backup, it has no list of its files (`backup`): name the folder that \
                         `skep backup TARGET` wrote, which is called TARGET.tmp until it is whole";

/// The version of what the frame says.
const VERSION: u32 = 1;

/// Files are copied in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// The folder changes when it is sealed or merged, which takes longer than a look at it; more looks mean that something
/// else is wrong.
const LOOKS_MAX: usize = 32;

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    /// Its path in the backup, with slashes.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of its content.
    pub crc: u32,
}

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    /// When it was begun.
    pub created: Timestamp,
    /// Its files.
    pub files: Vec<BackupFile>,
    /// What could not be read, and why; it is not in it. Not written down.
    pub unreadable: Vec<String>,
    /// Bytes that take no space, because the block is also the data folder's. Not written down.
    pub shared_bytes: u64,
}

impl Backup {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(crate) fn record(&self) -> Record {
        let mut payload = Vec::new();
        put_uint(&mut payload, u64::from(VERSION));
        put_int(&mut payload, self.created);
        put_uint(&mut payload, self.files.len() as u64);
        for file in &self.files {
            put_bytes(&mut payload, file.path.as_bytes());
            put_uint(&mut payload, file.bytes);
            payload.extend_from_slice(&file.crc.to_le_bytes());
        }
        Record { kind: KIND, payload }
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader(payload);
        if reader.u32()? > VERSION {
            return Err(Damage("a newer version of skep wrote it"));
        }
        let created = reader.int()?;
        let count = reader.count()?;
        let mut files = Vec::new();
        for _ in 0..count {
            let path = std::str::from_utf8(reader.bytes()?).map_err(|_| Damage("a name is not UTF-8"))?.to_owned();
            let bytes = reader.uint()?;
            let crc = crate::bytes::fixed32_at(reader.take(4)?, 0);
            files.push(BackupFile { path, bytes, crc });
        }
        Ok(Self { created, files, ..Self::default() })
    }

    /// Reads the list of a backup's files. Errors: the folder is none, or the list is damaged.
    pub fn open(disk: &dyn Disk, folder: &Path) -> Result<Self, Error> {
        Self::find(disk, folder)?.ok_or_else(|| Error::Folder { path: folder.to_owned(), reason: NO_BACKUP.to_owned() })
    }

    /// As [`Backup::open`]; `None` where there is no list.
    pub(crate) fn find(disk: &dyn Disk, folder: &Path) -> Result<Option<Self>, Error> {
        use ErrorKind::{IsADirectory, NotADirectory, NotFound};
        let path = folder.join(MANIFEST);
        let wrong = |reason: &str| Error::Folder { path: folder.to_owned(), reason: reason.to_owned() };
        let file = match disk.open(&path) {
            Err(error) if matches!(error.kind(), NotFound | NotADirectory | IsADirectory) => return Ok(None),
            file => file.map_err(io_error("open", &path))?,
        };
        let mut scanner = Scanner::new(&*file, 0).map_err(io_error("read", &path))?;
        match scanner.next().map_err(io_error("read", &path))? {
            Some(Scanned::Frame { kind: KIND, payload }) => Self::decode(&payload).map(Some).map_err(|d| wrong(d.0)),
            _ => Err(wrong("the list of its files (`backup`) is damaged")),
        }
    }
}

/// Writes a backup of the data folder to `target`, which must not be there. `extra` adds files of other rooms: it gets
/// the folder to write into, and gives their paths in it.
pub fn backup(
    disk: &dyn Disk,
    folder: &Path,
    target: &Path,
    now: Timestamp,
    extra: impl FnOnce(&Path) -> Result<Vec<PathBuf>, Error>,
) -> Result<Backup, Error> {
    copy_folder(disk, folder, target, now, Part::Whole, extra)
}

/// As [`backup`], of blocks alone: samples that are not sealed yet are not in it.
pub fn backup_sealed(
    disk: &dyn Disk,
    folder: &Path,
    target: &Path,
    now: Timestamp,
    extra: impl FnOnce(&Path) -> Result<Vec<PathBuf>, Error>,
) -> Result<Backup, Error> {
    copy_folder(disk, folder, target, now, Part::Sealed, extra)
}

/// What of a data folder is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Log and blocks.
    Whole,
    /// Blocks.
    Sealed,
}

fn copy_folder(
    disk: &dyn Disk,
    folder: &Path,
    target: &Path,
    now: Timestamp,
    part: Part,
    extra: impl FnOnce(&Path) -> Result<Vec<PathBuf>, Error>,
) -> Result<Backup, Error> {
    Folder::open(disk, folder)?;
    let done = write_whole(disk, target, |temporary| {
        let mut copy = Copy { disk, target: temporary, done: Backup { created: now, ..Backup::default() } };
        if part == Part::Whole {
            copy.log(&folder.join(LOG_FOLDER))?;
        }
        copy.small_files(folder)?;
        copy.blocks(&folder.join(BLOCKS_FOLDER))?;
        for path in extra(temporary)? {
            copy.note(&path)?;
        }
        copy.done.files.sort_by(|a, b| a.path.cmp(&b.path));
        frame::replace_file(disk, temporary, MANIFEST, &[copy.done.record()])?;
        Ok(copy.done)
    })?;
    // Nobody opens a backup for writing. Where the lock stays after a power cut, it says nothing.
    let _ = disk.remove(&target.join(LOCK_FILE)).and_then(|()| disk.sync_dir(target));
    Ok(done)
}

/// Makes a data folder, which must not be there, from a backup. Every file is checked; nothing is left after an error.
pub fn restore(disk: &dyn Disk, backup: &Path, folder: &Path) -> Result<Backup, Error> {
    let known = Backup::open(disk, backup)?;
    write_whole(disk, folder, |temporary| {
        let copy = Copy { disk, target: temporary, done: Backup::default() };
        for sub in [LOG_FOLDER, BLOCKS_FOLDER] {
            let path = temporary.join(sub);
            disk.create_dir(&path).map_err(io_error("create", &path))?;
        }
        for file in &known.files {
            let from = backup.join(inside(&file.path)?);
            let source = disk.open(&from).map_err(io_error("open", &from))?;
            let copied = copy.file(&*source, &from, &temporary.join(&file.path), u64::MAX)?;
            if (copied.bytes, copied.crc) != (file.bytes, file.crc) {
                let reason = format!("{} is not as it was written, the backup is damaged there", file.path);
                return Err(Error::Folder { path: backup.to_owned(), reason });
            }
        }
        copy.sync_folders()?;
        Ok(known)
    })
}

/// Reads all files of a backup and gives the names of those that are not as they were written.
pub fn damaged_files(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, Error> {
    let known = Backup::open(disk, folder)?;
    let is_damaged = |file: &&BackupFile| {
        let read = inside(&file.path).and_then(|path| Ok(checksum_of(disk, &folder.join(path))?));
        !read.is_ok_and(|(bytes, crc)| (bytes, crc) == (file.bytes, file.crc))
    };
    Ok(known.files.iter().filter(is_damaged).map(|file| file.path.clone()).collect())
}

/// A path of a list, which may have been written by anybody: it must stay inside the folder.
fn inside(path: &str) -> Result<&Path, Error> {
    let path = Path::new(path);
    if path.components().all(|part| matches!(part, Component::Normal(_))) && path.file_name().is_some() {
        return Ok(path);
    }
    Err(Error::Folder { path: path.to_owned(), reason: "a backup names no files outside of it".to_owned() })
}

/// Has a folder written beside `target`, and gives it its name when all of it is on the disk. What a process that was
/// killed left there is removed. The lock of the folder goes with it to its new name: without its file another process
/// would take the folder for one that was left, and empty it before it is renamed.
fn write_whole<T>(disk: &dyn Disk, target: &Path, write: impl FnOnce(&Path) -> Result<T, Error>) -> Result<T, Error> {
    let name = target.file_name().ok_or_else(|| Error::Exists { path: target.to_owned() })?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    check_free(disk, parent, target)?;
    let mut beside = name.to_owned();
    beside.push(TEMPORARY_SUFFIX);
    let temporary = parent.join(beside);
    let lock_path = temporary.join(LOCK_FILE);
    disk.create_dir(&temporary).map_err(io_error("create", &temporary))?;
    let lock = disk.lock(&lock_path).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::Locked { path: temporary.clone(), holder: "another backup or restore".into() },
        _ => io_error("lock", &lock_path)(error).into(),
    })?;
    // Between opening the lock's file and locking it another process may have finished, and taken the file along.
    if !list(disk, &temporary)?.iter().any(|name| name == LOCK_FILE) {
        let holder = "another backup or restore, which ended just now".into();
        return Err(Error::Locked { path: temporary, holder });
    }
    let begun = check_free(disk, parent, target).and_then(|()| clear(disk, &temporary));
    let written = begun.and_then(|()| write(&temporary)).and_then(|done| {
        disk.sync_dir(&temporary).map_err(io_error("fsync", &temporary))?;
        check_free(disk, parent, target)?;
        disk.rename(&temporary, target).map_err(io_error("rename", &temporary))?;
        disk.sync_dir(parent).map_err(io_error("fsync", parent))?;
        Ok(done)
    });
    if written.is_err() {
        let _ = disk.remove(&temporary);
    }
    drop(lock);
    written
}

/// An empty folder of that name is as good as none.
fn check_free(disk: &dyn Disk, parent: &Path, target: &Path) -> Result<(), Error> {
    let taken = || Error::Exists { path: target.to_owned() };
    let name = target.file_name().and_then(|name| name.to_str()).ok_or_else(taken)?;
    let there = list(disk, parent)?.iter().any(|other| other == name);
    if there && !disk.list(target).is_ok_and(|names| names.is_empty()) { Err(taken()) } else { Ok(()) }
}

/// Removes what an earlier process left, the lock apart.
fn clear(disk: &dyn Disk, temporary: &Path) -> Result<(), Error> {
    for name in list(disk, temporary)?.iter().filter(|name| *name != LOCK_FILE) {
        let path = temporary.join(name);
        disk.remove(&path).map_err(io_error("remove", &path))?;
    }
    Ok(())
}

fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, StorageError> {
    disk.list(folder).map_err(io_error("list", folder))
}

/// Length and checksum.
fn checksum_of(disk: &dyn Disk, path: &Path) -> Result<(u64, u32), StorageError> {
    let file = disk.open(path).map_err(io_error("open", path))?;
    let mut crc = 0;
    let bytes = each_piece(&*file, path, u64::MAX, |piece| {
        crc = crc32c::crc32c_append(crc, piece);
        Ok(())
    })?;
    Ok((bytes, crc))
}

/// Reads a file up to a length, or to its end; returns how many bytes there were.
fn each_piece(
    file: &dyn DiskFile,
    path: &Path,
    most: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), StorageError>,
) -> Result<u64, StorageError> {
    let length = file.len().map_err(io_error("read", path))?.min(most);
    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(length).unwrap_or(PIECE_BYTES))];
    let mut at = 0;
    while at < length {
        let wanted = usize::try_from(length - at).unwrap_or(usize::MAX).min(piece.len());
        file.read_at(&mut piece[..wanted], at).map_err(io_error("read", path))?;
        each(&piece[..wanted])?;
        at += wanted as u64;
    }
    Ok(length)
}

/// A backup being written.
struct Copy<'a> {
    disk: &'a dyn Disk,
    target: &'a Path,
    done: Backup,
}

impl Copy<'_> {
    /// Copies the segments, each to its last whole frame. One that goes meanwhile is in blocks.
    fn log(&mut self, folder: &Path) -> Result<(), Error> {
        let target = self.create_dir(LOG_FOLDER)?;
        for segment in log::segments(self.disk, folder)? {
            let file = match self.disk.open(&segment.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file.map_err(io_error("open", &segment.path))?,
            };
            let length = whole_frames(&*file, segment.number).map_err(io_error("read", &segment.path))?;
            let name = segment.path.file_name().unwrap_or_default();
            let copied = self.file(&*file, &segment.path, &target.join(name), length)?;
            self.done.files.push(copied);
        }
        self.sync_dir(&target)
    }

    /// Copies the files of the folder itself, such as what is known of metric families: they are replaced, never
    /// changed. Space that is held back and what belongs to the owner stays.
    fn small_files(&mut self, folder: &Path) -> Result<(), Error> {
        let left_out = [LOCK_FILE, reserve::FILE_NAME, MANIFEST, LOG_FOLDER, BLOCKS_FOLDER, QUARANTINE_FOLDER];
        for name in list(self.disk, folder)? {
            let path = folder.join(&name);
            if left_out.contains(&&*name) || !is_whole(&name) {
                continue;
            }
            let file = match self.disk.open(&path) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => continue,
                Err(error) => {
                    self.done.unreadable.push(io_error("open", &path)(error).to_string());
                    continue;
                }
                Ok(file) => file,
            };
            let copied = self.file(&*file, &path, &self.target.join(&name), u64::MAX)?;
            self.done.files.push(copied);
        }
        Ok(())
    }

    /// Takes all blocks, and looks again until those that were taken are those that are there.
    fn blocks(&mut self, folder: &Path) -> Result<(), Error> {
        let target = self.create_dir(BLOCKS_FOLDER)?;
        let mut taken: BTreeMap<u64, Vec<BackupFile>> = BTreeMap::new();
        for _ in 0..LOOKS_MAX {
            let there: Vec<u64> = list(self.disk, folder)?.iter().filter_map(|name| name.parse().ok()).collect();
            let gone: Vec<u64> = taken.keys().filter(|number| !there.contains(number)).copied().collect();
            for number in &gone {
                self.remove(&target.join(block_name(*number)))?;
                taken.remove(number);
            }
            let missing: Vec<u64> = there.into_iter().filter(|number| !taken.contains_key(number)).collect();
            if missing.is_empty() {
                self.done.files.extend(taken.into_values().flatten());
                return self.sync_dir(&target);
            }
            for number in missing {
                let name = block_name(number);
                match self.block(&folder.join(&name), &target.join(&name)) {
                    Ok(files) => drop(taken.insert(number, files)),
                    Err(Error::Storage(error)) if is_gone(&error) => self.remove(&target.join(&name))?,
                    Err(Error::Storage(error)) if is_unreadable(&error) => {
                        self.remove(&target.join(&name))?;
                        self.done.unreadable.push(error.to_string());
                        taken.insert(number, Vec::new());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let reason = format!("its blocks changed during each of {LOOKS_MAX} looks");
        Err(Error::Folder { path: folder.to_owned(), reason })
    }

    fn block(&mut self, from: &Path, to: &Path) -> Result<Vec<BackupFile>, Error> {
        self.disk.create_dir(to).map_err(io_error("create", to))?;
        let mut files = Vec::new();
        for name in list(self.disk, from)?.into_iter().filter(|name| is_whole(name)) {
            let (from, to) = (from.join(&name), to.join(&name));
            files.push(if self.disk.link(&from, &to).is_ok() {
                let (bytes, crc) = checksum_of(self.disk, &to)?;
                self.done.shared_bytes += bytes;
                BackupFile { path: self.path_of(&to), bytes, crc }
            } else {
                let file = self.disk.open(&from).map_err(io_error("open", &from))?;
                self.file(&*file, &from, &to, u64::MAX)?
            });
        }
        self.sync_dir(to)?;
        if files.is_empty() {
            // Between the list of blocks and the list of its files it went.
            let gone = io_error("open", from)(ErrorKind::NotFound.into());
            return Err(gone.into());
        }
        Ok(files)
    }

    /// Copies a file up to a length and syncs it.
    fn file(&self, source: &dyn DiskFile, from: &Path, to: &Path, most: u64) -> Result<BackupFile, Error> {
        if let Some(parent) = to.parent() {
            self.disk.create_dir(parent).map_err(io_error("create", parent))?;
        }
        let file = self.disk.create(to).map_err(io_error("create", to))?;
        let mut crc = 0;
        let bytes = each_piece(source, from, most, |piece| {
            crc = crc32c::crc32c_append(crc, piece);
            file.append(piece).map_err(io_error("write", to))
        })?;
        file.sync().map_err(io_error("fsync", to))?;
        Ok(BackupFile { path: self.path_of(to), bytes, crc })
    }

    /// Adds a file that another room wrote and synced.
    fn note(&mut self, path: &Path) -> Result<(), Error> {
        let (bytes, crc) = checksum_of(self.disk, path)?;
        self.done.files.push(BackupFile { path: self.path_of(path), bytes, crc });
        Ok(())
    }

    fn path_of(&self, path: &Path) -> String {
        path.strip_prefix(self.target).unwrap_or(path).display().to_string()
    }

    fn create_dir(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.target.join(name);
        self.disk.create_dir(&path).map_err(io_error("create", &path))?;
        Ok(path)
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", path)(error).into()),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, path: &Path) -> Result<(), Error> {
        Ok(self.disk.sync_dir(path).map_err(io_error("fsync", path))?)
    }

    /// Makes the names durable that a restore made, in the folder and two levels below.
    fn sync_folders(&self) -> Result<(), Error> {
        for name in list(self.disk, self.target)? {
            let path = self.target.join(name);
            for below in self.disk.list(&path).unwrap_or_default() {
                let below = path.join(below);
                if self.disk.list(&below).is_ok_and(|names| !names.is_empty()) {
                    self.sync_dir(&below)?;
                }
            }
            if self.disk.list(&path).is_ok_and(|names| !names.is_empty()) {
                self.sync_dir(&path)?;
            }
        }
        Ok(())
    }
}

/// Whether a name is neither that of something being written nor of something being removed.
fn is_whole(name: &str) -> bool {
    !name.ends_with(TEMPORARY_SUFFIX) && !name.ends_with(REMOVED_SUFFIX)
}

/// An error of the disk that concerns the place alone, so that the rest can be saved.
fn is_unreadable(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { operation: "read", .. })
}

/// Where the last whole frame ends: behind it somebody may be writing.
fn whole_frames(file: &dyn DiskFile, number: u64) -> std::io::Result<u64> {
    let mut end = file.len()?;
    let mut scanner = Scanner::new(file, number)?;
    while let Some(scanned) = scanner.next()? {
        if let Scanned::Damaged { offset, at_end: true, .. } = scanned {
            end = offset;
        }
    }
    Ok(end)
}
