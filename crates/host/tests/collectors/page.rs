//! Pages as series and types, so that they can be compared.

use std::collections::{BTreeMap, BTreeSet};

use model::{Collector as _, Families, MetricKind};

/// Values by series; labels are sorted.
pub(crate) type Series = BTreeMap<String, f64>;
/// Types by metric name.
pub(crate) type Types = BTreeMap<String, String>;

#[derive(Default)]
pub(crate) struct Page {
    pub(crate) series: Series,
    pub(crate) types: Types,
}

impl Page {
    /// Reads the text format, as node_exporter writes it.
    pub(crate) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                page.types.insert(name.to_owned(), kind.to_owned());
            } else if line.starts_with("node_") && !line.starts_with("node_exporter_build_info") {
                let (series, value) = line.rsplit_once(' ').unwrap();
                page.series.insert(series.to_owned(), value.parse().unwrap());
            }
        }
        page
    }

    /// What our collectors show.
    pub(crate) fn collect(config: &host::Config) -> Self {
        let mut families = Families::default();
        host::Host::new(config).collect(&mut families).unwrap();
        let mut page = Self::default();
        for family in families.iter().filter(|family| !family.points.is_empty()) {
            let word = if family.kind == MetricKind::Unknown { "untyped" } else { family.kind.as_str() };
            let old = page.types.insert(family.name.to_string(), word.to_owned());
            assert_eq!(old, None, "{} comes twice", family.name);
            for point in &family.points {
                let mut labels = point.labels.clone();
                labels.sort();
                let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                let series = format!("{}{labels}", family.name);
                let old = page.series.insert(series.clone(), point.value);
                assert_eq!(old, None, "{series} comes twice");
            }
        }
        page
    }

    /// On kernels that lack one of the queue files the peer gives up on all of them and says that no disk turns; we
    /// read the one file that says it. So the label must not decide.
    pub(crate) fn without_rotational(mut self) -> Self {
        let without = |series: String| series.replace("rotational=\"0\"", "").replace("rotational=\"1\"", "");
        self.series = self.series.into_iter().map(|(series, value)| (without(series), value)).collect();
        self
    }

    pub(crate) fn keys(&self) -> BTreeSet<&str> {
        self.series.keys().map(String::as_str).collect()
    }
}

pub(crate) fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}
