//! The tree: scalars as they were written, mappings in their order, a position on every node.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::{Problem, Severity};

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
    /// Text; `plain` says that it stood without quotes, so that `null`, `yes` or `5` may mean more than letters.
    Scalar {
        /// The text, escapes resolved.
        text: Rc<str>,
        /// Whether it stood without quotes.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with their values, in the order of the file.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// Whether this is `null`, `~` or nothing, unquoted.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
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

/// Reads the first document of a text. An empty text gives a null node. Errors: not YAML, a key twice in a mapping,
/// too deep, too many nodes, an alias without anchor, more than one document.
pub fn parse(file: &str, text: &str) -> Result<Node, Box<Problem>> {
    let mut builder = Builder { file, events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    builder.document()
}

struct Builder<'a> {
    file: &'a str,
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

type Next<'a> = (Event<'a>, Position);

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Node, Box<Problem>> {
        let mut root = None;
        loop {
            let (event, position) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(self.problem(position, "more than one YAML document", "keep one document a file"));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => root = Some(self.node((event, position), 0)?),
            }
        }
        Ok(root.unwrap_or(Node {
            position: Position { line: 1, column: 1 },
            value: Value::Scalar { text: Rc::from(""), plain: true },
        }))
    }

    fn next(&mut self) -> Result<Next<'a>, Box<Problem>> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, start(&span))),
            Some(Err(error)) => {
                let marker = error.marker();
                let position = Position { line: marker.line(), column: marker.col() + 1 };
                Err(self.problem(position, format!("not valid YAML: {}", error.info()), ""))
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
            Event::Scalar(text, style, anchor, _) => {
                let plain = matches!(style, ScalarStyle::Plain);
                (Value::Scalar { text: Rc::from(&*text), plain }, anchor)
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

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Node, Node)>, Box<Problem>> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut merged = Vec::new();
        let mut seen = HashMap::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => break,
                next => self.node(next, depth + 1)?,
            };
            let next = self.next()?;
            let value = self.node(next, depth + 1)?;
            let Value::Scalar { text, plain } = &key.value else {
                return Err(self.problem(key.position, "a key must be text", ""));
            };
            if &**text == "<<" && *plain {
                merged.push(value);
            } else if let Some(first) = seen.insert(text.clone(), key.position) {
                let message = format!("key {text:?} already set in this mapping at line {}", first.line);
                return Err(self.problem(key.position, message, "remove one of the two"));
            } else {
                entries.push((key, value));
            }
        }
        for source in merged {
            self.merge(&mut entries, source)?;
        }
        Ok(entries)
    }

    /// The merge key `<<`: entries of another mapping, or of a list of them, that are not set here.
    fn merge(&self, entries: &mut Vec<(Node, Node)>, source: Node) -> Result<(), Box<Problem>> {
        match source.value {
            Value::Mapping(others) => {
                for (key, value) in others {
                    if !entries.iter().any(|(own, _)| own.value == key.value) {
                        entries.push((key, value));
                    }
                }
                Ok(())
            }
            Value::Sequence(sources) => sources.into_iter().try_for_each(|source| self.merge(entries, source)),
            Value::Scalar { .. } => {
                Err(self.problem(source.position, "the merge key << needs a mapping or a list of mappings", ""))
            }
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

fn start(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::Sequence(nodes) => 1 + nodes.iter().map(count).sum::<usize>(),
        Value::Mapping(entries) => 1 + entries.iter().map(|(k, v)| count(k) + count(v)).sum::<usize>(),
    }
}
