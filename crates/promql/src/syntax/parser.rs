//! Tokens to syntax tree: precedence climbing with an explicit stack of operators, so that a chain of operators of any
//! length takes no stack. Only brackets nest, and their depth is limited.

use std::string::FromUtf8Error;

use model::Matcher;

use super::check::check;
use super::escape::unescape;
use super::lexer::Lexer;
use super::token::{Keyword, Token, TokenKind};
use super::tree::{Aggregation, BinaryOp, Expr, Grouping, Kind, Matching, Node, NodeId, Sides};
use crate::error::{ParseError, Position};
use crate::function;

/// Parentheses, calls and aggregations inside each other. The parser and the engine recurse once a level, and a level of the
/// engine takes a few KiB of a thread's stack of 2 MiB in a debug build.
const NESTING_MAX: usize = 200;

/// A `-` or `+` in front binds like `*`: `-a * b` is `(-a) * b`, `-a ^ b` is `-(a ^ b)`.
pub(super) const PREFIX_PRECEDENCE: u8 = 5;

/// Reads an expression and checks its types. Experimental functions are accepted; [`Expr::refuse_experimental`] tells them.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    if u32::try_from(text.len()).is_err() {
        return Err(ParseError::new(text, Position::default(), "the expression is longer than 4 GiB"));
    }
    let mut parser = Parser::new(text)?;
    if parser.token.kind == TokenKind::End {
        return Err(ParseError::new(text, Position::default(), "no expression found in input"));
    }
    parser.expression()?;
    if parser.token.kind != TokenKind::End {
        return parser.unexpected("", "");
    }
    check(parser.nodes, &parser.operators, text)
}

/// Reads a series selector such as `up{job="a"}`, as `match[]` parameters carry it: nothing stands around or behind it. As
/// upstream it may have no condition at all, which is for the caller to refuse.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text)?;
    let name = match parser.token.kind {
        TokenKind::End => return Err(ParseError::new(text, Position::default(), "unexpected end of input")),
        TokenKind::LeftBrace => None,
        kind if kind.names_metric() => Some(parser.advance()?),
        _ => return parser.unexpected("", ""),
    };
    let selector = parser.selector(name)?;
    if parser.token.kind == TokenKind::End { Ok(selector.matchers) } else { parser.unexpected("", "") }
}

pub(super) struct Parser<'a> {
    pub(super) input: &'a str,
    lexer: Lexer<'a>,
    /// The next token.
    pub(super) token: Token,
    /// End of the last token consumed.
    end: usize,
    pub(super) nodes: Vec<Node>,
    /// For each node the place of its binary operator, which errors about operators name.
    operators: Vec<Position>,
    depth: usize,
    /// Aggregations whose argument list is open: they name the context of an unexpected token.
    aggregations: usize,
}

/// An operator that waits for its right operand.
enum Pending {
    Prefix { negative: bool, start: u32 },
    Binary { op: BinaryOp, position: Position, returns_bool: bool, matching: Matching },
}

impl Pending {
    fn precedence(&self) -> u8 {
        match self {
            Self::Prefix { .. } => PREFIX_PRECEDENCE,
            Self::Binary { op, .. } => op.precedence(),
        }
    }
}

impl<'a> Parser<'a> {
    fn new(input: &'a str) -> Result<Self, ParseError> {
        let mut lexer = Lexer::new(input);
        let token = lexer.next()?;
        let (nodes, operators) = (Vec::new(), Vec::new());
        Ok(Self { input, lexer, token, end: 0, nodes, operators, depth: 0, aggregations: 0 })
    }

    /// Consumes the token and reads the next.
    pub(super) fn advance(&mut self) -> Result<Token, ParseError> {
        let token = self.token;
        self.end = token.position.end as usize;
        self.token = self.lexer.next()?;
        Ok(token)
    }

    pub(super) fn accept(&mut self, kind: TokenKind) -> Result<bool, ParseError> {
        let found = self.token.kind == kind;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn accept_keyword(&mut self, keyword: Keyword) -> Result<bool, ParseError> {
        self.accept(TokenKind::Keyword(keyword))
    }

    pub(super) fn error<T>(&self, position: Position, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.input, position, message))
    }

    /// The error about the next token; `context` and `expected` may be empty.
    pub(super) fn unexpected<T>(&self, context: &str, expected: &str) -> Result<T, ParseError> {
        let mut message = format!("unexpected {}", self.token.describe(self.input));
        let context = if context.is_empty() && self.aggregations > 0 { "aggregation" } else { context };
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(self.token.position, message)
    }

    fn expect(&mut self, kind: TokenKind) -> Result<Token, ParseError> {
        if self.token.kind == kind { self.advance() } else { self.unexpected("", "") }
    }

    pub(super) fn push(&mut self, kind: Kind, position: Position) -> NodeId {
        self.push_operator(kind, position, position)
    }

    fn push_operator(&mut self, kind: Kind, position: Position, operator: Position) -> NodeId {
        self.nodes.push(Node { kind, position });
        self.operators.push(operator);
        NodeId((self.nodes.len() - 1) as u32)
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn position(&self, id: NodeId) -> Position {
        self.node(id).position
    }

    /// Operands and operators until a token that is neither.
    fn expression(&mut self) -> Result<NodeId, ParseError> {
        let mut pending: Vec<Pending> = Vec::new();
        let mut done: Vec<NodeId> = Vec::new();
        loop {
            while let TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) = self.token.kind {
                let token = self.advance()?;
                pending.push(Pending::Prefix { negative: op == BinaryOp::Sub, start: token.position.start });
            }
            let operand = self.operand()?;
            done.push(operand);
            let TokenKind::Operator(op) = self.token.kind else {
                break;
            };
            self.reduce(&mut pending, &mut done, |top| {
                top > op.precedence() || top == op.precedence() && op != BinaryOp::Pow
            });
            let position = self.advance()?.position;
            let (returns_bool, matching) = self.binary_modifiers()?;
            pending.push(Pending::Binary { op, position, returns_bool, matching });
        }
        self.reduce(&mut pending, &mut done, |_| true);
        match done.pop() {
            Some(root) => Ok(root),
            None => self.unexpected("", ""),
        }
    }

    /// Builds the nodes of those operators on top of the stack that bind tightly enough.
    fn reduce(&mut self, pending: &mut Vec<Pending>, done: &mut Vec<NodeId>, binds: impl Fn(u8) -> bool) {
        while pending.last().is_some_and(|top| binds(top.precedence())) {
            let (Some(operator), Some(rhs)) = (pending.pop(), done.pop()) else {
                return;
            };
            let node = match operator {
                Pending::Prefix { negative, start } => self.prefixed(negative, start, rhs),
                Pending::Binary { op, position, returns_bool, matching } => {
                    let Some(lhs) = done.pop() else {
                        return;
                    };
                    let whole = self.position(lhs).to(self.position(rhs));
                    let matching = Some(matching);
                    self.push_operator(Kind::Binary { op, lhs, rhs, returns_bool, matching }, whole, position)
                }
            };
            done.push(node);
        }
    }

    /// A sign in front of a number belongs to the number.
    fn prefixed(&mut self, negative: bool, start: u32, operand: NodeId) -> NodeId {
        let node = &mut self.nodes[operand.0 as usize];
        if let Kind::Number { value, .. } = &mut node.kind {
            *value = if negative { -*value } else { *value };
            node.position.start = start;
            return operand;
        }
        let position = Position { start, end: node.position.end };
        self.push(Kind::Unary { negative, expr: operand }, position)
    }

    fn binary_modifiers(&mut self) -> Result<(bool, Matching), ParseError> {
        let returns_bool = self.accept_keyword(Keyword::Bool)?;
        let on = self.token.kind == TokenKind::Keyword(Keyword::On);
        let mut matching = Matching { on, ..Matching::default() };
        if !matching.on && self.token.kind != TokenKind::Keyword(Keyword::Ignoring) {
            return Ok((returns_bool, matching));
        }
        self.advance()?;
        matching.labels = self.grouping_labels()?;
        let left = self.accept_keyword(Keyword::GroupLeft)?;
        if left || self.accept_keyword(Keyword::GroupRight)? {
            matching.sides = if left { Sides::ManyToOne } else { Sides::OneToMany };
            // What follows may be the operand, in parentheses, only if it cannot be a list of labels: the list wins.
            matching.include = match self.token.kind {
                TokenKind::LeftParen => self.grouping_labels()?,
                kind if kind.starts_expression() => Vec::new(),
                _ => return self.unexpected("grouping opts", "\"(\""),
            };
        }
        Ok((returns_bool, matching))
    }

    fn grouping_labels(&mut self) -> Result<Vec<String>, ParseError> {
        let labels = self.open_grouping_labels()?;
        self.advance()?;
        Ok(labels)
    }

    /// Labels up to the closing parenthesis, which is left.
    fn open_grouping_labels(&mut self) -> Result<Vec<String>, ParseError> {
        if self.token.kind != TokenKind::LeftParen {
            return self.unexpected("grouping opts", "\"(\"");
        }
        self.advance()?;
        let mut labels = Vec::new();
        while self.token.kind != TokenKind::RightParen {
            labels.push(self.grouping_label()?);
            if !self.accept(TokenKind::Comma)? && self.token.kind != TokenKind::RightParen {
                return self.unexpected("grouping opts", "\",\" or \")\"");
            }
        }
        Ok(labels)
    }

    fn grouping_label(&mut self) -> Result<String, ParseError> {
        let token = self.token;
        let name = match token.kind {
            TokenKind::Text => self.text_of(token),
            kind if kind.names_label() => token.text(self.input).as_bytes().to_vec(),
            _ => return self.unexpected("grouping opts", "label"),
        };
        let name = match String::from_utf8(name) {
            Ok(name) if !name.is_empty() => name,
            wrong => {
                let bytes = wrong.map_or_else(FromUtf8Error::into_bytes, String::into_bytes);
                let name = super::quote(&bytes);
                return self.error(token.position, format!("invalid label name for grouping: {name}"));
            }
        };
        self.advance()?;
        Ok(name)
    }

    /// The bytes of a string token.
    pub(super) fn text_of(&self, token: Token) -> Vec<u8> {
        let text = token.text(self.input);
        let inside = &text[1..text.len() - 1];
        if text.starts_with('`') { inside.as_bytes().to_vec() } else { unescape(inside) }
    }

    /// A primary and what is attached to it: ranges, `offset`, `@`.
    fn operand(&mut self) -> Result<NodeId, ParseError> {
        let mut operand = self.primary()?;
        loop {
            operand = match self.token.kind {
                TokenKind::LeftBracket => self.range(operand)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(operand)?,
                TokenKind::At => self.at(operand)?,
                _ => return Ok(operand),
            };
        }
    }

    fn primary(&mut self) -> Result<NodeId, ParseError> {
        let token = self.token;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let (value, duration) = self.number()?;
                self.advance()?;
                Ok(self.push(Kind::Number { value, duration }, token.position))
            }
            TokenKind::Text => {
                self.advance()?;
                let text = self.text_of(token);
                Ok(self.push(Kind::Text(text), token.position))
            }
            TokenKind::LeftParen => self.nested(Self::parenthesized),
            TokenKind::LeftBrace => self.vector(None),
            kind if kind.names_metric() => self.named(),
            _ => self.unexpected("", ""),
        }
    }

    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Result<NodeId, ParseError>) -> Result<NodeId, ParseError> {
        if self.depth == NESTING_MAX {
            let message = format!("expression is nested more than {NESTING_MAX} levels deep");
            return self.error(self.token.position, message);
        }
        self.depth += 1;
        let node = inner(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn parenthesized(&mut self) -> Result<NodeId, ParseError> {
        let open = self.advance()?;
        let inner = self.expression()?;
        let close = self.expect(TokenKind::RightParen)?;
        Ok(self.push(Kind::Paren(inner), open.position.to(close.position)))
    }

    /// A word: an aggregation, a function or a metric, told apart by the next token.
    fn named(&mut self) -> Result<NodeId, ParseError> {
        let name = self.advance()?;
        match (name.kind, self.token.kind) {
            (TokenKind::Aggregation(op), TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without)) => {
                self.nested(|parser| parser.aggregate(name, op))
            }
            (TokenKind::Identifier, TokenKind::LeftParen) => self.nested(|parser| parser.call(name)),
            _ => self.vector(Some(name)),
        }
    }

    fn vector(&mut self, name: Option<Token>) -> Result<NodeId, ParseError> {
        let start = name.map_or(self.token.position, |name| name.position);
        let selector = self.selector(name)?;
        let position = Position::new(start.start as usize, self.end);
        Ok(self.push(Kind::Vector(selector), position))
    }

    fn call(&mut self, name: Token) -> Result<NodeId, ParseError> {
        let args = self.arguments()?;
        let text = name.text(self.input);
        let Some(function) = function::find(text) else {
            return self.error(name.position, format!("unknown function with name {}", super::quote(text.as_bytes())));
        };
        self.advance()?;
        let position = Position::new(name.position.start as usize, self.end);
        Ok(self.push(Kind::Call { function, args }, position))
    }

    /// Arguments up to the closing parenthesis, which is left: the call is judged before the lexer looks further.
    fn arguments(&mut self) -> Result<Vec<NodeId>, ParseError> {
        self.expect(TokenKind::LeftParen)?;
        let mut args = Vec::new();
        if self.token.kind == TokenKind::RightParen {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            let token = self.token;
            if token.kind == TokenKind::RightParen {
                return Ok(args);
            }
            self.expect(TokenKind::Comma)?;
            if !self.token.kind.starts_expression() {
                return self.error(token.position, "trailing commas not allowed in function call args");
            }
        }
    }

    fn aggregate(&mut self, name: Token, op: Aggregation) -> Result<NodeId, ParseError> {
        self.aggregations += 1;
        let mut grouping = self.aggregate_modifier()?;
        if grouping.is_some() {
            self.advance()?;
        }
        let mut args = self.arguments()?;
        let wanted = if op.takes_param() { 2 } else { 1 };
        // What follows is looked at only where it may be the grouping.
        if grouping.is_some() {
            self.check_arity(name.position, args.len(), wanted)?;
        }
        self.advance()?;
        self.aggregations -= 1;
        if grouping.is_none() {
            grouping = self.aggregate_modifier()?;
            self.check_arity(name.position, args.len(), wanted)?;
            if grouping.is_some() {
                self.advance()?;
            }
        }
        let position = Position::new(name.position.start as usize, self.end);
        let expr = args.remove(wanted - 1);
        let kind = Kind::Aggregate { op, expr, param: args.pop(), grouping: grouping.unwrap_or_default() };
        Ok(self.push(kind, position))
    }

    fn check_arity(&self, position: Position, got: usize, wanted: usize) -> Result<(), ParseError> {
        if got == 0 {
            return self.error(position, "no arguments for aggregate expression provided");
        }
        if got != wanted {
            let message = "wrong number of arguments for aggregate expression provided, expected";
            return self.error(position, format!("{message} {wanted}, got {got}"));
        }
        Ok(())
    }

    /// `by (...)` or `without (...)` up to the closing parenthesis, which is left.
    fn aggregate_modifier(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = self.token.kind == TokenKind::Keyword(Keyword::Without);
        if !without && self.token.kind != TokenKind::Keyword(Keyword::By) {
            return Ok(None);
        }
        self.advance()?;
        Ok(Some(Grouping { labels: self.open_grouping_labels()?, without }))
    }
}
