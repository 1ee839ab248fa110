//! Tokens to syntax tree. Everything that can be said without data is said here: unknown functions and variables too.

use std::str::Chars;
use std::sync::Arc;

use crate::lex::{Kind, Token, tokens};
use crate::tree::{Bodies, Branch, Command, Node, Operand, OperandKind, Pipe, Span};
use crate::{Error, builtin};

/// Nested blocks and parentheses, and with them the recursion here and in the execution.
const DEPTH_MAX: usize = 100;

type Result<T> = std::result::Result<T, Error>;

/// Parses a text. `knows` tells whether there is a function of a name, built-in ones aside.
pub(crate) fn parse(name: &Arc<str>, text: &str, knows: &dyn Fn(&str) -> bool) -> Result<Bodies> {
    let tokens = tokens(text).map_err(|e| Error::Parse {
        name: name.clone(),
        line: line(text, e.position),
        message: e.message,
    })?;
    let mut parser = Parser {
        name,
        text,
        tokens,
        at: 0,
        knows,
        variables: vec!["$".to_owned()],
        bodies: Bodies::new(),
        depth: 0,
        loops: 0,
    };
    let (body, end) = parser.block("")?;
    if end != End::Eof {
        return Err(parser.error(format!("unexpected {{{{{}}}}}", end.word())));
    }
    parser.bodies.insert(String::new(), body);
    Ok(parser.bodies)
}

/// The line of a byte offset, from 1.
pub(crate) fn line(text: &str, position: usize) -> usize {
    text.as_bytes()[..position.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

/// What ended a list of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Else,
    Eof,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Close => "end",
            Self::Else => "else",
            Self::Eof => "EOF",
        }
    }
}

struct Parser<'a> {
    name: &'a Arc<str>,
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    knows: &'a dyn Fn(&str) -> bool,
    /// Names in scope, innermost last.
    variables: Vec<String>,
    bodies: Bodies,
    depth: usize,
    /// Loops around here.
    loops: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token {
        self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn skip_spaces(&mut self) -> Token {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
        self.peek()
    }

    fn source(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    fn error(&self, message: impl Into<String>) -> Error {
        let position = self.tokens[self.at.saturating_sub(1).min(self.tokens.len() - 1)].start;
        Error::Parse { name: self.name.clone(), line: line(self.text, position), message: message.into() }
    }

    /// The complaint about a token, spelled as Go's lexer prints it.
    fn unexpected(&mut self, token: Token, context: &str) -> Error {
        self.at += 1;
        let source = self.source(token);
        let shown = match token.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Word if is_keyword(source) => format!("<{source}>"),
            _ if source.chars().count() > 10 => {
                format!("{:?}...", source.chars().take(10).collect::<String>())
            }
            _ => format!("{source:?}"),
        };
        self.error(format!("unexpected {shown} in {context}"))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Nodes up to what ends them.
    fn block(&mut self, context: &str) -> Result<(Vec<Node>, End)> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next();
            match token.kind {
                Kind::Text => nodes.push(Node::Text(self.source(token).to_owned())),
                Kind::Open => match self.action()? {
                    Action::Node(node) => nodes.push(node),
                    Action::Nothing => {}
                    Action::End(end) => return Ok((nodes, end)),
                },
                Kind::Eof if context.is_empty() => return Ok((nodes, End::Eof)),
                _ => return Err(self.error("unexpected EOF")),
            }
        }
    }

    fn action(&mut self) -> Result<Action> {
        let token = self.skip_spaces();
        let word = if token.kind == Kind::Word { self.source(token) } else { "" };
        let node = match word {
            "end" => return self.ending(End::Close),
            "else" => {
                self.at += 1;
                // `else if` and `else with` are looked at by who opened the branch.
                return Ok(Action::End(End::Else));
            }
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            "template" => self.template()?,
            "block" => self.inline_block()?,
            "define" => {
                self.define()?;
                return Ok(Action::Nothing);
            }
            "break" | "continue" => self.jump(word)?,
            _ => Node::Action(self.pipeline("command", Kind::Close)?),
        };
        Ok(Action::Node(node))
    }

    fn ending(&mut self, end: End) -> Result<Action> {
        self.at += 1;
        self.expect(Kind::Close, end.word())?;
        Ok(Action::End(end))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token> {
        let token = self.skip_spaces();
        if token.kind != kind {
            return Err(self.unexpected(token, context));
        }
        self.at += 1;
        Ok(token)
    }

    fn jump(&mut self, word: &str) -> Result<Node> {
        self.at += 1;
        let token = self.skip_spaces();
        if token.kind != Kind::Close {
            return Err(self.unexpected(token, &format!("{{{{{word}}}}}")));
        }
        self.at += 1;
        if self.loops == 0 {
            return Err(self.error(format!("{{{{{word}}}}} outside {{{{range}}}}")));
        }
        Ok(if word == "break" { Node::Break } else { Node::Continue })
    }

    /// `if`, `with` or `range` with its two lists.
    fn branch(&mut self, word: &'static str) -> Result<Branch> {
        self.at += 1;
        self.deeper(|parser| {
            let scope = parser.variables.len();
            let pipe = parser.pipeline(word, Kind::Close)?;
            parser.loops += usize::from(word == "range");
            let (then, end) = parser.block(word)?;
            parser.loops -= usize::from(word == "range");
            let otherwise = if end == End::Else { parser.otherwise(word)? } else { Vec::new() };
            parser.variables.truncate(scope);
            Ok(Branch { pipe, then, otherwise })
        })
    }

    fn otherwise(&mut self, word: &'static str) -> Result<Vec<Node>> {
        let token = self.skip_spaces();
        let again = if token.kind == Kind::Word { self.source(token) } else { "" };
        match (word, again) {
            ("if", "if") => return Ok(vec![Node::If(self.branch("if")?)]),
            ("with", "with") => return Ok(vec![Node::With(self.branch("with")?)]),
            _ => {}
        }
        self.expect(Kind::Close, "else")?;
        let (nodes, end) = self.block(word)?;
        if end != End::Close {
            return Err(self.error(format!("expected end; found {{{{{}}}}}", end.word())));
        }
        Ok(nodes)
    }

    fn template(&mut self) -> Result<Node> {
        self.at += 1;
        let start = self.skip_spaces().start;
        let name = self.template_name("template clause")?;
        self.skip_spaces();
        let data = if self.peek().kind == Kind::Close {
            self.at += 1;
            None
        } else {
            Some(self.pipeline("template clause", Kind::Close)?)
        };
        let code = match &data {
            Some(pipe) => format!("{{{{template {name:?} {}}}}}", pipe.span.code),
            None => format!("{{{{template {name:?}}}}}"),
        };
        Ok(Node::Template { span: Span { position: start, code }, name, data })
    }

    fn template_name(&mut self, context: &str) -> Result<String> {
        let token = self.skip_spaces();
        match token.kind {
            Kind::Quoted | Kind::Raw => {
                self.at += 1;
                self.unquoted(token)
            }
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn define(&mut self) -> Result<()> {
        if self.depth > 0 {
            let token = self.peek();
            return Err(self.unexpected(token, "command"));
        }
        self.at += 1;
        let name = self.template_name("define clause")?;
        self.expect(Kind::Close, "define clause")?;
        self.body(name, "define clause")
    }

    fn inline_block(&mut self) -> Result<Node> {
        let start = self.next().start;
        let name = self.template_name("block clause")?;
        let pipe = self.pipeline("block clause", Kind::Close)?;
        self.body(name.clone(), "block clause")?;
        let span = Span { position: start, code: format!("{{{{template {name:?} {}}}}}", pipe.span.code) };
        Ok(Node::Template { span, name, data: Some(pipe) })
    }

    /// The body of a definition; it sees no variable but `$`.
    fn body(&mut self, name: String, context: &str) -> Result<()> {
        let outside = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (nodes, end) = self.deeper(|parser| parser.block(context))?;
        (self.variables, self.loops) = (outside, loops);
        if end != End::Close {
            return Err(self.error(format!("unexpected {{{{{}}}}} in {context}", end.word())));
        }
        self.bodies.insert(name, nodes);
        Ok(())
    }

    /// `$x := a | b c`, up to and with the token that ends it.
    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        let start = self.skip_spaces().start;
        let (variables, assigns) = self.declaration(context)?;
        let mut commands = Vec::new();
        loop {
            let token = self.skip_spaces();
            if token.kind == end {
                self.at += 1;
                self.check_pipeline(&commands, context)?;
                break;
            }
            match token.kind {
                Kind::Word if is_keyword(self.source(token)) && !is_literal(self.source(token)) => {
                    return Err(self.unexpected(token, context));
                }
                Kind::Word
                | Kind::Field
                | Kind::Variable
                | Kind::Number
                | Kind::Char
                | Kind::Quoted
                | Kind::Raw
                | Kind::Dot
                | Kind::ParenOpen => commands.push(self.command()?),
                _ => return Err(self.unexpected(token, context)),
            }
        }
        let code = spell_pipe(&variables, assigns, &commands);
        Ok(Pipe { span: Span { position: start, code }, variables, assigns, commands })
    }

    fn check_pipeline(&self, commands: &[Command], context: &str) -> Result<()> {
        if commands.is_empty() {
            return Err(self.error(format!("missing value for {context}")));
        }
        for (i, command) in commands.iter().enumerate().skip(1) {
            let literal = matches!(
                command.operands[0].kind,
                OperandKind::Bool(_)
                    | OperandKind::Dot
                    | OperandKind::Nil
                    | OperandKind::Int(_)
                    | OperandKind::Float(_)
                    | OperandKind::String(_)
            );
            if literal {
                return Err(self.error(format!("non executable command in pipeline stage {}", i + 1)));
            }
        }
        Ok(())
    }

    /// `$x :=`, `$x =` or, after `range`, `$i, $x :=`.
    fn declaration(&mut self, context: &str) -> Result<(Vec<String>, bool)> {
        let before = self.at;
        let mut names = Vec::new();
        loop {
            let token = self.skip_spaces();
            if token.kind != Kind::Variable {
                break;
            }
            names.push(self.source(token).to_owned());
            self.at += 1;
            let next = self.skip_spaces();
            match next.kind {
                Kind::Declare => {
                    self.at += 1;
                    self.variables.extend(names.iter().cloned());
                    return Ok((names, false));
                }
                Kind::Assign => {
                    self.at += 1;
                    for name in &names {
                        self.check_variable(name)?;
                    }
                    return Ok((names, true));
                }
                Kind::Comma if context == "range" && names.len() < 2 => self.at += 1,
                Kind::Comma => return Err(self.error(format!("too many declarations in {context}"))),
                _ => break,
            }
        }
        self.at = before;
        Ok((Vec::new(), false))
    }

    fn check_variable(&self, name: &str) -> Result<()> {
        match self.variables.iter().any(|known| known == name) {
            true => Ok(()),
            false => Err(self.error(format!("undefined variable {name:?}"))),
        }
    }

    /// Operands up to a bar or the end of the pipeline.
    fn command(&mut self) -> Result<Command> {
        let position = self.peek().start;
        let mut operands = Vec::new();
        loop {
            self.skip_spaces();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.peek();
            match token.kind {
                Kind::Space => self.at += 1,
                Kind::Pipe => {
                    self.at += 1;
                    let next = self.skip_spaces();
                    if matches!(next.kind, Kind::Close | Kind::ParenClose) {
                        return Err(self.error("missing value for command"));
                    }
                    break;
                }
                Kind::Close | Kind::ParenClose => break,
                _ => return Err(self.unexpected(token, "operand")),
            }
        }
        if operands.is_empty() {
            return Err(self.error("empty command"));
        }
        let code = operands.iter().map(spell_argument).collect::<Vec<_>>().join(" ");
        Ok(Command { span: Span { position, code }, operands })
    }

    /// A term with the fields behind it.
    fn operand(&mut self) -> Result<Option<Operand>> {
        let Some(term) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(term));
        }
        let position = self.peek().start;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            let token = self.next();
            fields.push(self.source(token)[1..].to_owned());
        }
        let code = format!("{}.{}", term.span.code, fields.join("."));
        let (position, kind) = match term.kind {
            OperandKind::Field(mut first) => {
                first.append(&mut fields);
                (position, OperandKind::Field(first))
            }
            OperandKind::Variable(name, mut first) => {
                first.append(&mut fields);
                (position, OperandKind::Variable(name, first))
            }
            OperandKind::Bool(_)
            | OperandKind::String(_)
            | OperandKind::Int(_)
            | OperandKind::Float(_)
            | OperandKind::Nil
            | OperandKind::Dot => {
                return Err(self.error(format!("unexpected . after term {:?}", term.span.code)));
            }
            kind => (position, OperandKind::Chain(Box::new(Operand { span: term.span, kind }), fields)),
        };
        Ok(Some(Operand { span: Span { position, code }, kind }))
    }

    fn term(&mut self) -> Result<Option<Operand>> {
        let token = self.peek();
        let source = self.source(token);
        let kind = match token.kind {
            Kind::Word => match source {
                "true" | "false" => OperandKind::Bool(source == "true"),
                "nil" => OperandKind::Nil,
                _ if is_keyword(source) => return Ok(None),
                _ if builtin::is_known(source) || (self.knows)(source) => OperandKind::Function(source.to_owned()),
                _ => {
                    self.at += 1;
                    return Err(self.error(format!("function {source:?} not defined")));
                }
            },
            Kind::Dot => OperandKind::Dot,
            Kind::Field => OperandKind::Field(vec![source[1..].to_owned()]),
            Kind::Variable => {
                self.at += 1;
                self.check_variable(source)?;
                self.at -= 1;
                OperandKind::Variable(source.to_owned(), Vec::new())
            }
            Kind::Number | Kind::Char => {
                self.at += 1;
                let kind = number(source).map_err(|message| self.error(message))?;
                self.at -= 1;
                kind
            }
            Kind::Quoted | Kind::Raw => OperandKind::String(self.unquoted(token)?),
            Kind::ParenOpen => {
                self.at += 1;
                let pipe = self.deeper(|parser| parser.pipeline("parenthesized pipeline", Kind::ParenClose))?;
                let span = Span { position: pipe.span.position, code: format!("({})", pipe.span.code) };
                return Ok(Some(Operand { span, kind: OperandKind::Pipe(Box::new(pipe)) }));
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(Operand { span: Span { position: token.start, code: source.to_owned() }, kind }))
    }

    fn unquoted(&self, token: Token) -> Result<String> {
        let source = self.source(token);
        let inner = &source[1..source.len() - 1];
        match token.kind {
            Kind::Raw => Ok(inner.replace('\r', "")),
            _ => unescape(inner).ok_or_else(|| self.error("invalid syntax")),
        }
    }
}

/// What an action turned out to be.
enum Action {
    Node(Node),
    Nothing,
    End(End),
}

const KEYWORDS: [&str; 11] =
    ["if", "else", "end", "range", "with", "template", "define", "block", "break", "continue", "nil"];

fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word)
}

/// Keywords that are values.
fn is_literal(word: &str) -> bool {
    word == "nil"
}

fn spell_argument(operand: &Operand) -> &str {
    &operand.span.code
}

fn spell_pipe(variables: &[String], assigns: bool, commands: &[Command]) -> String {
    let commands = commands.iter().map(|c| c.span.code.as_str()).collect::<Vec<_>>().join(" | ");
    if variables.is_empty() {
        return commands;
    }
    format!("{} {} {commands}", variables.join(", "), if assigns { "=" } else { ":=" })
}

/// A number or a character; the error is Go's.
fn number(source: &str) -> std::result::Result<OperandKind, String> {
    if source.starts_with('\'') {
        return character(source).ok_or_else(|| format!("malformed character constant: {source}"));
    }
    let bad = || format!("bad number syntax: {source:?}");
    let plain = source.replace('_', "");
    let (sign, digits) = match plain.strip_prefix(['+', '-']) {
        Some(digits) => (if plain.starts_with('-') { -1 } else { 1 }, digits),
        None => (1, plain.as_str()),
    };
    let lower = digits.to_ascii_lowercase();
    if let Some(whole) = whole(&lower) {
        return Ok(OperandKind::Int(whole * sign));
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(bad());
    }
    let float: f64 = lower.parse().ok().filter(|f: &f64| f.is_finite()).ok_or_else(bad)?;
    if !lower.contains(['.', 'e']) {
        return Err(format!("integer overflow: {source:?}"));
    }
    Ok(OperandKind::Float(float * sign as f64))
}

/// A whole number in any of Go's bases.
fn whole(digits: &str) -> Option<i64> {
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return i64::from_str_radix(digits, base).ok();
        }
    }
    match digits.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        Some(octal) => i64::from_str_radix(octal, 8).ok(),
        None => digits.parse().ok(),
    }
}

fn character(source: &str) -> Option<OperandKind> {
    let text = unescape(source.strip_prefix('\'')?.strip_suffix('\'')?)?;
    let mut chars = text.chars();
    let only = chars.next().filter(|_| chars.next().is_none())?;
    Some(OperandKind::Int(i64::from(u32::from(only))))
}

/// Go's escapes of an interpreted string; `None` for an unknown one. Bytes that make no UTF-8 are replaced.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            push_char(&mut bytes, c);
            continue;
        }
        match chars.next()? {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            c @ ('\\' | '\'' | '"') => push_char(&mut bytes, c),
            'x' => bytes.push(u8::try_from(digits(&mut chars, 2, 16)?).ok()?),
            'u' => push_char(&mut bytes, char::from_u32(digits(&mut chars, 4, 16)?)?),
            'U' => push_char(&mut bytes, char::from_u32(digits(&mut chars, 8, 16)?)?),
            c @ '0'..='7' => {
                let first = c.to_digit(8)?;
                bytes.push(u8::try_from(first * 64 + digits(&mut chars, 2, 8)?).ok()?);
            }
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn digits(chars: &mut Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    (0..count).try_fold(0, |number: u32, _| Some(number * radix + chars.next()?.to_digit(radix)?))
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
