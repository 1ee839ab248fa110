//! The tree: scalars as they were written, mappings in their order, a position on every node.

use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::{Problem, Report, Severity};

/// Aliases multiply nodes; real files stay far below, and a bomb of nested aliases ends here.
const NODES_MAX: usize = 1 << 20;

/// Deeper nesting than any configuration has; it bounds the recursion over the tree.
const DEPTH_MAX: usize = 100;

/// A line and a column, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub value: Value,
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text; `plain` says that `null`, `yes` or `5` may mean more than letters: it stood without quotes, or has the tag of
    /// another type than text.
    Scalar {
        /// The text, escapes resolved.
        text: Rc<str>,
        /// Whether it stood without quotes.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with their values, in the order of the file. A key may stand there again.
    Mapping(Vec<Pair>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The key, a scalar.
    pub key: Node,
    /// Its value.
    pub value: Node,
    /// Whether it comes from another mapping, by the merge key `<<`, at whose place it stands.
    pub merged: bool,
}

impl Node {
    /// Whether this is `null`, `~` or nothing, unquoted.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether this is nothing, `~` or `null`. Prometheus takes the other two spellings of null for empty texts where it
    /// reads durations.
    pub fn is_absent(&self) -> bool {
        self.is_null() && !matches!(self.as_text(), Some("Null" | "NULL"))
    }

    /// The text of a scalar.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// A word for the kind, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a scalar",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// Reads the only document of a text. An empty text gives a null node. Errors: not YAML, too deep, too many nodes, an alias
/// without anchor, more than one document.
pub fn parse(file: &str, text: &str) -> Result<Node, Box<Problem>> {
    let mut builder = Builder::new(file, text);
    builder.check_letters(text)?;
    let root = builder.document()?;
    match builder.another()? {
        Some(position) => Err(builder.problem(position, "more than one YAML document", "keep one document a file")),
        None => Ok(root),
    }
}

/// Reads the first document of a text, as Prometheus does; what stands behind it is warned about. Errors go to the report.
pub fn parse_first(file: &str, text: &str, report: &Report) -> Option<Node> {
    let mut builder = Builder::new(file, text);
    let root = builder.check_letters(text).and_then(|()| builder.document());
    let root = root.map_err(|problem| report.push(*problem)).ok()?;
    if let Ok(Some(position)) = builder.another() {
        let hint = "keep one document a file";
        let problem = builder.problem(position, "only the first YAML document of a file is read", hint);
        report.push(Problem { severity: Severity::Warning, ..*problem });
    }
    Some(root)
}

struct Builder<'a> {
    file: &'a str,
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

type Next<'a> = (Event<'a>, Position);

impl<'a> Builder<'a> {
    fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 }
    }

    /// Letters that YAML knows stand everywhere, comments too: what has others is a damaged file, or another kind of one.
    fn check_letters(&self, text: &str) -> Result<(), Box<Problem>> {
        let Some((at, letter)) = text.char_indices().find(|&(_, letter)| !is_printable(letter)) else { return Ok(()) };
        let before = &text[..at];
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        let position = Position { line: before.matches('\n').count() + 1, column: before[line..].chars().count() + 1 };
        let message = format!("not valid YAML: the control character {}", letter.escape_unicode());
        Err(self.problem(position, message, "remove it; in double quotes \\x1b and its like stand for such characters"))
    }

    /// The first document, up to its end.
    fn document(&mut self) -> Result<Node, Box<Problem>> {
        let empty = || Value::Scalar { text: Rc::from(""), plain: true };
        let mut root = Node { position: Position { line: 1, column: 1 }, value: empty() };
        loop {
            let (event, position) = self.next()?;
            match event {
                Event::StreamEnd | Event::DocumentEnd => return Ok(root),
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                event => root = self.node((event, position), 0)?,
            }
        }
    }

    /// Where the next document begins, if there is one.
    fn another(&mut self) -> Result<Option<Position>, Box<Problem>> {
        loop {
            match self.next()? {
                (Event::DocumentStart(_), position) => return Ok(Some(position)),
                (Event::StreamEnd, _) => return Ok(None),
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Next<'a>, Box<Problem>> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, start(&span))),
            Some(Err(error)) => {
                let marker = error.marker();
                let position = Position { line: marker.line(), column: marker.col() + 1 };
                Err(self.problem(position, format!("not valid YAML: {}", error.info()), mistake(error.info())))
            }
            None => Ok((Event::StreamEnd, Position { line: 1, column: 1 })),
        }
    }

    fn node(&mut self, (event, position): Next<'a>, depth: usize) -> Result<Node, Box<Problem>> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.problem(position, format!("more than {NODES_MAX} nodes"), "aliases may multiply them"));
        }
        if depth > DEPTH_MAX {
            return Err(self.problem(position, format!("nested deeper than {DEPTH_MAX} levels"), ""));
        }
        let (value, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, position),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = matches!(style, ScalarStyle::Plain);
                (self.scalar(&text, plain, tag.as_deref(), position)?, anchor)
            }
            Event::SequenceStart(anchor, _) => (Value::Sequence(self.sequence(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Mapping(self.mapping(depth)?), anchor),
            _ => return Err(self.problem(position, "not valid YAML: the document ends here", "")),
        };
        let node = Node { position, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, position: Position) -> Result<Node, Box<Problem>> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(self.problem(position, "alias without an anchor before it", ""));
        };
        self.nodes += count(&node);
        if self.nodes > NODES_MAX {
            return Err(self.problem(position, format!("more than {NODES_MAX} nodes"), "aliases multiply them"));
        }
        Ok(Node { position, ..node })
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Box<Problem>> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(nodes),
                next => nodes.push(self.node(next, depth + 1)?),
            }
        }
    }

    /// A scalar as its tag wants it. Tags that mean nothing to a configuration make it text.
    fn scalar(&self, text: &str, plain: bool, tag: Option<&Tag>, position: Position) -> Result<Value, Box<Problem>> {
        let plain = match tag {
            None => plain,
            Some(tag) if !tag.is_yaml_core_schema() => false,
            Some(tag) if &*tag.suffix == "binary" => {
                let letters: String = text.split_whitespace().collect();
                let bytes = base64::engine::general_purpose::STANDARD.decode(letters);
                let Some(text) = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
                    return Err(self.problem(position, "!!binary needs base64 of UTF-8 text", ""));
                };
                return Ok(Value::Scalar { text: Rc::from(text), plain: false });
            }
            Some(tag) => matches!(&*tag.suffix, "int" | "float" | "bool" | "null" | "timestamp"),
        };
        Ok(Value::Scalar { text: Rc::from(text), plain })
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Pair>, Box<Problem>> {
        let mut pairs: Vec<Pair> = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(pairs),
                next => self.node(next, depth + 1)?,
            };
            let next = self.next()?;
            let value = self.node(next, depth + 1)?;
            match &key.value {
                Value::Scalar { text, plain: true } if &**text == "<<" => self.merge(&mut pairs, value)?,
                Value::Scalar { .. } => pairs.push(Pair { key, value, merged: false }),
                _ => return Err(self.problem(key.position, "a key must be text", "")),
            }
        }
    }

    /// The merge key `<<`: pairs of another mapping, or of a list of them, of which the first weighs most and comes last.
    fn merge(&self, pairs: &mut Vec<Pair>, source: Node) -> Result<(), Box<Problem>> {
        match source.value {
            Value::Mapping(others) => {
                pairs.extend(others.into_iter().map(|pair| Pair { merged: true, ..pair }));
                Ok(())
            }
            Value::Sequence(sources) if sources.iter().all(|source| matches!(source.value, Value::Mapping(_))) => {
                sources.into_iter().rev().try_for_each(|source| self.merge(pairs, source))
            }
            _ => Err(self.problem(source.position, "the merge key << needs a mapping or a list of mappings", "")),
        }
    }

    fn problem(&self, position: Position, message: impl Into<String>, hint: &str) -> Box<Problem> {
        Box::new(Problem {
            severity: Severity::Error,
            file: self.file.to_owned(),
            position: Some(position),
            path: String::new(),
            message: message.into(),
            hint: hint.to_owned(),
        })
    }
}

/// YAML's `c-printable`.
fn is_printable(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

/// The mistake that most often is behind what the parser says, which finds it out late.
fn mistake(info: &str) -> &'static str {
    let known = [
        ("tabs", "indent by spaces"),
        ("quoted scalar", "a quote that begins here may lack its end"),
        ("flow", "a [ or a { before it may lack its end, or a comma is missing"),
        ("block mapping", "its indentation may differ from the lines above"),
        ("block collection", "its indentation may differ from the lines above"),
        ("node content", "a [ or a { before it may lack its end, or a value is missing"),
        ("mapping values", "its indentation may differ from the lines above, or a text with a colon lacks its quotes"),
        ("simple key", "a colon may be missing, or a space behind it"),
    ];
    known.iter().find(|(part, _)| info.contains(part)).map_or("", |(_, hint)| hint)
}

fn start(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::Sequence(nodes) => 1 + nodes.iter().map(count).sum::<usize>(),
        Value::Mapping(pairs) => 1 + pairs.iter().map(|pair| count(&pair.key) + count(&pair.value)).sum::<usize>(),
    }
}
