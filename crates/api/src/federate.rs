//! `/federate`: the newest samples of some series, in the text format.

use std::collections::BTreeMap;

use axum::http::HeaderValue;
use exposition::format_float;
use model::{
    Hints, Labels, METRIC_NAME, Samples, Selection, Timestamp, is_stale, is_valid_label_name, is_valid_metric_name,
};

use crate::State;
use crate::call::Call;
use crate::failure::Failure;
use crate::reply::Reply;

/// The label that every federated series has, so that the one who scrapes does not put his own in its place.
const INSTANCE: &str = "instance";
/// What a scraper says who reads names of any characters.
const ANY_NAMES: &str = "escaping=allow-utf-8";

/// A series and its newest sample.
struct Newest {
    labels: Labels,
    timestamp: Timestamp,
    value: f64,
}

/// Every series that matches, sorted by name, once.
pub(crate) fn federate(state: &State, call: &Call) -> Result<Reply, Failure> {
    let texts = call.form.selector_texts().map_err(Failure::bad_data)?;
    let selectors = texts.map(promql::parse_selector).collect::<Result<Vec<_>, _>>();
    let selectors = selectors.map_err(|error| Failure::bad_data(error.to_string()))?;
    let now = state.clock.now();
    let lookback = i64::try_from(state.engine.options().lookback.as_millis()).unwrap_or(i64::MAX);
    // The lookback is open on its left.
    let min_time = now.saturating_sub(lookback).saturating_add(1);
    let mut found: Vec<Newest> = Vec::new();
    for matchers in &selectors {
        call.check_client()?;
        let selection = Selection { matchers, min_time, max_time: now, hints: Hints::default() };
        collect_newest(state, &selection, &mut found)?;
        // Each time, so that selectors that find the same cost no memory.
        found.sort_by(|a, b| (a.labels.metric_name(), &a.labels).cmp(&(b.labels.metric_name(), &b.labels)));
        found.dedup_by(|a, b| a.labels == b.labels);
    }
    let any_names = call.accept.contains(ANY_NAMES);
    let media = if any_names {
        "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    };
    let page = Page { added: added_labels(&state.external_labels.get()), any_names, text: String::new() };
    Ok(Reply::text(HeaderValue::from_static(media), page.write(&found).into_bytes()))
}

fn collect_newest(state: &State, selection: &Selection<'_>, found: &mut Vec<Newest>) -> Result<(), Failure> {
    let mut samples = Samples::default();
    for series in state.storage.select(selection)?.series {
        samples.clear();
        series.read(&mut samples)?;
        let last = samples.iter().last().filter(|sample| !is_stale(sample.value));
        found.extend(last.map(|sample| Newest {
            labels: series.labels().clone(),
            timestamp: sample.timestamp,
            value: sample.value,
        }));
    }
    Ok(())
}

/// Labels that series get which lack them.
fn added_labels(external: &Labels) -> BTreeMap<String, String> {
    let mut added = BTreeMap::from([(INSTANCE.to_owned(), String::new())]);
    added.extend(external.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    added
}

/// A page in the text format.
struct Page {
    added: BTreeMap<String, String>,
    any_names: bool,
    text: String,
}

impl Page {
    fn write(mut self, found: &[Newest]) -> String {
        let mut family = "";
        for newest in found.iter().filter(|newest| !newest.labels.metric_name().is_empty()) {
            if newest.labels.metric_name() != family {
                family = newest.labels.metric_name();
                self.text.push_str("# TYPE ");
                self.push_name(family, is_valid_metric_name);
                self.text.push_str(" untyped\n");
            }
            self.push_series(newest);
        }
        self.text
    }

    fn push_series(&mut self, newest: &Newest) {
        let name = newest.labels.metric_name();
        let quoted = self.any_names && !is_valid_metric_name(name);
        if !quoted {
            self.push_name(name, is_valid_metric_name);
        }
        self.text.push('{');
        if quoted {
            self.push_name(name, is_valid_metric_name);
        }
        let added = std::mem::take(&mut self.added);
        let missing = added.iter().filter(|(name, _)| newest.labels.get(name).is_none());
        let all = newest.labels.iter().chain(missing.map(|(name, value)| (&name[..], &value[..])));
        for (name, value) in all.filter(|(name, _)| *name != METRIC_NAME) {
            self.push_label(name, value);
        }
        self.added = added;
        self.text.push_str("} ");
        format_float(newest.value, &mut self.text);
        self.text.push_str(&format!(" {}\n", newest.timestamp));
    }

    fn push_label(&mut self, name: &str, value: &str) {
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        self.push_name(name, is_valid_label_name);
        self.text.push_str("=\"");
        push_escaped(&mut self.text, value);
        self.text.push('"');
    }

    /// A name: quoted or with `_` in place of what the classic alphabet lacks, as the scraper wants it.
    fn push_name(&mut self, name: &str, is_classic: fn(&str) -> bool) {
        if is_classic(name) {
            self.text.push_str(name);
        } else if self.any_names {
            self.text.push('"');
            push_escaped(&mut self.text, name);
            self.text.push('"');
        } else {
            let classic = |(i, c): (usize, char)| {
                let fits = is_classic(c.encode_utf8(&mut [0; 4])) || (i > 0 && c.is_ascii_digit());
                if fits { c } else { '_' }
            };
            self.text.extend(name.chars().enumerate().map(classic));
        }
    }
}

fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' => text.push_str("\\\""),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[(&str, &str)], any_names: bool, expected: &str) {
        let external = Labels::from_pairs([("cluster", "c")]);
        let page = Page { added: added_labels(&external), any_names, text: String::new() };
        let newest = Newest { labels: Labels::from_pairs(labels.iter().copied()), timestamp: 5, value: 0.5 };
        assert_eq!(page.write(&[newest]), expected);
    }

    #[test]
    fn pages() {
        check(&[], false, "");
        let plain = "# TYPE m untyped\nm{a=\"\\\"\\n\\\\\",cluster=\"c\",instance=\"\"} 0.5 5\n";
        check(&[("__name__", "m"), ("a", "\"\n\\")], false, plain);
        let kept = "# TYPE m untyped\nm{cluster=\"x\",instance=\"i\"} 0.5 5\n";
        check(&[("__name__", "m"), ("cluster", "x"), ("instance", "i")], true, kept);
        let odd = [("__name__", "1.m"), ("a.b", "v")];
        let escaped = "# TYPE __m untyped\n__m{a_b=\"v\",cluster=\"c\",instance=\"\"} 0.5 5\n";
        check(&odd, false, escaped);
        let quoted = "# TYPE \"1.m\" untyped\n{\"1.m\",\"a.b\"=\"v\",cluster=\"c\",instance=\"\"} 0.5 5\n";
        check(&odd, true, quoted);
    }
}
