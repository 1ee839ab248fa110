//! Every function.

use super::{Generator, RANGES};

/// From a range vector.
const OVER_TIME: [&str; 24] = [
    "rate",
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "avg_over_time",
    "sum_over_time",
    "max_over_time",
    "min_over_time",
    "count_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "last_over_time",
    "changes",
    "resets",
    "deriv",
    "present_over_time",
    "absent_over_time",
    "mad_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "sum_over_time",
];

/// From an instant vector.
pub(crate) const ELEMENTWISE: [&str; 43] = [
    "abs",
    "absent",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "exp",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "hour",
    "ln",
    "log10",
    "log2",
    "minute",
    "month",
    "rad",
    "round",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_desc",
    "sqrt",
    "tan",
    "tanh",
    "timestamp",
    "timestamp",
    "year",
    "info",
];

const LABELS: [&str; 10] = [
    "\"x\"",
    "\"instance\"",
    "'mode'",
    "\"__name__\"",
    "`job`",
    "\"größe.x\"",
    "\"\"",
    "\"le\"",
    "\"\\xff\"",
    "\"a b\"",
];

impl Generator<'_> {
    pub(super) fn over_time(&mut self, depth: u32) -> String {
        let range = self.range(depth);
        match self.random.next() % 9 {
            0 => format!("quantile_over_time({}, {range})", self.quantile()),
            1 => format!("predict_linear({range}, {})", self.scalar(1)),
            2 => {
                let of = ["0.3, 0.6", "0.5, 0.1", "0, 0.5", "0.5, 1", "1.5, 0.5", "NaN, 0.5", "0.9, NaN"];
                format!("double_exponential_smoothing({range}, {})", self.pick(&of))
            }
            _ => format!("{}({range})", self.pick(&OVER_TIME)),
        }
    }

    pub(super) fn call(&mut self, depth: u32) -> String {
        match self.random.next() % 18 {
            0 => self.label_replace(depth),
            1 => self.label_join(depth),
            2 => self.clamp(depth),
            3 | 4 => self.of_histogram(depth),
            5 => {
                let function = self.pick(&["sort_by_label", "sort_by_label_desc"]);
                let labels: String = (0..self.random.next() % 3).map(|_| format!(", {}", self.pick(&LABELS))).collect();
                format!("{function}({}{labels})", self.vector(depth))
            }
            6 => self.info(depth),
            7 => format!("vector({})", self.scalar(depth)),
            8 => {
                let of =
                    ["hour", "minute", "month", "year", "day_of_week", "day_of_month", "day_of_year", "days_in_month"];
                format!("{}()", self.pick(&of))
            }
            9 => format!("round({}, {})", self.vector(depth), self.scalar(1)),
            10 => format!("timestamp({}{})", self.selector(), self.modifiers()),
            11 => self.absent(),
            12 => format!("{}({})", self.pick(&["sort", "sort_desc"]), self.with_equals(depth)),
            _ => format!("{}({})", self.pick(&ELEMENTWISE), self.vector(depth)),
        }
    }

    /// What is absent gets the labels of its conditions, of some of them.
    fn absent(&mut self) -> String {
        let metric = self.pick(&["nothing", "level", ""]);
        let conditions = self.pick(&[
            "{a=\"b\"}",
            "{a=\"b\", a=\"c\"}",
            "{a=\"b\", a!=\"c\", d=\"e\"}",
            "{a=\"b\", \"ä b\"='x', c=~\"d\"}",
            "{instance=\"x\", job=\"\"}",
            "{__name__=~\"x.*\", a=\"b\"}",
            "{\"a\"=\"\\n\\xc3\\xa4\"}",
        ]);
        let (window, modifiers) = (self.pick(&RANGES), self.modifiers());
        match self.random.next() % 4 {
            0 => format!("absent({metric}{conditions}{modifiers})"),
            1 => format!("absent_over_time({metric}{conditions}[{window}]{modifiers})"),
            2 => format!("absent_over_time({metric}{conditions}[2m:30s]{modifiers})"),
            _ => format!("absent({metric}{conditions}{modifiers} + 1)"),
        }
    }

    /// Many series of few values.
    fn with_equals(&mut self, depth: u32) -> String {
        let all = self.pick(&["{instance=~\".\"}", "{job=~\"node|api\"}", "latency_bucket or level or flapping"]);
        match self.random.next() % 6 {
            0 => format!("timestamp({all})"),
            1 => format!("sgn({all})"),
            2 => format!("label_replace(({all}), \"n\", \"$1\", \"__name__\", \"(.*)\") % 3"),
            3 => format!("sgn(label_replace({all}, \"n\", \"$1\", \"__name__\", \"(.*)\") - 3)"),
            4 => format!("round(({}) * 0)", self.vector(depth)),
            _ => format!("({all}) > 0"),
        }
    }

    fn clamp(&mut self, depth: u32) -> String {
        let vector = self.vector(depth);
        match self.random.next() % 3 {
            0 => format!("clamp({vector}, {}, {})", self.scalar(1), self.scalar(1)),
            1 => format!("clamp_min({vector}, {})", self.scalar(1)),
            _ => format!("clamp_max({vector}, {})", self.scalar(1)),
        }
    }

    fn label_replace(&mut self, depth: u32) -> String {
        let (vector, target, source) = (self.vector(depth), self.pick(&LABELS), self.pick(&LABELS));
        let with = self.pick(&[
            "\"$1\"",
            "\"\"",
            "\"x$1-${1}y\"",
            "\"${n}\"",
            "\"$$1$2\"",
            "`c`",
            "\"$1x\"",
            "\"\\xff\"",
            "'$n.$0'",
            "\"${\"",
            "\"$1_$2\"",
            "\"$é\"",
        ]);
        let pattern = self.pick(&[
            "\"(.*)\"",
            "\"(a|b)\"",
            "\"\"",
            "\".*\"",
            "\"(?P<n>.).*\"",
            "\"(\"",
            "\"(?i)A()\"",
            "\"z\"",
            "'(.)(.)?.*'",
            "\"(a)|(.*)\"",
        ]);
        format!("label_replace({vector}, {target}, {with}, {source}, {pattern})")
    }

    fn label_join(&mut self, depth: u32) -> String {
        let (vector, target) = (self.vector(depth), self.pick(&LABELS));
        let separator = self.pick(&["\"-\"", "\"\"", "\", \"", "\"é\""]);
        let sources: String = (0..self.random.next() % 4).map(|_| format!(", {}", self.pick(&LABELS))).collect();
        format!("label_join({vector}, {target}, {separator}{sources})")
    }

    fn of_histogram(&mut self, depth: u32) -> String {
        let buckets = match self.random.next() % 6 {
            0 => self.vector(depth),
            1 => format!("rate({}[1m])", self.pick(&["latency_bucket", "strange_bucket"])),
            2 => "sum by (le) (rate(latency_bucket[2m]))".to_owned(),
            3 => format!("{}{}", self.pick(&["broken_bucket", "strange_bucket"]), self.modifiers()),
            4 => "{__name__=~\".*_bucket\"}".to_owned(),
            _ => format!("increase(broken_bucket[{}])", self.pick(&["1m", "2m", "5m"])),
        };
        if self.chance(3) {
            let (lower, upper) = (self.bound(), self.bound());
            return format!("histogram_fraction({lower}, {upper}, {buckets})");
        }
        format!("histogram_quantile({}, {buckets})", self.quantile())
    }

    fn bound(&mut self) -> &'static str {
        self.pick(&["0", "-1", "0.1", "0.2", "0.5", "1", "3", "10", "11", "Inf", "-Inf", "NaN", "time()"])
    }

    fn info(&mut self, depth: u32) -> String {
        let vector = self.vector(depth);
        let selector = self.pick(&[
            "",
            ", {version=~\".+\"}",
            ", {version=\"2\"}",
            ", {nothing=~\".*\"}",
            ", {__name__=\"build_info\"}",
            ", {__name__=~\".*_info\"}",
            ", {__name__=~\".*_info\", version=~\".+\", revision!=\"x\"}",
            ", {__name__!=\"target_info\", instance=\"a\"}",
            ", {}",
            ", {instance=\"a\"}",
            ", {revision=~\".*\", version!=\"1.0\"}",
            ", ({version=~\".+\"})",
            ", build_info",
            ", {\"target_info\"}",
        ]);
        format!("info({vector}{selector})")
    }
}
