//! A small data folder, damaged, that is opened, looked at and asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use model::status::Store;
use model::{
    Appendable, Durability, Exemplar, Hints, Labels, Matcher, Metadata, Queryable, Sample, Samples, Selection,
    stale_nan,
};
use testkit::{CrashDisk, TestClock};
use tsdb::{Db, Disk, Folder, Options};

use super::input::Input;

const NOW: i64 = 480_000 * 3_600_000;
const DAY: i64 = 86_400_000;
const FOLDER: &str = "/data";

/// Bytes of a frame before its payload: magic, kind, length, checksum.
const HEADER_BYTES: usize = 12;

/// Values by series and time.
type Content = BTreeMap<(String, i64), u64>;

/// Bytes from here to there have their checksum at a third place.
struct Checked {
    start: usize,
    end: usize,
    is_frame: bool,
}

struct Fixture {
    disk: CrashDisk,
    content: Content,
    files: Vec<(PathBuf, Vec<u8>, Vec<Checked>)>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(Fixture::written);

/// The first byte says whether checksums are made to match again, and each edit after it takes four: a file, two of the
/// place, and what is put to the byte there by exclusive or; 0 cuts the file there.
///
/// Where they do not match, no answer is wrong and none is short without saying so. Where they do, as in a folder that
/// somebody made, nothing panics.
pub fn damage(bytes: &[u8]) {
    let mut input = Input(bytes);
    let is_hostile = input.byte() & 1 == 1;
    let fixture = &*FIXTURE;
    let mut files: Vec<Vec<u8>> = fixture.files.iter().map(|(_, bytes, _)| bytes.clone()).collect();
    let mut log_is_cut = false;
    while !input.is_empty() {
        let file = usize::from(input.byte()) % files.len();
        let (place, mask) = (usize::from(input.word()), input.byte());
        let bytes = &mut files[file];
        if bytes.is_empty() {
            continue;
        }
        let place = place % bytes.len();
        if mask == 0 {
            bytes.truncate(place);
            log_is_cut |= is_log(&fixture.files[file].0);
        } else {
            bytes[place] ^= mask;
        }
    }
    let disk = fixture.disk.copy();
    for ((path, _, checked), bytes) in fixture.files.iter().zip(&mut files) {
        if is_hostile {
            check_again(path, bytes, checked);
        }
        disk.create(path).and_then(|file| file.append(bytes)).expect("a disk in memory");
    }
    look(&disk);
    if is_hostile {
        use_all(&disk);
    } else {
        ask(&disk, &fixture.content, log_is_cut);
    }
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

fn open(disk: &CrashDisk) -> Result<Db, tsdb::Error> {
    let (clock, disk) = (Arc::new(TestClock::new(NOW)), Arc::new(disk.clone()));
    Db::open(Options { path: FOLDER.into(), retention_time: None, clock, disk, ..Options::default() })
}

/// What the tools do.
fn look(disk: &CrashDisk) {
    let Ok(folder) = Folder::open(disk, Path::new(FOLDER)) else { return };
    let _ = (folder.inspect(true), folder.verify(), folder.analyze(5));
}

fn read(db: &Db) -> Result<(Content, Vec<String>), model::StorageError> {
    let selection = Selection { matchers: &[], min_time: i64::MIN, max_time: i64::MAX, hints: Hints::default() };
    let set = db.select(&selection)?;
    let mut content = Content::new();
    for series in &set.series {
        let mut samples = Samples::default();
        series.read(&mut samples)?;
        let labels = series.labels().to_string();
        content.extend(samples.iter().map(|s| ((labels.clone(), s.timestamp), s.value.to_bits())));
    }
    Ok((content, set.warnings))
}

fn ask(disk: &CrashDisk, content: &Content, log_is_cut: bool) {
    let db = open(disk).expect("a damaged folder opens");
    let first = read(&db);
    let was_refused = first.is_err();
    // What is damaged is set aside when it is met, so that a second question has an answer.
    let answer = first.or_else(|_| read(&db)).or_else(|_| read(&db)).or_else(|_| read(&db));
    let (got, warnings) = answer.expect("an answer without what is damaged");
    assert!(got.iter().all(|(key, bits)| content.get(key) == Some(bits)), "a wrong answer");
    let is_told = was_refused || !warnings.is_empty() || db.recovery().damaged_records > 0;
    // Frames that are missing from the end of a log leave no trace.
    assert!(got == *content || is_told || log_is_cut, "a silent loss");
}

/// All that the store does with a folder.
fn use_all(disk: &CrashDisk) {
    let Ok(db) = open(disk) else { return };
    let matchers = [Matcher::equal("job", "a")];
    let selection = Selection { matchers: &matchers, min_time: NOW - DAY, max_time: NOW, hints: Hints::default() };
    let _ = (read(&db), db.select(&selection).map(|set| set.series.len()), db.exemplars(&selection));
    let _ = (db.label_names(&selection), db.label_values("job", &selection), db.metadata(None));
    let _ = (db.costs(), db.details(), db.maintain(NOW + 2 * DAY));
    let _ = (db.delete_series(&matchers, NOW - DAY, NOW), db.clean_tombstones(), read(&db), db.close());
    let (backup, restored) = (Path::new("/backup"), Path::new("/restored"));
    let _ = tsdb::backup(disk, Path::new(FOLDER), backup, NOW, |_| Ok(Vec::new()));
    let _ = tsdb::restore(disk, backup, restored);
}

impl Fixture {
    /// Days that are merged, sealed, deleted from, and in the log.
    fn written() -> Self {
        let disk = CrashDisk::new();
        let db = open(&disk).expect("an empty folder opens");
        append(&db, NOW - 3 * DAY, 0..40);
        db.seal().expect("sealing");
        append(&db, NOW - 3 * DAY, 40..80);
        db.seal().expect("sealing");
        db.maintain(NOW).expect("merging");
        append(&db, NOW - 3_600_000, 0..30);
        db.seal().expect("sealing");
        db.delete_series(&[Matcher::equal("x", "1")], NOW - 3_600_000, NOW - 3_500_000).expect("deleting");
        append(&db, NOW - 900_000, 0..20);
        let content = read(&db).expect("an answer").0;
        db.close().expect("closing");
        drop(db);
        let disk = disk.copy();
        let kept = disk.files().into_iter().filter(|(path, _)| !path.ends_with("lock") && !path.ends_with("reserve"));
        let files = kept.map(|(path, length)| {
            let mut bytes = vec![0; length];
            disk.open(&path).and_then(|file| file.read_at(&mut bytes, 0)).expect("a disk in memory");
            let checked = checked(&path, &bytes);
            (path, bytes, checked)
        });
        let files = files.collect();
        Self { disk, content, files }
    }
}

fn append(db: &Db, start: i64, rows: std::ops::Range<i64>) {
    for row in rows {
        for (target, job) in [(0, "a"), (1, "b")] {
            let mut batch = db.appender();
            for x in 0..6_i64 {
                let labels = Labels::from_pairs([("__name__", "m"), ("job", job), ("x", &x.to_string())]);
                let value = match x {
                    0 => 1.0,
                    1 => (row * row) as f64,
                    2 => (row * 7919 % 101) as f64 / 100.0,
                    3 => (row as f64).sqrt(),
                    4 if row % 9 == 8 => stale_nan(),
                    _ => (row * x) as f64,
                };
                let sample = Sample { timestamp: start + row * 15_000 + target, value };
                let reference = batch.append(&labels, sample).expect("a sample");
                if x == 5 && row % 10 == 0 {
                    let exemplar = Exemplar { labels: Labels::from_pairs([("id", job)]), value, timestamp: None };
                    batch.append_exemplar(reference, &exemplar).expect("an exemplar");
                }
            }
            let metadata = Metadata { help: "Something.".to_owned(), ..Metadata::default() };
            batch.set_metadata("m", &metadata).expect("metadata");
            batch.commit(Durability::Kernel).expect("a commit");
        }
    }
}

/// The number of a file in its checksums.
fn number(path: &Path) -> u64 {
    let of = |name: Option<&std::ffi::OsStr>| name.and_then(|name| name.to_str()?.parse().ok());
    let is_block = path.file_name().is_some_and(|name| name == "block");
    let folder = path.parent().and_then(Path::file_name).filter(|_| is_block);
    of(path.file_stem()).or_else(|| of(folder)).unwrap_or_default()
}

/// The checksum of these bytes, which stand at this place of a file.
fn checksum(number: u64, offset: usize, parts: &[&[u8]]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &(offset as u64).to_le_bytes());
    parts.iter().fold(place, |crc, part| crc32c::crc32c_append(crc, part))
}

fn fixed(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(usize::MAX, |four| u32::from_le_bytes(std::array::from_fn(|i| four[i])) as usize)
}

/// What of a sound file has a checksum: frames, and columns between them.
fn checked(path: &Path, bytes: &[u8]) -> Vec<Checked> {
    let (number, mut found, mut start) = (number(path), Vec::new(), 0);
    while start < bytes.len() {
        let end = frame_end(number, bytes, start).map(|end| (end, true));
        let Some((end, is_frame)) = end.or_else(|| Some((column_end(number, bytes, start)?, false))) else { break };
        found.push(Checked { start, end, is_frame });
        start = end;
    }
    found
}

fn frame_end(number: u64, bytes: &[u8], start: usize) -> Option<usize> {
    let end = start.checked_add(HEADER_BYTES)?.checked_add(fixed(bytes, start + 4))?;
    let payload = bytes.get(start + HEADER_BYTES..end)?;
    let crc = checksum(number, start, &[&bytes[start + 3..start + 8], payload]);
    (crc as usize == fixed(bytes, start + 8)).then_some(end)
}

fn column_end(number: u64, bytes: &[u8], start: usize) -> Option<usize> {
    let mut crc = checksum(number, start, &[]);
    for end in start..bytes.len() {
        if end > start + 1 && crc as usize == fixed(bytes, end) {
            return Some(end + 4);
        }
        crc = crc32c::crc32c_append(crc, &bytes[end..end + 1]);
    }
    None
}

/// Makes the checksums match what was changed; a frame whose length was changed has it as far as the file goes.
fn check_again(path: &Path, bytes: &mut [u8], checked: &[Checked]) {
    let number = number(path);
    for Checked { start, end, is_frame } in checked {
        let (start, end) =
            (*start, if *is_frame { start + HEADER_BYTES + fixed(bytes, start + 4).min(1 << 32) } else { *end });
        if end > bytes.len() {
            continue;
        }
        let (at, crc) = if *is_frame {
            (start + 8, checksum(number, start, &[&bytes[start + 3..start + 8], &bytes[start + HEADER_BYTES..end]]))
        } else {
            (end - 4, checksum(number, start, &[&bytes[start..end - 4]]))
        };
        bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    }
}
