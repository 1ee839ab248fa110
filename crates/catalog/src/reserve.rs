//! A file that holds space back, for the moment when the disk is full and the database needs some to open.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;

/// sled opens with up to two segments of 512 KiB; less than that would not help, more is the user's space.
const RESERVE_BYTES: usize = 1 << 20;

fn path(folder: &Path) -> PathBuf {
    folder.join("reserve")
}

/// Writes the file if it is not there in full.
pub(crate) fn hold(folder: &Path) -> Result<(), Error> {
    let path = path(folder);
    if fs::metadata(&path).is_ok_and(|m| m.len() == RESERVE_BYTES as u64) {
        return Ok(());
    }
    let write = || {
        let mut file = File::create(&path)?;
        // Zeros would be stored as nothing by a file system that compresses.
        let block: Vec<u8> = (0u32..4096).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for _ in 0..RESERVE_BYTES / block.len() {
            file.write_all(&block)?;
        }
        file.sync_all()
    };
    let written = write().map_err(Error::io("write", &path));
    if written.is_err() {
        // A part of a reserve only makes a full disk fuller.
        release(folder);
    }
    written
}

/// Gives the space back; whether there was any.
pub(crate) fn release(folder: &Path) -> bool {
    fs::remove_file(path(folder)).is_ok()
}
