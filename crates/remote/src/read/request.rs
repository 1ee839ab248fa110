//! The request of remote read.
//!
//! `ReadRequest { repeated Query queries = 1; repeated ResponseType accepted_response_types = 2 }`
//! `Query { int64 start_timestamp_ms = 1; int64 end_timestamp_ms = 2; repeated LabelMatcher matchers = 3; ReadHints hints = 4 }`
//! `LabelMatcher { Type type = 1; string name = 2; string value = 3 }`
//!
//! Hints are passed over: an answer holds the samples that were asked for, whatever is done with them.

use model::{Labels, MatchOp, Matcher, Timestamp};

use super::Error;
use crate::wire::{Field, Fields, Value};

/// Matchers of a query; each holds its compiled pattern. Prometheus sends those of a selector and two labels more.
const MATCHERS_MAX: usize = 1000;
/// Queries of a request. Prometheus sends one.
const QUERIES_MAX: usize = 1000;

/// How samples are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One message with all samples, packed.
    Samples,
    /// A stream of messages with chunks.
    Chunks,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) form: Form,
    pub(super) queries: Vec<Query>,
}

/// Which series, and which part of their time.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) matchers: Vec<Matcher>,
}

impl Request {
    /// Reads a message. A matcher that says what an external label is holds for every series, and is left out.
    pub(super) fn read(message: &[u8], external_labels: &Labels) -> Result<Self, Error> {
        let (mut queries, mut accepted) = (Vec::new(), Vec::new());
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 if queries.len() == QUERIES_MAX => return Err(Error::TooMany("queries", QUERIES_MAX)),
                1 => queries.push(Query::read(field.bytes()?, external_labels)?),
                2 => read_numbers(field, &mut accepted)?,
                _ => {}
            }
        }
        Ok(Self { form: negotiate(&accepted)?, queries })
    }
}

/// The first form of those wanted that there is; samples where none is named.
fn negotiate(accepted: &[i64]) -> Result<Form, Error> {
    let known = accepted.iter().find_map(|number| match number {
        0 => Some(Form::Samples),
        1 => Some(Form::Chunks),
        _ => None,
    });
    match known {
        None if accepted.is_empty() => Ok(Form::Samples),
        None => Err(Error::Form(accepted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))),
        Some(form) => Ok(form),
    }
}

/// A repeated number, one by one or packed.
fn read_numbers(field: Field<'_>, into: &mut Vec<i64>) -> Result<(), Error> {
    /// Numbers of a list; there are two that mean something.
    const NUMBERS_MAX: usize = 16;
    match field.value {
        Value::Bytes(bytes) => {
            let mut numbers = Fields::new(bytes);
            while let Some(number) = numbers.next_number()? {
                into.push(number.cast_signed());
                if into.len() > NUMBERS_MAX {
                    return Err(Error::TooMany("accepted response types", NUMBERS_MAX));
                }
            }
        }
        _ => into.push(field.integer()?),
    }
    Ok(())
}

impl Query {
    fn read(message: &[u8], external_labels: &Labels) -> Result<Self, Error> {
        let mut query = Self { start: 0, end: 0, matchers: Vec::new() };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => query.start = field.integer()?,
                2 => query.end = field.integer()?,
                3 if query.matchers.len() == MATCHERS_MAX => return Err(Error::TooMany("matchers", MATCHERS_MAX)),
                3 => {
                    let matcher = read_matcher(field.bytes()?)?;
                    let external = external_labels.get(matcher.name());
                    if matcher.op() != MatchOp::Equal || external != Some(matcher.value()) {
                        query.matchers.push(matcher);
                    }
                }
                _ => {}
            }
        }
        Ok(query)
    }
}

fn read_matcher(message: &[u8]) -> Result<Matcher, Error> {
    let (mut op, mut name, mut value) = (0, "", "");
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => op = field.integer()?,
            2 => name = text(field)?,
            3 => value = text(field)?,
            _ => {}
        }
    }
    let op = match op {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Match,
        3 => MatchOp::NotMatch,
        _ => return Err(Error::Matcher("invalid matcher type".to_owned())),
    };
    Matcher::new(op, name, value).map_err(|error| Error::Matcher(error.to_string()))
}

fn text(field: Field<'_>) -> Result<&str, Error> {
    std::str::from_utf8(field.bytes()?).map_err(|_| Error::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    fn matcher(op: u8, name: &str, value: &str) -> Vec<u8> {
        field(3, &[vec![1 << 3, op], field(2, name.as_bytes()), field(3, value.as_bytes())].concat())
    }

    fn check(message: &[u8], expected: Result<(Form, &str), &str>) {
        let external = Labels::from_pairs([("cluster", "c")]);
        let read = Request::read(message, &external).map(|request| {
            let query = |query: &Query| {
                let matchers: Vec<String> = query.matchers.iter().map(ToString::to_string).collect();
                format!("{} {} {}", query.start, query.end, matchers.join(","))
            };
            (request.form, request.queries.iter().map(query).collect::<Vec<_>>().join("; "))
        });
        let read = read.map_err(|error| error.to_string());
        assert_eq!(read, expected.map(|(form, text)| (form, text.to_owned())).map_err(str::to_owned));
    }

    #[test]
    fn requests() {
        check(&[], Ok((Form::Samples, "")));
        check(&[2 << 3, 1], Ok((Form::Chunks, "")));
        check(&field(2, &[1, 0]), Ok((Form::Chunks, "")));
        check(&field(2, &[9, 0]), Ok((Form::Samples, "")));
        check(
            &field(2, &[9]),
            Err(
                "server does not support any of the requested response types: [9]; supported: map[SAMPLES:{} STREAMED_XOR_CHUNKS:{}]",
            ),
        );
        let plain = [vec![1 << 3, 5, 2 << 3, 9], matcher(0, "__name__", "up"), matcher(3, "a", "b.*")].concat();
        check(&field(1, &plain), Ok((Form::Samples, "5 9 __name__=\"up\",a!~\"b.*\"")));
        let external = [matcher(0, "cluster", "c"), matcher(0, "cluster", "d"), matcher(2, "cluster", "c")].concat();
        check(&field(1, &external), Ok((Form::Samples, "0 0 cluster=\"d\",cluster=~\"c\"")));
        check(&field(1, &matcher(4, "a", "b")), Err("invalid matcher type"));
        check(&[1 << 3 | 2, 5, 0], Err("unexpected EOF"));
    }
}
