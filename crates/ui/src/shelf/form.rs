//! Forms that carry files: `multipart/form-data` (RFC 7578), of which browsers write a plain kind.
//!
//! The body is in memory and bounded before it comes here, so that reading it is cutting it at its boundary; the crate
//! that reads them as they arrive brings six others and the tables of all old encodings.

use axum::http::{HeaderMap, header};

/// Fields of a form; ours have some ten.
const FIELDS_MAX: usize = 64;

/// The fields of a form in their order, by name.
#[derive(Debug, Default)]
pub(crate) struct Form<'b>(Vec<(String, &'b [u8])>);

impl<'b> Form<'b> {
    /// Cuts a body into its fields. Errors say what is wrong with it.
    pub(crate) fn read(headers: &HeaderMap, body: &'b [u8]) -> Result<Self, &'static str> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = boundary(kind).ok_or("the form is no multipart/form-data with a boundary")?;
        let first = format!("--{boundary}");
        let between = format!("\r\n--{boundary}");
        let mut rest = strip(body, first.as_bytes()).ok_or("the form does not begin with its boundary")?;
        let mut fields = Vec::new();
        while let Some(part) = strip(rest, b"\r\n") {
            let end = find(part, between.as_bytes()).ok_or("the form breaks off")?;
            fields.push(field(&part[..end]).ok_or("a field of the form has no name")?);
            if fields.len() > FIELDS_MAX {
                return Err("the form has too many fields");
            }
            rest = &part[end + between.len()..];
        }
        if rest.starts_with(b"--") { Ok(Self(fields)) } else { Err("the form breaks off") }
    }

    /// The first field of a name that is not empty.
    pub(crate) fn bytes(&self, name: &str) -> Option<&'b [u8]> {
        self.0.iter().find(|(is, value)| is == name && !value.is_empty()).map(|(_, value)| *value)
    }

    /// The same as text; bytes that are none become marks.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.bytes(name).map(|value| String::from_utf8_lossy(value).trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// All fields whose names begin so, with the rest of the names.
    pub(crate) fn beginning(&self, prefix: &str) -> impl Iterator<Item = (String, String)> {
        let named = self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)));
        named.map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()))
    }
}

/// The word behind `boundary=`, at most 70 characters (RFC 2046).
fn boundary(kind: &str) -> Option<&str> {
    let mut parts = kind.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let is = |part: &str| part.get(..9).is_some_and(|name| name.eq_ignore_ascii_case("boundary="));
    let word = parts.find(|part| is(part))?.get(9..)?.trim_matches('"');
    (1..=70).contains(&word.len()).then_some(word)
}

/// A part: headers, an empty line, the value.
fn field(part: &[u8]) -> Option<(String, &[u8])> {
    let end = find(part, b"\r\n\r\n")?;
    let headers = String::from_utf8_lossy(&part[..end]);
    let disposition = headers.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    // A quote in a name is written as %22, so that the next quote ends it.
    let at = disposition.find(" name=\"")? + 7;
    let name = disposition[at..].split('"').next()?;
    Some((name.replace("%22", "\"").replace("%0D%0A", "\n"), &part[end + 4..]))
}

fn strip<'b>(bytes: &'b [u8], prefix: &[u8]) -> Option<&'b [u8]> {
    bytes.strip_prefix(prefix)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<&[(&str, &str)], &str>) {
        let kind = "multipart/form-data; boundary=xYz".parse().unwrap();
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        let body = body.replace('\n', "\r\n");
        let got = Form::read(&headers, body.as_bytes());
        let got = got.as_ref().map(|form| {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            form.0.iter().map(|(name, value)| (name.clone(), text(value))).collect::<Vec<_>>()
        });
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(got.map_err(|error| *error), expected.map(pairs), "{body}");
    }

    #[test]
    fn fields() {
        let one = "--xYz\nContent-Disposition: form-data; name=\"a%22\"\n\n1\n--xYz--\n";
        check(one, Ok(&[("a\"", "1")]));
        let file = "--xYz\ncontent-disposition: form-data; name=\"file\"; filename=\"b.json\"\nContent-Type: application/json\n\n{}\n\n--x\n\
                    --xYz\nContent-Disposition: form-data; name=\"e\"\n\n\n--xYz--";
        check(file, Ok(&[("file", "{}\r\n\r\n--x"), ("e", "")]));
        check("--xYz--", Ok(&[]));
        check("--xYz\nContent-Disposition: form-data; name=\"a\"\n\n1", Err("the form breaks off"));
        check("--xYz\nX: y\n\n1\n--xYz--", Err("a field of the form has no name"));
        check("", Err("the form does not begin with its boundary"));
    }

    #[test]
    fn boundaries() {
        let cases = [
            ("multipart/form-data; boundary=a", Some("a")),
            ("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data; boundary=", None),
            ("application/x-www-form-urlencoded", None),
        ];
        for (kind, expected) in cases {
            assert_eq!(boundary(kind), expected, "{kind}");
        }
    }
}
