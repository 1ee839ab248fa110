use std::io::Read;

use http_body_util::BodyExt;

use super::*;
use crate::number::push_integer;

async fn body(reply: Reply, coding: Option<Coding>) -> (Option<String>, Vec<u8>) {
    let response = reply.into_response(coding);
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
    assert_eq!(body(numbers(count), None).await, (None, expected.clone().into_bytes()));
    for asked in [Coding::Gzip, Coding::Deflate] {
        let (coding, packed) = body(numbers(count), Some(asked)).await;
        let named = asked.name().to_str().unwrap().to_owned();
        assert_eq!(coding, packed_expected.then_some(named), "{count}");
        let mut text = String::new();
        let read = match (coding, asked) {
            (None, _) => (&packed[..]).read_to_string(&mut text),
            (_, Coding::Gzip) => flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text),
            (_, Coding::Deflate) => flate2::read::ZlibDecoder::new(&packed[..]).read_to_string(&mut text),
        };
        read.unwrap();
        assert_eq!(text, expected);
    }
}

#[tokio::test]
async fn arrays_of_any_length() {
    for (count, packed) in [(0, false), (1, false), (1_000, true), (100_000, true)] {
        check(count, packed).await;
    }
}

#[tokio::test]
async fn short_answers_have_a_length() {
    let response = numbers(10).into_response(None);
    assert!(axum::body::HttpBody::size_hint(response.body()).exact().is_some());
}
