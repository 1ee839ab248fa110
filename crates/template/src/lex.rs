//! Text to tokens.

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Outside of actions.
    Text,
    /// `{{`, with or without `-`.
    Open,
    /// `}}`, with or without `-`.
    Close,
    /// `if`, `range`, `printf`, `true`: a word.
    Word,
    /// `.name`
    Field,
    /// `$name` or `$`
    Variable,
    Number,
    /// `'x'`
    Char,
    /// `"..."`, quotes and escapes as written.
    Quoted,
    /// `` `...` ``
    Raw,
    Dot,
    Pipe,
    Declare,
    Assign,
    Comma,
    ParenOpen,
    ParenClose,
    Space,
    /// A printable character of no meaning; the parser complains.
    Other,
    Eof,
}

/// A token: its kind and where it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A place that no token begins at, with what is wrong there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LexError {
    pub(crate) position: usize,
    pub(crate) message: String,
}

/// Cuts a text into tokens; the last one is [`Kind::Eof`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, LexError> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), parens: 0 };
    lexer.run()?;
    lexer.push(Kind::Eof, text.len());
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    parens: usize,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// A token from here to `end`, where the lexer goes on.
    fn push(&mut self, kind: Kind, end: usize) {
        self.tokens.push(Token { kind, start: self.at, end });
        self.at = end;
    }

    fn error(&self, position: usize, message: impl Into<String>) -> LexError {
        LexError { position, message: message.into() }
    }

    fn run(&mut self) -> Result<(), LexError> {
        let mut trim = false;
        loop {
            if trim {
                self.at = self.text.len() - self.rest().trim_start_matches(SPACES).len();
            }
            let Some(length) = self.rest().find(OPEN) else {
                if !self.rest().is_empty() {
                    self.push(Kind::Text, self.text.len());
                }
                return Ok(());
            };
            let open = self.at + length;
            let mut end = open;
            if trims_left(&self.text[open + OPEN.len()..]) {
                end = self.at + self.text[self.at..open].trim_end_matches(SPACES).len();
            }
            if end > self.at {
                self.push(Kind::Text, end);
            }
            self.at = open;
            trim = self.action()?;
        }
    }

    /// From `{{` to `}}`; whether the text behind is trimmed.
    fn action(&mut self) -> Result<bool, LexError> {
        let marker = if trims_left(&self.text[self.at + OPEN.len()..]) { 2 } else { 0 };
        let inside = self.at + OPEN.len() + marker;
        if self.text[inside..].starts_with("/*") {
            return self.comment(inside);
        }
        self.push(Kind::Open, inside);
        self.parens = 0;
        loop {
            let rest = self.rest();
            if let Some(trimmed) = close(rest) {
                if self.parens > 0 {
                    return Err(self.error(self.at, "unclosed left paren"));
                }
                self.push(Kind::Close, self.at + trimmed);
                return Ok(trimmed > CLOSE.len());
            }
            let Some(first) = rest.chars().next() else {
                return Err(self.error(self.at, "unclosed action"));
            };
            self.token(first)?;
        }
    }

    fn comment(&mut self, inside: usize) -> Result<bool, LexError> {
        let Some(length) = self.text[inside..].find("*/") else {
            return Err(self.error(inside, "unclosed comment"));
        };
        let end = inside + length + 2;
        let Some(trimmed) = close(&self.text[end..]) else {
            return Err(self.error(end, "comment ends before closing delimiter"));
        };
        self.at = end + trimmed;
        Ok(trimmed > CLOSE.len())
    }

    fn token(&mut self, first: char) -> Result<(), LexError> {
        let rest = self.rest();
        let one = self.at + first.len_utf8();
        match first {
            c if SPACES.contains(&c) => {
                // The blank of a trimming `-}}` belongs to the delimiter.
                let mut length = rest.len() - rest.trim_start_matches(SPACES).len();
                if rest[length..].starts_with("-}}") {
                    length -= 1;
                }
                let end = self.at + length.max(1);
                self.push(Kind::Space, end);
            }
            '=' => self.push(Kind::Assign, one),
            ':' if rest.starts_with(":=") => self.push(Kind::Declare, one + 1),
            ':' => return Err(self.error(self.at, "expected :=")),
            '|' => self.push(Kind::Pipe, one),
            ',' => self.push(Kind::Comma, one),
            '"' => self.quoted('"', Kind::Quoted, "unterminated quoted string")?,
            '\'' => self.quoted('\'', Kind::Char, "unterminated character constant")?,
            '`' => {
                let Some(length) = rest[1..].find('`') else {
                    return Err(self.error(self.at, "unterminated raw quoted string"));
                };
                self.push(Kind::Raw, self.at + length + 2);
            }
            '$' => self.word(Kind::Variable, one)?,
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let kind = if rest[1..].starts_with(is_letter) { Kind::Field } else { Kind::Dot };
                if kind == Kind::Dot { self.push(kind, one) } else { self.word(kind, one)? }
            }
            '(' => {
                self.parens += 1;
                self.push(Kind::ParenOpen, one);
            }
            ')' => {
                if self.parens == 0 {
                    return Err(self.error(self.at, "unexpected right paren"));
                }
                self.parens -= 1;
                self.push(Kind::ParenClose, one);
            }
            '+' | '-' | '.' | '0'..='9' => self.number()?,
            c if is_letter(c) => self.word(Kind::Word, one)?,
            c if c.is_ascii_graphic() => self.push(Kind::Other, one),
            c => return Err(self.error(self.at, format!("unrecognized character in action: {}", unicode(c)))),
        }
        Ok(())
    }

    /// Letters and digits from `from` on; what follows must end a word.
    fn word(&mut self, kind: Kind, from: usize) -> Result<(), LexError> {
        let tail = &self.text[from..];
        let end = from + tail.find(|c: char| !is_letter(c) && !c.is_numeric()).unwrap_or(tail.len());
        match self.text[end..].chars().next() {
            Some(c) if !ends_word(c) && !self.text[end..].starts_with(CLOSE) => {
                Err(self.error(end, format!("bad character {}", unicode(c))))
            }
            _ => {
                self.push(kind, end);
                Ok(())
            }
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind, message: &str) -> Result<(), LexError> {
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' if chars.next().is_some_and(|(_, c)| c != '\n') => {}
                '\n' | '\\' => break,
                c if c == quote => {
                    self.push(kind, self.at + i + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(self.error(self.at, message))
    }

    fn number(&mut self) -> Result<(), LexError> {
        let rest = self.rest();
        let mut previous = ' ';
        let mut end = rest.len();
        for (i, c) in rest.char_indices() {
            let sign = matches!(c, '+' | '-') && (i == 0 || matches!(previous, 'e' | 'E' | 'p' | 'P'));
            if !(sign || c == '.' || c == '_' || c.is_alphanumeric()) {
                end = i;
                break;
            }
            previous = c;
        }
        self.push(Kind::Number, self.at + end);
        Ok(())
    }
}

/// `{{- ` trims what stands before it.
fn trims_left(after_open: &str) -> bool {
    after_open.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES))
}

/// The length of a closing delimiter that stands here.
fn close(rest: &str) -> Option<usize> {
    if rest.starts_with(CLOSE) {
        return Some(CLOSE.len());
    }
    let trimmed = rest.strip_prefix(SPACES).is_some_and(|rest| rest.starts_with("-}}"));
    trimmed.then_some(2 + CLOSE.len())
}

fn is_letter(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn ends_word(c: char) -> bool {
    SPACES.contains(&c) || matches!(c, '.' | ',' | '|' | ':' | ')' | '(' | '=')
}

/// Go's `%#U`.
fn unicode(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}
