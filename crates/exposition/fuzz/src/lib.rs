//! Fuzz targets of the formats of pages. `cargo test` replays their corpora, too: `tests/fuzz.rs` takes this file in.

use exposition::{Event, Series};

/// A sample without its page: labels, bits of the value, timestamp.
type Sample = (Vec<(String, String)>, u64, Option<i64>);

fn sample(series: &Series<'_>) -> Sample {
    assert!(!model::is_stale(series.value), "a page cannot write a staleness marker");
    if let Some(exemplar) = &series.exemplar {
        exemplar.labels().for_each(drop);
    }
    let labels = series.labels().map(|(name, value)| (name.into_owned(), value.into_owned()));
    (labels.collect(), series.value.to_bits(), series.timestamp)
}

/// Samples of a page of text up to its end or its error, guided by the raw texts that it is expected to have.
fn read_text(page: &[u8], expected: &[String]) -> (Vec<Sample>, Vec<String>, Option<String>) {
    let mut parser = exposition::text::Parser::new(page);
    let (mut samples, mut raws) = (Vec::new(), Vec::new());
    while let Some(event) = parser.next_expecting(expected.get(raws.len()).map_or(&b""[..], String::as_bytes)) {
        match event {
            Ok(Event::Series(series)) => {
                raws.push(series.raw.to_owned());
                samples.push(sample(&series));
            }
            Ok(_) => {}
            Err(error) => return (samples, raws, Some(error.to_string())),
        }
    }
    (samples, raws, None)
}

/// What is expected of a page may be right or wrong and changes nothing.
pub fn text(page: &[u8]) {
    let (samples, raws, error) = read_text(page, &[]);
    let guided = read_text(page, &raws);
    assert_eq!(guided.0, samples);
    assert_eq!(guided.2, error);
    let shifted: Vec<String> = raws.iter().skip(1).cloned().collect();
    assert_eq!(read_text(page, &shifted).0, samples);
}

/// A page either ends with its end mark or with an error.
pub fn openmetrics(page: &[u8]) {
    for event in exposition::openmetrics::Parser::new(page) {
        if let Ok(Event::Series(series)) = event {
            sample(&series);
        }
    }
}

/// The text of a series is one that the text format reads, as the same series.
pub fn protobuf(page: &[u8]) {
    let mut parser = exposition::protobuf::Parser::new(page);
    while let Some(event) = parser.next_event() {
        let Ok(Event::Series(series)) = event else { continue };
        let line = format!("{} 0", series.raw);
        let (labels, ..) = sample(&Series { timestamp: None, exemplar: None, ..series });
        sample(&series);
        let (read, _, error) = read_text(line.as_bytes(), &[]);
        assert_eq!(error, None, "{line}");
        // `le` and `quantile` are spelt in the one way already, so that it does not matter that the type is not known here.
        let [(read, ..)] = read.as_slice() else { panic!("{line} is not one series") };
        let spelt = |(name, value): &(String, String)| match name.as_str() {
            "le" | "quantile" => {
                (name.clone(), exposition::parse_float(value).map_or(value.clone(), |v| v.to_string()))
            }
            _ => (name.clone(), value.clone()),
        };
        let both = (read.iter().map(spelt), labels.iter().map(spelt));
        assert!(both.0.eq(both.1), "{line}");
    }
}
