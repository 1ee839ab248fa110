//! Errors and warnings of one or several files, collected rather than thrown.

use std::cell::RefCell;
use std::fmt;

use crate::Position;

/// Whether the file can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file works, but not all of it is honoured.
    Warning,
    /// The file cannot be used.
    Error,
}

/// One thing to say about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name, as given.
    pub file: String,
    /// Where in the file; `None` when the file as a whole is meant.
    pub position: Option<Position>,
    /// The key, such as `scrape_configs[0].job_name`; empty at the top.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do, empty if the message says it.
    pub hint: String,
}

/// Collects problems in the order in which they are found.
#[derive(Debug, Default)]
pub struct Report {
    problems: RefCell<Vec<Problem>>,
    /// Whether flaws are errors.
    strict: bool,
    /// Whether unknown keys are passed over.
    lenient: bool,
}

/// A hostile file could hold one error a byte; more than this are of no help to anybody.
const PROBLEMS_MAX: usize = 200;

impl Report {
    /// A report for a file that is looked at before it is used: flaws of single targets and files that do not exist yet are
    /// errors there, and warnings where a server starts with what it has.
    pub fn strict() -> Self {
        Self { strict: true, ..Self::default() }
    }

    /// A report for files in which others keep keys of their own: unknown ones are passed over.
    pub fn lenient() -> Self {
        Self { lenient: true, ..Self::default() }
    }

    /// Whether unknown keys are passed over.
    pub(crate) fn is_lenient(&self) -> bool {
        self.lenient
    }

    /// How bad a flaw is.
    pub(crate) fn of_flaws(&self) -> Severity {
        if self.strict { Severity::Error } else { Severity::Warning }
    }

    /// Adds a problem; past `PROBLEMS_MAX` it is dropped.
    pub fn push(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            problems.push(problem);
        }
    }

    /// An error about a file as a whole, such as one that cannot be read.
    pub fn file_error(&self, file: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Problem {
            severity: Severity::Error,
            file: file.to_owned(),
            position: None,
            path: String::new(),
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// Whether there is an error; warnings do not count.
    pub fn has_errors(&self) -> bool {
        self.problems.borrow().iter().any(|p| p.severity == Severity::Error)
    }

    /// What was collected.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// A copy of what was collected so far.
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.borrow().clone()
    }
}

impl fmt::Display for Problem {
    /// `FILE:LINE:COLUMN: error: MESSAGE (at KEY); HINT`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, " {severity}: {}", self.message)?;
        if !self.path.is_empty() {
            write!(f, " (at {})", self.path)?;
        }
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}
