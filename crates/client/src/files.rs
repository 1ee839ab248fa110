//! What the configuration holds in files: secrets and certificates.

use std::path::Path;

use tokio::io::AsyncReadExt;

use crate::Failure;
use crate::config::Source;

/// A bundle of all public authorities has a quarter of it; a path to something endless must not take memory.
const FILE_SIZE_BYTES_MAX: u64 = 1 << 20;

/// The text of a source, with the blanks around it where it stands in a file.
pub(crate) async fn read(source: &Source) -> Result<String, Failure> {
    match source {
        Source::Inline(text) => Ok(text.reveal().to_owned()),
        Source::File(path) => read_file(path).await,
    }
}

/// The text of a secret.
pub(crate) async fn reveal(source: &Source) -> Result<String, Failure> {
    match source {
        Source::Inline(text) => Ok(text.reveal().to_owned()),
        Source::File(path) => Ok(read_file(path).await?.trim().to_owned()),
    }
}

/// The text of a file.
pub(crate) async fn read_file(path: &Path) -> Result<String, Failure> {
    let unreadable = |reason: String| Failure::File { path: path.display().to_string(), reason };
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(error.to_string()))?;
    let size = file.take(FILE_SIZE_BYTES_MAX).read_to_string(&mut text).await;
    match size {
        Ok(size) if (size as u64) < FILE_SIZE_BYTES_MAX => Ok(text),
        Ok(_) => Err(unreadable(format!("it has {FILE_SIZE_BYTES_MAX} bytes or more"))),
        Err(error) => Err(unreadable(error.to_string())),
    }
}
