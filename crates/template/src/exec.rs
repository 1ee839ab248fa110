//! Walks the tree and writes the output.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::html::Page;
use crate::parse::{line, parse};
use crate::tree::{Bodies, Branch, Command, Node, Operand, OperandKind, Pipe, Span};
use crate::value::TEXT_BYTES_MAX;
use crate::{CallError, Error, Functions, Value, builtin};

/// Evaluated nodes and loop rounds; a template of an alert needs some hundred, an endless one ends here.
const STEPS_MAX: u32 = 1_000_000;

/// Lists of nodes inside each other, called templates counted through: the recursion must fit a thread's 2 MiB.
const NESTING_MAX: usize = 200;

/// A parsed template with those it defines.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    source: Source,
    bodies: Bodies,
}

/// Where templates stand.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

/// What the texts of many files define, for templates that call it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Library {
    bodies: BTreeMap<String, (Arc<Source>, Vec<Node>)>,
}

impl Library {
    /// Takes in what a text defines, and the text itself under its name. What has a name already is replaced, unless by
    /// nothing.
    pub fn add(&mut self, name: &str, text: &str, functions: &dyn Functions) -> Result<(), Error> {
        let Template { source, bodies } = Template::parse(name, text, functions)?;
        let source = Arc::new(source);
        for (defined, nodes) in bodies {
            let name = if defined.is_empty() { name.to_owned() } else { defined };
            let is_blank = nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()));
            if !(is_blank && self.bodies.contains_key(&name)) {
                self.bodies.insert(name, (source.clone(), nodes));
            }
        }
        Ok(())
    }

    /// Whether there is a template of this name.
    pub fn defines(&self, name: &str) -> bool {
        self.bodies.contains_key(name)
    }
}

/// What a template writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Values as they are.
    Text,
    /// Values escaped for the place in the page where they stand, as html/template does it.
    Html,
}

impl Template {
    /// Parses a text; functions it calls must be there.
    pub fn parse(name: &str, text: &str, functions: &dyn Functions) -> Result<Self, Error> {
        let name = Arc::from(name);
        let bodies = parse(&name, text, &|function| functions.has(function))?;
        Ok(Self { source: Source { name, text: Arc::from(text) }, bodies })
    }

    /// Executes the template with `data` as its dot.
    pub fn execute(&self, data: &Value, functions: &dyn Functions) -> Result<String, Error> {
        self.execute_with(&Library::default(), Output::Text, data, functions)
    }

    /// Executes the template, which may call those of the library.
    pub fn execute_with(
        &self,
        library: &Library,
        output: Output,
        data: &Value,
        functions: &dyn Functions,
    ) -> Result<String, Error> {
        let mut run = Run {
            template: self,
            library,
            source: &self.source,
            functions,
            output: String::new(),
            page: (output == Output::Html).then(Page::default),
            variables: vec![("$", data.clone())],
            steps: 0,
            nesting: 0,
            executing: "",
        };
        let body = self.bodies.get("").map(Vec::as_slice).unwrap_or_default();
        run.walk(data, body)?;
        Ok(run.output)
    }
}

struct Run<'a> {
    template: &'a Template,
    library: &'a Library,
    /// Where the nodes that are walked stand.
    source: &'a Source,
    functions: &'a dyn Functions,
    output: String,
    /// Where in a page the output has come to, if it is one.
    page: Option<Page>,
    variables: Vec<(&'a str, Value)>,
    steps: u32,
    nesting: usize,
    /// The template that is executed now, empty for the main one.
    executing: &'a str,
}

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

type Step<T> = Result<T, Error>;

impl<'a> Run<'a> {
    fn error(&self, span: &Span, message: impl Into<String>) -> Error {
        let text = &self.source.text;
        let before = &text.as_bytes()[..span.position.min(text.len())];
        let column = before.len() - before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
        let executing = if self.executing.is_empty() { &self.source.name } else { self.executing };
        Error::Execute {
            name: self.source.name.clone(),
            line: line(text, span.position),
            column,
            executing: executing.to_owned(),
            code: span.code.clone(),
            message: message.into(),
        }
    }

    fn step(&mut self, span: &Span) -> Step<()> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(self.error(span, format!("more than {STEPS_MAX} steps")));
        }
        Ok(())
    }

    fn write(&mut self, text: &str, span: Option<&Span>) -> Step<()> {
        if self.output.len() + text.len() > TEXT_BYTES_MAX {
            let whole = Span { position: 0, code: "text".to_owned() };
            return Err(self.error(span.unwrap_or(&whole), format!("output longer than {TEXT_BYTES_MAX} bytes")));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn write_value(&mut self, value: &Value, span: &Span) -> Step<()> {
        let text = match &mut self.page {
            None => value.print(),
            Some(page) => page.value(value).map_err(|message| self.error(span, message))?,
        };
        self.write(&text, Some(span))
    }

    fn walk(&mut self, dot: &Value, nodes: &'a [Node]) -> Step<Flow> {
        if self.nesting >= NESTING_MAX {
            let whole = Span { position: 0, code: "template".to_owned() };
            return Err(self.error(&whole, format!("exceeded maximum template depth ({NESTING_MAX})")));
        }
        self.nesting += 1;
        let flow = self.nodes(dot, nodes);
        self.nesting -= 1;
        flow
    }

    fn nodes(&mut self, dot: &Value, nodes: &'a [Node]) -> Step<Flow> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    let page = self.page.as_mut().map(|page| page.text(text));
                    self.write(page.as_deref().unwrap_or(text), None)?;
                    Flow::On
                }
                Node::Action(pipe) => {
                    let value = self.pipe(dot, pipe)?;
                    if pipe.variables.is_empty() {
                        self.write_value(&value, &pipe.span)?;
                    }
                    Flow::On
                }
                Node::If(branch) => self.branch(dot, branch, false)?,
                Node::With(branch) => self.branch(dot, branch, true)?,
                Node::Range(branch) => self.range(dot, branch)?,
                Node::Template { span, name, data } => {
                    let data = data.as_ref().map_or(Ok(Value::Nil), |pipe| self.pipe(dot, pipe))?;
                    self.call_template(span, name, &data)?;
                    Flow::On
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn branch(&mut self, dot: &Value, branch: &'a Branch, moves_dot: bool) -> Step<Flow> {
        let scope = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let flow = if value.is_true() {
            self.walk(if moves_dot { &value } else { dot }, &branch.then)
        } else {
            self.walk(dot, &branch.otherwise)
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(&mut self, dot: &Value, branch: &'a Branch) -> Step<Flow> {
        let scope = self.variables.len();
        let over = self.pipe(dot, &branch.pipe)?;
        let rounds: Vec<(Value, Value)> = match &over {
            Value::Nil => Vec::new(),
            Value::List(list) => {
                list.iter().enumerate().map(|(i, value)| (Value::Int(i as i64), value.clone())).collect()
            }
            Value::Map(map) => {
                map.entries.iter().map(|(key, value)| (Value::string(key.as_str()), value.clone())).collect()
            }
            Value::Int(count) => {
                (0..(*count).min(i64::from(STEPS_MAX))).map(|i| (Value::Int(i), Value::Int(i))).collect()
            }
            other => {
                return Err(self.error(&branch.pipe.span, format!("range can't iterate over {}", other.show())));
            }
        };
        self.variables.truncate(scope);
        if rounds.is_empty() {
            return self.walk(dot, &branch.otherwise);
        }
        for (key, value) in rounds {
            self.step(&branch.pipe.span)?;
            self.set_range_variables(&branch.pipe, key, &value);
            let flow = self.walk(&value, &branch.then);
            self.variables.truncate(scope);
            if flow? == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn set_range_variables(&mut self, pipe: &'a Pipe, key: Value, value: &Value) {
        let values = match pipe.variables.len() {
            1 => vec![value.clone()],
            _ => vec![key, value.clone()],
        };
        for (name, value) in pipe.variables.iter().zip(values) {
            if pipe.assigns {
                self.assign(name, value);
            } else {
                self.variables.push((name, value));
            }
        }
    }

    fn assign(&mut self, name: &str, value: Value) {
        if let Some(variable) = self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            variable.1 = value;
        }
    }

    fn call_template(&mut self, span: &Span, name: &'a str, data: &Value) -> Step<()> {
        let own = self.template.bodies.get(name).filter(|_| !name.is_empty());
        let own = own.map(|nodes| (&self.template.source, nodes));
        let shared = || self.library.bodies.get(name).map(|(source, nodes)| (&**source, nodes));
        let Some((source, body)) = own.or_else(shared) else {
            return Err(self.error(span, format!("template {name:?} not defined")));
        };
        let outside_source = std::mem::replace(&mut self.source, source);
        let outside = std::mem::replace(&mut self.variables, vec![("$", data.clone())]);
        let executing = std::mem::replace(&mut self.executing, name);
        let result = self.walk(data, body);
        self.variables = outside;
        self.executing = executing;
        self.source = outside_source;
        result.map(drop)
    }

    fn pipe(&mut self, dot: &Value, pipe: &'a Pipe) -> Step<Value> {
        self.step(&pipe.span)?;
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone());
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &'a Command, last: Option<Value>) -> Step<Value> {
        let first = &command.operands[0];
        if let OperandKind::Function(name) = &first.kind {
            return self.call(dot, command, name, last);
        }
        let given = command.operands.len() > 1 || last.is_some();
        match &first.kind {
            OperandKind::Nil => return Err(self.error(&first.span, "nil is not a command")),
            OperandKind::Field(path) if given && !path.is_empty() => {
                if let Some(result) = self.method(dot, dot.clone(), path, command, last.as_ref())? {
                    return Ok(result);
                }
            }
            OperandKind::Variable(name, path) if given && !path.is_empty() => {
                let value = self.variable(name);
                if let Some(result) = self.method(dot, value, path, command, last.as_ref())? {
                    return Ok(result);
                }
            }
            OperandKind::Chain(inner, path) if given && !path.is_empty() => {
                let value = self.operand(dot, inner)?;
                if let Some(result) = self.method(dot, value, path, command, last.as_ref())? {
                    return Ok(result);
                }
            }
            _ => {}
        }
        match &first.kind {
            OperandKind::Field(path) | OperandKind::Variable(_, path) | OperandKind::Chain(_, path)
                if given && !path.is_empty() =>
            {
                let name = path.last().map(String::as_str).unwrap_or_default();
                let is_key = path.len() > 1 || matches!(first.kind, OperandKind::Variable(..));
                let message = match is_key {
                    true => format!("{name} is not a method but has arguments"),
                    false => format!("{name} has arguments but cannot be invoked as function"),
                };
                return Err(self.error(&first.span, message));
            }
            _ if given && !matches!(first.kind, OperandKind::Pipe(_)) => {
                return Err(self.error(&first.span, format!("can't give argument to non-function {}", first.span.code)));
            }
            _ => {}
        }
        self.operand(dot, first)
    }

    fn variable(&self, name: &str) -> Value {
        let known = self.variables.iter().rev().find(|(known, _)| *known == name);
        known.map_or(Value::Nil, |(_, value)| value.clone())
    }

    /// Calls what a path ends with as a method, with the command's arguments; `None` if it is none.
    fn method(
        &mut self,
        dot: &Value,
        value: Value,
        path: &[String],
        command: &'a Command,
        last: Option<&Value>,
    ) -> Step<Option<Value>> {
        let span = &command.operands[0].span;
        let Some((name, before)) = path.split_last() else { return Ok(None) };
        let receiver = self.fields(value, before, span)?;
        let mut arguments = Vec::with_capacity(command.operands.len());
        for operand in &command.operands[1..] {
            arguments.push(self.operand(dot, operand)?);
        }
        arguments.extend(last.cloned());
        let result = self.functions.method(&receiver, name, &arguments);
        result.map(|result| self.judge(result, command, name, &arguments)).transpose()
    }

    fn operand(&mut self, dot: &Value, operand: &'a Operand) -> Step<Value> {
        self.step(&operand.span)?;
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Bool(b) => Ok(Value::Bool(*b)),
            OperandKind::Int(i) => Ok(Value::Int(*i)),
            OperandKind::Float(f) => Ok(Value::Float(*f)),
            OperandKind::String(text) => Ok(Value::string(text.as_str())),
            OperandKind::Field(path) => self.fields(dot.clone(), path, &operand.span),
            OperandKind::Variable(name, path) => self.fields(self.variable(name), path, &operand.span),
            OperandKind::Function(name) => {
                let command = Command { span: operand.span.clone(), operands: vec![operand.clone()] };
                self.invoke(&command, name, &[])
            }
            OperandKind::Pipe(pipe) => {
                let scope = self.variables.len();
                let value = self.pipe(dot, pipe);
                self.variables.truncate(scope);
                value
            }
            OperandKind::Chain(inner, path) => {
                if matches!(inner.kind, OperandKind::Nil) {
                    return Err(
                        self.error(&operand.span, format!("indirection through explicit nil in {}", operand.span.code))
                    );
                }
                let value = self.operand(dot, inner)?;
                self.fields(value, path, &operand.span)
            }
        }
    }

    fn fields(&self, mut value: Value, path: &[String], span: &Span) -> Step<Value> {
        for name in path {
            if let Some(result) = self.functions.method(&value, name, &[]) {
                let failed = |error: CallError| self.error(span, format!("error calling {name}: {}", error.message()));
                value = result.map_err(failed)?;
                continue;
            }
            value = match &value {
                Value::Map(map) => map.entries.get(name).cloned().unwrap_or(map.kind.missing()),
                Value::Object(object) => match object.fields.iter().find(|(field, _)| field == name) {
                    Some((_, value)) => value.clone(),
                    None => {
                        let message = format!("can't evaluate field {name} in type {}", object.type_name);
                        return Err(self.error(span, message));
                    }
                },
                Value::Nil => {
                    return Err(self.error(span, format!("nil pointer evaluating interface {{}}.{name}")));
                }
                other => {
                    let message = format!("can't evaluate field {name} in type {}", other.type_name());
                    return Err(self.error(span, message));
                }
            };
        }
        Ok(value)
    }

    /// Calls a function with its operands and, last, what the pipeline gave so far.
    fn call(&mut self, dot: &Value, command: &'a Command, name: &'a str, last: Option<Value>) -> Step<Value> {
        let operands = &command.operands[1..];
        if matches!(name, "and" | "or") {
            return self.short_circuit(dot, command, name, last);
        }
        let mut arguments = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            arguments.push(self.operand(dot, operand)?);
        }
        arguments.extend(last);
        self.invoke(command, name, &arguments)
    }

    /// `and` gives the first false argument, `or` the first true one; what stands behind it is not evaluated.
    fn short_circuit(&mut self, dot: &Value, command: &'a Command, name: &str, last: Option<Value>) -> Step<Value> {
        let mut value = None;
        for operand in &command.operands[1..] {
            let next = self.operand(dot, operand)?;
            if next.is_true() == (name == "or") {
                return Ok(next);
            }
            value = Some(next);
        }
        last.or(value).ok_or_else(|| {
            let message = format!("wrong number of args for {name}: want at least 1 got 0");
            self.error(&command.operands[0].span, message)
        })
    }

    /// Calls a function and says of an error where Go sees it: at the argument, at the name, or at the whole command.
    fn invoke(&mut self, command: &Command, name: &str, arguments: &[Value]) -> Step<Value> {
        self.step(&command.operands[0].span)?;
        let result = match builtin::call(name, arguments) {
            Some(result) => result,
            None => self.functions.call(name, arguments),
        };
        self.judge(result, command, name, arguments)
    }

    fn judge(
        &self,
        result: Result<Value, CallError>,
        command: &Command,
        name: &str,
        arguments: &[Value],
    ) -> Step<Value> {
        let function = &command.operands[0].span;
        if let Ok(Value::String(text)) = &result
            && text.len() > TEXT_BYTES_MAX
        {
            return Err(self.error(function, format!("text longer than {TEXT_BYTES_MAX} bytes")));
        }
        result.map_err(|e| match e {
            CallError::Failed(message) => {
                let span = Span { position: function.position, code: command.span.code.clone() };
                self.error(&span, format!("error calling {name}: {message}"))
            }
            CallError::Count(message) => self.error(function, message),
            CallError::Type { index, wanted } => match command.operands.get(index + 1) {
                Some(operand) => self.error(&operand.span, type_error(wanted, &arguments[index], operand)),
                None => self.error(function, type_error(wanted, &arguments[index], &command.operands[0])),
            },
        })
    }
}

/// The complaint about an argument of another type; of a literal Go shows the letters.
fn type_error(wanted: &str, got: &Value, operand: &Operand) -> String {
    let literal = matches!(
        operand.kind,
        OperandKind::Bool(_) | OperandKind::Int(_) | OperandKind::Float(_) | OperandKind::String(_)
    );
    match got {
        Value::Nil => format!("invalid value; expected {wanted}"),
        _ if literal && wanted == "string" => format!("expected string; found {}", operand.span.code),
        _ if literal => format!("can't handle {} for arg of type {wanted}", operand.span.code),
        _ => format!("wrong type for value; expected {wanted}; got {}", got.type_name()),
    }
}
