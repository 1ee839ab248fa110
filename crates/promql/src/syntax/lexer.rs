//! Text to tokens. What a character means depends on open braces and brackets, as in Prometheus' lexer.

use super::token::{Token, TokenKind, keyword};
use super::tree::BinaryOp;
use crate::error::{ParseError, Position};

/// Where the lexer stands: inside braces every word is a label name, inside brackets only durations are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bracket {
    Closed,
    /// After `[`: a duration must come.
    Open,
    /// After the range's duration.
    Duration,
    /// After the colon of a subquery.
    Colon,
}

pub(super) struct Lexer<'a> {
    input: &'a str,
    at: usize,
    start: usize,
    parens: usize,
    in_braces: bool,
    bracket: Bracket,
    /// Some bracket had a duration. Upstream asks no more: a later one may begin with a colon, which the parser refuses.
    had_duration: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a str) -> Self {
        Self { input, at: 0, start: 0, parens: 0, in_braces: false, bracket: Bracket::Closed, had_duration: false }
    }

    /// The next token, comments left out; at the end [`TokenKind::End`] again and again.
    pub(super) fn next(&mut self) -> Result<Token, ParseError> {
        self.skip_blanks();
        self.start = self.at;
        let kind = if self.in_braces { self.inside_braces()? } else { self.statement()? };
        Ok(Token { kind, position: self.position() })
    }

    fn position(&self) -> Position {
        Position::new(self.start, self.at)
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.input, Position::new(self.start, self.input.len()), message))
    }

    fn peek(&self) -> Option<char> {
        self.input[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        if found {
            self.at += 1;
        }
        found
    }

    fn accept_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            self.accept_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            if self.peek() != Some('#') || self.bracket == Bracket::Open {
                return;
            }
            self.accept_while(|c| !matches!(c, '\n' | '\r'));
        }
    }

    fn statement(&mut self) -> Result<TokenKind, ParseError> {
        let Some(c) = self.bump() else {
            return self.end();
        };
        if self.bracket == Bracket::Open {
            return self.duration_expression(c);
        }
        Ok(match c {
            ',' => TokenKind::Comma,
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            '@' => TokenKind::At,
            '=' => return self.after_equal(),
            '!' => return self.after_bang(),
            '<' if self.accept("=") => TokenKind::Operator(BinaryOp::LessEqual),
            '<' => TokenKind::Operator(BinaryOp::Less),
            '>' if self.accept("=") => TokenKind::Operator(BinaryOp::GreaterEqual),
            '>' => TokenKind::Operator(BinaryOp::Greater),
            '0'..='9' => return self.number_or_duration(c),
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => return self.number_or_duration(c),
            '"' | '\'' => return self.quoted(c),
            '`' => return self.raw(),
            '(' | ')' => return self.paren(c),
            '{' => {
                self.in_braces = true;
                TokenKind::LeftBrace
            }
            '[' if self.bracket != Bracket::Closed => return self.error("unexpected left bracket '['"),
            '[' => {
                self.bracket = Bracket::Open;
                TokenKind::LeftBracket
            }
            ']' if self.bracket == Bracket::Closed => return self.error("unexpected right bracket ']'"),
            ']' => {
                self.bracket = Bracket::Closed;
                TokenKind::RightBracket
            }
            c if is_alpha(c) || c == ':' => return self.word(c),
            c => return self.error(format!("unexpected character: {}", quote_char(c))),
        })
    }

    fn end(&self) -> Result<TokenKind, ParseError> {
        match self.bracket {
            Bracket::Open => self.error("unexpected end of input in duration expression"),
            _ if self.parens > 0 => self.error("unclosed left parenthesis"),
            Bracket::Closed => Ok(TokenKind::End),
            _ => self.error("unclosed left bracket"),
        }
    }

    fn after_equal(&mut self) -> Result<TokenKind, ParseError> {
        match self.peek() {
            Some('=') => {
                self.bump();
                Ok(TokenKind::Operator(BinaryOp::Equal))
            }
            Some('~') => self.error("unexpected character after '=': '~'"),
            _ => Ok(TokenKind::Equal),
        }
    }

    fn after_bang(&mut self) -> Result<TokenKind, ParseError> {
        match self.bump() {
            Some('=') => Ok(TokenKind::Operator(BinaryOp::NotEqual)),
            other => self.error(format!("unexpected character after '!': {}", quote_next(other))),
        }
    }

    fn paren(&mut self, c: char) -> Result<TokenKind, ParseError> {
        if c == '(' {
            self.parens += 1;
            return Ok(TokenKind::LeftParen);
        }
        if self.parens == 0 {
            self.start = self.at;
            return self.error("unexpected right parenthesis ')'");
        }
        self.parens -= 1;
        Ok(TokenKind::RightParen)
    }

    /// Inside brackets, before the first duration. Arithmetic is recognised so that the parser can say that it is not
    /// enabled.
    fn duration_expression(&mut self, c: char) -> Result<TokenKind, ParseError> {
        Ok(match c {
            ']' => {
                self.bracket = Bracket::Closed;
                TokenKind::RightBracket
            }
            ':' if self.had_duration => {
                self.bracket = Bracket::Colon;
                TokenKind::Colon
            }
            ':' => {
                self.start = self.at;
                return self.error("unexpected colon before duration in duration expression");
            }
            '(' | ')' => return self.paren(c),
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            '0'..='9' | '.' if c != '.' || self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                self.bracket = Bracket::Duration;
                self.had_duration = true;
                return self.number_or_duration(c);
            }
            c => return self.error(format!("unexpected character in duration expression: {}", quote_char(c))),
        })
    }

    fn word(&mut self, first: char) -> Result<TokenKind, ParseError> {
        match self.bracket {
            Bracket::Closed => {}
            Bracket::Colon => return self.error(format!("unexpected colon {}", quote_char(first))),
            Bracket::Open | Bracket::Duration => {
                self.bracket = Bracket::Colon;
                return Ok(TokenKind::Colon);
            }
        }
        self.accept_while(|c| is_alphanumeric(c) || c == ':');
        let word = &self.input[self.start..self.at];
        Ok(match keyword(word) {
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        })
    }

    fn inside_braces(&mut self) -> Result<TokenKind, ParseError> {
        let Some(c) = self.bump() else {
            return self.error("unexpected end of input inside braces");
        };
        Ok(match c {
            ',' => TokenKind::Comma,
            '"' | '\'' => return self.quoted(c),
            '`' => return self.raw(),
            '=' if self.accept("~") => TokenKind::EqualMatch,
            '=' => TokenKind::Equal,
            '!' if self.accept("~") => TokenKind::NotEqualMatch,
            '!' if self.accept("=") => TokenKind::Operator(BinaryOp::NotEqual),
            '!' => {
                let next = self.bump();
                return self.error(format!("unexpected character after '!' inside braces: {}", quote_next(next)));
            }
            '{' => return self.error("unexpected left brace '{'"),
            '}' => {
                self.in_braces = false;
                TokenKind::RightBrace
            }
            c if is_alpha(c) => {
                self.accept_while(is_alphanumeric);
                TokenKind::Identifier
            }
            c => return self.error(format!("unexpected character inside braces: {}", quote_char(c))),
        })
    }

    fn quoted(&mut self, open: char) -> Result<TokenKind, ParseError> {
        loop {
            match self.bump() {
                None | Some('\n') => return self.error("unterminated quoted string"),
                Some('\u{fffd}') => return self.error("invalid UTF-8 rune"),
                Some('\\') => self.escape(open)?,
                Some(c) if c == open => return Ok(TokenKind::Text),
                Some(_) => {}
            }
        }
    }

    fn raw(&mut self) -> Result<TokenKind, ParseError> {
        loop {
            match self.bump() {
                None => return self.error("unterminated raw string"),
                Some('\u{fffd}') => return self.error("invalid UTF-8 rune"),
                Some('`') => return Ok(TokenKind::Text),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self, open: char) -> Result<(), ParseError> {
        let Some(c) = self.bump() else {
            return self.error("escape sequence not terminated");
        };
        let (digits, radix, max) = match c {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == open => return Ok(()),
            '0'..='7' => {
                self.at -= 1;
                (3, 8, 255)
            }
            'x' => (2, 16, 255),
            'u' => (4, 16, 0x10_ffff),
            'U' => (8, 16, 0x10_ffff),
            c => return self.error(format!("unknown escape sequence {}", describe_char(c))),
        };
        self.escaped_code(digits, radix, max)
    }

    fn escaped_code(&mut self, digits: u32, radix: u32, max: u32) -> Result<(), ParseError> {
        let mut code = 0u32;
        for _ in 0..digits {
            let Some(c) = self.bump() else {
                return self.error("escape sequence not terminated");
            };
            let Some(digit) = c.to_digit(radix) else {
                return self.error(format!("illegal character {} in escape sequence", describe_char(c)));
            };
            code = code.wrapping_mul(radix).wrapping_add(digit);
        }
        if code > max || (0xd800..0xe000).contains(&code) {
            return self.error("escape sequence is an invalid Unicode code point");
        }
        Ok(())
    }

    fn number_or_duration(&mut self, first: char) -> Result<TokenKind, ParseError> {
        self.at -= first.len_utf8();
        if self.scan_number() {
            return Ok(TokenKind::Number);
        }
        if self.scan_duration() {
            return Ok(TokenKind::Duration);
        }
        let text = &self.input[self.start..self.at];
        self.error(format!("bad number or duration syntax: {}", super::quote(text.as_bytes())))
    }

    /// Scans what looks like a number; leaves the place where it stopped looking like one, for the error message and
    /// because a duration's digits are scanned here first.
    fn scan_number(&mut self) -> bool {
        let begin = self.at;
        let hex = self.accept("0") && self.accept("xX");
        let digits = if hex { "0123456789abcdefABCDEF" } else { "0123456789" };
        if hex {
            self.accept("_");
        }
        self.accept(".");
        self.accept(digits);
        let (mut dot, mut exponent) = (false, false);
        loop {
            // An `e` is an exponent even where it might be a hexadecimal digit, unless digits stand right before it.
            match self.peek() {
                Some('.') => {
                    self.at += 1;
                    if dot || hex || self.accept("_.") {
                        return false;
                    }
                    dot = true;
                }
                Some('e' | 'E') => {
                    self.at += 1;
                    if exponent {
                        return false;
                    }
                    exponent = true;
                    self.accept("+-");
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                Some('_') => {
                    self.at += 1;
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                Some(c) if digits.contains(c) => self.accept_while(|c| digits.contains(c)),
                _ => break,
            }
        }
        self.at > begin && !self.peek().is_some_and(is_alphanumeric)
    }

    /// Scans units and further numbers after a duration's first digits.
    fn scan_duration(&mut self) -> bool {
        if !self.accept("smhdwy") {
            return false;
        }
        self.accept("s");
        while self.accept("0123456789") {
            self.accept_while(|c| c.is_ascii_digit());
            if !self.accept("smhdw") {
                return false;
            }
            self.accept("s");
        }
        match self.peek() {
            Some(c) if is_alphanumeric(c) => {
                self.bump();
                false
            }
            _ => true,
        }
    }
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}

/// A character in single quotes, as Go's `%q`.
fn quote_char(c: char) -> String {
    match c {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => {
            let quoted = super::quote(c.encode_utf8(&mut [0; 4]).as_bytes());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

/// What stands where a character was expected. Go's lexer reads the end of the input as code point -1.
fn quote_next(c: Option<char>) -> String {
    c.map_or_else(|| "'\u{fffd}'".to_owned(), quote_char)
}

/// `U+0071 'q'`, or `U+000A` where there is nothing to see.
fn describe_char(c: char) -> String {
    let code = format!("U+{:04X}", u32::from(c));
    let quoted = super::quote(c.encode_utf8(&mut [0; 4]).as_bytes());
    let is_visible = matches!(c, '"' | '\\') || quoted[1..quoted.len() - 1].chars().eq([c]);
    if is_visible { format!("{code} '{c}'") } else { code }
}
