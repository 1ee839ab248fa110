//! Pages of protobuf messages, good and bad, with what Prometheus 3.5.3 makes of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod messages;

use exposition::Event;
use exposition::protobuf::Parser;
use messages::{bucket, double, exemplar, family, label, message, varint};

/// The page as lines: series with its labels as they are stored, value, timestamp and exemplar.
fn read(page: &[u8]) -> Vec<String> {
    let mut parser = Parser::new(page);
    let mut lines = Vec::new();
    while let Some(event) = parser.next_event() {
        match event {
            Ok(Event::Series(series)) => {
                let labels: Vec<_> = series.labels().map(|(name, value)| format!("{name}={value}")).collect();
                let mut line = format!("{} {}", labels.join(" "), series.value);
                if let Some(timestamp) = series.timestamp {
                    line.push_str(&format!(" at {timestamp}"));
                }
                if let Some(exemplar) = series.exemplar {
                    let labels: Vec<_> = exemplar.labels().map(|(name, value)| format!("{name}={value}")).collect();
                    line.push_str(&format!(" # {} {} {:?}", labels.join(" "), exemplar.value, exemplar.timestamp));
                }
                lines.push(line.replace("__name__=", ""));
            }
            Ok(Event::Type { family, kind }) => lines.push(format!("# TYPE {family} {}", kind.as_str())),
            Ok(Event::Unit { family, unit }) => lines.push(format!("# UNIT {family} {unit}")),
            Ok(_) => {}
            Err(error) => lines.push(error.to_string()),
        }
    }
    lines
}

fn check(page: &[Vec<u8>], expected: &[&str]) {
    assert_eq!(read(&page.concat()), expected);
}

fn gauge(value: f64) -> Vec<u8> {
    message(2, &double(1, value))
}

#[test]
fn single_values() {
    let counter = |fields: &[Vec<u8>]| message(3, &fields.concat());
    let with_exemplar = [label("l", "v\"\\\n"), counter(&[double(1, 5.0), message(2, &exemplar(1.5, Some((1, 5))))])];
    check(
        &[family("c", 0, &[with_exemplar.concat()])],
        &["# TYPE c counter", "c l=v\"\\\n 5 # trace=x 1.5 Some(1005)"],
    );
    let untimed = counter(&[double(1, 5.0), message(2, &exemplar(1.5, None))]);
    check(&[family("c", 0, &[untimed])], &["# TYPE c counter", "c 5 # trace=x 1.5 None"]);
    let odd = [label("a.b", "c"), counter(&[double(1, 7.0)])].concat();
    check(&[family("my.counter", 0, &[odd])], &["# TYPE my.counter counter", "my.counter a.b=c 7"]);
    check(&[family("é", 1, &[gauge(1.0)])], &["# TYPE é gauge", "é 1"]);
    let timed = [gauge(1.0), varint(6, 1_700_000_000_000)].concat();
    check(&[family("g", 1, &[timed])], &["# TYPE g gauge", "g 1 at 1700000000000"]);
    check(&[family("u", 3, &[message(5, &double(1, 2.0))])], &["# TYPE u unknown", "u 2"]);
    check(&[family("g", 1, &[message(2, &[])])], &["# TYPE g gauge", "g 0"]);
    // The value of another type is none.
    check(&[family("c", 0, &[gauge(1.0)])], &["# TYPE c counter", "c 0"]);
    let stale = f64::from_bits(model::STALE_NAN_BITS);
    let page = family("g", 1, &[gauge(stale)]);
    let mut parser = Parser::new(&page);
    let values = std::iter::from_fn(|| match parser.next_event()?.unwrap() {
        Event::Series(series) => Some(model::is_stale(series.value)),
        _ => Some(false),
    });
    assert!(values.collect::<Vec<_>>().iter().all(|stale| !stale), "no page can write a staleness marker");
}

#[test]
fn histograms_and_summaries() {
    let classic = [varint(1, 10), double(2, 12.5), bucket(3, 1.0, Some(0.5)), bucket(5, 2.5, None)].concat();
    let metric = [label("l", "v"), message(7, &classic)].concat();
    let expected = [
        "# TYPE h histogram",
        "h_count l=v 10",
        "h_sum l=v 12.5",
        "h_bucket l=v le=1.0 3 # trace=x 0.5 Some(1005)",
        "h_bucket l=v le=2.5 5",
        "h_bucket l=v le=+Inf 10",
    ];
    check(&[family("h", 4, &[metric])], &expected);
    let complete = [varint(1, 10), bucket(10, f64::INFINITY, None)].concat();
    let expected = ["# TYPE h gaugehistogram", "h_count 10", "h_sum 0", "h_bucket le=+Inf 10"];
    check(&[family("h", 5, &[message(7, &complete)])], &expected);
    let floats = [double(4, 10.5), message(3, &[double(2, 1.0), double(4, 3.5)].concat())].concat();
    let expected = ["# TYPE h histogram", "h_count 10.5", "h_sum 0", "h_bucket le=1.0 3.5", "h_bucket le=+Inf 10.5"];
    check(&[family("h", 4, &[message(7, &floats)])], &expected);
    let expected = ["# TYPE h histogram", "h_count 0", "h_sum 0", "h_bucket le=+Inf 0"];
    check(&[family("h", 4, &[message(7, &[])])], &expected);
    let quantile = |q, v| message(3, &[double(1, q), double(2, v)].concat());
    let summary = [varint(1, 4), double(2, 8.0), quantile(0.5, 2.0), quantile(1.0, f64::NAN)].concat();
    let expected = ["# TYPE s summary", "s_count 4", "s_sum 8", "s quantile=0.5 2", "s quantile=1.0 NaN"];
    check(&[family("s", 2, &[message(4, &summary)])], &expected);
}

#[test]
fn native_histograms_are_counted() {
    let native = [varint(1, 10), double(6, 0.001), message(12, &[varint(1, 0), varint(2, 1)].concat())].concat();
    let both = [native.clone(), bucket(3, 1.0, None)].concat();
    let page = family("h", 4, &[message(7, &native), message(7, &both)]);
    check(
        std::slice::from_ref(&page),
        &["# TYPE h histogram", "h_count 10", "h_sum 0", "h_bucket le=1.0 3", "h_bucket le=+Inf 10"],
    );
    let mut parser = Parser::new(&page);
    while parser.next_event().is_some() {}
    assert_eq!((parser.native_histograms(), parser.native_histograms_alone()), (2, 1));
}

#[test]
fn bad_pages_say_where() {
    let good = family("g", 1, &[gauge(1.0)]);
    let fails = |bad: Vec<u8>, message: &str| {
        let error = format!("family 2 (from byte {}): {message}", good.len());
        check(&[good.clone(), bad], &["# TYPE g gauge", "g 1", &error]);
    };
    let short = "insufficient length of buffer, expected at least 895 bytes, got 3 bytes";
    fails([&[0xff, 0x06][..], b"abc"].concat(), short);
    fails(vec![0xff], "the length of the message breaks off");
    fails(family("", 1, &[gauge(1.0)]), "invalid metric name: it is empty");
    fails(family("g2", 9, &[gauge(1.0)]), "unknown metric type for metric \"g2\": 9");
    fails(vec![2, 10, 9], "unexpected EOF in field 1");
    fails(vec![1, 3], "illegal wire type 3");
    fails(vec![2, 0, 0], "illegal tag 0");
    let told = |bad: Vec<u8>, message: &str| {
        let error = format!("family 2 (from byte {}): {message}", good.len());
        check(&[good.clone(), bad], &["# TYPE g gauge", "g 1", "# TYPE g2 gauge", &error]);
    };
    told(family("g2", 1, &[[label("", "x"), gauge(1.0)].concat()]), "invalid label name: it is empty");
    let bytes = message(1, &[message(1, b"l"), message(2, &[0xff])].concat());
    told(family("g2", 1, &[[bytes, gauge(1.0)].concat()]), "invalid label value: it is not UTF-8");
}

#[test]
fn what_is_passed_over() {
    check(&[], &[]);
    check(&[vec![0], family("g", 1, &[gauge(1.0)])], &["# TYPE g gauge", "g 1"]);
    check(&[family("g", 1, &[])], &[]);
    let more = [gauge(1.0), varint(99, 7), message(98, b"x")].concat();
    check(&[family("g", 1, &[more])], &["# TYPE g gauge", "g 1"]);
}
