//! What is imported at once: a few series with their samples, and what was said of families.

use model::{Exemplar, Labels, Metadata, Sample, Timestamp};

/// What a sample takes on the wire.
const SAMPLE_BYTES: usize = 18;
/// What an exemplar takes there beside its labels.
const EXEMPLAR_BYTES: usize = 20;
/// What a series or a family takes there beside its texts.
const FRAME_BYTES: usize = 16;

/// A batch under construction. The last series is open: what is added belongs to it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) series: Vec<Series>,
    pub(super) metadata: Vec<(String, Metadata)>,
    samples: usize,
    bytes: usize,
}

/// A series, or a part of it.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    pub(super) samples: Vec<Sample>,
    /// Each with a time.
    pub(super) exemplars: Vec<Exemplar>,
}

impl Series {
    fn new(labels: Labels) -> Self {
        Self { labels, samples: Vec::new(), exemplars: Vec::new() }
    }

    fn bytes(&self) -> usize {
        let exemplars = self.exemplars.iter().map(|exemplar| exemplar.labels.as_packed().len() + EXEMPLAR_BYTES);
        FRAME_BYTES + self.labels.as_packed().len() + self.samples.len() * SAMPLE_BYTES + exemplars.sum::<usize>()
    }
}

impl Batch {
    pub(super) fn begin(&mut self, labels: &Labels) {
        self.bytes += FRAME_BYTES + labels.as_packed().len();
        self.series.push(Series::new(labels.clone()));
    }

    pub(super) fn sample(&mut self, timestamp: Timestamp, value: f64) {
        let Some(series) = self.series.last_mut() else { return };
        series.samples.push(Sample { timestamp, value });
        self.samples += 1;
        self.bytes += SAMPLE_BYTES;
    }

    /// `timestamp` is its sample's, for one that does not say its own.
    pub(super) fn exemplar(&mut self, timestamp: Timestamp, exemplar: &Exemplar) {
        let Some(series) = self.series.last_mut() else { return };
        self.bytes += exemplar.labels.as_packed().len() + EXEMPLAR_BYTES;
        series.exemplars.push(Exemplar { timestamp: exemplar.timestamp.or(Some(timestamp)), ..exemplar.clone() });
    }

    pub(super) fn metadata(&mut self, family: &str, metadata: &Metadata) {
        self.bytes += FRAME_BYTES + family.len() + metadata.help.len() + metadata.unit.len();
        self.metadata.push((family.to_owned(), metadata.clone()));
    }

    /// About what it takes before packing.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it has at least as much. It is asked before something is added, so that an exemplar, which stands behind
    /// its sample, is in the batch of its sample.
    pub(super) fn reaches(&self, samples: usize, bytes: usize) -> bool {
        self.samples >= samples || (self.bytes >= bytes && self.can_be_halved())
    }

    /// Whether there is nothing in it but perhaps an open series without samples.
    pub(super) fn is_empty(&self) -> bool {
        self.samples == 0 && self.metadata.is_empty()
    }

    /// All of it; what follows belongs to the same series.
    pub(super) fn take(&mut self) -> Self {
        let open = self.series.last().map(|series| series.labels.clone());
        let taken = std::mem::take(self);
        open.iter().for_each(|labels| self.begin(labels));
        taken
    }

    pub(super) fn can_be_halved(&self) -> bool {
        self.samples > 1 || self.metadata.len() + usize::from(self.samples > 0) > 1
    }

    /// Two batches that are about half as large, in order.
    pub(super) fn halves(mut self) -> (Self, Self) {
        if !self.metadata.is_empty() {
            let half = self.metadata.len().div_ceil(2);
            let rest = self.metadata.split_off(half);
            return (Self::new(Vec::new(), self.metadata), Self::new(self.series, rest));
        }
        self.series.retain(|series| !series.samples.is_empty());
        let rest = match self.series.as_mut_slice() {
            [only] => {
                let mut rest = Series::new(only.labels.clone());
                rest.samples = only.samples.split_off(only.samples.len() / 2);
                rest.exemplars = only.exemplars.split_off(only.exemplars.len() / 2);
                vec![rest]
            }
            several => {
                let half = several.len() / 2;
                self.series.split_off(half)
            }
        };
        (Self::new(self.series, Vec::new()), Self::new(rest, Vec::new()))
    }

    fn new(series: Vec<Series>, metadata: Vec<(String, Metadata)>) -> Self {
        let texts =
            metadata.iter().map(|(family, said)| FRAME_BYTES + family.len() + said.help.len() + said.unit.len());
        let bytes = texts.sum::<usize>() + series.iter().map(Series::bytes).sum::<usize>();
        let samples = series.iter().map(|series| series.samples.len()).sum();
        Self { series, metadata, samples, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Halves a batch of series with so many samples and exemplars, and of families, until nothing can be halved, and
    /// counts what is in the parts.
    fn check(series: &[usize], families: usize, expected_parts: usize) {
        let mut batch = Batch::default();
        (0..families).for_each(|family| batch.metadata(&format!("f{family}"), &Metadata::default()));
        for (number, samples) in series.iter().enumerate() {
            batch.begin(&Labels::from_pairs([("__name__", format!("s{number}"))]));
            for at in 0..*samples {
                batch.sample(at as i64, at as f64);
                batch.exemplar(at as i64, &Exemplar { labels: Labels::empty(), value: 1.0, timestamp: None });
            }
        }
        let (mut waiting, mut parts) = (vec![batch], Vec::new());
        while let Some(batch) = waiting.pop() {
            assert_eq!(Batch::new(Vec::new(), Vec::new()).bytes(), 0);
            if batch.can_be_halved() {
                let whole = batch.bytes();
                let (first, second) = batch.halves();
                assert!(first.bytes() < whole && second.bytes() < whole, "{first:?} {second:?}");
                waiting.extend([second, first]);
            } else if !batch.is_empty() {
                parts.push(batch);
            }
        }
        let sum = |of: &dyn Fn(&Batch) -> usize| parts.iter().map(of).sum::<usize>();
        let samples: usize = series.iter().sum();
        assert_eq!(parts.len(), expected_parts, "{series:?} {families}");
        assert_eq!(sum(&|batch| batch.samples), samples);
        assert_eq!(sum(&|batch| batch.metadata.len()), families);
        assert_eq!(sum(&|batch| batch.series.iter().map(|series| series.exemplars.len()).sum()), samples);
        let times: Vec<i64> =
            parts.iter().flat_map(|b| &b.series).flat_map(|s| &s.samples).map(|s| s.timestamp).collect();
        assert_eq!(times, series.iter().flat_map(|n| 0..*n as i64).collect::<Vec<_>>());
    }

    #[test]
    fn halves_lose_nothing() {
        check(&[1], 0, 1);
        check(&[7], 0, 7);
        check(&[3, 1, 5], 0, 9);
        check(&[2, 0], 3, 5);
        check(&[0, 0], 2, 2);
        check(&[], 0, 0);
    }

    #[test]
    fn an_exemplar_follows_its_sample() {
        let mut batch = Batch::default();
        batch.begin(&Labels::empty());
        batch.sample(1, 1.0);
        batch.sample(2, 1.0);
        assert!(batch.reaches(2, usize::MAX) && !batch.reaches(3, usize::MAX));
        batch.exemplar(2, &Exemplar { labels: Labels::empty(), value: 1.0, timestamp: None });
        let taken = batch.take();
        assert_eq!(taken.series[0].exemplars[0].timestamp, Some(2));
        assert!(batch.is_empty() && batch.series.len() == 1);
    }
}
