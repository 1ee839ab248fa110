//! Variables of a dashboard: what they are, and the boxes that choose their values.

mod format;
mod interpolate;
mod interval;
mod options;
mod order;
mod query;
mod time;

pub use format::VariableFormat;
pub use interpolate::{FILLED_BYTES_MAX, Scope, Selected, Syntax, TooLong, matchers, references};
pub use interval::{MinStep, Resolution, Steps, parse_duration_ms, round_interval, step_text};
pub use options::{OPTIONS_MAX, custom_choices, interval_choices, query_choices, select};
pub use order::{CycleError, order};
pub use query::{ResultRow, VariableQuery, VariableQueryError};
pub use time::TimeRange;

use crate::field::words;

/// A dashboard with more variables is not one that a person operates; each is a query before the first picture.
pub const VARIABLES_MAX: usize = 200;

/// A variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variable {
    /// Its name in queries.
    pub name: String,
    /// Its name on the page; empty, the same.
    pub label: String,
    /// What it is about.
    pub description: String,
    /// What of its box is shown.
    pub hide: Visibility,
    /// Where its values come from.
    pub kind: VariableKind,
    /// Whether several values can be chosen.
    pub multi: bool,
    /// Whether all of them can be chosen at once.
    pub include_all: bool,
    /// What stands for all of them, as it is, in place of the list of them.
    pub all_value: Option<String>,
    /// What is chosen at first, as the file has it.
    pub current: Selection,
    /// Which parts of values are kept, see [`crate::Pattern`]; empty, all of all.
    pub regex: String,
    /// Order of the values.
    pub sort: VariableSort,
    /// When the values are asked for.
    pub refresh: Refresh,
    /// Whether it stays out of addresses.
    pub skip_url: bool,
    /// Whether a value can be typed that is not in the list.
    pub allow_custom: bool,
}

/// Where the values of a variable come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum VariableKind {
    /// From the data source, see [`VariableQuery`]; other variables not filled in.
    Query(String),
    /// From a list in the dashboard, `a,b` or `text : value`.
    Custom(String),
    /// From the user.
    #[default]
    Text,
    /// It never changes.
    Constant(String),
    /// From a list of durations.
    Interval {
        /// As `1m,10m,1h`.
        choices: String,
        /// Whether a duration that fits the time is one of them: in how many steps the time is cut, and its smallest.
        auto: Option<(u32, String)>,
    },
    /// Data sources of a kind; skep has one.
    Datasource {
        /// Grafana's name of the kind.
        plugin: String,
    },
    /// Matchers that are added to every query.
    AdHoc(Vec<AdHocFilter>),
}

/// A matcher that is added to every query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdHocFilter {
    /// The label.
    pub key: String,
    /// `=`, `!=`, `=~`, `!~`; `=|` and `!=|` for one of several.
    pub operator: String,
    /// What it is compared with.
    pub value: String,
    /// What it is compared with by `=|` and `!=|`.
    pub values: Vec<String>,
}

/// A value as it is shown and as it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Choice {
    /// Shown.
    pub text: String,
    /// Used.
    pub value: String,
}

impl Choice {
    /// One whose text is its value.
    pub fn same(value: impl Into<String>) -> Self {
        let value = value.into();
        Self { text: value.clone(), value }
    }
}

/// What is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All values.
    All,
    /// These; none where nothing was chosen yet.
    Values(Vec<Choice>),
}

impl Default for Selection {
    fn default() -> Self {
        Self::Values(Vec::new())
    }
}

words! {
    /// What of a variable's box is shown.
    Visibility: Shown {
        /// The box and its name.
        Shown = "0",
        /// The box alone.
        Nameless = "1",
        /// Nothing.
        Hidden = "2",
        /// It stands in the menu of settings.
        Menu = "3",
    }
}

words! {
    /// Order of a variable's values.
    VariableSort: None {
        /// As they come.
        None = "0",
        /// By text.
        Alphabetical = "1",
        /// By text, backwards.
        AlphabeticalDescending = "2",
        /// By the number in the text.
        Numerical = "3",
        /// By the number in the text, backwards.
        NumericalDescending = "4",
        /// By text, small and large letters alike.
        CaseInsensitive = "5",
        /// The same, backwards.
        CaseInsensitiveDescending = "6",
        /// By text, numbers in it as numbers.
        Natural = "7",
        /// The same, backwards.
        NaturalDescending = "8",
    }
}

words! {
    /// When the values of a variable are asked for.
    Refresh: OnLoad {
        /// Never by itself; skep asks when the page is loaded, as a list that was stored once serves nobody.
        Never = "0",
        /// When the page is loaded.
        OnLoad = "1",
        /// When the time changes, too.
        OnTime = "2",
    }
}
