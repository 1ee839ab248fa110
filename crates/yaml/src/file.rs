//! Reading a configuration file, bounded and with words for what can go wrong.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::Report;

/// A configuration of a thousand jobs stays far below; a larger file is a mistake, such as a data file or a device.
const BYTES_MAX: u64 = 16 << 20;

/// The text of a file; `None` if it cannot be read, is too large or is not UTF-8, which the report then says.
pub fn read(path: &Path, report: &Report) -> Option<String> {
    let name = path.display().to_string();
    match read_bounded(path) {
        Ok(bytes) if bytes.len() as u64 > BYTES_MAX => {
            report.file_error(&name, format!("larger than {BYTES_MAX} bytes"), "is this a configuration file?");
            None
        }
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|error| report.file_error(&name, "is not UTF-8 text", encoding_hint(error.as_bytes())))
            .ok(),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            report.file_error(&name, "is a folder", "name a file in it");
            None
        }
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.split(" (os error").next().unwrap_or_default();
            let hint =
                if error.kind() == io::ErrorKind::NotFound { "" } else { "mend its permissions, or name another" };
            report.file_error(&name, format!("cannot be read: {reason}"), hint);
            None
        }
    }
}

/// Editors that write UTF-16 begin with its byte order mark.
fn encoding_hint(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16; save it as UTF-8",
        _ => "is this a configuration file?",
    }
}

/// At most one byte more than a file may have: a device or a pipe does not say its length before.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let report = Report::default();
        assert!(read(Path::new(path), &report).is_none(), "{path}");
        let said: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].starts_with(expected), "{said:?}");
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        check("/no/such/file.yml", "/no/such/file.yml: error: cannot be read: No such file");
        check("/", "/: error: is a folder");
        check("/dev/zero", "/dev/zero: error: larger than 16777216 bytes");
        check("/proc/self/exe", "/proc/self/exe: error: ");
    }
}
