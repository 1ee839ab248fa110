//! Every function.

use super::Generator;

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
        match self.random.next() % 16 {
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
            _ => format!("{}({})", self.pick(&ELEMENTWISE), self.vector(depth)),
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
        let with =
            self.pick(&["\"$1\"", "\"\"", "\"x$1-${1}y\"", "\"${n}\"", "\"$$1$2\"", "`c`", "\"$1x\"", "\"\\xff\""]);
        let pattern =
            self.pick(&["\"(.*)\"", "\"(a|b)\"", "\"\"", "\".*\"", "\"(?P<n>.).*\"", "\"(\"", "\"(?i)A()\"", "\"z\""]);
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
            1 => "rate(latency_bucket[1m])".to_owned(),
            2 => "sum by (le) (rate(latency_bucket[2m]))".to_owned(),
            3 => format!("broken_bucket{}", self.modifiers()),
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
