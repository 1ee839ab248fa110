//! All entries in one JSON file, from which the database is rebuilt when it will not open.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Error;
use crate::frame::Entries;

const PREFIX: &str = r#"{"crc32":""#;
const MIDDLE: &str = r#"","body":"#;
const SUFFIX: &str = "}\n";
const VERSION: u64 = 1;

/// What a snapshot held.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// The number of the last change in it.
    pub(crate) sequence: u64,
    /// The entries.
    pub(crate) entries: Entries,
}

pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("snapshot.json")
}

/// Replaces the snapshot: written beside, synced, renamed.
pub(crate) fn save(folder: &Path, sequence: u64, entries: &Entries) -> Result<(), Error> {
    let (target, beside) = (path(folder), folder.join("snapshot.json.new"));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(encode(sequence, entries).as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &target)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(Error::io("write", &target)).inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// Reads the snapshot. `Ok(None)`: there is none. `Err`: it cannot be read or is damaged, in words.
pub(crate) fn load(folder: &Path) -> Result<Option<Snapshot>, String> {
    let path = path(folder);
    match fs::read(&path) {
        Ok(bytes) => decode(&bytes).map(Some).ok_or_else(|| format!("{} is damaged", path.display())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

fn encode(sequence: u64, entries: &Entries) -> String {
    let entries: Vec<Value> = entries.iter().map(|(key, value)| json!([key, encode_value(value)])).collect();
    let body = json!({ "version": VERSION, "sequence": sequence, "entries": entries }).to_string();
    format!("{PREFIX}{:08x}{MIDDLE}{body}{SUFFIX}", crc32fast::hash(body.as_bytes()))
}

/// Text stays readable; other bytes become a list of numbers.
fn encode_value(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) => json!(text),
        Err(_) => json!(value),
    }
}

fn decode(bytes: &[u8]) -> Option<Snapshot> {
    let text = std::str::from_utf8(bytes).ok()?;
    let rest = text.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let (checksum, body) = rest.split_once(MIDDLE)?;
    if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    let body: Value = serde_json::from_str(body).ok()?;
    if body["version"].as_u64()? != VERSION {
        return None;
    }
    let entries = body["entries"].as_array()?.iter().map(decode_entry).collect::<Option<_>>()?;
    Some(Snapshot { sequence: body["sequence"].as_u64()?, entries })
}

fn decode_entry(entry: &Value) -> Option<(String, Vec<u8>)> {
    let value = match &entry[1] {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(bytes) => {
            bytes.iter().map(|b| b.as_u64().and_then(|b| u8::try_from(b).ok())).collect::<Option<_>>()?
        }
        _ => return None,
    };
    Some((entry[0].as_str()?.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed_or_harmless() {
        let entries: Entries = [("a\0k".to_owned(), b"text".to_vec()), ("b\0\u{e9}".to_owned(), vec![0, 255])].into();
        let snapshot = Snapshot { sequence: 7, entries };
        let encoded = encode(7, &snapshot.entries).into_bytes();
        assert_eq!(decode(&encoded).as_ref(), Some(&snapshot));
        for bit in 0..encoded.len() * 8 {
            let mut damaged = encoded.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Some(got) = decode(&damaged) {
                assert_eq!(got, snapshot, "bit {bit}");
            }
        }
    }
}
