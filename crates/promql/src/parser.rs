//! Text to syntax tree.

use crate::{Expr, ParseError, Position};

/// Reads an expression and checks its types.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let number = text.trim().parse().map_err(|_| {
        let position = Position { start: 0, end: u32::try_from(text.len()).unwrap_or(u32::MAX) };
        ParseError::new(text, position, format!("bad number: {text:?}"))
    })?;
    Ok(Expr::number(number))
}
