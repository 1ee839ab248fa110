//! What `$1`, `${name}` and `$$` in a replacement stand for, as Go's `Regexp.Expand` has it.

use regex::Captures;

/// Appends the template with what was captured in place of `$1`, `$name` and `${name}`; nothing in place of a group that there is
/// not. A name is as long as there are letters, digits and underscores; `$$` is a dollar sign, and so is one without a name.
pub fn expand_captures(template: &str, captures: &Captures<'_>, into: &mut String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        into.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            into.push('$');
            rest = after;
            continue;
        }
        rest = match split_name(after) {
            Some((name, after)) => {
                let group = number(name).map_or_else(|| captures.name(name), |number| captures.get(number));
                into.push_str(group.map_or("", |group| group.as_str()));
                after
            }
            None => {
                into.push('$');
                after
            }
        };
    }
    into.push_str(rest);
}

/// The name behind a dollar sign, with braces around it or without, and what follows.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (is_braced, text) = text.strip_prefix('{').map_or((false, text), |inside| (true, inside));
    let (name, rest) = text.split_at(text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()));
    let rest = if is_braced { rest.strip_prefix('}')? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}

/// The number of a group; with a leading zero it is a name.
fn number(name: &str) -> Option<usize> {
    let is_number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    // There are no groups beyond those that the number can name.
    is_number.then(|| name.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_expands() {
        let regex = regex::Regex::new("^(a)(?P<n>b)?(c)?(?P<_1>.*)$").unwrap();
        let captures = regex.captures("ab.é").unwrap();
        let cases = [
            ("", ""),
            ("x$1y", "x"),
            ("x${1}y", "xay"),
            ("$1-$2-$3-$4-$5", "a-b--.é-"),
            ("$0", "ab.é"),
            ("$n.$_1", "b..é"),
            ("$$1", "$1"),
            ("$", "$"),
            ("$ $-", "$ $-"),
            ("${", "${"),
            ("${1", "${1"),
            ("${}", "${}"),
            ("${a-b}", "${a-b}"),
            ("$é!", "!"),
            ("$01", ""),
            ("$99999999999999999999", ""),
            ("$1_$2", "b"),
        ];
        for (template, expected) in cases {
            let mut expanded = String::new();
            expand_captures(template, &captures, &mut expanded);
            assert_eq!(expanded, expected, "{template}");
        }
    }
}
