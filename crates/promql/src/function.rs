//! The table of functions: names, types, and which are experimental. What they compute lies in `eval`.

use crate::syntax::Type;
use Type::{Matrix, Scalar, String as Text, Vector};

/// A function of PromQL 3.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Types of its arguments.
    pub args: &'static [Type],
    /// How far the number of arguments may vary.
    pub variadic: Variadic,
    /// Type of its value.
    pub returns: Type,
    /// Whether it must be switched on.
    pub experimental: bool,
}

/// How far the number of arguments may vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variadic {
    /// Exactly as many as there are types.
    Exact,
    /// The last may be left out.
    Optional,
    /// The last may be left out or repeated.
    Repeated,
}

const fn function(name: &'static str, args: &'static [Type], returns: Type) -> Function {
    Function { name, args, variadic: Variadic::Exact, returns, experimental: false }
}

const fn optional(name: &'static str, args: &'static [Type]) -> Function {
    Function { name, args, variadic: Variadic::Optional, returns: Vector, experimental: false }
}

const fn repeated(name: &'static str, args: &'static [Type]) -> Function {
    Function { name, args, variadic: Variadic::Repeated, returns: Vector, experimental: false }
}

const fn experimental(function: Function) -> Function {
    Function { experimental: true, ..function }
}

/// All functions, sorted by name.
pub static FUNCTIONS: &[Function] = &[
    function("abs", &[Vector], Vector),
    function("absent", &[Vector], Vector),
    function("absent_over_time", &[Matrix], Vector),
    function("acos", &[Vector], Vector),
    function("acosh", &[Vector], Vector),
    function("asin", &[Vector], Vector),
    function("asinh", &[Vector], Vector),
    function("atan", &[Vector], Vector),
    function("atanh", &[Vector], Vector),
    function("avg_over_time", &[Matrix], Vector),
    function("ceil", &[Vector], Vector),
    function("changes", &[Matrix], Vector),
    function("clamp", &[Vector, Scalar, Scalar], Vector),
    function("clamp_max", &[Vector, Scalar], Vector),
    function("clamp_min", &[Vector, Scalar], Vector),
    function("cos", &[Vector], Vector),
    function("cosh", &[Vector], Vector),
    function("count_over_time", &[Matrix], Vector),
    optional("day_of_month", &[Vector]),
    optional("day_of_week", &[Vector]),
    optional("day_of_year", &[Vector]),
    optional("days_in_month", &[Vector]),
    function("deg", &[Vector], Vector),
    function("delta", &[Matrix], Vector),
    function("deriv", &[Matrix], Vector),
    experimental(function("double_exponential_smoothing", &[Matrix, Scalar, Scalar], Vector)),
    function("exp", &[Vector], Vector),
    function("floor", &[Vector], Vector),
    function("histogram_avg", &[Vector], Vector),
    function("histogram_count", &[Vector], Vector),
    function("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    function("histogram_quantile", &[Scalar, Vector], Vector),
    function("histogram_stddev", &[Vector], Vector),
    function("histogram_stdvar", &[Vector], Vector),
    function("histogram_sum", &[Vector], Vector),
    optional("hour", &[Vector]),
    function("idelta", &[Matrix], Vector),
    function("increase", &[Matrix], Vector),
    experimental(optional("info", &[Vector, Vector])),
    function("irate", &[Matrix], Vector),
    repeated("label_join", &[Vector, Text, Text, Text]),
    function("label_replace", &[Vector, Text, Text, Text, Text], Vector),
    function("last_over_time", &[Matrix], Vector),
    function("ln", &[Vector], Vector),
    function("log10", &[Vector], Vector),
    function("log2", &[Vector], Vector),
    experimental(function("mad_over_time", &[Matrix], Vector)),
    function("max_over_time", &[Matrix], Vector),
    function("min_over_time", &[Matrix], Vector),
    optional("minute", &[Vector]),
    optional("month", &[Vector]),
    function("pi", &[], Scalar),
    function("predict_linear", &[Matrix, Scalar], Vector),
    function("present_over_time", &[Matrix], Vector),
    function("quantile_over_time", &[Scalar, Matrix], Vector),
    function("rad", &[Vector], Vector),
    function("rate", &[Matrix], Vector),
    function("resets", &[Matrix], Vector),
    optional("round", &[Vector, Scalar]),
    function("scalar", &[Vector], Scalar),
    function("sgn", &[Vector], Vector),
    function("sin", &[Vector], Vector),
    function("sinh", &[Vector], Vector),
    function("sort", &[Vector], Vector),
    experimental(repeated("sort_by_label", &[Vector, Text])),
    experimental(repeated("sort_by_label_desc", &[Vector, Text])),
    function("sort_desc", &[Vector], Vector),
    function("sqrt", &[Vector], Vector),
    function("stddev_over_time", &[Matrix], Vector),
    function("stdvar_over_time", &[Matrix], Vector),
    function("sum_over_time", &[Matrix], Vector),
    function("tan", &[Vector], Vector),
    function("tanh", &[Vector], Vector),
    function("time", &[], Scalar),
    function("timestamp", &[Vector], Vector),
    experimental(function("ts_of_last_over_time", &[Matrix], Vector)),
    experimental(function("ts_of_max_over_time", &[Matrix], Vector)),
    experimental(function("ts_of_min_over_time", &[Matrix], Vector)),
    function("vector", &[Scalar], Vector),
    optional("year", &[Vector]),
];

/// The function of a name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &FUNCTIONS[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
    }
}
