//! What two servers stored, scrape by scrape, and whether it is the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Memory;

/// Values of a series by the number of the scrape, or in their order where the page said their times. A NaN is equal
/// to itself.
pub(crate) type Values = Vec<(Option<usize>, String)>;
pub(crate) type Seen = BTreeMap<String, Values>;
pub(crate) type Dump = HashMap<BTreeMap<String, String>, Vec<(i64, f64)>>;

/// Job and case.
type Target = (String, String);

fn target(labels: &BTreeMap<String, String>) -> Target {
    let job = labels.get("exported_job").filter(|_| !labels.contains_key("case")).or(labels.get("job"));
    (job.cloned().unwrap_or_default(), labels.get("case").cloned().unwrap_or_default())
}

/// Targets of which a scrape reached its timeout: on a busy machine one of the two servers loses a page now and then, and
/// with it the count of pages.
pub(crate) fn late(dump: &Dump, timeout_seconds: f64) -> BTreeSet<Target> {
    let durations = dump.iter().filter(|(labels, _)| labels["__name__"] == "scrape_duration_seconds");
    let late = durations.filter(|(_, samples)| samples.iter().any(|(_, seconds)| *seconds >= timeout_seconds));
    late.map(|(labels, _)| target(labels)).collect()
}

/// The other targets. Where a page says another job, nobody knows whose page it is: its series count only if no target is
/// left out.
pub(crate) fn without(mut dump: Dump, targets: &BTreeSet<Target>) -> Dump {
    let known: BTreeSet<Target> = dump.keys().filter(|labels| labels["__name__"] == "up").map(target).collect();
    let is_known = |target: &Target| targets.is_empty() || known.contains(target) && !targets.contains(target);
    dump.retain(|labels, _| is_known(&target(labels)));
    dump
}

pub(crate) fn by_scrape(dump: &Dump, scrapes: usize) -> Seen {
    let mut times = HashMap::new();
    for (labels, samples) in dump.iter().filter(|(labels, _)| labels["__name__"] == "up") {
        let mut stamps: Vec<i64> = samples.iter().map(|(time, _)| *time).collect();
        stamps.sort_unstable();
        times.insert(target(labels), stamps);
    }
    let mut seen = Seen::new();
    for (labels, samples) in dump.iter().filter(|(labels, _)| labels["__name__"] != "scrape_duration_seconds") {
        let stamps = times.get(&target(labels));
        let number = |time: i64| stamps.and_then(|stamps| stamps.iter().position(|&stamp| stamp == time));
        let mut samples = samples.clone();
        samples.sort_by_key(|(time, _)| *time);
        let values = samples.iter().map(|(time, value)| (number(*time), format!("{value}")));
        let values: Values = values.filter(|(number, _)| number.is_none_or(|number| number < scrapes)).collect();
        if !values.is_empty() {
            seen.insert(format!("{labels:?}"), values);
        }
    }
    seen
}

/// Reads `{__name__="a", b="c"} 1 1700000000000`.
pub(crate) fn parse_dump(text: &str) -> Dump {
    let mut dump = Dump::new();
    for line in text.lines() {
        let end = line.rfind('}').unwrap() + 1;
        let mut numbers = line[end..].split_whitespace();
        let value: f64 = numbers.next().unwrap().parse().unwrap();
        let time: i64 = numbers.next().unwrap().parse().unwrap();
        dump.entry(parse_labels(&line[..end])).or_default().push((time, value));
    }
    dump
}

fn parse_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = &text[1..];
    while !rest.starts_with('}') {
        rest = rest.trim_start_matches([',', ' ']);
        let (name, after) = if rest.starts_with('"') { quoted(rest) } else { rest.split_at(rest.find('=').unwrap()) };
        let (value, after) = quoted(&after[1..]);
        let name = if name.starts_with('"') { unquote(name) } else { name.to_owned() };
        // Prometheus takes blanks before a name as part of it, which skep does not follow.
        let value = if name == "__name__" { unquote(value).trim_start().to_owned() } else { unquote(value) };
        labels.insert(name, value);
        rest = after;
    }
    labels
}

/// Undoes Go's quotation, as far as the pages above need it.
fn unquote(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text[1..text.len() - 1].chars();
    while let Some(c) = rest.next() {
        match (c == '\\').then(|| rest.next().unwrap()) {
            None => plain.push(c),
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('x') => {
                let code: String = rest.by_ref().take(2).collect();
                plain.push(char::from(u8::from_str_radix(&code, 16).unwrap()));
            }
            Some(c) => plain.push(c),
        }
    }
    plain
}

fn quoted(text: &str) -> (&str, &str) {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return text.split_at(i + 1),
            _ => {}
        }
    }
    panic!("{text}")
}

/// What is in the store.
pub(crate) fn dump(memory: &Memory) -> Dump {
    let mut dump = Dump::new();
    for (labels, samples) in memory.all() {
        let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        dump.insert(labels, samples.iter().map(|sample| (sample.timestamp, sample.value)).collect());
    }
    dump
}

pub(crate) fn compare(ours: &Seen, expected: &Seen, least: usize) {
    let keys: BTreeSet<&String> = ours.keys().chain(expected.keys()).collect();
    let differing: Vec<_> = keys
        .iter()
        .filter(|key| !agree(ours.get(**key), expected.get(**key)))
        .map(|key| format!("{key}\n  ours {:?}\n  peer {:?}", ours.get(*key), expected.get(*key)))
        .collect();
    println!("{} series compared", keys.len());
    assert!(keys.len() > least, "{}", keys.len());
    assert!(differing.is_empty(), "{} of {} differ:\n{}", differing.len(), keys.len(), differing.join("\n"));
}

/// Prometheus also ends series that a sample limit kept out: markers that end nothing, which skep does not write.
fn agree(ours: Option<&Values>, expected: Option<&Values>) -> bool {
    let useful = |values: Option<&Values>| {
        let mut useful = Values::new();
        for value in values.into_iter().flatten() {
            if value.1 != "NaN" || useful.last().is_some_and(|(_, before)| before != "NaN") {
                useful.push(value.clone());
            }
        }
        useful
    };
    let (ours, expected) = (useful(ours), useful(expected));
    // Where the page said the time, nobody knows which scrape was the last one that both did.
    let common = ours.len().min(expected.len());
    let timed = ours.iter().chain(&expected).all(|(number, _)| number.is_some());
    let len = if timed { ours.len().max(expected.len()) } else { common };
    (common > 0 || timed) && ours.get(..len) == expected.get(..len)
}
