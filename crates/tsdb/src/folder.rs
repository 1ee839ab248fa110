//! A data folder looked at from outside: what is in it, what is damaged, what costs.
//!
//! Nothing is written and no lock is taken, so that a folder in use, a copy and a backup are looked at alike. Files of a
//! folder in use may go while it is looked at; that is not damage. All bytes are read by the store's own readers.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashSet;
use model::status::{BlockStatus, Costs};
use model::{Samples, StorageError, Timestamp};

use crate::block::{Block, OpenError, Reading, block_name};
use crate::costs::Tally;
use crate::db::{BLOCKS_FOLDER, LOG_FOLDER, QUARANTINE_FOLDER};
use crate::error::{io as io_error, is_gone};
use crate::frame::{Scanned, Scanner};
use crate::index::PageCache;
use crate::{Backup, Disk, Error, exemplars, families, log, reserve};

/// Pages of indexes kept in memory: a walk reads each once, in order.
const PAGES_BYTES_MAX: usize = 4 << 20;

/// A data folder, a copy of one, or a backup.
pub struct Folder<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    pages: Arc<PageCache>,
}

/// A block, as its meta frame tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockSummary {
    /// What a running store tells of it, too.
    pub status: BlockStatus,
    /// Bytes of its index among them.
    pub index_bytes: u64,
    /// Columns of timestamps and of values by codec, with their bytes.
    pub codecs: BTreeMap<(&'static str, &'static str), CodecShare>,
}

/// Columns of one codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodecShare {
    /// Columns.
    pub columns: u64,
    /// Numbers in them.
    pub numbers: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A segment of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its number.
    pub number: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Records that check.
    pub records: u64,
    /// Bytes that do not.
    pub damaged_bytes: u64,
}

/// What is in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The blocks that open, by number.
    pub blocks: Vec<BlockSummary>,
    /// The log.
    pub segments: Vec<SegmentSummary>,
    /// Other things by name, with their bytes: metadata, exemplars, reserve, quarantine.
    pub others: Vec<(&'static str, u64)>,
    /// Whether it is a backup, and when it was begun.
    pub backup: Option<Timestamp>,
    /// What could not be read.
    pub damage: Vec<Finding>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Where in it, where that is known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub reason: String,
    /// What cannot be read for it.
    pub lost: String,
}

/// What a verification read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Blocks.
    pub blocks: u64,
    /// Series in them.
    pub series: u64,
    /// Samples in them.
    pub samples: u64,
    /// Records of the log.
    pub records: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// What is damaged.
    pub damage: Vec<Finding>,
    /// What is odd but loses nothing: records that were rebuilt, an end that is being written.
    pub notes: Vec<Finding>,
}

impl<'a> Folder<'a> {
    /// Looks at a folder. Errors: it is no data folder.
    pub fn open(disk: &'a dyn Disk, path: &Path) -> Result<Self, Error> {
        let names = disk.list(path).map_err(io_error("list", path))?;
        if !names.iter().any(|name| name == BLOCKS_FOLDER || name == LOG_FOLDER) {
            let reason = "this is no data folder: there are neither blocks nor a log in it".to_owned();
            return Err(Error::Folder { path: path.to_owned(), reason });
        }
        Ok(Self { disk, path: path.to_owned(), pages: Arc::new(PageCache::new(PAGES_BYTES_MAX)) })
    }

    /// What is in it. `with_codecs` reads every column.
    pub fn inspect(&self, with_codecs: bool) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        let blocks = self.blocks(&mut summary.damage)?;
        for block in &blocks {
            let mut told = BlockSummary {
                status: block.status(),
                index_bytes: block.meta.index.size_bytes(),
                codecs: BTreeMap::new(),
            };
            if with_codecs && let Err(error) = each_codec(block, &mut told.codecs) {
                summary.damage.push(finding(&self.path, &error, "the rest of the block was not counted"));
            }
            summary.blocks.push(told);
        }
        for segment in self.segments()? {
            let mut told = SegmentSummary { number: segment.number, ..SegmentSummary::default() };
            told.bytes = self.scan(&segment.path, segment.number, |scanned| match scanned {
                Scanned::Damaged { bytes, .. } => told.damaged_bytes += bytes,
                _ => told.records += 1,
            })?;
            summary.segments.push(told);
        }
        for name in [families::FILE_NAME, exemplars::FILE_NAME, reserve::FILE_NAME] {
            let bytes = self.disk.open(&self.path.join(name)).and_then(|file| file.len());
            summary.others.push((name, bytes.unwrap_or_default()));
        }
        let quarantine = reserve::folder_bytes(self.disk, &self.path.join(QUARANTINE_FOLDER));
        summary.others.push((QUARANTINE_FOLDER, quarantine));
        summary.backup = Backup::open(self.disk, &self.path).ok().map(|backup| backup.created);
        Ok(summary)
    }

    /// Reads and checks every frame, column and entry of an index.
    pub fn verify(&self) -> Result<Verified, Error> {
        let mut found = Verified::default();
        for block in self.blocks(&mut found.damage)? {
            found.blocks += 1;
            found.bytes += block.size_bytes;
            self.verify_block(&block, &mut found);
        }
        let segments = self.segments()?;
        let last = segments.last().map(|segment| segment.number);
        for segment in &segments {
            let is_last = last == Some(segment.number);
            found.bytes += self.verify_frames(&segment.path, segment.number, is_last, &mut found)?;
        }
        for name in [families::FILE_NAME, exemplars::FILE_NAME] {
            found.bytes += self.verify_frames(&self.path.join(name), 0, false, &mut found)?;
        }
        self.verify_backup(&mut found)?;
        Ok(found)
    }

    /// Compares the files of a backup with its list.
    fn verify_backup(&self, found: &mut Verified) -> Result<(), Error> {
        let mut damaged = |path: PathBuf, reason: String| {
            let lost = "the backup cannot be restored".to_owned();
            found.damage.push(Finding { path, offset: None, reason, lost });
        };
        match Backup::find(self.disk, &self.path) {
            Ok(None) => {}
            Ok(Some(_)) => {
                for file in crate::damaged_files(self.disk, &self.path)? {
                    damaged(self.path.join(file), "it is not as the backup's list has it".to_owned());
                }
            }
            Err(error) => damaged(self.path.clone(), error.to_string()),
        }
        Ok(())
    }

    /// What costs, by the blocks.
    pub fn analyze(&self, limit: usize) -> Result<(Costs, Vec<Finding>), Error> {
        let mut damage = Vec::new();
        let mut tally = Tally::default();
        for block in self.blocks(&mut damage)? {
            if let Err(error) = tally.add_block(&block) {
                damage.push(finding(&self.path, &error, "the rest of the block was not counted"));
            }
        }
        Ok((tally.costs(limit), damage))
    }

    /// Blocks that open; of the others, those that are still there are damaged.
    fn blocks(&self, damage: &mut Vec<Finding>) -> Result<Vec<Block>, Error> {
        let folder = self.path.join(BLOCKS_FOLDER);
        let names = self.disk.list(&folder).map_err(io_error("list", &folder))?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        let mut blocks = Vec::new();
        for number in numbers {
            let path = folder.join(block_name(number));
            match Block::open(self.disk, &path, number, &self.pages) {
                Ok(block) => blocks.push(block),
                Err(OpenError::Version(found)) => {
                    return Err(Error::Version { path, found, supported: crate::block::VERSION });
                }
                Err(OpenError::Storage(error)) if is_gone(&error) => {}
                Err(OpenError::Storage(error)) => damage.push(finding(&path, &error, "all samples of the block")),
            }
        }
        Ok(blocks)
    }

    fn segments(&self) -> Result<Vec<log::Segment>, StorageError> {
        log::segments(self.disk, &self.path.join(LOG_FOLDER))
    }

    /// Runs through the frames of a file, which may not be there; returns its length.
    fn scan(&self, path: &Path, number: u64, mut each: impl FnMut(Scanned)) -> Result<u64, StorageError> {
        let file = match self.disk.open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            file => file.map_err(io_error("open", path))?,
        };
        let mut scanner = Scanner::new(&*file, number).map_err(io_error("read", path))?;
        while let Some(scanned) = scanner.next().map_err(io_error("read", path))? {
            each(scanned);
        }
        file.len().map_err(io_error("read", path))
    }

    fn verify_frames(&self, path: &Path, number: u64, live: bool, found: &mut Verified) -> Result<u64, StorageError> {
        let (mut records, mut damage, mut notes) = (0, Vec::new(), Vec::new());
        let length = self.scan(path, number, |scanned| match scanned {
            Scanned::Frame { .. } => records += 1,
            Scanned::Rebuilt { offset, bytes } => {
                let reason = format!("{bytes} bytes were damaged and are rebuilt; the disk is not to be trusted");
                let (path, offset) = (path.to_owned(), Some(offset));
                notes.push(Finding { path, offset, reason, lost: "nothing".to_owned() });
            }
            Scanned::Damaged { offset, bytes, at_end } => {
                let reason = format!("{bytes} bytes are no record");
                let lost = "the samples of these records".to_owned();
                let finding = Finding { path: path.to_owned(), offset: Some(offset), reason, lost };
                // A server that runs may be writing there, and a power cut leaves the same.
                if live && at_end {
                    let lost = "what was not acknowledged yet".to_owned();
                    notes.push(Finding {
                        lost,
                        reason: format!("the last {bytes} bytes are no whole record"),
                        ..finding
                    });
                } else {
                    damage.push(finding);
                }
            }
        })?;
        found.records += records;
        found.damage.append(&mut damage);
        found.notes.append(&mut notes);
        Ok(length)
    }

    fn verify_block(&self, block: &Block, found: &mut Verified) {
        let path = &block.folder;
        if let Err(error) = block.index().verify() {
            found.damage.push(finding(path, &error, "series of the block that are found by this part"));
        }
        let (index, reading) = (block.index(), Reading::default());
        let mut cursor = index.cursor();
        let mut samples = Samples::default();
        let (mut total, mut whole) = (0, true);
        for ordinal in 0..block.meta.series as u32 {
            let entry = match cursor.entry(ordinal) {
                Ok(entry) => entry,
                Err(error) => {
                    whole = false;
                    // One page has many series.
                    let known = finding(path, &error, "the series of this part of the index");
                    if found.damage.last() != Some(&known) {
                        found.damage.push(known);
                    }
                    continue;
                }
            };
            found.series += 1;
            for chunk in &entry.chunks {
                samples.clear();
                let checked = block.read(chunk, &reading, &mut samples).map_err(|error| finding(path, &error, ""));
                let checked = checked.and_then(|()| {
                    let offset = Some(chunk.times.offset);
                    let wrong = |reason: &str| {
                        Err(Finding { path: path.clone(), offset, reason: reason.to_owned(), lost: String::new() })
                    };
                    let rising = samples.timestamps.windows(2).all(|two| two[0] < two[1]);
                    let ends = (samples.timestamps.first().copied(), samples.timestamps.last().copied());
                    match ends {
                        _ if !rising => wrong("timestamps do not rise"),
                        (Some(first), Some(last)) if (first, last) == (chunk.min_time, chunk.max_time) => Ok(()),
                        _ => wrong("a column does not span the time that the index says"),
                    }
                });
                match checked {
                    Ok(()) => total += samples.len() as u64,
                    Err(finding) => {
                        whole = false;
                        let lost = format!("samples of {} from {} to {}", entry.labels, chunk.min_time, chunk.max_time);
                        found.damage.push(Finding { lost, ..finding });
                    }
                }
            }
        }
        found.samples += total;
        if whole && total != block.meta.samples {
            let reason = format!("it has {total} samples and says that it has {}", block.meta.samples);
            found.damage.push(Finding { path: path.clone(), offset: None, reason, lost: "not known".to_owned() });
        }
    }
}

/// Counts the columns of a block by codec; a column that series share counts once.
fn each_codec(
    block: &Block,
    into: &mut BTreeMap<(&'static str, &'static str), CodecShare>,
) -> Result<(), StorageError> {
    let index = block.index();
    let mut cursor = index.cursor();
    let mut counted: HashSet<u64> = HashSet::new();
    for ordinal in 0..block.meta.series as u32 {
        for chunk in cursor.chunks(ordinal)?.to_vec() {
            for (what, place) in [("values", chunk.values), ("timestamps", chunk.times)] {
                if !counted.insert(place.offset) {
                    continue;
                }
                let (codec, numbers) = block.codec_of(place)?;
                let share = into.entry((what, codec)).or_default();
                share.columns += 1;
                share.numbers += numbers as u64;
                share.bytes += u64::from(place.length);
            }
        }
    }
    Ok(())
}

fn finding(path: &Path, error: &StorageError, lost: &str) -> Finding {
    let lost = lost.to_owned();
    match error {
        StorageError::Corrupt { path, offset, reason } => {
            Finding { path: path.into(), offset: Some(*offset), reason: reason.clone(), lost }
        }
        other => Finding { path: path.to_owned(), offset: None, reason: other.to_string(), lost },
    }
}
