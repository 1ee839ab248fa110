//! Sets of characters: brackets, `\d` and its kin, Unicode classes.

use super::PatternError;
use super::re2::Translator;

const BAD_RANGE: &str = "invalid character class range";

/// Names between `[:` and `:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Translates `[...]`. Every character is emitted by its code, so that no operator of the other syntax can arise.
pub(super) fn translate(translator: &mut Translator<'_>) -> Result<(), PatternError> {
    let start = translator.at;
    translator.at += 1;
    translator.out.push('[');
    if translator.peek() == Some('^') {
        translator.at += 1;
        translator.out.push('^');
    }
    let mut first = true;
    loop {
        match translator.peek() {
            None => return Err(PatternError::new("missing closing ]", &translator_text(translator, start))),
            Some(']') if !first => {
                translator.at += 1;
                translator.out.push(']');
                return Ok(());
            }
            Some(_) => item(translator)?,
        }
        first = false;
    }
}

fn translator_text(translator: &mut Translator<'_>, start: usize) -> String {
    translator.at = start;
    translator.rest().to_owned()
}

/// A named class, a set by escape, or a range.
fn item(translator: &mut Translator<'_>) -> Result<(), PatternError> {
    if translator.rest().starts_with("[:")
        && let Some(end) = translator.rest()[2..].find(":]")
    {
        return posix(translator, end + 4);
    }
    if let Some(set) = escaped_set(translator)? {
        translator.out.push_str(&set);
        return Ok(());
    }
    let start = translator.at;
    let low = character(translator)?;
    let mut high = low;
    // A hyphen before the closing bracket stands for itself.
    let is_range = translator.rest().starts_with('-') && !translator.rest().starts_with("-]");
    if is_range && translator.rest().len() > 1 {
        translator.at += 1;
        high = character(translator)?;
        if high < low {
            return translator.error(BAD_RANGE, start);
        }
    }
    let range = format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high));
    translator.out.push_str(&range);
    Ok(())
}

fn posix(translator: &mut Translator<'_>, length: usize) -> Result<(), PatternError> {
    let start = translator.at;
    let text = &translator.rest()[..length];
    translator.at += length;
    let name = &text[2..length - 2];
    if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return translator.error(BAD_RANGE, start);
    }
    translator.out.push_str(text);
    Ok(())
}

fn character(translator: &mut Translator<'_>) -> Result<char, PatternError> {
    if translator.peek() == Some('\\') {
        return translator.escaped_char();
    }
    // The caller has seen that there is one.
    Ok(translator.bump().unwrap_or_default())
}

/// `\d`, `\pL` and their kin as a class of the other syntax; `None` if something else stands here.
pub(super) fn escaped_set(translator: &mut Translator<'_>) -> Result<Option<String>, PatternError> {
    let rest = translator.rest();
    let Some(escaped) = rest.strip_prefix('\\').and_then(|rest| rest.chars().next()) else {
        return Ok(None);
    };
    let set = match escaped {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => "[\\t\\n\\f\\r ]",
        'S' => "[^\\t\\n\\f\\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        'p' | 'P' => return unicode(translator, escaped == 'P').map(Some),
        _ => return Ok(None),
    };
    translator.at += 2;
    Ok(Some(set.to_owned()))
}

/// `\pL`, `\p{Greek}`, `\p{^Lu}`
fn unicode(translator: &mut Translator<'_>, mut negated: bool) -> Result<String, PatternError> {
    let start = translator.at;
    translator.at += 2;
    let name = match translator.bump() {
        None => return translator.error(BAD_RANGE, start),
        Some('{') => {
            let Some(end) = translator.rest().find('}') else {
                translator.at = start + 2 + translator.rest().len() + 1;
                return translator.error(BAD_RANGE, start);
            };
            let name = &translator.rest()[..end];
            translator.at += end + 1;
            name.to_owned()
        }
        Some(letter) => letter.to_string(),
    };
    let name = match name.strip_prefix('^') {
        Some(name) => {
            negated = !negated;
            name
        }
        None => name.as_str(),
    };
    let Some(class) = known_class(name) else {
        return translator.error(BAD_RANGE, start);
    };
    Ok(format!("\\{}{{{class}}}", if negated { 'P' } else { 'p' }))
}

/// A general category or a script, no other property.
fn known_class(name: &str) -> Option<String> {
    if name == "Any" {
        return Some(name.to_owned());
    }
    if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
        return None;
    }
    let known = |class: &String| regex_syntax::Parser::new().parse(&format!("\\p{{{class}}}")).is_ok();
    [format!("gc={name}"), format!("sc={name}")].into_iter().find(known)
}
