//! Texts of dashboards as markup that is safe: Markdown, and of HTML what sets text. What comes out is made of our own tags and
//! escaped text alone, whatever goes in.

use std::fmt;

use pulldown_cmark::{Options, Parser, html};

use super::links::safe;

/// Longest text that is read; a page of a book has a fiftieth of it.
const TEXT_BYTES_MAX: usize = 128 * 1024;
/// Longest tag. What is longer is text; else a text of beginnings without ends would be read to its end for each of them.
const TAG_CHARS_MAX: usize = 2_048;
/// Tags in tags; deeper ones are left out.
const DEPTH_MAX: usize = 64;

/// Tags that set text. They lose their attributes.
const KEPT: [&str; 43] = [
    "a",
    "b",
    "blockquote",
    "br",
    "center",
    "code",
    "dd",
    "del",
    "details",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "ins",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];
/// Of them, those without an end.
const VOID: [&str; 2] = ["br", "hr"];
/// Tags whose content is no text either.
const DROPPED: [&str; 9] = ["script", "style", "iframe", "object", "template", "svg", "math", "title", "textarea"];

/// Markup that this module made, which templates write as it is; there is no other way to get one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Markup(String);

impl Markup {
    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Markup {}

/// Markdown as HTML.
pub(super) fn markdown(text: &str, prefix: &str) -> Markup {
    let text = cut(text);
    let mut out = String::with_capacity(text.len() * 2);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    html::push_html(&mut out, Parser::new_ext(text, options));
    Markup(clean(&out, prefix))
}

/// HTML as a panel has it, cleaned.
pub(super) fn cleaned(text: &str, prefix: &str) -> Markup {
    Markup(clean(cut(text), prefix))
}

/// Code, shown as it is.
pub(super) fn code(text: &str) -> Markup {
    let mut out = String::from("<pre><code>");
    escape(cut(text), &mut out);
    out.push_str("</code></pre>");
    Markup(out)
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A tag as it stands in a text.
struct Tag<'a> {
    name: String,
    closes: bool,
    attributes: &'a str,
}

/// Keeps known tags, closes what is open, escapes the rest.
fn clean(html: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text(&rest[..start], &mut out);
        rest = &rest[start..];
        if let Some(after) = rest.strip_prefix("<!--") {
            rest = after.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some((tag, after)) = tag(rest) else {
            out.push_str("&lt;");
            rest = &rest[1..];
            continue;
        };
        rest = after;
        if DROPPED.contains(&tag.name.as_str()) {
            rest = if tag.closes { rest } else { behind(rest, &tag.name) };
        } else if KEPT.contains(&tag.name.as_str()) {
            write(&tag, &mut open, prefix, &mut out);
        }
    }
    text(rest, &mut out);
    for name in open.iter().rev() {
        out.push_str(&format!("</{name}>"));
    }
    out
}

/// The tag that a text begins with, and what is behind it.
fn tag(text: &str) -> Option<(Tag<'_>, &str)> {
    let inner = text.strip_prefix('<')?;
    let (closes, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
    let length = inner.bytes().take_while(u8::is_ascii_alphanumeric).count();
    if length == 0 || !inner.as_bytes()[0].is_ascii_alphabetic() {
        return None;
    }
    let name = inner[..length].to_ascii_lowercase();
    let mut quote = None;
    for (at, char) in inner[length..].char_indices().take(TAG_CHARS_MAX) {
        match (quote, char) {
            (None, '>') => {
                let attributes = &inner[length..length + at];
                return Some((Tag { name, closes, attributes }, &inner[length + at + 1..]));
            }
            (None, '"' | '\'') => quote = Some(char),
            (Some(open), char) if open == char => quote = None,
            _ => {}
        }
    }
    None
}

/// What is behind the end of an element, in any letters; nothing where it has none.
fn behind<'a>(text: &'a str, name: &str) -> &'a str {
    let is_end = |(at, _): &(usize, &str)| {
        text.get(at + 2..at + 2 + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    let end = text.match_indices("</").find(is_end);
    end.and_then(|(end, _)| text[end..].split_once('>')).map_or("", |(_, after)| after)
}

fn write(tag: &Tag<'_>, open: &mut Vec<String>, prefix: &str, out: &mut String) {
    let name = tag.name.as_str();
    if VOID.contains(&name) {
        if !tag.closes {
            out.push_str(&format!("<{name}>"));
        }
        return;
    }
    if tag.closes {
        // What was opened inside ends with it; an end of nothing is none.
        let Some(place) = open.iter().rposition(|known| known == name) else { return };
        for name in open.drain(place..).rev() {
            out.push_str(&format!("</{name}>"));
        }
        return;
    }
    if open.len() >= DEPTH_MAX {
        return;
    }
    out.push('<');
    out.push_str(name);
    if let Some(href) = (name == "a").then(|| href(tag.attributes)).flatten().and_then(|href| safe(&href, prefix)) {
        out.push_str(" rel=\"noreferrer noopener\" href=\"");
        escape(&href, out);
        out.push('"');
    }
    out.push('>');
    open.push(name.to_owned());
}

/// The address of a link, its entities read.
fn href(attributes: &str) -> Option<String> {
    let lower = attributes.to_ascii_lowercase();
    let at = lower.match_indices("href").find(|(at, _)| {
        let before = attributes[..*at].chars().next_back();
        before.is_none_or(|char| char.is_whitespace() || char == '/')
    });
    let rest = attributes[at?.0 + 4..].trim_start().strip_prefix('=')?.trim_start();
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
        _ => rest.split(|char: char| char.is_whitespace()).next()?,
    };
    let decoded = value.replace("&quot;", "\"").replace("&#x27;", "'").replace("&#39;", "'").replace("&amp;", "&");
    // Any other entity could hide a letter of a scheme.
    let is_plain = !decoded.contains("&#") && !decoded.to_ascii_lowercase().contains("&colon;");
    is_plain.then_some(decoded)
}

/// Text between tags: its entities stay, everything else that has a meaning is escaped.
fn text(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '>', '"']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.starts_with('&').then(|| entity(rest)).flatten();
        match entity {
            Some(entity) => {
                out.push_str(entity);
                rest = &rest[entity.len()..];
            }
            None => {
                escape(&rest[..1], out);
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
}

/// The entity that a text begins with.
fn entity(text: &str) -> Option<&str> {
    let end = text.bytes().take(32).position(|byte| byte == b';')?;
    let name = &text[1..end];
    let is_name = name.strip_prefix('#').unwrap_or(name).bytes().all(|byte| byte.is_ascii_alphanumeric());
    (!name.is_empty() && is_name).then_some(&text[..=end])
}

fn escape(text: &str, out: &mut String) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_sets_text() {
        let check = |text: &str, expected: &str| assert_eq!(markdown(text, "").0.trim_end(), expected, "{text}");
        check("# Title\n\n*a* `b`", "<h1>Title</h1>\n<p><em>a</em> <code>b</code></p>");
        check(
            "[x](https://example.org/?a=1&b=2)",
            "<p><a rel=\"noreferrer noopener\" href=\"https://example.org/?a=1&amp;b=2\">x</a></p>",
        );
        check("[x](/d/uid)", "<p><a rel=\"noreferrer noopener\" href=\"/d/uid\">x</a></p>");
        check("a < b & c", "<p>a &lt; b &amp; c</p>");
        check("![p](https://example.org/p.png)", "<p></p>");
        check("<br>x<b>y", "<p><br>x<b>y</b></p>");
    }

    #[test]
    fn nothing_executes() {
        let check = |text: &str, expected: &str| {
            assert_eq!(cleaned(text, "").0, expected, "{text}");
        };
        check("<script>alert(1)</script>a", "a");
        check("<SCRIPT\n>alert(1)</ScRiPt >a", "a");
        check("<script>never ends", "");
        check("<img src=x onerror=alert(1)>", "");
        check("<b onclick=alert(1) style='x'>a</b>", "<b>a</b>");
        check("<a href='javascript:alert(1)'>a</a>", "<a>a</a>");
        check("<a href=\"java&#115;cript:alert(1)\">a</a>", "<a>a</a>");
        check("<a href=\"javascript&colon;alert(1)\">a</a>", "<a>a</a>");
        check("<a data-href=x href=/y>a</a>", "<a rel=\"noreferrer noopener\" href=\"/y\">a</a>");
        check(
            "<a href='/x\"onclick=\"y'>a</a>",
            "<a rel=\"noreferrer noopener\" href=\"/x&quot;onclick=&quot;y\">a</a>",
        );
        check("</div></figure>a", "a");
        check("<div><b>a</div>b", "<div><b>a</b></div>b");
        check("<svg><script>x</script></svg>a", "a");
        check("<!-- <b> -->a<!-- never ends", "a");
        check("<", "&lt;");
        check("<b", "&lt;b");
        check("a &amp; &copy; &x y", "a &amp; &copy; &amp;x y");
        check("<b title='>'>a</b>", "<b>a</b>");
        check("<p/onload=x>a", "<p>a</p>");
        check(&format!("<b {}>a", "x".repeat(TAG_CHARS_MAX)), &format!("&lt;b {}&gt;a", "x".repeat(TAG_CHARS_MAX)));
    }
}
