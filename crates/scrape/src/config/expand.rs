//! Variables of the environment in external labels, as Go's `os.Expand` puts them in.

/// Replaces `$NAME` and `${NAME}` by what `look_up` says; `$$` is a dollar.
pub(super) fn expand(text: &str, mut look_up: impl FnMut(&str) -> String) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = name(after);
        match name {
            // A dollar before something that is no name stands; an empty pair of braces goes.
            "" if length == 0 => expanded.push('$'),
            "" => {}
            "$" => expanded.push('$'),
            name => expanded.push_str(&look_up(name)),
        }
        rest = &after[length..];
    }
    expanded.push_str(rest);
    expanded
}

/// The name at the start of what follows a dollar, and the bytes that it takes.
fn name(text: &str) -> (&str, usize) {
    let is_special = |c: char| "*#$@!?-".contains(c) || c.is_ascii_digit();
    let first = text.chars().next();
    if let Some(inner) = text.strip_prefix('{') {
        if let Some(special) = inner.chars().next().filter(|&c| is_special(c))
            && inner[special.len_utf8()..].starts_with('}')
        {
            return (&inner[..1], 3);
        }
        return match inner.find('}') {
            Some(0) => ("", 2),
            Some(end) => (&inner[..end], end + 2),
            None => ("", 1),
        };
    }
    if first.is_some_and(is_special) {
        return (&text[..1], 1);
    }
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    (&text[..end], end)
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn expands_as_go_does() {
        let check = |text: &str, expected: &str| {
            assert_eq!(expand(text, |name| format!("<{name}>")), expected, "{text}");
        };
        check("a$b c", "a<b> c");
        check("${a b}$c_1-", "<a b><c_1>-");
        check("$$x$", "$x$");
        check("$1a${2}${}${x", "<1>a<2>x");
        check("$.é$é", "$.é$é");
    }
}
