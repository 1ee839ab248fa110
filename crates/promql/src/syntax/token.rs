//! Tokens and what error messages call them.

use super::escape::quote;
use super::tree::{Aggregation, BinaryOp};
use crate::Position;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    End,
    Identifier,
    MetricIdentifier,
    Number,
    Duration,
    Text,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// A single `=`.
    Equal,
    EqualMatch,
    NotEqualMatch,
    At,
    Operator(BinaryOp),
    Aggregation(Aggregation),
    Keyword(Keyword),
    Start,
    EndKeyword,
}

/// Words with a place in the grammar that are neither operators nor aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Bool,
    By,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Without,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) position: Position,
}

/// Words are keywords in any case.
pub(super) fn keyword(word: &str) -> Option<TokenKind> {
    let word = word.to_ascii_lowercase();
    if let Some(op) = Aggregation::from_name(&word) {
        return Some(TokenKind::Aggregation(op));
    }
    Some(match word.as_str() {
        "and" => TokenKind::Operator(BinaryOp::And),
        "or" => TokenKind::Operator(BinaryOp::Or),
        "unless" => TokenKind::Operator(BinaryOp::Unless),
        "atan2" => TokenKind::Operator(BinaryOp::Atan2),
        "bool" => TokenKind::Keyword(Keyword::Bool),
        "by" => TokenKind::Keyword(Keyword::By),
        "group_left" => TokenKind::Keyword(Keyword::GroupLeft),
        "group_right" => TokenKind::Keyword(Keyword::GroupRight),
        "ignoring" => TokenKind::Keyword(Keyword::Ignoring),
        "offset" => TokenKind::Keyword(Keyword::Offset),
        "on" => TokenKind::Keyword(Keyword::On),
        "without" => TokenKind::Keyword(Keyword::Without),
        "start" => TokenKind::Start,
        "end" => TokenKind::EndKeyword,
        "inf" | "nan" => TokenKind::Number,
        _ => return None,
    })
}

impl TokenKind {
    /// Whether the token can name a metric where an expression begins.
    pub(super) fn names_metric(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregation(_) | Self::Start | Self::EndKeyword => true,
            Self::Operator(op) => matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless),
            Self::Keyword(word) => matches!(word, Keyword::By | Keyword::Offset | Keyword::Without),
            _ => false,
        }
    }

    /// Whether an expression can begin with the token.
    pub(super) fn starts_expression(self) -> bool {
        match self {
            Self::Number | Self::Duration | Self::Text | Self::LeftParen | Self::LeftBrace => true,
            Self::Operator(BinaryOp::Add | BinaryOp::Sub) => true,
            other => other.names_metric(),
        }
    }

    /// Whether the token can name a label in `by (...)` and the like.
    pub(super) fn names_label(self) -> bool {
        match self {
            Self::Operator(op) => {
                matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::Atan2)
            }
            Self::Keyword(word) => word != Keyword::Without,
            other => other.names_metric(),
        }
    }
}

impl Token {
    pub(super) fn text(self, input: &str) -> &str {
        &input[self.position.start as usize..self.position.end as usize]
    }

    /// What Prometheus' parser calls the token after "unexpected".
    pub(super) fn describe(self, input: &str) -> String {
        let text = self.text(input);
        match self.kind {
            TokenKind::End => "end of input".to_owned(),
            TokenKind::Identifier => format!("identifier {}", quote(text.as_bytes())),
            TokenKind::MetricIdentifier => format!("metric identifier {}", quote(text.as_bytes())),
            TokenKind::Number => format!("number {}", shortened(text)),
            TokenKind::Duration => format!("duration {}", shortened(text)),
            TokenKind::Text => format!("string {}", shortened(text)),
            TokenKind::Keyword(_) => format!("<{text}>"),
            // Upstream's table of names lacks `@`, and its users have learnt to read this.
            TokenKind::At => "\"<Item 57400>\" <op:@>".to_owned(),
            TokenKind::Operator(_) | TokenKind::EqualMatch | TokenKind::NotEqualMatch => format!("<op:{text}>"),
            TokenKind::Aggregation(_) => format!("<aggr:{text}>"),
            _ => shortened(text),
        }
    }
}

/// Longer texts than this are cut in messages.
const QUOTED_CHARS_MAX: usize = 10;

fn shortened(text: &str) -> String {
    if text.len() <= QUOTED_CHARS_MAX {
        return quote(text.as_bytes());
    }
    let head: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    format!("{}...", quote(head.as_bytes()))
}
