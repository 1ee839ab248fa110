//! What the text parser accepts, what it refuses and where.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write;

use exposition::text::Parser;
use exposition::{Event, ParseError, openmetrics, unescape_help};
use proptest::prelude::*;

/// One line an event; an error ends the list.
fn render(page: &[u8]) -> String {
    render_events(Parser::new(page))
}

fn render_events<'a>(events: impl Iterator<Item = Result<Event<'a>, ParseError>>) -> String {
    let mut lines = String::new();
    for event in events {
        match event {
            Ok(Event::Help { family, text }) => writeln!(lines, "help {family} {:?}", unescape_help(text)),
            Ok(Event::Type { family, kind }) => writeln!(lines, "type {family} {kind}"),
            Ok(Event::Unit { family, unit }) => writeln!(lines, "unit {family} {unit}"),
            Ok(Event::Comment(text)) => writeln!(lines, "comment {text}"),
            Ok(Event::Series(series)) => {
                let labels: Vec<_> = series.labels().map(|(n, v)| format!("{n}={v:?}")).collect();
                let time = series.timestamp.map(|t| format!(" @{t}")).unwrap_or_default();
                let exemplar = series.exemplar.map(|exemplar| {
                    let labels: Vec<_> = exemplar.labels().map(|(n, v)| format!("{n}={v:?}")).collect();
                    format!(" # {} {} {:?}", labels.join(","), exemplar.value, exemplar.timestamp)
                });
                writeln!(lines, "{} {}{time}{}", labels.join(","), series.value, exemplar.unwrap_or_default())
            }
            Err(error) => writeln!(lines, "error {error}"),
        }
        .unwrap();
    }
    lines
}

fn check(page: &str, expected: &[&str]) {
    let got = render(page.as_bytes());
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{page:?}");
}

#[test]
fn plain_pages() {
    check("", &[]);
    check("\n\n \t\n", &[]);
    check("a 1", &[r#"__name__="a" 1"#]);
    check("a 1\nb:c_2 2.5\n", &[r#"__name__="a" 1"#, r#"__name__="b:c_2" 2.5"#]);
    check("a{} 1", &[r#"__name__="a" 1"#]);
    check(r#"a{b="c",d="e"} 1"#, &[r#"__name__="a",b="c",d="e" 1"#]);
    check("a 1 1700000000123\n", &[r#"__name__="a" 1 @1700000000123"#]);
    check("a NaN\na +Inf\na -inf\n", &[r#"__name__="a" NaN"#, r#"__name__="a" inf"#, r#"__name__="a" -inf"#]);
}

#[test]
fn what_real_pages_do() {
    // Blanks at the front, at the end and between all parts; commas at the end or left out.
    check("  a\t{ b = \"c\" , } \t 1 \t 5 \n", &[r#"__name__="a",b="c" 1 @5"#]);
    check(r#"a{b="c" d="e"}1"#, &[r#"__name__="a",b="c",d="e" 1"#]);
    // Escapes, a raw line feed, the same name twice, empty values.
    check(r#"a{b="\\x\"\n\y"} 1"#, &[r#"__name__="a",b="\\x\"\n\\y" 1"#]);
    check("a{b=\"x\ny\"} 1", &[r#"__name__="a",b="x\ny" 1"#]);
    check(r#"a{b="1",b="2",c=""} 1"#, &[r#"__name__="a",b="1",b="2",c="" 1"#]);
    // Names beyond the classic alphabet stand in quotation marks.
    check(r#"{"my.name","label.x"="1",b="2"} 1"#, &[r#"__name__="my.name",label.x="1",b="2" 1"#]);
    check(r#"{b="2","näme"} 1"#, &[r#"b="2",__name__="näme" 1"#]);
    check("# TYPE \"my.name\" counter\n", &["type my.name counter"]);
}

#[test]
fn metadata_and_comments() {
    check("# HELP a Some \\\\ text\\n\\\"\n", &[r#"help a "Some \\ text\n\\\"""#]);
    check("# HELP a\n# HELP b \n", &[r#"help a """#, r#"help b """#]);
    check("# TYPE a counter\n# TYPE a gauge\n", &["type a counter", "type a gauge"]);
    check("# TYPE a untyped\n", &["type a unknown"]);
    check(
        "#\n# \n#HELP a b\n# HELPa b\n# TYPE\n# EOF",
        &["comment #", "comment # ", "comment #HELP a b", "comment # HELPa b", "comment # TYPE", "comment # EOF"],
    );
}

#[test]
fn bounds_and_quantiles_have_one_spelling() {
    check(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\",quantile=\"1\"} 1\nh_bucket{le=\"x\"} 1",
        &[
            "type h histogram",
            r#"__name__="h_bucket",le="1.0" 1"#,
            r#"__name__="h_bucket",le="+Inf",quantile="1" 1"#,
            r#"__name__="h_bucket",le="x" 1"#,
        ],
    );
    check(
        "# TYPE s summary\ns{quantile=\"0\",le=\"1\"} 1",
        &["type s summary", r#"__name__="s",quantile="0.0",le="1" 1"#],
    );
    check("h_bucket{le=\"1\"} 1", &[r#"__name__="h_bucket",le="1" 1"#]);
}

#[test]
fn refusals_say_where() {
    let refused = |page: &str, expected: &str| check(page, &[&format!("error {expected}")]);
    refused("a", "1:2: expected value after metric, got end of page");
    refused("a\n", "1:2: expected value after metric, got end of line");
    refused("a b", r#"1:3: invalid value "b""#);
    refused("a.b 1", r#"1:2: invalid value ".b""#);
    refused("a 1e999", r#"1:3: invalid value "1e999""#);
    refused("a 0x1p3", r#"1:3: invalid value "0x1p3""#);
    refused("a 1_0", r#"1:3: invalid value "1_0""#);
    refused("a 1\r\n", "1:3: invalid value \"1\\r\"");
    refused("a 1 -5", r#"1:5: expected timestamp or end of line, got "-5""#);
    refused("a 1 1.5", r#"1:6: expected timestamp or end of line, got ".5""#);
    refused("a 1 99999999999999999999", "1:5: timestamp 99999999999999999999 out of range");
    refused("a 1 2 3", r#"1:7: expected timestamp or end of line, got "3""#);
    refused("1a 1", r#"1:1: expected a metric name, a brace or a comment, got "1a 1""#);
    refused("é 1", r#"1:1: expected a metric name, a brace or a comment, got "é 1""#);
    refused(r#"a{b="c} 1"#, r#"1:5: expected label value in quotation marks, got "\"c} 1""#);
    refused("a{b=\"c\\\n\"} 1", r#"1:5: expected label value in quotation marks, got "\"c\\""#);
    refused(r"a{b='c'} 1", r#"1:5: expected label value in quotation marks, got "'c'} 1""#);
    refused(r#"a{1="c"} 1"#, r#"1:3: expected label name, got "1=\"c\"} 1""#);
    refused(r#"a{b="é",,} 1"#, r#"1:9: expected label name, got ",} 1""#);
    refused(r#"a{b} 1"#, r#"1:4: expected equal, got "} 1""#);
    refused(r#"a{"b"} 1"#, "1:3: metric name already set");
    refused(r#"{b="c"} 1"#, "1:1: metric name not set");
    refused("# TYPE a countr", r#"1:8: invalid metric type "countr""#);
    refused("# TYPE a  counter", r#"1:8: invalid metric type " counter""#);
    refused("# TYPE 1 counter", r#"1:8: expected metric name after TYPE, got "1 counter""#);
    check("a 1\n# x\n  b{c=\"d\"} x 1", &[r#"__name__="a" 1"#, "comment # x", r#"error 3:12: invalid value "x""#]);
}

#[test]
fn bytes_that_are_not_utf8() {
    let check = |page: &[u8], expected: &[&str]| {
        assert_eq!(render(page).lines().collect::<Vec<_>>(), expected, "{page:?}");
    };
    check(b"a 1\nb{c=\"\xff\"} 1\nd 2", &[r#"__name__="a" 1"#, "error 2:6: invalid UTF-8"]);
    check(b"a 1\n# HELP b \xff\nd 2", &[r#"__name__="a" 1"#, "error 2:10: invalid UTF-8"]);
    check(b"a 1\n # b \xff\nd 2\n#\xfe", &[r#"__name__="a" 1"#, r#"__name__="d" 2"#]);
}

fn check_openmetrics(page: &str, expected: &[&str]) {
    let got = render_events(openmetrics::Parser::new(page.as_bytes()));
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{page:?}");
}

#[test]
fn openmetrics_pages() {
    check_openmetrics("# EOF\n", &[]);
    check_openmetrics("# EOF", &[]);
    check_openmetrics(
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds x\ny\na_seconds_total{b=\"c\",} 1 1.5\n# EOF\n".replace("x\ny", "x").as_str(),
        &["type a_seconds counter", "unit a_seconds seconds", "help a_seconds \"x\"", r#"__name__="a_seconds_total",b="c" 1 @1500"#],
    );
    check_openmetrics(
        "a_total 1 # {trace_id=\"x y\"} 0.5 1.25\nb 2 3 # {} 4\n{\"c.d\",e=\"f\"} 5\n# EOF\n",
        &[
            r#"__name__="a_total" 1 # trace_id="x y" 0.5 Some(1250)"#,
            r#"__name__="b" 2 @3000 #  4 None"#,
            r#"__name__="c.d",e="f" 5"#,
        ],
    );
    check_openmetrics(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# EOF\n",
        &["type h histogram", r#"__name__="h_bucket",le="1.0" 1"#],
    );
}

#[test]
fn openmetrics_refusals_say_where() {
    let refused = |page: &str, expected: &str| check_openmetrics(page, &[&format!("error {expected}")]);
    refused("", "1:1: data does not end with # EOF");
    refused("# EOF\na 1\n", r#"2:1: unexpected data after # EOF, got "a 1""#);
    refused("a  1\n# EOF", r#"1:3: invalid value """#);
    refused(" a 1\n# EOF", r#"1:1: expected a metric name, a brace or metadata, got " a 1""#);
    refused("a 1", "1:4: expected end of line, got end of page");
    refused("# x\n# EOF", "1:1: expected # HELP, # TYPE, # UNIT or # EOF, got \"# x\"");
    refused("# TYPE a untyped\n# EOF", r#"1:9: invalid metric type "untyped""#);
    refused("# UNIT a seconds\n# EOF", r#"1:9: unit "seconds" not a suffix of metric "a""#);
    refused("a 1 NaN\n# EOF", r#"1:5: invalid timestamp "NaN""#);
    refused("a{b=\"c\" d=\"e\"} 1\n# EOF", r#"1:8: expected comma or closing brace, got " d=\"e\"} 1""#);
    refused("a{b=\"c\nd\"} 1\n# EOF", r#"1:5: expected label value in quotation marks, got "\"c""#);
    refused("a 1 # b\n# EOF", r#"1:7: expected the labels of an exemplar, got "b""#);
    refused("a 1 # {\"b\"} 1\n# EOF", r#"1:11: expected equal, got "} 1""#);
}

#[test]
fn an_expected_series_changes_nothing() {
    let check = |page: &str| {
        let plain: Vec<_> = Parser::new(page.as_bytes()).collect();
        for expected in ["a", "a{b=\"c\"}", "a {b=\"c\"}", "{\"a\"}", "ab", "a{", "a{}"] {
            let mut parser = Parser::new(page.as_bytes());
            let hinted: Vec<_> = std::iter::from_fn(|| parser.next_expecting(expected.as_bytes())).collect();
            assert_eq!(hinted, plain, "{page:?} with {expected:?}");
        }
    };
    for page in [
        "a 1",
        "ab 1",
        "a{b=\"c\"} 1",
        "a {b=\"c\"} 1",
        "a{b=\"c\"}1",
        "a\t1 5\nab 2",
        "a{} 1",
        "a",
        "a  ",
        "a\n1",
        "{\"a\"} 1",
        "a{b=\"c\"} x",
    ] {
        check(page);
    }
}

proptest! {
    #[test]
    fn openmetrics_never_panics(page in "([#a-c{}=\",\\\\ \n0-9.é]|# HELP |# TYPE |# EOF| # \\{|histogram|le=\"){0,40}") {
        render_events(openmetrics::Parser::new(page.as_bytes()));
    }

    #[test]
    fn openmetrics_never_panics_on_bytes(page in proptest::collection::vec(any::<u8>(), 0..200)) {
        render_events(openmetrics::Parser::new(&page));
    }

    #[test]
    fn never_panics_on_bytes(page in proptest::collection::vec(any::<u8>(), 0..200)) {
        render(&page);
    }

    #[test]
    fn never_panics_on_what_looks_like_a_page(page in "([#a-c{}=\",\\\\ \t\n0-9.é]|HELP |TYPE |histogram|le=\"|NaN){0,40}") {
        render(page.as_bytes());
    }

    #[test]
    fn written_families_read_back(
        name in "[a-c.:é]{1,6}", label in "[a-c.\"\\\\é]{1,4}", text in "[a\"\\\\\né]{0,6}", value in any::<f64>(),
    ) {
        let mut families = model::Families::default();
        families.family(name.clone(), model::MetricKind::Gauge, text.clone()).with([(label.clone(), text.clone())], value);
        let mut page = String::new();
        exposition::text::write(&families, &mut page);
        let events: Vec<_> = Parser::new(page.as_bytes()).collect::<Result<_, _>>().unwrap();
        let [Event::Help { text: help, .. }, Event::Type { .. }, Event::Series(series)] = &events[..] else {
            panic!("{page}");
        };
        prop_assert_eq!(unescape_help(help), text.as_str());
        prop_assert!(series.value == value || value.is_nan());
        let labels: Vec<_> = series.labels().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        prop_assert_eq!(labels, vec![("__name__".to_owned(), name), (label, text)]);
    }
}
