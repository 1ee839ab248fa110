//! `skep tsdb inspect`, `verify` and `analyze`: a data folder looked at from outside.

use std::path::PathBuf;

use anyhow::Result;
use model::Timestamp;
use serde_json::{Value, json};
use tsdb::{BlockSummary, CodecShare, Cost, FileDisk, Finding, Folder};

/// What these commands are told.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) folder: PathBuf,
    pub(crate) json: bool,
    /// Entries of each list.
    pub(crate) limit: usize,
}

/// Findings that are printed; the rest is counted.
const FINDINGS_SHOWN: usize = 100;

/// What is in the folder.
pub(crate) fn inspect(options: &Options) -> Result<bool> {
    let summary = Folder::open(&FileDisk, &options.folder)?.inspect(true)?;
    if options.json {
        let blocks: Vec<Value> = summary.blocks.iter().map(block_json).collect();
        let segment = |s: &tsdb::SegmentSummary| json!({"number": s.number, "bytes": s.bytes, "records": s.records, "damagedBytes": s.damaged_bytes});
        let others: serde_json::Map<String, Value> =
            summary.others.iter().map(|(name, bytes)| ((*name).to_owned(), json!(bytes))).collect();
        print_json(&json!({
            "blocks": blocks,
            "log": summary.segments.iter().map(segment).collect::<Vec<_>>(),
            "bytes": others,
            "backup": summary.backup,
            "damage": findings_json(&summary.damage),
        }));
        return Ok(summary.damage.is_empty());
    }
    let mut text = String::new();
    if let Some(created) = summary.backup {
        text.push_str(&format!("a backup, begun {}\n\n", time(created)));
    }
    text.push_str("block       from                  to                     series      samples       bytes  index  bytes/sample\n");
    for block in &summary.blocks {
        let b = &block.status;
        let (from, to, per) = (time(b.min_time), time(b.max_time), per(b.bytes, b.samples));
        let index = 100.0 * block.index_bytes as f64 / b.bytes.max(1) as f64;
        let line = format!(
            "{:010}  {from:<20}  {to:<20} {:>9} {:>12} {:>11} {index:>5.0}% {per:>13}\n",
            b.number, b.series, b.samples, b.bytes
        );
        text.push_str(&line);
    }
    let sum = |of: fn(&BlockSummary) -> u64| summary.blocks.iter().map(of).sum::<u64>();
    let (samples, bytes) = (sum(|b| b.status.samples), sum(|b| b.status.bytes));
    let count = summary.blocks.len();
    text.push_str(&format!("{count} blocks, {samples} samples, {bytes} bytes, {} a sample\n\n", per(bytes, samples)));
    text.push_str(&codecs(&summary.blocks));
    let segments = &summary.segments;
    let records: u64 = segments.iter().map(|s| s.records).sum();
    let log_bytes: u64 = segments.iter().map(|s| s.bytes).sum();
    text.push_str(&format!("log: {} segments, {records} records, {log_bytes} bytes\n", segments.len()));
    for (name, bytes) in &summary.others {
        text.push_str(&format!("{name}: {bytes} bytes\n"));
    }
    crate::say(&text);
    tell(&summary.damage, "damage");
    Ok(summary.damage.is_empty())
}

/// Which codecs the columns have.
fn codecs(blocks: &[BlockSummary]) -> String {
    let mut all = std::collections::BTreeMap::<_, CodecShare>::new();
    for (key, share) in blocks.iter().flat_map(|block| &block.codecs) {
        let sum = all.entry(*key).or_default();
        sum.columns += share.columns;
        sum.numbers += share.numbers;
        sum.bytes += share.bytes;
    }
    let mut text = String::from("columns     codec       columns      numbers       bytes  bytes/number\n");
    for ((what, codec), share) in &all {
        let per = per(share.bytes, share.numbers);
        let (columns, numbers, bytes) = (share.columns, share.numbers, share.bytes);
        text.push_str(&format!("{what:<11} {codec:<9} {columns:>9} {numbers:>12} {bytes:>11} {per:>13}\n"));
    }
    text.push('\n');
    text
}

fn block_json(block: &BlockSummary) -> Value {
    let codec = |(&(what, codec), share): (&(&str, &str), &CodecShare)| json!({"column": what, "codec": codec, "columns": share.columns, "numbers": share.numbers, "bytes": share.bytes});
    json!({
        "number": block.status.number,
        "minTime": block.status.min_time,
        "maxTime": block.status.max_time,
        "series": block.status.series,
        "samples": block.status.samples,
        "bytes": block.status.bytes,
        "indexBytes": block.index_bytes,
        "codecs": block.codecs.iter().map(codec).collect::<Vec<_>>(),
    })
}

/// Checks everything; whether nothing is damaged.
pub(crate) fn verify(options: &Options) -> Result<bool> {
    let found = Folder::open(&FileDisk, &options.folder)?.verify()?;
    if options.json {
        print_json(&json!({
            "blocks": found.blocks,
            "series": found.series,
            "samples": found.samples,
            "records": found.records,
            "bytes": found.bytes,
            "damage": findings_json(&found.damage),
            "notes": findings_json(&found.notes),
        }));
        return Ok(found.damage.is_empty());
    }
    tell(&found.damage, "damage");
    tell(&found.notes, "note");
    let verdict = match found.damage.len() {
        0 => "no damage".to_owned(),
        count => format!("{count} places are damaged"),
    };
    crate::say(&format!(
        "{}: {verdict}; {} blocks with {} series and {} samples, {} records, {} bytes read\n",
        options.folder.display(),
        found.blocks,
        found.series,
        found.samples,
        found.records,
        found.bytes,
    ));
    Ok(found.damage.is_empty())
}

/// What costs.
pub(crate) fn analyze(options: &Options) -> Result<bool> {
    let (costs, damage) = Folder::open(&FileDisk, &options.folder)?.analyze(options.limit)?;
    let lists = [
        ("metrics", "Metrics by series", "series", &costs.metrics),
        ("metricsByBytes", "Metrics by bytes", "series", &costs.metrics_by_bytes),
        (
            "metricsByChurn",
            "Metrics by churn: series that came or went within a block",
            "series",
            &costs.metrics_by_churn,
        ),
        ("labels", "Labels by different values", "values", &costs.labels),
        ("labelPairs", "Pairs of label and value by series", "series", &costs.label_pairs),
        ("targets", "Targets (job instance) by bytes", "series", &costs.targets),
    ];
    if options.json {
        let list = |costs: &[Cost]| costs.iter().map(cost_json).collect::<Vec<_>>();
        let mut all = json!({"series": costs.series, "labelPairCount": costs.pairs, "samples": costs.samples, "bytes": costs.bytes,
            "damage": findings_json(&damage)});
        for (key, _, _, costs) in lists {
            all[key] = json!(list(costs));
        }
        print_json(&all);
        return Ok(damage.is_empty());
    }
    let (series, pairs) = (costs.series, costs.pairs);
    let mut text = format!(
        "{series} series, {pairs} pairs of label and value, {} samples in {} bytes of columns, {} a sample\n",
        costs.samples,
        costs.bytes,
        per(costs.bytes, costs.samples)
    );
    for (_, title, counted, costs) in lists {
        text.push_str(&format!("\n{title}\n{counted:>9}       bytes  bytes/sample\n"));
        for cost in costs {
            let per = per(cost.bytes, cost.samples);
            text.push_str(&format!("{:>9} {:>11} {per:>13}  {}\n", cost.count, cost.bytes, cost.name));
        }
    }
    crate::say(&text);
    tell(&damage, "damage");
    Ok(damage.is_empty())
}

fn cost_json(cost: &Cost) -> Value {
    json!({"name": cost.name, "count": cost.count, "bytes": cost.bytes, "samples": cost.samples})
}

fn tell(findings: &[Finding], word: &str) {
    for finding in findings.iter().take(FINDINGS_SHOWN) {
        let at = finding.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
        let (path, reason, lost) = (finding.path.display(), &finding.reason, &finding.lost);
        crate::say(&format!("{word}: {path}{at}: {reason}; lost: {lost}\n"));
    }
    if findings.len() > FINDINGS_SHOWN {
        crate::say(&format!("and {} more\n", findings.len() - FINDINGS_SHOWN));
    }
}

fn findings_json(findings: &[Finding]) -> Value {
    let one = |f: &Finding| json!({"file": f.path, "byte": f.offset, "reason": f.reason, "lost": f.lost});
    json!(findings.iter().map(one).collect::<Vec<_>>())
}

fn print_json(value: &Value) {
    crate::say(&format!("{value:#}\n"));
}

fn per(bytes: u64, samples: u64) -> String {
    if samples == 0 { "-".to_owned() } else { format!("{:.3}", bytes as f64 / samples as f64) }
}

fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at).map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    at.unwrap_or_else(|_| "out of range".to_owned())
}
