//! What the shelf tells of itself.

use model::{CollectError, Collector, Families, MetricKind};

use crate::entry::Origin;
use crate::list::Filter;
use crate::shelf::Shelf;

impl Collector for Shelf {
    fn name(&self) -> &'static str {
        "boards"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let list = self.list(&Filter::default());
        let count = |wanted: fn(&Origin) -> bool| list.iter().filter(|board| wanted(&board.origin)).count() as f64;
        families
            .family("skep_dashboards", MetricKind::Gauge, "Dashboards by where they came from.")
            .with([("origin", "imported")], count(|origin| *origin == Origin::Imported))
            .with([("origin", "file")], count(|origin| matches!(origin, Origin::File(_))))
            .with([("origin", "builtin")], count(|origin| *origin == Origin::BuiltIn));
        let bad = self.file_problems().len() as f64;
        families.gauge("skep_dashboard_files_bad", "Files of the dashboards' folder that are not taken over.", bad);
        let bytes = self.bytes() as f64;
        families.gauge("skep_dashboard_bytes", "Bytes of all versions of the dashboards that are kept.", bytes);
        Ok(())
    }
}
