//! Checked reads of a block's file: columns, frames, and sections cut into pages.

use std::fmt;
use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use model::{Matcher, StorageError, Timestamp};
use parking_lot::Mutex;

use crate::bytes::{Damage, fixed32_at};
use crate::error::io as io_error;
use crate::frame::{self, HEADER_BYTES, checksum};
use crate::warm::{self, Listing, Warm};
use crate::{Disk, DiskFile};

/// Content of a page. A look-up reads one page a section, and 12 bytes of header in 8 KiB cost nothing.
pub(super) const PAGE_BYTES: usize = 8 << 10;

const PAGE_FRAME_BYTES: usize = PAGE_BYTES + HEADER_BYTES;

/// Neighbouring pages are read together up to this many, so that a scan makes few calls and stays inside the cache.
const PAGES_A_READ: u64 = 16;

/// A part of an index: bytes that are written in pages one after the other, all full but the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// Where the first page stands in the file.
    pub(super) start: u64,
    /// Bytes of content.
    pub(super) length: u64,
}

impl Section {
    /// Writes the content in pages by `put`, which writes one frame and returns its offset.
    pub(super) fn write(kind: u8, content: &[u8], put: Put<'_>) -> Result<Self, StorageError> {
        let mut start = None;
        for page in content.chunks(PAGE_BYTES) {
            let offset = put(kind, page)?;
            start.get_or_insert(offset);
        }
        Ok(Self { start: start.unwrap_or_default(), length: content.len() as u64 })
    }

    fn pages(self) -> u64 {
        self.length.div_ceil(PAGE_BYTES as u64)
    }

    /// Bytes in the file.
    pub(super) fn size_bytes(self) -> u64 {
        self.length + self.pages() * HEADER_BYTES as u64
    }

    fn page_bytes(self, page: u64) -> usize {
        (self.length - page * PAGE_BYTES as u64).min(PAGE_BYTES as u64) as usize
    }
}

/// Writes one frame and returns its offset.
pub(crate) type Put<'a> = &'a mut dyn FnMut(u8, &[u8]) -> Result<u64, StorageError>;

/// Of what the cache may hold, this part is for timestamps: each query wants those of the targets that it asks about.
const TIMES_PART: usize = 4;

/// What was read and checked, of all blocks together: pages of indexes, and columns of timestamps as they were decoded.
pub(crate) struct PageCache {
    pages: Recent<u8>,
    times: Recent<Timestamp>,
    /// What refreshing queries read.
    pub(crate) warm: Warm,
}

/// An open file and an offset in it.
type Key = (u64, u64);

impl PageCache {
    /// A cache that holds at most so many bytes, and nothing for queries that refresh.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self::with_warm(bytes_max, 0)
    }

    /// A cache that holds at most so many bytes, and so many for queries that refresh.
    pub(crate) fn with_warm(bytes_max: usize, warm_bytes_max: usize) -> Self {
        let times_max = bytes_max / TIMES_PART;
        let (pages, times) = (Recent::new(bytes_max - times_max), Recent::new(times_max));
        Self { pages, times, warm: Warm::new(warm_bytes_max) }
    }

    /// Forgets what only the previous calls of this function asked for.
    pub(crate) fn age(&self) {
        self.pages.age();
        self.times.age();
    }
}

/// Lists that were asked for of late. Two generations: when the young one is full it becomes the old one, and what is
/// asked for in between becomes young again.
struct Recent<T> {
    bytes_max: usize,
    generations: Mutex<Generations<T>>,
}

struct Generations<T> {
    young: HashMap<Key, Arc<[T]>>,
    old: HashMap<Key, Arc<[T]>>,
    young_bytes: usize,
}

impl<T> Recent<T> {
    fn new(bytes_max: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new(), young_bytes: 0 };
        Self { bytes_max, generations: Mutex::new(generations) }
    }

    fn get(&self, key: Key) -> Option<Arc<[T]>> {
        let mut held = self.generations.lock();
        if let Some(list) = held.young.get(&key) {
            return Some(Arc::clone(list));
        }
        let list = held.old.remove(&key)?;
        held.put(key, Arc::clone(&list), self.bytes_max);
        Some(list)
    }

    fn put(&self, key: Key, list: Arc<[T]>) {
        self.generations.lock().put(key, list, self.bytes_max);
    }

    fn age(&self) {
        let mut held = self.generations.lock();
        held.old = std::mem::take(&mut held.young);
        held.young_bytes = 0;
    }
}

impl<T> Generations<T> {
    fn put(&mut self, key: Key, list: Arc<[T]>, bytes_max: usize) {
        self.young_bytes += size_of_val(&*list);
        self.young.insert(key, list);
        if self.young_bytes > bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

/// Bytes of a section; they share the memory of the page where they lie within one.
pub(super) struct Bytes {
    page: Arc<[u8]>,
    range: Range<usize>,
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.page[self.range.clone()]
    }
}

/// The open file of a block.
pub(crate) struct BlockFile {
    path: PathBuf,
    number: u64,
    size_bytes: u64,
    file: Box<dyn DiskFile>,
    /// Not the number of the block: a block that was written anew has other pages.
    id: u64,
    cache: Arc<PageCache>,
    damage: Mutex<Option<String>>,
}

impl fmt::Debug for BlockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl BlockFile {
    /// Opens it for reading; `number` is the block's, which its checksums cover.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        number: u64,
        cache: &Arc<PageCache>,
    ) -> Result<Self, StorageError> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let file = disk.open(path).map_err(io_error("open", path))?;
        let size_bytes = file.len().map_err(io_error("read", path))?;
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let (path, cache) = (path.to_owned(), Arc::clone(cache));
        Ok(Self { path, number, size_bytes, file, id, cache, damage: Mutex::default() })
    }

    /// The file gets this name later, and errors are to say it.
    pub(crate) fn named(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// What was found to be wrong with it since it was opened.
    pub(crate) fn damage(&self) -> Option<String> {
        self.damage.lock().clone()
    }

    /// The error of damage found here, which is remembered.
    pub(crate) fn corrupt(&self, offset: u64, damage: Damage) -> StorageError {
        let path = self.path.display().to_string();
        let mut known = self.damage.lock();
        if known.is_none() {
            *known = Some(format!("{path}: damaged at byte {offset}: {damage}"));
        }
        StorageError::Corrupt { path, offset, reason: damage.0.to_owned() }
    }

    /// Bytes that nobody has checked yet.
    pub(crate) fn bytes_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, StorageError> {
        let fits = offset.checked_add(length as u64).is_some_and(|end| end <= self.size_bytes);
        if !fits {
            return Err(self.corrupt(offset, Damage("it points past its end")));
        }
        let mut bytes = vec![0; length];
        self.file.read_at(&mut bytes, offset).map_err(|error| {
            if is_damage(&error) {
                self.corrupt(offset, Damage("the disk cannot read it"));
            }
            io_error("read", &self.path)(error)
        })?;
        Ok(bytes)
    }

    /// The payload of the frame of this kind that stands here.
    pub(crate) fn frame_at(&self, offset: u64, expected: u8) -> Result<Vec<u8>, StorageError> {
        let header = self.bytes_at(offset, HEADER_BYTES)?;
        let length = fixed32_at(&header, 4) as usize;
        let mut bytes = self.bytes_at(offset, HEADER_BYTES.saturating_add(length))?;
        self.check_frame(&bytes, offset, expected)?;
        Ok(bytes.split_off(HEADER_BYTES))
    }

    fn check_frame<'a>(&self, bytes: &'a [u8], offset: u64, expected: u8) -> Result<&'a [u8], StorageError> {
        match frame::check(bytes, self.number, offset) {
            Some((kind, payload)) if kind == expected => Ok(payload),
            _ => Err(self.corrupt(offset, Damage("a frame does not match its checksum"))),
        }
    }

    /// Whether the four bytes after these are their checksum; they stand at this offset.
    pub(crate) fn checks(&self, offset: u64, body: &[u8], crc: u32) -> bool {
        checksum(self.number, offset, &[body]) == crc
    }

    /// What is kept of it for a selector that comes again.
    pub(crate) fn known_listing(&self, matchers: &[Matcher]) -> Option<Arc<Listing>> {
        self.cache.warm.listing(self.id, matchers)
    }

    /// As of [`Warm::may_keep`].
    pub(crate) fn may_keep(&self, series: u64) -> bool {
        self.cache.warm.may_keep(series)
    }

    /// Keeps what a selector found in it.
    pub(crate) fn remember_listing(&self, matchers: &[Matcher], found: warm::Found) -> Arc<Listing> {
        self.cache.warm.keep(self.id, matchers, found)
    }

    /// The column of timestamps that was decoded here of late.
    pub(crate) fn known_times(&self, offset: u64) -> Option<Arc<[Timestamp]>> {
        self.cache.times.get((self.id, offset))
    }

    /// Remembers a column of timestamps that was decoded here.
    pub(crate) fn remember_times(&self, offset: u64, times: Arc<[Timestamp]>) {
        self.cache.times.put((self.id, offset), times);
    }

    /// Content of a section.
    pub(super) fn read(&self, section: Section, kind: u8, range: Range<u64>) -> Result<Bytes, StorageError> {
        if range.start > range.end || range.end > section.length {
            return Err(self.corrupt(section.start, Damage("the index points past a section's end")));
        }
        if range.is_empty() {
            return Ok(Bytes { page: Arc::from([]), range: 0..0 });
        }
        let page_of = |at: u64| at / PAGE_BYTES as u64;
        let (first, last) = (page_of(range.start), page_of(range.end - 1));
        let skipped = (range.start - first * PAGE_BYTES as u64) as usize;
        let within = skipped..skipped + (range.end - range.start) as usize;
        if first == last {
            return Ok(Bytes { page: self.page(section, kind, first)?, range: within });
        }
        let mut all = Vec::with_capacity((last - first + 1) as usize * PAGE_BYTES);
        for page in first..=last {
            all.extend_from_slice(&self.page(section, kind, page)?);
        }
        Ok(Bytes { page: all.into(), range: within })
    }

    /// One page; neighbours that follow come into the cache with it when it was not there.
    fn page(&self, section: Section, kind: u8, page: u64) -> Result<Arc<[u8]>, StorageError> {
        let offset_of = |page: u64| section.start + page * PAGE_FRAME_BYTES as u64;
        if let Some(found) = self.cache.pages.get((self.id, offset_of(page))) {
            return Ok(found);
        }
        let end = (page - page % PAGES_A_READ + PAGES_A_READ).min(section.pages());
        let length = section.page_bytes(end - 1) + HEADER_BYTES + (end - 1 - page) as usize * PAGE_FRAME_BYTES;
        let bytes = self.bytes_at(offset_of(page), length)?;
        let mut wanted = None;
        for (at, bytes) in (page..end).zip(bytes.chunks(PAGE_FRAME_BYTES)) {
            let content: Arc<[u8]> = match self.check_frame(bytes, offset_of(at), kind) {
                Ok(content) if content.len() == section.page_bytes(at) => content.into(),
                Ok(_) => return Err(self.corrupt(offset_of(at), Damage("a page has another length"))),
                Err(error) => return Err(error),
            };
            self.cache.pages.put((self.id, offset_of(at)), Arc::clone(&content));
            wanted.get_or_insert(content);
        }
        wanted.ok_or_else(|| self.corrupt(offset_of(page), Damage("a page is missing")))
    }

    /// Reads all pages of a section past the cache.
    pub(super) fn verify(&self, section: Section, kind: u8) -> Result<(), StorageError> {
        for page in 0..section.pages() {
            let offset = section.start + page * PAGE_FRAME_BYTES as u64;
            let bytes = self.bytes_at(offset, section.page_bytes(page) + HEADER_BYTES)?;
            self.check_frame(&bytes, offset, kind)?;
        }
        Ok(())
    }
}

/// Whether an error of reading will come again, unlike a lack of memory or of file descriptors.
fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
