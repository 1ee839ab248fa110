//! Texts, errors and error places recorded from Prometheus 3.5.3 (`promtool test rules`).

// Helpers of tests are no tests to clippy.
#![allow(clippy::panic)]

use model::Labels;
use template::{AlertData, AlertTemplate, Error, Point, Query};

const ROOT: &str =
    "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }";

struct Store;

impl Query for Store {
    fn query(&self, expr: &str) -> Result<Vec<Point>, String> {
        match expr {
            "up" => Ok(vec![Point { labels: labels(), value: 1234.5 }]),
            "(" => Err("1:2: parse error: unclosed left parenthesis".to_owned()),
            _ => Ok(Vec::new()),
        }
    }
}

fn labels() -> Labels {
    Labels::from_pairs([("__name__", "up"), ("job", "node"), ("n", "1")])
}

fn expand(text: &str) -> Result<String, Error> {
    let (labels, external) = (labels(), Labels::empty());
    let data = AlertData { labels: &labels, value: 1234.5, external_labels: &external, external_url: "" };
    AlertTemplate::parse("A", text)?.expand(&data, &Store)
}

fn check(cases: &[(&str, &str)], shown: impl Fn(Result<String, Error>) -> String) {
    for (text, expected) in cases {
        assert_eq!(shown(expand(text)), *expected, "{text}");
    }
}

#[test]
fn texts() {
    let cases = &[
        ("{{ printf \"%d\" $value }}", "%!d(float64=1234.5)"),
        ("{{ $labels }}", "map[__name__:up job:node n:1]"),
        ("{{ . }}", "{map[__name__:up job:node n:1] map[]  1234.5}"),
        ("{{ printf \"%v %s\" $labels $value }}", "map[__name__:up job:node n:1] %!s(float64=1234.5)"),
        ("{{ toTime 0 }}", "1970-01-01 00:00:00 +0000 UTC"),
        ("{{ title \"it's o'neil a-b.c x/y\" }}", "It's O'neil A-B.c X/Y"),
        ("{{ args 1 2 }}", "map[arg0:1 arg1:2]"),
        ("{{ (args 1).x }}", "<no value>"),
        ("{{ stripDomain \"[::1]:80\" }} {{ stripPort \"[::1]:80\" }} {{ stripPort \"::1\" }}", "[::1]:80 ::1 ::1"),
        ("{{ 1.0 }} {{ 1e3 }} {{ 0x10 }}", "1 1000 16"),
        ("{{ printf \"%6.2f|%-8s|%+d|%x\" 1.5 \"ab\" 3 \"hi\" }}", "  1.50|ab      |+3|6869"),
        ("{{ with $x := 5 }}{{ $x }}{{ end }}", "5"),
        ("{{ if not $labels.none }}no{{ end }}", "no"),
        ("{{ print nil }}", "<nil>"),
        ("{{ $labels.job | printf \"%q\" }}", "\"node\""),
        ("{{ parseDuration \"1h\" }}", "3600"),
        ("{{ safeHtml \"<b>\" }}", "<b>"),
        ("{{ html \"<b>\" }}{{ js \"<'\" }}{{ urlquery \"a b/ü\" }}", "&lt;b&gt;\\u003C\\'a+b%2F%C3%BC"),
        ("{{ query \"up\" | sortByLabel \"n\" | len }}", "1"),
        ("{{ strvalue (query \"up\" | first) }}", ""),
        ("{{ graphLink \"a b\" }}", "/graph?g0.expr=a+b&g0.tab=0"),
        ("{{ \"a\" | and 0 }} {{ or \"\" 0 }}", "0 0"),
        ("{{ humanizeDuration \"90\" }}", "1m 30s"),
        ("{{ slice \"abc\" 1 }}", "bc"),
        ("{{ printf \"%s\" nil }}", "%!s(<nil>)"),
        ("{{ true | not }}", "false"),
        ("{{ block \"b\" . }}{{ .Value }}{{ end }}", "1234.5"),
        ("{{ $value = 3 }}{{ $value }}", "3"),
        ("{{ humanize 999.96 }}", "1000"),
        ("{{ humanize 1e30 }}", "1e+06Y"),
        ("{{ -5 | humanizeDuration }}", "-5s"),
        (
            "{{ .}} {{ $ }}",
            "{map[__name__:up job:node n:1] map[]  1234.5} {map[__name__:up job:node n:1] map[]  1234.5}",
        ),
        ("{{/* c */}}x", "x"),
        ("{{ \"a\" }}}}", "a}}"),
        ("{{ 1 | printf \"%d\" | printf \"%s!\" }}", "1!"),
        ("{{ .Labels.a | toUpper | title }}", ""),
        ("{{ $externalLabels.x }}|", "|"),
        ("{{ 1_000 }}", "1000"),
        ("{{ 1. }}", "1"),
        ("{{ printf \"%5t|%05d|% d\" true -3 4 }}", " true|-0003| 4"),
        ("{{ println 1 \"a\" }}x", "1 a\nx"),
    ];
    check(cases, |got| got.unwrap_or_else(|e| panic!("{e}")));
}

/// Each error after `error executing template __alert_A: template: __alert_A:`.
#[test]
fn errors_of_the_execution() {
    let cases = &[
        ("{{ $labels.missing.x }}", "1:122 <$labels.missing.x>: can't evaluate field x in type string"),
        ("{{ .Foo }}", "1:115 <.Foo>: can't evaluate field Foo in type ROOT"),
        ("{{ query \"(\" }}", "1:115 <query \"(\">: error calling query: 1:2: parse error: unclosed left parenthesis"),
        (
            "{{ query \"none\" | first }}",
            "1:130 <first>: error calling first: first() called on vector with no elements",
        ),
        (
            "{{ query \"none\" | first | value }}",
            "1:130 <first>: error calling first: first() called on vector with no elements",
        ),
        ("{{ $value.x }}", "1:121 <$value.x>: can't evaluate field x in type float64"),
        ("{{ toUpper 1 }}", "1:123 <1>: expected string; found 1"),
        ("{{ toUpper $value }}", "1:123 <$value>: wrong type for value; expected string; got float64"),
        (
            "{{ gt $value 5 }}",
            "1:115 <gt $value 5>: error calling gt: incompatible types for comparison: float64 and int",
        ),
        (
            "{{ humanize \"x\" }}",
            "1:115 <humanize \"x\">: error calling humanize: strconv.ParseFloat: parsing \"x\": invalid syntax",
        ),
        ("{{ 1 2 }}", "1:115 <1>: can't give argument to non-function 1"),
        ("{{ template \"x\" }}", "1:124 <{{template \"x\"}}>: template \"x\" not defined"),
        ("{{ len 1 }}", "1:115 <len 1>: error calling len: len of type int"),
        ("{{ index $labels 1 }}", "1:115 <index $labels 1>: error calling index: value has type int; should be string"),
        ("{{ label \"n\" 1 }}", "1:125 <1>: can't handle 1 for arg of type *template.sample"),
        ("{{ humanize }}", "1:115 <humanize>: wrong number of args for humanize: want 1 got 0"),
        ("{{ humanize 1 2 }}", "1:115 <humanize>: wrong number of args for humanize: want 1 got 2"),
        ("{{ range $value }}x{{ end }}", "1:121 <$value>: range can't iterate over 1234.5"),
        ("{{ .Labels.job.x.y }}", "1:122 <.Labels.job.x.y>: can't evaluate field x in type string"),
        ("{{ eq 1 1.0 }}", "1:115 <eq 1 1.0>: error calling eq: incompatible types for comparison: int and float64"),
        ("{{ lt 1 \"a\" }}", "1:115 <lt 1 \"a\">: error calling lt: incompatible types for comparison: int and string"),
        ("{{ nil }}", "1:115 <nil>: nil is not a command"),
        (
            "{{ humanizeTimestamp 1e300 }}",
            "1:115 <humanizeTimestamp 1e300>: error calling humanizeTimestamp: 1e+300 cannot be represented as a nanoseconds timestamp since it overflows int64",
        ),
        ("{{ slice \"abc\" 5 }}", "1:115 <slice \"abc\" 5>: error calling slice: index out of range: 5"),
        ("{{ call 1 }}", "1:115 <call 1>: error calling call: non-function 1 of type int"),
        ("{{ $labels.job.x }}", "1:122 <$labels.job.x>: can't evaluate field x in type string"),
        ("\n\n  {{ .Foo.Bar }}", "3:9 <.Foo.Bar>: can't evaluate field Foo in type ROOT"),
        (
            "{{ range query \"up\" }}{{ .Value }}{{ .Nope }}{{ end }}",
            "1:149 <.Nope>: can't evaluate field Nope in type *template.sample",
        ),
        (
            "{{ define \"a\" }}{{ .X }}{{ end }}{{ template \"a\" . }}",
            "1:131: executing \"a\" at <.X>: can't evaluate field X in type ROOT",
        ),
        ("{{ printf }}", "1:115 <printf>: wrong number of args for printf: want at least 1 got 0"),
        ("{{ . | first }}", "1:119 <first>: wrong type for value; expected template.queryResult; got ROOT"),
        (
            "{{ .Labels | humanize }}",
            "1:125 <humanize>: error calling humanize: can't convert map[string]string to float",
        ),
        ("{{ reReplaceAll \"a\" 1 \"b\" }}", "1:132 <1>: expected string; found 1"),
        ("{{ len }}", "1:115 <len>: wrong number of args for len: want 1 got 0"),
        ("{{ $labels.job 1 }}", "1:122 <$labels.job>: job is not a method but has arguments"),
        ("{{ \"x\" 1 }}", "1:115 <\"x\">: can't give argument to non-function \"x\""),
        ("{{ not }}", "1:115 <not>: wrong number of args for not: want 1 got 0"),
        ("{{ eq 1 }}", "1:115 <eq 1>: error calling eq: missing argument for comparison"),
        ("{{ eq }}", "1:115 <eq>: wrong number of args for eq: want at least 1 got 0"),
        ("{{ ne 1 2 3 }}", "1:115 <ne>: wrong number of args for ne: want 2 got 3"),
    ];
    check(cases, |got| {
        let error = got.map_or_else(|e| e.to_string(), |text| panic!("no error: {text}"));
        let prefix = "error executing template __alert_A: template: __alert_A:";
        let shown = error.strip_prefix(prefix).unwrap_or(&error);
        shown.replace(": executing \"__alert_A\" at", "").replace(ROOT, "ROOT")
    });
}

/// Each error after `template: __alert_A:1: `.
#[test]
fn errors_of_the_parser() {
    let cases = &[
        ("{{ now }}", "function \"now\" not defined"),
        ("{{ urlQueryEscape \"a b\" }}", "function \"urlQueryEscape\" not defined"),
        ("{{ toDuration 5 }}", "function \"toDuration\" not defined"),
        ("{{ tmpl \"a\" . }}", "function \"tmpl\" not defined"),
        ("{{ 08 }}", "integer overflow: \"08\""),
        ("{{ 1 | 2 }}", "non executable command in pipeline stage 2"),
        ("{{ break }}", "{{break}} outside {{range}}"),
        ("{{ else }}", "unexpected {{else}}"),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", "expected end; found {{else}}"),
        ("{{ with }}", "missing value for with"),
        ("{{ range $a, $b, $c := .X }}{{ end }}", "too many declarations in range"),
        ("{{ a.b }}", "function \"a\" not defined"),
        ("{{ \"\\q\" }}", "invalid syntax"),
        ("{{ /* c */ }}", "unexpected \"/\" in command"),
        ("{{ ? }}", "unexpected \"?\" in command"),
        ("{{ $labels.job) }}", "unexpected right paren"),
        ("{{ $ext }}", "undefined variable \"$ext\""),
        ("{{ externalLabels }}", "function \"externalLabels\" not defined"),
        ("{{ 'ab' }}", "malformed character constant: 'ab'"),
    ];
    check(cases, |got| {
        let error = got.map_or_else(|e| e.to_string(), |text| panic!("no error: {text}"));
        error.strip_prefix("template: __alert_A:1: ").unwrap_or(&error).to_owned()
    });
}
