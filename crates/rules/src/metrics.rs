//! The room's own metrics.

use model::{CollectError, Collector, Families, MetricKind};

use crate::Manager;
use crate::manager::Board;

type Read = fn(&Board) -> f64;

/// Name, kind, help and value of what each group tells; Prometheus' names with skep's prefix.
const FAMILIES: [(&str, MetricKind, &str, Read); 9] = [
    ("skep_rule_group_iterations_total", MetricKind::Counter, "Evaluations of the group.", |b| {
        b.tally.iterations as f64
    }),
    ("skep_rule_group_iterations_missed_total", MetricKind::Counter, "Slots that passed unused.", |b| {
        b.tally.missed as f64
    }),
    ("skep_rule_evaluations_total", MetricKind::Counter, "Evaluations of the group's rules.", |b| {
        b.tally.evaluations as f64
    }),
    ("skep_rule_evaluation_failures_total", MetricKind::Counter, "Evaluations of rules that failed.", |b| {
        b.tally.failures as f64
    }),
    ("skep_rule_group_last_evaluation_samples", MetricKind::Gauge, "Samples of the last evaluation.", |b| {
        b.tally.last_samples as f64
    }),
    ("skep_rule_group_last_duration_seconds", MetricKind::Gauge, "Time the last evaluation took.", |b| {
        b.status.evaluation_time.as_secs_f64()
    }),
    ("skep_rule_group_last_evaluation_timestamp_seconds", MetricKind::Gauge, "Time of the last evaluation.", |b| {
        b.status.last_evaluation.unwrap_or_default() as f64 / 1000.0
    }),
    ("skep_rule_group_interval_seconds", MetricKind::Gauge, "Time between evaluations.", |b| {
        b.status.interval.as_secs_f64()
    }),
    ("skep_rule_group_rules", MetricKind::Gauge, "Rules of the group.", |b| b.status.rules.len() as f64),
];

impl Collector for Manager {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let boards = self.boards();
        if boards.is_empty() {
            return Ok(());
        }
        for (name, kind, help, read) in FAMILIES {
            let family = families.family(name, kind, help);
            for board in &boards {
                let group = format!("{};{}", board.status.file, board.status.name);
                family.with([("rule_group", group)], read(board));
            }
        }
        Ok(())
    }
}
