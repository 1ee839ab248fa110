//! Writing an index: series come one at a time, sections follow at the end.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use model::{Labels, StorageError, Timestamp};

use super::lists::ListWriter;
use super::page::{Put, Section};
use super::table::{GROUP_ROWS, Table, TableWriter};
use super::{ChunkRef, Directory, kind};
use crate::bytes::{Reader, put_bytes, put_int, put_uint, shared_prefix};

/// Takes the series of a block. It remembers each label once and of a series what is new against the one before, some
/// fifteen bytes; the labels themselves are not kept.
#[derive(Default)]
pub(crate) struct Writer {
    names: BTreeMap<Box<str>, Name>,
    /// The name of each term, a term being a name with a value, numbered as they came.
    term_names: Vec<u32>,
    /// Series as they came: terms, then chunks.
    rows: Vec<u8>,
    series: u32,
    last: Labels,
    last_terms: Vec<u32>,
    times: TimesWriter,
    /// Where the values' column before the next one ends.
    next_value: u64,
    /// `next_value` at the start of each group of series.
    group_values: Vec<u64>,
}

#[derive(Default)]
struct Name {
    number: u32,
    values: HashMap<Box<str>, u32>,
}

/// Columns of timestamps, each once.
#[derive(Default)]
struct TimesWriter {
    table: TableWriter,
    numbers: HashMap<u64, u32>,
    before: (u64, Timestamp),
}

impl TimesWriter {
    fn number(&mut self, chunk: &ChunkRef) -> u32 {
        if let Some(&number) = self.numbers.get(&chunk.times.offset) {
            return number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(chunk.times.offset, number);
        if (number as usize).is_multiple_of(GROUP_ROWS) {
            self.table.begin_group();
            self.before = (0, 0);
        }
        let out = &mut self.table.data;
        put_int(out, chunk.times.offset.wrapping_sub(self.before.0) as i64);
        put_uint(out, u64::from(chunk.times.length));
        put_int(out, chunk.min_time.wrapping_sub(self.before.1));
        put_uint(out, chunk.max_time.wrapping_sub(chunk.min_time) as u64);
        self.before = (chunk.times.end(), chunk.min_time);
        number
    }
}

impl Writer {
    /// Adds a series; its labels come after those of the one before.
    pub(crate) fn add(&mut self, labels: &Labels, chunks: &[ChunkRef]) {
        let terms = self.terms_of(labels);
        if (self.series as usize).is_multiple_of(GROUP_ROWS) {
            self.group_values.push(self.next_value);
        }
        put_terms(&mut self.rows, &self.last_terms, &terms);
        let mut encoded = Vec::new();
        self.put_chunks(&mut encoded, chunks);
        put_bytes(&mut self.rows, &encoded);
        (self.last, self.last_terms) = (labels.clone(), terms);
        self.series += 1;
    }

    /// Neighbours share most labels, which are compared before they are looked up.
    fn terms_of(&mut self, labels: &Labels) -> Vec<u32> {
        let last = self.last.clone();
        let mut before = last.iter().zip(std::mem::take(&mut self.last_terms)).fuse();
        let mut held = Vec::new();
        let terms = labels
            .iter()
            .map(|label| {
                let known = before.next().inspect(|(_, term)| held.push(*term));
                known.filter(|(same, _)| *same == label).map_or_else(|| self.term(label), |(_, term)| term)
            })
            .collect();
        held.extend(before.map(|(_, term)| term));
        self.last_terms = held;
        terms
    }

    fn term(&mut self, (name, value): (&str, &str)) -> u32 {
        let number = self.names.len() as u32;
        if !self.names.contains_key(name) {
            self.names.insert(name.into(), Name { number, values: HashMap::new() });
        }
        let next = self.term_names.len() as u32;
        let Some(known) = self.names.get_mut(name) else { return next };
        if let Some(&term) = known.values.get(value) {
            return term;
        }
        known.values.insert(value.into(), next);
        self.term_names.push(known.number);
        next
    }

    fn put_chunks(&mut self, out: &mut Vec<u8>, chunks: &[ChunkRef]) {
        let mut next = self.next_value;
        let has_gaps = chunks.iter().any(|c| c.values.offset != std::mem::replace(&mut next, c.values.end()));
        put_uint(out, (chunks.len() as u64) << 1 | u64::from(has_gaps));
        for chunk in chunks {
            put_uint(out, u64::from(self.times.number(chunk)));
            put_uint(out, u64::from(chunk.values.length) << 1 | u64::from(chunk.has_marker));
            if has_gaps {
                put_int(out, chunk.values.offset.wrapping_sub(self.next_value) as i64);
            }
            self.next_value = chunk.values.end();
        }
    }

    /// Writes all sections by `put`.
    pub(crate) fn finish(mut self, put: Put<'_>) -> Result<Directory, StorageError> {
        let order = Order::of(&self.names, self.term_names.len());
        let times = std::mem::take(&mut self.times.table).finish(kind::TIMES, put)?;
        let (series, lists) = self.write_series(&order, put)?;
        drop(std::mem::take(&mut self.rows));
        let mut labels = LabelsWriter::default();
        for (name, values) in &order.names {
            labels.add_name(name, values, &lists);
        }
        let (names, values, postings) = labels.finish(order.names.len(), put)?;
        Ok(Directory { times, series, values, names, postings })
    }

    /// The series with the final numbers of their terms, and the lists of all terms and names.
    fn write_series(&self, order: &Order<'_>, put: Put<'_>) -> Result<(Table, Lists), StorageError> {
        let mut lists = Lists::new(self.term_names.len(), self.names.len());
        let mut table = TableWriter::default();
        let mut rows = Reader(&self.rows);
        let (mut terms, mut last) = (Vec::new(), Vec::new());
        for ordinal in 0..self.series {
            // The rows were written by this writer's own hand and cannot fail to be read.
            let chunks = take_terms(&mut rows, &mut terms).and_then(|()| rows.bytes()).unwrap_or_default();
            for &term in &terms {
                lists.terms[term as usize].push(ordinal);
                lists.names[self.term_names[term as usize] as usize].push(ordinal);
            }
            let ordered: Vec<u32> = terms.iter().map(|&term| order.numbers[term as usize]).collect();
            if (ordinal as usize).is_multiple_of(GROUP_ROWS) {
                table.begin_group();
                put_uint(&mut table.data, self.group_values[ordinal as usize / GROUP_ROWS]);
                last.clear();
            }
            put_terms(&mut table.data, &last, &ordered);
            table.data.extend_from_slice(chunks);
            last = ordered;
        }
        Ok((table.finish(kind::SERIES, put)?, lists))
    }
}

/// Names and values sorted, and the final number of each term: its group times sixteen and its place in the group.
struct Order<'a> {
    names: Vec<(&'a str, SortedName<'a>)>,
    numbers: Vec<u32>,
}

struct SortedName<'a> {
    number: u32,
    /// With the terms' numbers as they came.
    values: Vec<(&'a str, u32)>,
}

impl<'a> Order<'a> {
    fn of(names: &'a BTreeMap<Box<str>, Name>, terms: usize) -> Self {
        let mut order = Self { names: Vec::new(), numbers: vec![0; terms] };
        let mut group = 0;
        for (name, known) in names {
            let mut values: Vec<(&str, u32)> = known.values.iter().map(|(value, &term)| (&**value, term)).collect();
            values.sort_unstable();
            for (at, (_, term)) in values.iter().enumerate() {
                order.numbers[*term as usize] = (group * GROUP_ROWS + at) as u32;
            }
            group += values.len().div_ceil(GROUP_ROWS);
            order.names.push((name, SortedName { number: known.number, values }));
        }
        order
    }
}

/// The series of each term and of each name, by their numbers as they came.
struct Lists {
    terms: Vec<ListWriter>,
    names: Vec<ListWriter>,
}

impl Lists {
    fn new(terms: usize, names: usize) -> Self {
        let empty = |count| std::iter::repeat_with(ListWriter::default).take(count).collect();
        Self { terms: empty(terms), names: empty(names) }
    }
}

/// Collects names, values and postings.
#[derive(Default)]
struct LabelsWriter {
    names: Vec<u8>,
    values: TableWriter,
    postings: Vec<u8>,
}

impl LabelsWriter {
    fn add_name(&mut self, name: &str, sorted: &SortedName<'_>, lists: &Lists) {
        put_bytes(&mut self.names, name.as_bytes());
        put_uint(&mut self.names, sorted.values.len() as u64);
        put_uint(&mut self.names, self.postings.len() as u64);
        let head = lists.names[sorted.number as usize].write(&mut self.postings);
        put_uint(&mut self.names, head);
        for group in sorted.values.chunks(GROUP_ROWS) {
            self.values.begin_group();
            put_uint(&mut self.values.data, self.postings.len() as u64);
            let mut last = "";
            for (value, term) in group {
                let head = lists.terms[*term as usize].write(&mut self.postings);
                let out = &mut self.values.data;
                let shared = shared_prefix(last.as_bytes(), value.as_bytes());
                put_uint(out, shared as u64);
                put_bytes(out, &value.as_bytes()[shared..]);
                put_uint(out, head);
                last = value;
            }
        }
    }

    fn finish(self, count: usize, put: Put<'_>) -> Result<(Section, Table, Section), StorageError> {
        let mut names = Vec::new();
        put_uint(&mut names, count as u64);
        names.extend_from_slice(&self.names);
        let names = Section::write(kind::NAMES, &names, put)?;
        let values = self.values.finish(kind::VALUES, put)?;
        Ok((names, values, Section::write(kind::POSTINGS, &self.postings, put)?))
    }
}

/// Terms that a row shares with the row before, at its front and at its end, are counted in half a byte each.
const SHARED_TERMS_MAX: usize = 15;

/// Writes the terms of a series against those of the series before.
fn put_terms(out: &mut Vec<u8>, before: &[u32], terms: &[u32]) {
    let same = |(a, b): &(&u32, &u32)| a == b;
    let front = before.iter().zip(terms).take_while(same).count().min(SHARED_TERMS_MAX);
    let (before_rest, rest) = (&before[front..], &terms[front..]);
    let back = before_rest.iter().rev().zip(rest.iter().rev()).take_while(same).count().min(SHARED_TERMS_MAX);
    let middle = &rest[..rest.len() - back];
    out.push((front << 4 | back) as u8);
    put_uint(out, middle.len() as u64);
    for (at, &term) in middle.iter().enumerate() {
        let reference = before_rest.get(at).copied().unwrap_or_default();
        put_int(out, i64::from(term) - i64::from(reference));
    }
}

/// Reads what [`put_terms`] wrote; `terms` are those of the series before and become those of this one.
pub(super) fn take_terms(reader: &mut Reader<'_>, terms: &mut Vec<u32>) -> Result<(), crate::bytes::Damage> {
    let shared = reader.byte()?;
    let (front, back) = (usize::from(shared >> 4), usize::from(shared & 15));
    let middle = reader.count()?;
    let Some(replaced) = terms.len().checked_sub(front + back) else {
        return Err(crate::bytes::Damage("a series shares more labels than its predecessor has"));
    };
    let mut fresh = Vec::with_capacity(middle);
    for at in 0..middle {
        let reference = terms.get(front + at).copied().unwrap_or_default();
        let term = i64::from(reference).wrapping_add(reader.int()?);
        fresh.push(u32::try_from(term).map_err(|_| crate::bytes::Damage("a label is not in the table"))?);
    }
    terms.splice(front..front + replaced, fresh);
    Ok(())
}
