//! Text as the kernel writes it: words and numbers in lines.

use crate::Error;

/// A file that was read, with its path for errors.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// A word as a number.
    pub(crate) fn number(&self, word: &str) -> Result<f64, Error> {
        word.parse().map_err(|_| self.error("a number was expected", word))
    }

    /// The whole file as a number.
    pub(crate) fn value(&self) -> Result<f64, Error> {
        self.number(self.text.trim())
    }

    /// A hexadecimal word as a number.
    pub(crate) fn hex(&self, word: &str) -> Result<f64, Error> {
        let number = u64::from_str_radix(word, 16);
        number.map(|number| number as f64).map_err(|_| self.error("a hexadecimal number was expected", word))
    }

    /// The words of a line as numbers.
    pub(crate) fn numbers(&self, line: &str) -> Result<Vec<f64>, Error> {
        line.split_ascii_whitespace().map(|word| self.number(word)).collect()
    }

    pub(crate) fn error(&self, what: &'static str, text: &str) -> Error {
        /// Enough to see what stands there, too little to fill a log.
        const SHOWN_CHARS_MAX: usize = 80;
        Error::Parse { path: self.path.clone(), what, text: text.chars().take(SHOWN_CHARS_MAX).collect() }
    }
}
