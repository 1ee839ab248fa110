//! The text that `skep import` reads, line by line.

use exposition::history::{Line, LineParser, TimeUnit};
use model::Labels;

/// The first byte chooses the unit of timestamps, the rest is the text.
pub fn history(bytes: &[u8]) {
    let Some((&mode, text)) = bytes.split_first() else { return };
    let unit = [TimeUnit::Guess, TimeUnit::Seconds, TimeUnit::Milliseconds][usize::from(mode % 3)];
    let mut parser = LineParser::new(unit);
    let mut known: Option<Labels> = None;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        // What a line says does not depend on whether its series was repeated from the line before, but for saying so.
        let mut fresh = parser.clone();
        let read = parser.read(line);
        let Ok(Line::Sample(sample)) = read else { continue };
        assert!(sample.labels.is_some() || known.is_some(), "a series is repeated that was never told");
        if let Some(labels) = &sample.labels {
            assert_eq!(Labels::from_packed(labels.as_packed()).as_ref(), Some(labels), "labels are out of order");
            known = Some(labels.clone());
        }
        let mut again = LineParser::new(unit);
        std::mem::swap(&mut again, &mut fresh);
        let Ok(Line::Sample(second)) = again.read(line) else { panic!("a line is read once only") };
        assert_eq!((second.timestamp, second.value.to_bits()), (sample.timestamp, sample.value.to_bits()));
        let Ok(Line::Sample(third)) = again.read(line) else { panic!("a line is not read after itself") };
        assert!(third.labels.is_none() || third.labels == known, "a line has another series when it is repeated");
    }
    assert!(parser.lines() <= text.len());
}
