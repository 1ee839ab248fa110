//! Every aggregation, with every grouping.

use super::Generator;

/// Labels for `count_values`.
const COUNTED: [&str; 11] = [
    "\"v\"",
    "\"instance\"",
    "`v`",
    "\"v.x\"",
    "\"\"",
    "\"v\"",
    "\"__name__\"",
    "'a b'",
    "\"le\"",
    "\"\\xff\"",
    "\"größe.x\"",
];

impl Generator<'_> {
    pub(super) fn aggregation(&mut self, depth: u32) -> String {
        let grouping = self.grouping();
        let op = self.pick(&[
            "sum",
            "sum",
            "avg",
            "min",
            "max",
            "count",
            "group",
            "stddev",
            "stdvar",
            "topk",
            "bottomk",
            "quantile",
            "count_values",
            "limitk",
            "limit_ratio",
        ]);
        let param = match op {
            "topk" | "bottomk" | "limitk" => Some(self.count()),
            "quantile" => Some(self.quantile()),
            "limit_ratio" => Some(self.ratio()),
            "count_values" => Some(self.pick(&COUNTED).to_owned()),
            _ => None,
        };
        let vector = match op {
            // Last digits of the mathematical library would show in labels.
            "count_values" if self.chance(2) => format!("{}{}", self.selector(), self.modifiers()),
            "count_values" => format!("round({})", self.vector(depth)),
            _ => self.vector(depth),
        };
        let args = param.map(|param| format!("{param}, ")).unwrap_or_default() + &vector;
        match self.random.next() % 4 {
            0 => format!("{op}({args}) {grouping}"),
            1 => format!("{op} {grouping} ({args})"),
            _ => format!("{op}{grouping}({args})"),
        }
    }

    fn grouping(&mut self) -> &'static str {
        self.pick(&[
            "",
            "",
            "",
            " by (instance)",
            " by (mode, job)",
            " by ()",
            " without ()",
            " by (le, __name__)",
            " without (instance)",
            " without (mode, le,)",
            " by (\"größe.x\", instance)",
            " without (\"größe.x\")",
            " by (part)",
            " by (__name__)",
            " without (__name__)",
            " BY (version)",
            " by ('instance', \"job\")",
            " by (\"no such label\", on, by)",
            " without (\"le\", `part`)",
        ])
    }

    /// Parameters hold no `@`: 3.5.3 forgets that it fixes them at all steps.
    fn count(&mut self) -> String {
        match self.random.next() % 10 {
            0 => self.pick(&["-1", "0", "1.9", "NaN", "1e20", "Inf", "-Inf", "-1e20", "0x2", "9.3e18"]).to_owned(),
            1 => format!("({})", self.number()),
            2 => "scalar(level{instance=\"a\",part=\"1\"})".to_owned(),
            _ => self.pick(&["1", "2", "3", "5"]).to_owned(),
        }
    }

    pub(super) fn quantile(&mut self) -> String {
        match self.random.next() % 10 {
            0 => self.pick(&["-0.1", "1.1", "NaN", "Inf", "-Inf", "-0", "(2)", "-1e-9"]).to_owned(),
            1 => format!("({} * time())", self.number()),
            2 => "(scalar(level{instance=\"a\",part=\"1\"}) / 2)".to_owned(),
            _ => self.pick(&["0", "0.3", "0.5", "0.9", "0.99", "1"]).to_owned(),
        }
    }

    fn ratio(&mut self) -> String {
        match self.random.next() % 8 {
            0 => self.pick(&["1.1", "-1.1", "NaN", "Inf", "-Inf", "2.5"]).to_owned(),
            1 => "(scalar(level{instance=\"a\",part=\"1\"}) - 1.5)".to_owned(),
            _ => self.pick(&["0", "0.3", "0.5", "-0.5", "-0.3", "1", "-1", "0.9", "-0.9"]).to_owned(),
        }
    }
}
