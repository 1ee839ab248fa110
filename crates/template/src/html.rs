//! Escaping by the place in a page, as Go's html/template does it: what is a value can never become markup.
//!
//! Go derives the place of every value from the template alone; here the page that comes out is followed. Both agree
//! wherever Go accepts the template. Values inside scripts are refused: no mail runs any.

use crate::Value;

/// What stands for a URL or style that must not be written.
const REFUSED: &str = "ZgotmplZ";

/// Attributes that hold a URL.
const URLS: [&str; 12] = [
    "action",
    "archive",
    "background",
    "cite",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "manifest",
    "poster",
    "src",
];

/// Where the page has come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Page {
    place: Place,
    /// The element whose text cannot hold others, or whose tag is open.
    element: String,
    /// The name of the attribute that is being written.
    attribute: String,
    /// What of the attribute's value was written.
    written: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Text,
    Comment,
    /// `<x`
    TagName,
    /// Between attributes.
    Tag,
    AttributeName,
    /// Behind `=`.
    BeforeValue,
    /// Inside a value; the quote, or a blank where there is none.
    Value(char),
    /// Inside `script` or `style`, where no element begins.
    Raw,
}

impl Page {
    /// Follows a piece of the template and gives what of it is written: comments are not.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut output = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = self.step(c, rest, &mut output);
            rest = &rest[length..];
        }
        output
    }

    /// Takes the next character, or a few that belong together; gives how many bytes.
    fn step(&mut self, c: char, rest: &str, output: &mut String) -> usize {
        let mut length = c.len_utf8();
        match self.place {
            Place::Comment => {
                if rest.starts_with("-->") {
                    self.place = Place::Text;
                    return 3;
                }
                return length;
            }
            Place::Text if rest.starts_with("<!--") => {
                self.place = Place::Comment;
                return 4;
            }
            Place::Text => {
                let next = rest[length..].chars().next();
                if c == '<' && next.is_some_and(|next| next.is_ascii_alphabetic() || next == '/') {
                    self.place = Place::TagName;
                    self.element.clear();
                }
            }
            Place::Raw => {
                let end = format!("</{}", self.element);
                if rest.get(..end.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(&end)) {
                    self.place = Place::TagName;
                    self.element = "/".to_owned();
                    length = 2;
                }
            }
            Place::TagName => match c {
                '>' => self.end_tag(),
                c if c.is_ascii_whitespace() => self.place = Place::Tag,
                c => self.element.push(c.to_ascii_lowercase()),
            },
            Place::Tag => match c {
                '>' => self.end_tag(),
                c if c.is_ascii_whitespace() || c == '/' => {}
                c => {
                    self.place = Place::AttributeName;
                    self.attribute = c.to_ascii_lowercase().to_string();
                }
            },
            Place::AttributeName => match c {
                '>' => self.end_tag(),
                '=' => self.place = Place::BeforeValue,
                c if c.is_ascii_whitespace() => {}
                c => self.attribute.push(c.to_ascii_lowercase()),
            },
            Place::BeforeValue => match c {
                '>' => self.end_tag(),
                c if c.is_ascii_whitespace() => {}
                '"' | '\'' => self.begin_value(c, ""),
                c => self.begin_value(' ', c.encode_utf8(&mut [0; 4])),
            },
            Place::Value(' ') if c == '>' => self.end_tag(),
            Place::Value(' ') if c.is_ascii_whitespace() => self.place = Place::Tag,
            Place::Value(quote) if c == quote => self.place = Place::Tag,
            Place::Value(_) => self.written.push(c),
        }
        output.push_str(&rest[..length]);
        length
    }

    fn begin_value(&mut self, quote: char, written: &str) {
        self.place = Place::Value(quote);
        self.written.clear();
        self.written.push_str(written);
    }

    fn end_tag(&mut self) {
        self.place = if matches!(&*self.element, "script" | "style") { Place::Raw } else { Place::Text };
    }

    /// A value, escaped for where it stands.
    pub(crate) fn value(&mut self, value: &Value) -> Result<String, String> {
        let text = match value {
            // Nothing at all is written for no value.
            Value::Nil => String::new(),
            value => value.print(),
        };
        match self.place {
            Place::Text => Ok(if matches!(value, Value::Html(_)) { text } else { escape(&text, false) }),
            Place::Comment => Ok(String::new()),
            Place::Raw if self.element == "style" => Ok(style(&text)),
            Place::Raw => Err("a value inside a script is not written".to_owned()),
            Place::TagName | Place::Tag | Place::AttributeName => Ok(name(&text)),
            Place::BeforeValue => {
                self.begin_value(' ', "");
                self.attribute_value(value, &text, true)
            }
            Place::Value(quote) => self.attribute_value(value, &text, quote == ' '),
        }
    }

    fn attribute_value(&mut self, value: &Value, text: &str, is_bare: bool) -> Result<String, String> {
        let name = self.attribute.rsplit(':').next().unwrap_or_default();
        let written = match name {
            name if name.starts_with("on") => return Err("a value inside a script is not written".to_owned()),
            "style" => style(text),
            name if URLS.contains(&name) => self.url(value, text),
            _ => text.to_owned(),
        };
        self.written.push_str(&written);
        Ok(escape(&written, is_bare))
    }

    /// At its beginning a URL must be of a harmless kind; behind `?` and `#` stands a value of it, before them a part.
    fn url(&self, value: &Value, text: &str) -> String {
        if self.written.contains(['?', '#']) {
            return percent(text, b"-._~");
        }
        let is_trusted = matches!(value, Value::Url(_)) || !self.written.trim().is_empty();
        if !is_trusted && !is_harmless(text) {
            return format!("#{REFUSED}");
        }
        percent(text, b"-._~!#$&*+,/:;=?@[]%")
    }
}

/// Whether a URL has no scheme or one that runs nothing.
fn is_harmless(url: &str) -> bool {
    match url.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => {
            ["http", "https", "mailto"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
        }
        _ => true,
    }
}

fn percent(text: &str, kept: &[u8]) -> String {
    let mut output = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || kept.contains(&byte) => output.push(char::from(byte)),
            byte => output.push_str(&format!("%{byte:02x}")),
        }
    }
    output
}

/// A word of a style; anything that could be more is refused.
fn style(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let is_more = text.contains(['\0', '"', '\'', '(', ')', '/', ';', '@', '[', '\\', ']', '`', '{', '}', '<', '>'])
        || text.contains("--")
        || lower.contains("expression")
        || lower.contains("mozbinding");
    if is_more { REFUSED.to_owned() } else { text.to_owned() }
}

/// The name of an element or attribute.
fn name(text: &str) -> String {
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_script = text.to_ascii_lowercase().starts_with("on") || text.eq_ignore_ascii_case("style");
    if is_name && !is_script { text.to_owned() } else { REFUSED.to_owned() }
}

fn escape(text: &str, is_bare: bool) -> String {
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => output.push('\u{fffd}'),
            '"' => output.push_str("&#34;"),
            '\'' => output.push_str("&#39;"),
            '&' => output.push_str("&amp;"),
            '+' => output.push_str("&#43;"),
            '<' => output.push_str("&lt;"),
            '>' => output.push_str("&gt;"),
            '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ' | '=' | '`' if is_bare => {
                output.push_str(&format!("&#{};", u32::from(c)));
            }
            c => output.push(c),
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `%` stands for the value.
    fn check(page: &str, value: &Value, expected: &str) {
        let mut place = Page::default();
        let mut output = String::new();
        for (i, piece) in page.split('%').enumerate() {
            if i > 0 {
                output.push_str(&place.value(value).unwrap_or_else(|message| format!("!{message}!")));
            }
            output.push_str(&place.text(piece));
        }
        assert_eq!(output, expected, "{page}");
    }

    #[test]
    fn escapes_as_go_does() {
        let text = |text: &str| Value::string(text);
        check("<b>%</b>", &text("<i>'\"&+\0"), "<b>&lt;i&gt;&#39;&#34;&amp;&#43;\u{fffd}</b>");
        check("a<!-- % -->b < %", &text("<"), "ab < &lt;");
        check("<b>%</b>", &Value::Html("<i>".into()), "<b><i></b>");
        check("<a title=\"%\" href='%'>", &text("a\"'b"), "<a title=\"a&#34;&#39;b\" href='a%22%27b'>");
        check("<a title=%>%", &text("a b>"), "<a title=a&#32;b&gt;>a b&gt;");
        check("<a href=\"%\">", &text("javascript:x"), "<a href=\"#ZgotmplZ\">");
        check("<a href=\"%\">", &Value::Url("tel:1".into()), "<a href=\"tel:1\">");
        check(
            "<a href=\"%?q=%\">",
            &text("http://x/a&b+c ü"),
            "<a href=\"http://x/a&amp;b&#43;c%20%c3%bc?q=http%3a%2f%2fx%2fa%26b%2bc%20%c3%bc\">",
        );
        check("<p style=\"color: %\">", &text("red"), "<p style=\"color: red\">");
        check("<p style=\"color: %\">", &text("expression(1)"), "<p style=\"color: ZgotmplZ\">");
        check("<style>a {color: %}</style>%", &text("<b"), "<style>a {color: ZgotmplZ}</style>&lt;b");
        check("<script>x = %</script>", &text("1"), "<script>x = !a value inside a script is not written!</script>");
        check("<p onclick=\"%\">", &text("1"), "<p onclick=\"!a value inside a script is not written!\">");
        check("<p % x>", &text("onclick"), "<p ZgotmplZ x>");
        check("%", &Value::Nil, "");
    }
}
