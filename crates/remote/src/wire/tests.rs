//! The reader against prost's derived messages.

use proptest::prelude::*;
use prost::Message;

use super::*;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<Series>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<MetricMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Point>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Example>,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Point {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Example {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct MetricMetadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    family: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn pairs<'a>(labels: impl Iterator<Item = Result<Label<'a>, WireError>>) -> Vec<Pair> {
    labels.map(Result::unwrap).map(|l| Pair { name: text(l.name), value: text(l.value) }).collect()
}

fn read_series(series: &TimeSeries<'_>) -> Series {
    let mut read = Series { labels: pairs(series.labels()), ..Series::default() };
    for item in series.items() {
        match item.unwrap() {
            Item::Sample(s) => read.samples.push(Point { value: s.value, timestamp: s.timestamp }),
            Item::Exemplar(e) => {
                let (labels, value, timestamp) = (pairs(e.labels()), e.value, e.timestamp);
                read.exemplars.push(Example { labels, value, timestamp });
            }
            Item::Histogram => {}
        }
    }
    assert_eq!(quick_samples(series), read.samples);
    read
}

/// The samples, as many of them as possible read the short way.
fn quick_samples(series: &TimeSeries<'_>) -> Vec<Point> {
    let (mut samples, mut items) = (Vec::new(), series.items());
    loop {
        items.take_samples(&mut samples);
        match items.next() {
            Some(Ok(Item::Sample(sample))) => samples.push(sample),
            Some(_) => {}
            None => return samples.iter().map(|s| Point { value: s.value, timestamp: s.timestamp }).collect(),
        }
    }
}

fn read_request(bytes: &[u8]) -> WriteRequest {
    let mut read = WriteRequest::default();
    for entry in entries(bytes) {
        match entry.unwrap() {
            Entry::Series(message) => read.timeseries.push(read_series(&TimeSeries::new(message).unwrap())),
            Entry::Metadata(m) => {
                let [family, help, unit] = [m.family, m.help, m.unit].map(text);
                read.metadata.push(MetricMetadata { kind: m.kind as i32, family, help, unit });
            }
        }
    }
    read
}

fn kind_number(kind: i32) -> i32 {
    super::kind(i64::from(kind)) as i32
}

prop_compose! {
    fn a_pair()(name in ".{0,6}", value in ".{0,6}") -> Pair {
        Pair { name, value }
    }
}

prop_compose! {
    fn a_series()(
        labels in prop::collection::vec(a_pair(), 0..4),
        samples in prop::collection::vec((-1e9..1e9, any::<i64>()), 0..4),
        exemplars in prop::collection::vec((prop::collection::vec(a_pair(), 0..3), -1e9..1e9, any::<i64>()), 0..2),
    ) -> Series {
        Series {
            labels,
            samples: samples.into_iter().map(|(value, timestamp)| Point { value, timestamp }).collect(),
            exemplars: exemplars.into_iter().map(|(labels, value, timestamp)| Example { labels, value, timestamp })
                .collect(),
        }
    }
}

proptest! {
    #[test]
    fn reads_what_prost_writes(
        timeseries in prop::collection::vec(a_series(), 0..4),
        metadata in prop::collection::vec((0..8i32, ".{0,6}", ".{0,6}", ".{0,6}"), 0..3),
    ) {
        let metadata = metadata.into_iter().map(|(kind, family, help, unit)| {
            MetricMetadata { kind: kind_number(kind), family, help, unit }
        }).collect::<Vec<_>>();
        let mut sent = WriteRequest { timeseries, metadata };
        let expected = sent.clone();
        for (i, m) in sent.metadata.iter_mut().enumerate() {
            m.kind = (0..8).find(|&k| kind_number(k) == expected.metadata[i].kind).unwrap();
        }
        prop_assert_eq!(read_request(&sent.encode_to_vec()), expected);
    }

    #[test]
    fn any_bytes_end_well(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for entry in entries(&bytes) {
            if let Ok(Entry::Series(message)) = entry
                && let Ok(series) = TimeSeries::new(message)
            {
                series.labels().count();
                series.items().count();
            }
        }
    }
}

#[test]
fn labels_behind_samples_are_read_but_have_no_key() {
    let labels_first = Series {
        labels: vec![Pair { name: "a".into(), value: "b".into() }],
        samples: vec![Point { value: 1.0, timestamp: 2 }],
        exemplars: vec![],
    };
    let bytes = labels_first.encode_to_vec();
    let label_length = Series { samples: vec![], ..labels_first.clone() }.encoded_len();
    let (labels, samples) = bytes.split_at(label_length);
    let swapped = [samples, labels].concat();
    assert_eq!(TimeSeries::new(&bytes).unwrap().label_bytes(), Some(labels));
    let series = TimeSeries::new(&swapped).unwrap();
    assert_eq!(series.label_bytes(), None);
    assert_eq!(read_series(&series), labels_first);
}

#[test]
fn damage_is_named() {
    let cases: [(&[u8], WireError); 7] = [
        (b"\x0a\xff\xff", WireError::UnexpectedEnd),
        (b"\x0a\x05ab", WireError::UnexpectedEnd),
        (b"\x0a", WireError::UnexpectedEnd),
        (b"\x02\x00", WireError::IllegalTag(0)),
        (b"\x08\x01", WireError::WireType { field: 1, wire_type: 0 }),
        (b"\x0b", WireError::WireType { field: 1, wire_type: 3 }),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", WireError::Overflow),
    ];
    for (bytes, expected) in cases {
        let error = entries(bytes).find_map(Result::err);
        assert_eq!(error, Some(expected), "{bytes:?}");
    }
}
