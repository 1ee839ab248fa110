//! `series`, `labels` and `label/NAME/values`: what there is, without samples.

use std::collections::BTreeSet;

use model::{Hints, Labels, Matcher, Selection, StorageError};
use promql::quote;

use crate::State;
use crate::call::Call;
use crate::failure::Failure;
use crate::json::{push_labels, push_text};
use crate::reply::{Notes, Reply};
use crate::time::Instant;

/// How a label name that is not of the classic alphabet begins in a path.
const ESCAPED: &str = "U__";
/// Digits of an escaped character, as many as upstream reads; the last plane of Unicode, which nobody uses, would need six.
const CODE_DIGITS_MAX: usize = 5;

/// Which part of time is asked for.
struct Window {
    start: Instant,
    end: Instant,
}

impl Window {
    fn read(call: &Call) -> Result<Self, Failure> {
        let start = call.form.time("start", Instant::EARLIEST)?;
        Ok(Self { start, end: call.form.time("end", Instant::LATEST)? })
    }

    fn selection<'a>(&self, matchers: &'a [Matcher]) -> Selection<'a> {
        let hints = Hints { function: "series", labels_only: true, ..Hints::default() };
        Selection { matchers, min_time: self.start.millis(), max_time: self.end.millis(), hints }
    }
}

/// `series`: label sets, sorted.
pub(crate) fn series(state: &State, call: &Call) -> Result<Reply, Failure> {
    call.form.whole()?;
    if call.form.all("match[]").next().is_none() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let limit = call.form.limit()?;
    let window = Window::read(call)?;
    let selectors = call.form.selectors().map_err(|reason| Failure::parameter("match[]", &reason))?;
    let mut notes = Notes::default();
    let mut found: Vec<Labels> = Vec::new();
    for matchers in &selectors {
        call.check_client()?;
        let set = state.storage.select(&window.selection(matchers))?;
        found.extend(set.series.iter().map(|series| series.labels().clone()));
        notes.warnings.extend(set.warnings);
        // Each time, so that selectors that find the same cost no memory.
        found.sort_unstable();
        found.dedup();
    }
    notes.cut(&mut found, limit);
    Ok(Reply::array(found, |out, labels| push_labels(out, &labels), notes))
}

/// `labels`: names, sorted.
pub(crate) fn names(state: &State, call: &Call) -> Result<Reply, Failure> {
    let limit = call.form.limit()?;
    texts(call, limit, |selection| state.storage.label_names(selection))
}

/// `label/NAME/values`: values, sorted.
pub(crate) fn values(state: &State, call: &Call) -> Result<Reply, Failure> {
    let name = match &call.path {
        Ok(name) => unescape_name(name),
        Err(name) => return Err(invalid_name(name)),
    };
    if name.is_empty() {
        return Err(invalid_name(b""));
    }
    let limit = call.form.limit()?;
    texts(call, limit, |selection| state.storage.label_values(&name, selection))
}

fn invalid_name(name: &[u8]) -> Failure {
    Failure::bad_data(format!("invalid label name: {}", quote(name)))
}

/// Whether names or values of all series are asked for, which are read from the index as they are.
pub(crate) fn is_of_all(_: &State, call: &Call) -> bool {
    call.form.all("match[]").next().is_none()
}

fn texts(
    call: &Call,
    limit: Option<usize>,
    ask: impl Fn(&Selection<'_>) -> Result<Vec<String>, StorageError>,
) -> Result<Reply, Failure> {
    let window = Window::read(call)?;
    let selectors = call.form.selectors().map_err(Failure::bad_data)?;
    let mut found = match &selectors[..] {
        [] => ask(&window.selection(&[]))?,
        [matchers] => ask(&window.selection(matchers))?,
        many => {
            let mut all = BTreeSet::new();
            for matchers in many {
                call.check_client()?;
                all.extend(ask(&window.selection(matchers))?);
            }
            all.into_iter().collect()
        }
    };
    let mut notes = Notes::default();
    notes.cut(&mut found, limit);
    Ok(Reply::array(found, |out, text| push_text(out, &text), notes))
}

/// Reads a name such as `U__http_2e_status`: `_2e_` is the character 0x2e, `__` is `_`. What is not of that form
/// stays as it is.
fn unescape_name(name: &str) -> String {
    name.strip_prefix(ESCAPED).and_then(unescape).unwrap_or_else(|| name.to_owned())
}

fn unescape(mut rest: &str) -> Option<String> {
    let mut name = String::new();
    while let Some(at) = rest.find('_') {
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            name.push('_');
            rest = after;
        } else {
            let (code, after) = rest.split_once('_')?;
            let valid = code.len() <= CODE_DIGITS_MAX && code.bytes().all(|b| b.is_ascii_hexdigit());
            name.push(u32::from_str_radix(code, 16).ok().filter(|_| valid).and_then(char::from_u32)?);
            rest = after;
        }
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names() {
        let cases = [
            ("job", "job"),
            ("U__a_2d_b", "a-b"),
            ("U__http_2e_status__code", "http.status_code"),
            ("U___", "U___"),
            ("U__a_zz_b", "U__a_zz_b"),
            ("U__a_2d", "U__a_2d"),
            ("U__caf_e9_", "café"),
            ("U__caf_E9_", "café"),
            ("U__a_00002d_b", "U__a_00002d_b"),
            ("U__x_d800_", "U__x_d800_"),
            ("U__", ""),
        ];
        for (name, expected) in cases {
            assert_eq!(unescape_name(name), expected, "{name}");
        }
    }
}
