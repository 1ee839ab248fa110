//! What is attached to an operand: ranges, `offset`, `@`.

use super::number::{OF_NAN, parse_number_or_duration, seconds_to_millis};
use super::parser::{PREFIX_PRECEDENCE, Parser};
use super::token::TokenKind;
use super::tree::{AtTime, BinaryOp, Kind, Modifiers, NodeId};
use crate::error::{ParseError, Position};

const NOT_ENABLED: &str = "experimental duration expression is not enabled";

/// What the error says that should stand where a duration does not.
#[derive(Clone, Copy)]
struct Expected {
    context: &'static str,
    what: &'static str,
}

/// The step of a subquery may be left out.
const STEP: Expected = Expected { context: "subquery selector", what: "number or duration or \"]\"" };

/// What waits for the operand behind it.
#[derive(Clone, Copy)]
enum Pending {
    Paren,
    Sign {
        position: Position,
        negative: bool,
    },
    /// The left operand begins there.
    Binary {
        op: BinaryOp,
        left: Position,
    },
}

impl Parser<'_> {
    /// `[5m]` or `[5m:1m]` after an operand.
    pub(super) fn range(&mut self, operand: NodeId) -> Result<NodeId, ParseError> {
        let open = self.advance()?;
        let range = self.positive_duration(Expected { context: "subquery selector", what: "number or duration" })?;
        if self.accept(TokenKind::Colon)? {
            let step = match self.token.kind {
                TokenKind::RightBracket => None,
                _ => Some(self.positive_duration(STEP)?),
            };
            if self.token.kind != TokenKind::RightBracket {
                return self.unexpected("subquery selector", "\"]\"");
            }
            let close = self.advance()?;
            let position = self.position(operand).to(close.position);
            let modifiers = Modifiers::default();
            return Ok(self.push(Kind::Subquery { expr: operand, range, step, modifiers }, position));
        }
        if self.token.kind != TokenKind::RightBracket {
            return self.unexpected("subquery or range", "\":\" or \"]\"");
        }
        let close = self.token;
        let brackets = open.position.to(close.position);
        let Kind::Vector(selector) = &self.node(operand).kind else {
            return self.error(brackets, "ranges only allowed for vector selectors");
        };
        if selector.modifiers.offset != 0 {
            return self.error(brackets, "no offset modifiers allowed before range");
        }
        // `start()` and `end()` pass, as upstream forgets them here.
        if matches!(selector.modifiers.at, Some(AtTime::Fixed(_))) {
            return self.error(brackets, "no @ modifiers allowed before range");
        }
        self.advance()?;
        let position = self.position(operand).to(close.position);
        Ok(self.push(Kind::Matrix { selector: operand, range }, position))
    }

    /// Milliseconds of a duration or of a number of seconds, which must be positive.
    fn positive_duration(&mut self, expected: Expected) -> Result<i64, ParseError> {
        let start = self.token.position;
        let (millis, is_positive) = self.duration_expression(expected)?;
        if is_positive { Ok(millis) } else { self.error(start, "duration must be greater than 0") }
    }

    /// Milliseconds of a duration with signs in front, and whether it is positive before it is cut. Arithmetic of durations is an experiment that is not
    /// built: it is read as far as Prometheus reads it before it says so, which is to the first operator that has both its
    /// operands, or to a closing parenthesis.
    fn duration_expression(&mut self, expected: Expected) -> Result<(i64, bool), ParseError> {
        let mut pending: Vec<Pending> = Vec::new();
        loop {
            let position = self.token.position;
            match self.token.kind {
                TokenKind::LeftParen => pending.push(Pending::Paren),
                TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                    pending.push(Pending::Sign { position, negative: op == BinaryOp::Sub });
                }
                _ => {
                    let (millis, zero) = self.duration(expected, None)?;
                    self.advance()?;
                    let (operand, negative) = self.reduce_duration(&mut pending, position)?;
                    match self.token.kind {
                        TokenKind::Operator(op) if op.is_arithmetic() => {
                            pending.push(Pending::Binary { op, left: operand });
                        }
                        _ if pending.is_empty() => {
                            return Ok((if negative { -millis } else { millis }, !negative && !zero));
                        }
                        TokenKind::RightParen => return self.error(operand, NOT_ENABLED),
                        _ => return self.unexpected(expected.context, expected.what),
                    }
                }
            }
            self.advance()?;
        }
    }

    /// Where the operand begins with the signs that belong to it, and whether they make it negative. An operator in front
    /// that binds at least as tightly as what follows has both its operands.
    fn reduce_duration(
        &self,
        pending: &mut Vec<Pending>,
        mut operand: Position,
    ) -> Result<(Position, bool), ParseError> {
        let next = match self.token.kind {
            TokenKind::Operator(op) if op.is_arithmetic() => Some(op),
            _ => None,
        };
        let binds = |precedence: u8| {
            next.is_none_or(|next| {
                precedence > next.precedence() || precedence == next.precedence() && next != BinaryOp::Pow
            })
        };
        let mut is_negative = false;
        loop {
            match pending.last().copied() {
                Some(Pending::Sign { position, negative }) if binds(PREFIX_PRECEDENCE) => {
                    operand = position;
                    is_negative ^= negative;
                    pending.pop();
                }
                Some(Pending::Binary { op, left }) if binds(op.precedence()) => return self.error(left, NOT_ENABLED),
                _ => return Ok((operand, is_negative)),
            }
        }
    }

    /// Consumes signs; whether they make a number negative, and where the sign is, if there is one alone.
    fn signs(&mut self) -> Result<(bool, Option<Position>), ParseError> {
        let (mut negative, mut count, first) = (false, 0, self.token.position);
        while let TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) = self.token.kind {
            negative ^= op == BinaryOp::Sub;
            count += 1;
            self.advance()?;
        }
        Ok((negative, (count == 1).then_some(first)))
    }

    /// Milliseconds, and whether the number is zero before it is cut to milliseconds. The token is not consumed. A number that
    /// is too large is told with its sign, if that is given.
    fn duration(&self, expected: Expected, sign: Option<Position>) -> Result<(i64, bool), ParseError> {
        if !matches!(self.token.kind, TokenKind::Number | TokenKind::Duration) {
            return self.unexpected(expected.context, expected.what);
        }
        let (seconds, _) = self.number()?;
        match seconds_to_millis(seconds) {
            Ok(millis) => Ok((millis, seconds == 0.0)),
            Err(message) => self.error(sign.unwrap_or(self.token.position), message),
        }
    }

    /// The value of a number or a duration, the latter in seconds. The token is not consumed: what it is used for is
    /// judged before the lexer looks further.
    pub(super) fn number(&self) -> Result<(f64, bool), ParseError> {
        let duration = self.token.kind == TokenKind::Duration;
        match parse_number_or_duration(self.token.text(self.input), duration) {
            Ok(value) => Ok((value, duration)),
            Err(message) => self.error(self.token.position, message),
        }
    }

    pub(super) fn offset(&mut self, operand: NodeId) -> Result<NodeId, ParseError> {
        self.advance()?;
        let (negative, sign) = self.signs()?;
        let expected = Expected { context: "offset", what: "number or duration" };
        let (millis, _) = match self.token.kind {
            TokenKind::LeftParen => self.duration_expression(expected)?,
            _ => self.duration(expected, sign)?,
        };
        let offset = if negative && millis != OF_NAN { -millis } else { millis };
        let Some(modifiers) = self.modifiers(operand) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector selector or a \
                           subquery";
            return self.error(self.position(operand), message);
        };
        if modifiers.offset != 0 {
            return self.error(self.position(operand), "offset may not be set multiple times");
        }
        modifiers.offset = offset;
        self.advance()?;
        Ok(operand)
    }

    pub(super) fn at(&mut self, operand: NodeId) -> Result<NodeId, ParseError> {
        self.advance()?;
        let at = match self.token.kind {
            TokenKind::Start | TokenKind::EndKeyword => {
                let start = self.advance()?.kind == TokenKind::Start;
                let open = self.accept(TokenKind::LeftParen)?;
                if !open || self.token.kind != TokenKind::RightParen {
                    return self.unexpected("@", "timestamp");
                }
                if start { AtTime::Start } else { AtTime::End }
            }
            _ => self.fixed_time(operand)?,
        };
        let Some(modifiers) = self.modifiers(operand) else {
            let message =
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return self.error(self.position(operand), message);
        };
        if modifiers.at.is_some() {
            return self.error(self.position(operand), "@ <timestamp> may not be set multiple times");
        }
        modifiers.at = Some(at);
        self.advance()?;
        Ok(operand)
    }

    /// A time after `@`; its number is not consumed.
    fn fixed_time(&mut self, operand: NodeId) -> Result<AtTime, ParseError> {
        let negative = match self.token.kind {
            TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.advance()?;
                op == BinaryOp::Sub
            }
            _ => false,
        };
        if !matches!(self.token.kind, TokenKind::Number | TokenKind::Duration) {
            return self.unexpected("@", "timestamp");
        }
        let (number, _) = self.number()?;
        let seconds = if negative { -number } else { number };
        if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
            let message = format!("timestamp out of bounds for @ modifier: {}", go_fixed(seconds));
            return self.error(self.position(operand), message);
        }
        // Milliseconds that do not fit are the smallest number in Go on amd64.
        let millis = (seconds * 1e3).round();
        Ok(AtTime::Fixed(if millis.abs() < i64::MAX as f64 { millis as i64 } else { i64::MIN }))
    }

    /// The modifiers of a selector or subquery, whose text now ends with the next token.
    fn modifiers(&mut self, operand: NodeId) -> Option<&mut Modifiers> {
        let end = self.token.position.end;
        let mut target = operand.0 as usize;
        if let Kind::Matrix { selector, .. } = self.nodes[target].kind {
            self.nodes[target].position.end = end;
            target = selector.0 as usize;
        }
        let node = &mut self.nodes[target];
        match &mut node.kind {
            Kind::Vector(selector) => {
                if target == operand.0 as usize {
                    node.position.end = end;
                }
                Some(&mut selector.modifiers)
            }
            Kind::Subquery { modifiers, .. } => {
                node.position.end = end;
                Some(modifiers)
            }
            _ => None,
        }
    }
}

/// Go's `%f`.
fn go_fixed(number: f64) -> String {
    match number {
        n if n.is_nan() => "NaN".to_owned(),
        n if n.is_infinite() => if n > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        n => format!("{n:.6}"),
    }
}
