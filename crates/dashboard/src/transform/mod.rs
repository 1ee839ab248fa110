//! Transformations: what a panel does with the answers before it draws them.

mod apply;
mod calculate;
mod fields;
mod group;
mod join;
mod rows;

pub use apply::{TooLarge, transform};

use crate::field::{FieldType, Matcher, words};
use crate::reduce::Reducer;

/// A panel with more of them is generated; those past it are reported.
pub const STEPS_MAX: usize = 50;

/// One transformation.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it does.
    pub operation: Operation,
    /// Which answers it is for; absent, all.
    pub filter: Option<Matcher>,
}

/// What a transformation does.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Leaves columns out, orders and renames them.
    Organize(Organize),
    /// All answers in one, rows that agree in one row.
    Merge,
    /// Answers beside each other, by a column that they share.
    Join {
        /// The column; absent, the time.
        field: Option<String>,
        /// Which rows are kept.
        mode: JoinMode,
    },
    /// Answers below each other: time, name, value.
    SeriesToRows,
    /// A row for each combination of values.
    GroupBy(Vec<(String, GroupRole)>),
    /// A new column.
    Calculate(Calculate),
    /// Rows by the values of a column.
    Sort {
        /// The column.
        field: String,
        /// Whether the greatest comes first.
        descending: bool,
    },
    /// Columns that both matchers keep.
    FilterFields {
        /// These are kept; absent, all.
        include: Option<Matcher>,
        /// Of them, these are left out.
        exclude: Option<Matcher>,
    },
    /// Answers of these queries.
    FilterFrames {
        /// These are kept; absent, all.
        include: Option<Matcher>,
        /// Of them, these are left out.
        exclude: Option<Matcher>,
    },
    /// Rows by their values.
    FilterRows {
        /// Whether rows that fit are kept, else left out.
        include: bool,
        /// Whether all conditions have to hold, else one.
        all: bool,
        /// The conditions.
        conditions: Vec<Condition>,
    },
    /// Labels as columns.
    LabelsToFields {
        /// Labels as rows of two columns, in place of columns.
        rows: bool,
        /// Only these labels; empty, all.
        keep: Vec<String>,
        /// The label that names the column of values.
        value_label: Option<String>,
    },
    /// Columns become values.
    Reduce {
        /// How.
        calcs: Vec<Reducer>,
        /// Whether columns stay columns of one row; else each becomes a row.
        columns: bool,
        /// Whether columns of times are reduced, too.
        times: bool,
        /// Whether labels become columns of the rows.
        labels: bool,
    },
    /// So many rows of each answer.
    Limit(u32),
    /// New names of columns.
    Rename {
        /// A pattern, see [`crate::Pattern`].
        pattern: String,
        /// What replaces what it found.
        replacement: String,
    },
    /// Columns of another type.
    Convert(Vec<(String, FieldType)>),
}

/// Leaves columns out, orders and renames them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Organize {
    /// Names of columns that are left out.
    pub exclude: Vec<String>,
    /// Names of columns that are kept; empty, all.
    pub include: Vec<String>,
    /// New names by old ones.
    pub rename: Vec<(String, String)>,
    /// Places by names; columns without one come last.
    pub order: Vec<(String, i64)>,
}

words! {
    /// Which rows a join keeps.
    JoinMode: Outer {
        /// All.
        Outer = "outer",
        /// Those that every answer has.
        Inner = "inner",
    }
}

/// What a column is to the groups.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRole {
    /// Its values make the groups.
    Key,
    /// Each group has these of its values.
    Calcs(Vec<Reducer>),
}

/// A new column.
#[derive(Clone, Debug, PartialEq)]
pub struct Calculate {
    /// Where its values come from.
    pub mode: CalculateMode,
    /// Its name; empty, what it does.
    pub alias: String,
    /// Whether it and the times replace the other columns.
    pub replace: bool,
}

/// Where the values of a new column come from.
#[derive(Clone, Debug, PartialEq)]
pub enum CalculateMode {
    /// The values of a row become one.
    Row {
        /// Columns by name; empty, those of numbers.
        include: Vec<String>,
        /// How.
        reducer: Reducer,
    },
    /// A column and a column or number.
    Binary {
        /// The left side.
        left: Operand,
        /// Between them.
        operator: Operator,
        /// The right side.
        right: Operand,
    },
    /// A function of a column.
    Unary {
        /// The function.
        function: Function,
        /// The column.
        field: String,
    },
    /// Values so far, added up or averaged.
    Cumulative {
        /// The column.
        field: String,
        /// Sum or mean.
        reducer: Reducer,
    },
    /// The place of the row, from 0, or as a part of 1.
    Index {
        /// As a part of 1.
        percentile: bool,
    },
}

/// A side of a calculation.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A column.
    Field(String),
    /// A number.
    Number(f64),
}

words! {
    /// What stands between the sides of a calculation.
    Operator: Add {
        /// Sum.
        Add = "+",
        /// Difference.
        Subtract = "-",
        /// Product.
        Multiply = "*",
        /// Quotient.
        Divide = "/",
        /// Power.
        Power = "**",
        /// Remainder.
        Remainder = "%",
    }
}

words! {
    /// Functions of a number.
    Function: Abs {
        /// Without its sign.
        Abs = "abs",
        /// Power of e.
        Exp = "exp",
        /// Natural logarithm.
        Ln = "ln",
        /// The next whole number below.
        Floor = "floor",
        /// The next whole number above.
        Ceil = "ceil",
        /// The next whole number.
        Round = "round",
    }
}

/// What a row has to fulfil.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The column.
    pub field: String,
    /// What its value has to fulfil.
    pub test: Test,
}

/// What a value has to fulfil.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It is none.
    Null,
    /// It is one.
    NotNull,
    /// It is this one.
    Equal(String),
    /// It is not this one.
    NotEqual(String),
    /// It is greater.
    Greater(f64),
    /// It is not smaller.
    GreaterOrEqual(f64),
    /// It is smaller.
    Less(f64),
    /// It is not greater.
    LessOrEqual(f64),
    /// It is between these, the ends left out.
    Between(f64, f64),
    /// The pattern is in it.
    Regex(String),
    /// It has this text in it, small and large letters alike.
    Contains(String),
    /// It does not.
    NotContains(String),
}

#[cfg(test)]
mod tests;
