use std::io::Read;

use http_body_util::BodyExt;

use super::*;
use crate::number::push_integer;

async fn body(reply: Reply, pack: bool) -> (Option<String>, Vec<u8>) {
    let response = reply.into_response(pack);
    let coding = response.headers().get(header::CONTENT_ENCODING).map(|v| v.to_str().unwrap().to_owned());
    (coding, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

fn numbers(count: i64) -> Reply {
    let mut notes = Notes::default();
    notes.cut(&mut vec![0, 1], Some(1));
    notes.infos.push("<i>".to_owned());
    Reply::array((0..count).collect(), push_integer, notes)
}

/// An array of that many numbers, plain and packed.
async fn check(count: i64, packed_expected: bool) {
    let numbers_text = (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let notes = r#","warnings":["results truncated due to limit"],"infos":["\u003ci\u003e"]}"#;
    let expected = format!("{{\"status\":\"success\",\"data\":[{numbers_text}]{notes}");
    assert_eq!(body(numbers(count), false).await, (None, expected.clone().into_bytes()));
    let (coding, packed) = body(numbers(count), true).await;
    assert_eq!(coding.is_some(), packed_expected, "{count}");
    let mut text = String::new();
    match coding {
        Some(_) => drop(flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap()),
        None => text = String::from_utf8(packed).unwrap(),
    }
    assert_eq!(text, expected);
}

#[tokio::test]
async fn arrays_of_any_length() {
    for (count, packed) in [(0, false), (1, false), (1_000, true), (100_000, true)] {
        check(count, packed).await;
    }
}

#[tokio::test]
async fn short_answers_have_a_length() {
    let response = numbers(10).into_response(false);
    assert!(axum::body::HttpBody::size_hint(response.body()).exact().is_some());
}

#[test]
fn codings() {
    let cases = [
        ("gzip", true),
        ("deflate, gzip;q=0.5", true),
        ("*", true),
        ("gzip;q=0", false),
        ("gzip; q=0.0", false),
        ("br", false),
        ("", false),
    ];
    for (value, expected) in cases {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        assert_eq!(takes_gzip(&headers), expected, "{value}");
    }
}
