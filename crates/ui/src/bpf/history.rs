//! The history of one program or map, drawn where somebody asks for it: `?history=program:NAME` or `?history=map:NAME`.
//!
//! Ids are those of one start of the machine or of an agent, so a history goes by the name, which stays.

use crate::ask::Asker;
use crate::chart::Grid;
use crate::data::Request;
use crate::format::literal;
use crate::overview::Chart;
use crate::params::{Params, encode};

const PARAMETER: &str = "history";
const PROGRAM: &str = "program:";
const MAP: &str = "map:";

/// Where on the page it stands.
const PLACE: &str = "#h-history";

/// What somebody asks for.
pub(super) struct Wanted {
    pub(super) name: String,
    note: &'static str,
    expressions: Vec<String>,
}

/// The link that shows the history of a program.
pub(super) fn of_program(params: &Params, name: &str) -> String {
    link(params, Some(&format!("{PROGRAM}{name}"))) + PLACE
}

/// The link that shows the history of a map.
pub(super) fn of_map(params: &Params, name: &str) -> String {
    link(params, Some(&format!("{MAP}{name}"))) + PLACE
}

/// The page without a history.
pub(super) fn without(params: &Params) -> String {
    link(params, None)
}

fn link(params: &Params, history: Option<&str>) -> String {
    let kept = params.without(&[PARAMETER]);
    let kept = kept.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    format!("?{}", encode(kept.chain(history.map(|history| (PARAMETER, history)))))
}

impl Wanted {
    pub(super) fn read(params: &Params) -> Option<Self> {
        let history = params.get(PARAMETER)?;
        if let Some(name) = history.strip_prefix(PROGRAM) {
            let runs = format!("skep_bpf_program_run_seconds_total{{name={}}}", literal(name));
            let note = "seconds of processor time a second by attachment, while runs are counted";
            let expressions = vec![format!("sum by (attachment) (rate({runs}[$__rate_interval]))")];
            return Some(Self { name: name.to_owned(), note, expressions });
        }
        let name = history.strip_prefix(MAP)?;
        let sum = |what: &str| format!("sum(skep_bpf_map_{what}{{name={}}})", literal(name));
        let note = "entries, and room for them, of all maps of this name";
        Some(Self { name: name.to_owned(), note, expressions: vec![sum("entries"), sum("capacity")] })
    }

    /// What the script asks for.
    pub(super) fn query(&self) -> String {
        encode(self.expressions.iter().map(|expression| ("expr", expression.as_str())))
    }

    /// The chart; its picture where there is a grid for it.
    pub(super) fn chart(&self, link: &str, pictures: Option<(&Asker, Grid, std::time::Duration)>) -> Chart {
        let mut chart = Chart {
            id: "query".to_owned(),
            title: self.name.clone(),
            note: self.note.to_owned(),
            empty: "Nothing of it was collected in this range.".to_owned(),
            link: format!("{link}{}", self.query()),
            ..Chart::default()
        };
        if let Some((asker, grid, interval)) = pictures {
            let expressions: Vec<&str> = self.expressions.iter().map(String::as_str).collect();
            chart.fill(asker, &Request::of_expressions(&expressions), grid, interval);
        }
        chart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_what_else_is_asked() {
        let check = |query: &str, expected: &str| {
            assert_eq!(of_map(&Params::parse(Some(query)), "a b"), expected, "{query}");
        };
        check("", "?history=map%3Aa+b#h-history");
        check("q=x&history=program%3Ay&maps=-id", "?q=x&maps=-id&history=map%3Aa+b#h-history");
        assert_eq!(without(&Params::parse(Some("history=map%3Aa&q=x"))), "?q=x");
    }

    #[test]
    fn names_are_literals() {
        let check = |query: &str, expected: &[&str]| {
            let wanted = Wanted::read(&Params::parse(Some(query)));
            let expressions = wanted.map(|wanted| wanted.expressions).unwrap_or_default();
            assert_eq!(expressions, expected, "{query}");
            for expression in expressions {
                assert!(promql::parse(&expression.replace("$__rate_interval", "1m")).is_ok(), "{expression}");
            }
        };
        let rate = r#"sum by (attachment) (rate(skep_bpf_program_run_seconds_total{name="a\"b"}[$__rate_interval]))"#;
        check("history=program:a%22b", &[rate]);
        check("history=map:m", &[r#"sum(skep_bpf_map_entries{name="m"})"#, r#"sum(skep_bpf_map_capacity{name="m"})"#]);
        check("history=else:m", &[]);
        check("", &[]);
    }
}
