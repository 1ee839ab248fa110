//! The eBPF page: the probes and their states, every program of the machine and how it runs, every map and how full it is,
//! and the history of both.

mod history;

use std::cmp::Ordering;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{BpfMap, BpfObjects, BpfProgram};
use tokio::task::spawn_blocking;

use crate::Ui;
use crate::format::Unit;
use crate::overview::{Chart, Probe, Question};
use crate::page::{Shell, respond};
use crate::panels::Section;
use crate::params::{Params, encode};
use crate::problem::Problem;

/// Rows of a table. A node with 250 pods under Cilium has thousands of programs that hardly differ; the filter finds the
/// others.
const ROWS_MAX: usize = 500;

#[derive(Template)]
#[template(path = "bpf.html")]
struct Page {
    shell: Shell,
    /// None where no probe lists programs and maps.
    listed: bool,
    charts: Vec<Chart>,
    history: Option<History>,
    probes: Vec<Probe>,
    words: String,
    /// What else the address says, which the filter must not lose.
    kept: Vec<(String, String)>,
    counts_runs: bool,
    beyond: usize,
    programs: Table<ProgramRow>,
    maps: Table<MapRow>,
}

/// The chart of one program or map.
struct History {
    name: String,
    chart: Chart,
    data_query: String,
    /// The page without it.
    close: String,
}

/// Rows under heads that sort them.
struct Table<R> {
    columns: Vec<Column>,
    rows: Vec<R>,
    /// How many match the filter, and how many there are.
    matching: usize,
    total: usize,
}

/// A column and what a click on it asks for.
struct Column {
    title: &'static str,
    class: &'static str,
    /// `ascending`, `descending`, or empty.
    sorted: &'static str,
    link: String,
}

struct ProgramRow {
    id: u32,
    kind: String,
    name: String,
    attachment: String,
    runs: String,
    each: String,
    core: String,
    link: String,
}

struct MapRow {
    id: u32,
    kind: String,
    name: String,
    sizes: String,
    entries: String,
    capacity: String,
    /// 0 to 100, and the word for one that is nearly full.
    full: Option<(f64, &'static str)>,
    memory: String,
    link: String,
}

/// Key, title, class of the columns of a table; numbers fall first.
type Columns = &'static [(&'static str, &'static str, &'static str)];

const PROGRAM_COLUMNS: Columns = &[
    ("id", "Id", "num roomy"),
    ("name", "Program", ""),
    ("type", "Type", "roomy"),
    ("attachment", "Attached to", ""),
    ("runs", "Runs", "num roomy"),
    ("each", "A run", "num roomy"),
    ("core", "Of a core", "num"),
];

const MAP_COLUMNS: Columns = &[
    ("id", "Id", "num roomy"),
    ("name", "Map", ""),
    ("type", "Type", "roomy"),
    ("sizes", "Key, value", "num roomy"),
    ("entries", "Entries", "num"),
    ("capacity", "Room", "num roomy"),
    ("full", "Full", "num"),
    ("memory", "Memory", "num"),
];

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    match build(&ui, &params, headers.contains_key("hx-request")).await {
        Ok(page) => respond(StatusCode::OK, &headers, page.render()),
        Err(problem) => problem.respond(&ui, &headers),
    }
}

async fn build(ui: &Ui, params: &Params, swapped: bool) -> Result<Page, Problem> {
    let question = Question::new(ui, ui.range(params)?, swapped);
    let wanted = history::Wanted::read(params);
    let close = history::without(params);
    let probes = ui.state.probes.clone();
    let asked = spawn_blocking(move || (probes.bpf(), probes.probes())).await;
    let (objects, probes) = asked.map_err(Problem::internal)?;
    let listed = objects.is_some();
    let drawn = ui.ask(move |asker| {
        let pictures = || question.pictures.map(|grid| (asker, grid, question.interval));
        let history = wanted.map(|wanted| History {
            chart: wanted.chart(&question.link, pictures()),
            data_query: wanted.query(),
            name: wanted.name,
            close,
        });
        let charts = if listed { question.charts(asker, Section::Bpf) } else { Vec::new() };
        (charts, history)
    });
    let (charts, history) = drawn.await?;
    let BpfObjects { programs, maps, beyond, counts_runs } = objects.unwrap_or_default();
    let words = params.get("q").unwrap_or_default().trim().to_lowercase();
    Ok(Page {
        shell: Shell::new(ui, params, "/bpf", "eBPF"),
        listed,
        charts,
        history,
        probes: probes.into_iter().map(Probe::from).collect(),
        counts_runs,
        beyond,
        programs: Order::read(params, "programs", PROGRAM_COLUMNS, "core").table(programs, &words),
        maps: Order::read(params, "maps", MAP_COLUMNS, "full").table(maps, &words),
        words,
        kept: params.without(&["q"]),
    })
}

/// What is listed in a table.
trait Listed {
    type Row;
    /// What the filter looks at.
    fn text(&self) -> String;
    fn compare(&self, other: &Self, key: &str) -> Ordering;
    /// `params` are those of the page.
    fn row(&self, params: &Params) -> Self::Row;
}

/// How a table is sorted.
struct Order<'a> {
    params: &'a Params,
    /// The parameter that says it, `KEY` or `-KEY` where it falls.
    parameter: &'static str,
    columns: Columns,
    key: &'static str,
    falling: bool,
}

impl<'a> Order<'a> {
    fn read(params: &'a Params, parameter: &'static str, columns: Columns, usual: &'static str) -> Self {
        let asked = params.get(parameter).unwrap_or_default();
        let (asked, falling) = asked.strip_prefix('-').map_or((asked, false), |key| (key, true));
        let known = columns.iter().find(|(key, ..)| *key == asked);
        let (key, falling) = known.map_or((usual, true), |(key, ..)| (*key, falling));
        Self { params, parameter, columns, key, falling }
    }

    fn table<T: Listed>(&self, mut listed: Vec<T>, words: &str) -> Table<T::Row> {
        let total = listed.len();
        listed.retain(|one| {
            let text = one.text().to_lowercase();
            words.split_whitespace().all(|word| text.contains(word))
        });
        listed.sort_by(|a, b| {
            let order = a.compare(b, self.key);
            if self.falling { order.reverse() } else { order }
        });
        let rows = listed.iter().take(ROWS_MAX).map(|one| one.row(self.params)).collect();
        Table { columns: self.columns(), rows, matching: listed.len(), total }
    }

    fn columns(&self) -> Vec<Column> {
        let column = |&(key, title, class): &(&'static str, &'static str, &'static str)| {
            let sorted = match (self.key == key, self.falling) {
                (false, _) => "",
                (true, false) => "ascending",
                (true, true) => "descending",
            };
            let falls = if sorted.is_empty() { class.starts_with("num") } else { !self.falling };
            let asked = format!("{}{key}", if falls { "-" } else { "" });
            let kept = self.params.without(&[self.parameter]);
            let kept = kept.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let link = format!("?{}", encode(kept.chain([(self.parameter, asked.as_str())])));
            Column { title, class, sorted, link }
        };
        self.columns.iter().map(column).collect()
    }
}

impl<R> Table<R> {
    /// How many match and are not shown.
    fn hidden(&self) -> usize {
        self.matching - self.rows.len()
    }
}

impl Listed for BpfProgram {
    type Row = ProgramRow;

    fn text(&self) -> String {
        format!("{} {} {} {}", self.id, self.kind, self.name, self.attachment)
    }

    fn compare(&self, other: &Self, key: &str) -> Ordering {
        let runs = |program: &Self| program.pace.map_or(-1.0, |pace| pace.runs);
        let core = |program: &Self| program.pace.map_or(-1.0, |pace| pace.cores);
        let order = match key {
            "id" => self.id.cmp(&other.id),
            "name" => self.name.cmp(&other.name),
            "type" => self.kind.cmp(&other.kind),
            "attachment" => self.attachment.cmp(&other.attachment),
            "runs" => runs(self).total_cmp(&runs(other)),
            "each" => each(self).unwrap_or(-1.0).total_cmp(&each(other).unwrap_or(-1.0)),
            _ => core(self).total_cmp(&core(other)),
        };
        order.then(self.id.cmp(&other.id))
    }

    fn row(&self, params: &Params) -> ProgramRow {
        ProgramRow {
            id: self.id,
            kind: self.kind.clone(),
            name: shown(&self.name),
            attachment: self.attachment.clone(),
            runs: self.pace.map_or_else(String::new, |pace| Unit::PerSecond.text(pace.runs)),
            each: each(self).map_or_else(String::new, |each| Unit::Seconds.text(each)),
            core: self.pace.map_or_else(String::new, |pace| share(100.0 * pace.cores)),
            link: history::of_program(params, &self.name),
        }
    }
}

impl Listed for BpfMap {
    type Row = MapRow;

    fn text(&self) -> String {
        format!("{} {} {}", self.id, self.kind, self.name)
    }

    fn compare(&self, other: &Self, key: &str) -> Ordering {
        let order = match key {
            "id" => self.id.cmp(&other.id),
            "name" => self.name.cmp(&other.name),
            "type" => self.kind.cmp(&other.kind),
            "sizes" => self.sizes.cmp(&other.sizes),
            "entries" => self.entries.cmp(&other.entries),
            "capacity" => self.capacity.cmp(&other.capacity),
            "memory" => self.memory_bytes.cmp(&other.memory_bytes),
            _ => full(self).unwrap_or(-1.0).total_cmp(&full(other).unwrap_or(-1.0)),
        };
        order.then(self.memory_bytes.cmp(&other.memory_bytes)).then(self.id.cmp(&other.id))
    }

    fn row(&self, params: &Params) -> MapRow {
        // The others drop what was not used for long, and are full as a rule.
        let refuses = !self.kind.starts_with("lru_");
        MapRow {
            id: self.id,
            kind: self.kind.clone(),
            name: shown(&self.name),
            sizes: format!("{} B, {} B", self.sizes.0, self.sizes.1),
            entries: self.entries.map_or_else(String::new, |entries| entries.to_string()),
            capacity: if self.capacity > 0 { self.capacity.to_string() } else { String::new() },
            full: full(self).map(|share| (100.0 * share, if share >= 0.9 && refuses { "nearly full" } else { "" })),
            memory: self.memory_bytes.map_or_else(String::new, |bytes| Unit::Bytes.text(bytes as f64)),
            link: history::of_map(params, &self.name),
        }
    }
}

impl MapRow {
    fn percent(&self) -> String {
        self.full.map_or_else(String::new, |(percent, _)| share(percent))
    }
}

/// A share of 0 to 100, without digits that nobody reads.
fn share(percent: f64) -> String {
    if percent > 0.0 && percent < 0.001 { "< 0.001 %".to_owned() } else { Unit::Percent.text(percent) }
}

/// A name that a person can click.
fn shown(name: &str) -> String {
    if name.is_empty() { "(no name)".to_owned() } else { name.to_owned() }
}

/// Seconds that a run takes.
fn each(program: &BpfProgram) -> Option<f64> {
    let pace = program.pace.filter(|pace| pace.runs > 0.0)?;
    Some(pace.cores / pace.runs)
}

fn full(map: &BpfMap) -> Option<f64> {
    Some(map.entries? as f64 / f64::from(map.capacity.max(1)))
}

#[cfg(test)]
mod tests {
    use model::status::BpfPace;

    use super::*;

    fn program(id: u32, name: &str, runs: Option<f64>) -> BpfProgram {
        let pace = runs.map(|runs| BpfPace { runs, cores: runs / 1e6 });
        BpfProgram { id, name: name.to_owned(), kind: "xdp".to_owned(), pace, ..BpfProgram::default() }
    }

    fn check(query: &str, words: &str, expected: &[u32]) {
        let programs = vec![program(1, "cil_b", Some(5.0)), program(2, "cil_a", None), program(3, "x", Some(9.0))];
        let params = Params::parse(Some(query));
        let table = Order::read(&params, "programs", PROGRAM_COLUMNS, "core").table(programs, words);
        assert_eq!(table.rows.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{query} {words}");
    }

    #[test]
    fn tables_are_sorted_and_filtered() {
        check("", "", &[3, 1, 2]);
        check("programs=name", "", &[2, 1, 3]);
        check("programs=-id", "", &[3, 2, 1]);
        check("programs=runs", "", &[2, 1, 3]);
        check("programs=nonsense", "", &[3, 1, 2]);
        check("programs=id", "cil", &[1, 2]);
        check("", "cil xdp a", &[2]);
        check("", "none", &[]);
    }

    #[test]
    fn heads_turn_the_order() {
        let check = |query: &str, title: &str, sorted: &str, link: &str| {
            let params = Params::parse(Some(query));
            let order = Order::read(&params, "maps", MAP_COLUMNS, "full");
            let column = order.columns().into_iter().find(|column| column.title == title).unwrap();
            assert_eq!((column.sorted, column.link.as_str()), (sorted, link), "{query}");
        };
        check("", "Full", "descending", "?maps=full");
        check("", "Map", "", "?maps=name");
        check("q=a&maps=name", "Map", "ascending", "?q=a&maps=-name");
        check("maps=-entries&programs=id", "Entries", "descending", "?programs=id&maps=entries");
    }

    #[test]
    fn what_is_not_known_is_empty() {
        let map = BpfMap { capacity: 0, ..BpfMap::default() };
        let params = Params::default();
        let row = map.row(&params);
        assert_eq!((row.entries.as_str(), row.memory.as_str(), row.name.as_str()), ("", "", "(no name)"));
        assert!(row.full.is_none() && row.link.starts_with("?history=map"));
        let full = BpfMap { entries: Some(95), capacity: 100, kind: "hash".to_owned(), ..map };
        assert_eq!(full.row(&params).full, Some((95.0, "nearly full")));
        assert_eq!(BpfMap { kind: "lru_hash".to_owned(), ..full }.row(&params).full, Some((95.0, "")));
        assert_eq!([0.0, 0.0004, 0.5].map(share), ["0 %", "< 0.001 %", "0.5 %"]);
    }
}
