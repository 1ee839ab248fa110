//! What stands between braces.

use model::{METRIC_NAME, MatchOp, Matcher};

use super::parser::Parser;
use super::token::{Token, TokenKind};
use super::tree::{BinaryOp, Modifiers, VectorSelector};
use crate::error::ParseError;

impl Parser<'_> {
    /// Braces, if they follow, and the condition that the name stands for.
    pub(super) fn selector(&mut self, name: Option<Token>) -> Result<VectorSelector, ParseError> {
        let mut matchers = Vec::new();
        if self.token.kind == TokenKind::LeftBrace {
            self.matchers(&mut matchers)?;
        }
        let name = name.map_or_else(String::new, |name| name.text(self.input).to_owned());
        if !name.is_empty() {
            matchers.push(Matcher::equal(METRIC_NAME, name.clone()));
        }
        Ok(VectorSelector { name, matchers, modifiers: Modifiers::default() })
    }

    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Result<(), ParseError> {
        self.advance()?;
        if self.accept(TokenKind::RightBrace)? {
            return Ok(());
        }
        loop {
            matchers.push(self.matcher()?);
            if self.accept(TokenKind::Comma)? {
                if self.accept(TokenKind::RightBrace)? {
                    return Ok(());
                }
            } else if self.accept(TokenKind::RightBrace)? {
                return Ok(());
            } else {
                return self.unexpected("label matching", "\",\" or \"}\"");
            }
        }
    }

    fn matcher(&mut self) -> Result<Matcher, ParseError> {
        let token = self.token;
        let name = match token.kind {
            TokenKind::Identifier => token.text(self.input).to_owned(),
            TokenKind::Text => lossy(self.text_of(token)),
            _ => return self.unexpected("label matching", "identifier or \"}\""),
        };
        self.advance()?;
        let op = match self.token.kind {
            TokenKind::Equal => MatchOp::Equal,
            TokenKind::Operator(BinaryOp::NotEqual) => MatchOp::NotEqual,
            TokenKind::EqualMatch => MatchOp::Match,
            TokenKind::NotEqualMatch => MatchOp::NotMatch,
            _ if token.kind == TokenKind::Text => return Ok(Matcher::equal(METRIC_NAME, name)),
            _ => return self.unexpected("label matching", "label matching operator"),
        };
        self.advance()?;
        let value = self.token;
        if value.kind != TokenKind::Text {
            return self.unexpected("label matching", "string");
        }
        let matcher = Matcher::new(op, name, lossy(self.text_of(value)));
        match matcher {
            Ok(matcher) => {
                self.advance()?;
                Ok(matcher)
            }
            Err(e) => self.error(token.position.to(value.position), e.to_string()),
        }
    }
}

/// Label names and values are UTF-8, so bytes that are not match nothing that they could match before.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}
