//! The corpora of the fuzz targets: written by `SKEP_CORPUS_WRITE=1`, replayed by every test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The targets are public for the package that fuzzes them.
#![allow(unreachable_pub)]

mod messages;
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::Path;

use messages::{bucket, double, exemplar, family, label, message, varint};

/// Pages of text that show each rule of the grammar once.
const TEXTS: [&str; 12] = [
    "a 1\nb{c=\"d\"} 2 1700000000000\n",
    "# HELP a Some \\\\ help.\n# TYPE a counter\na{b=\"c\\\"\\n\",} 1\n",
    "{\"a.b\",\"c.d\"=\"e\"} NaN\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
    "# TYPE s summary\ns{quantile=\"0.5\"} 1e-5\n",
    " a  { b = \"c\" }\t1\t\n\n#\n# comment\n",
    "a +Inf\na -inf\na .5\na 0x1p3\n",
    "a{b=\"x\ny\"} 1\n",
    "# TYPE a gauge\n# UNIT a_seconds seconds\na_seconds 1 1.5\n# EOF\n",
    "a_total 1 # {trace_id=\"t\"} 0.5 1.25\n# EOF\n",
    "# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE st stateset\nst{st=\"a\"} 1\n# EOF\n",
    "# TYPE a counter\na_total 1\na_created 2\n# EOF\n",
];

fn protobuf_pages() -> Vec<Vec<u8>> {
    let gauge = message(2, &double(1, 1.0));
    let counter = message(3, &[double(1, 5.0), message(2, &exemplar(1.5, Some((1, 5))))].concat());
    let classic = [varint(1, 10), double(2, 12.5), bucket(3, 1.0, Some(0.5)), bucket(5, 2.5, None)].concat();
    let native = [classic.clone(), double(6, 0.001), message(12, &[varint(1, 0), varint(2, 1)].concat())].concat();
    let quantile = message(3, &[double(1, 0.5), double(2, 2.0)].concat());
    let summary = message(4, &[varint(1, 4), double(2, 8.0), quantile].concat());
    vec![
        family("g", 1, &[[label("l", "v\"\\\n"), gauge.clone(), varint(6, 1_700_000_000_000)].concat()]),
        family("c", 0, &[counter]),
        family("my.gauge", 1, &[[label("a.b", "c"), gauge].concat()]),
        [family("h", 4, &[message(7, &classic)]), family("s", 2, &[summary])].concat(),
        family("h", 4, &[message(7, &native)]),
        family("u", 3, &[message(5, &double(1, 2.0))]),
    ]
}

fn check(target: &str, run: fn(&[u8]), pages: &[Vec<u8>]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    if std::env::var_os("SKEP_CORPUS_WRITE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (number, page) in pages.iter().enumerate() {
            fs::write(folder.join(format!("page-{number:02}")), page).unwrap();
        }
    }
    let inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "the corpus of {target} is empty");
    inputs.iter().for_each(|input| run(&fs::read(input).unwrap()));
}

fn texts() -> Vec<Vec<u8>> {
    TEXTS.iter().map(|page| page.as_bytes().to_vec()).collect()
}

#[test]
fn text() {
    check("text", targets::text, &texts());
}

#[test]
fn openmetrics() {
    check("openmetrics", targets::openmetrics, &texts());
}

#[test]
fn protobuf() {
    check("protobuf", targets::protobuf, &protobuf_pages());
}
