//! Links of dashboards, panels and values: their variables filled in, and only addresses that are safe to follow.

use dashboard::{Link as Wanted, Scope, Syntax};

use super::model::Link;
use crate::params::encode;

/// What a link may name besides the dashboard's variables.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject<'a> {
    /// `${__series.name}`, `${__field.name}`.
    pub(super) name: &'a str,
    /// `${__field.labels.x}`.
    pub(super) labels: &'a [(String, String)],
    /// `${__value.text}` and `${__value.raw}`.
    pub(super) value: (String, String),
    /// `${__value.time}`, milliseconds.
    pub(super) time: Option<i64>,
    /// `${__data.fields.x}`, by name and by place.
    pub(super) row: Vec<(String, String)>,
}

/// How a page makes links.
#[derive(Clone, Copy)]
pub(super) struct Linker<'a> {
    pub(super) scope: &'a Scope,
    /// The prefix of all addresses of skep's.
    pub(super) prefix: &'a str,
    /// `from=..&to=..` as the address has them.
    pub(super) time: &'a str,
}

impl Linker<'_> {
    /// The links that lead somewhere.
    pub(super) fn all(&self, links: &[Wanted], subject: &Subject<'_>) -> Vec<Link> {
        links.iter().filter_map(|link| self.one(link, subject)).collect()
    }

    /// One link; `None` where its address is none that is followed.
    pub(super) fn one(&self, link: &Wanted, subject: &Subject<'_>) -> Option<Link> {
        let text = subject.fill(&link.url, true);
        let url = self.scope.fill(&text, Syntax::Url).ok()?;
        let mut href = safe(&url, self.prefix)?;
        if link.keep_time {
            href = with_query(&href, self.time);
        }
        if link.keep_variables {
            href = with_query(&href, &self.scope.fill("${__all_variables}", Syntax::Plain).ok()?);
        }
        let title = self.scope.fill(&subject.fill(&link.title, false), Syntax::Text).ok()?;
        let title = if title.trim().is_empty() { href.clone() } else { title };
        Some(Link { title, href, new_tab: link.new_tab })
    }
}

impl Subject<'_> {
    /// The text with what belongs to the value filled in; `url` escapes it for an address.
    fn fill(&self, text: &str, url: bool) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${__") {
            let Some((path, after)) = after.split_once('}') else { break };
            out.push_str(before);
            match self.part(path.split(':').next().unwrap_or_default()) {
                Some(value) if url => {
                    out.push_str(&form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>());
                }
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("${{__{path}}}")),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn part(&self, path: &str) -> Option<String> {
        let named = |path: &str| {
            let name = path.trim_start_matches(['.', '[']).trim_end_matches(']').trim_matches(['"', '\'']);
            let (name, _) = name.split_once("\"].").or_else(|| name.split_once('.')).unwrap_or((name, ""));
            name.to_owned()
        };
        let find = |list: &[(String, String)], name: &str| {
            list.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        if let Some(label) = path.strip_prefix("field.labels") {
            return Some(find(self.labels, &named(label)));
        }
        if let Some(field) = path.strip_prefix("data.fields") {
            let name = named(field);
            let by_place = name.parse::<usize>().ok().and_then(|at| self.row.get(at)).map(|(_, value)| value.clone());
            return Some(by_place.unwrap_or_else(|| find(&self.row, &name)));
        }
        match path {
            "series.name" | "field.name" | "field.displayName" => Some(self.name.to_owned()),
            "value.text" => Some(self.value.0.clone()),
            "value.raw" | "value.numeric" | "value" => Some(self.value.1.clone()),
            "value.time" => Some(self.time.map(|time| time.to_string()).unwrap_or_default()),
            _ => None,
        }
    }
}

/// The address, if it is one of the web's or of this site; Grafana's own paths of dashboards lead to skep's.
pub(super) fn safe(url: &str, prefix: &str) -> Option<String> {
    let url = url.trim();
    if url.is_empty() || url.chars().any(char::is_control) {
        return None;
    }
    let lower = url.to_ascii_lowercase();
    if ["http://", "https://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme)) {
        return Some(url.to_owned());
    }
    // Browsers take a backslash for a slash, and two of them for the beginning of another host.
    if url.starts_with("//") || url.contains('\\') {
        return None;
    }
    if let Some(path) = url.strip_prefix('/') {
        return Some(format!("{prefix}/{path}"));
    }
    if url.starts_with(['#', '?']) {
        return Some(url.to_owned());
    }
    let is_relative = !url.split(['/', '?', '#']).next().unwrap_or_default().contains(':');
    is_relative.then(|| format!("{prefix}/{url}"))
}

/// The address with more parameters.
pub(super) fn with_query(href: &str, query: &str) -> String {
    if query.is_empty() {
        return href.to_owned();
    }
    let (path, fragment) =
        href.split_once('#').map_or((href, String::new()), |(path, rest)| (path, format!("#{rest}")));
    let between = if path.contains('?') { '&' } else { '?' };
    format!("{path}{between}{query}{fragment}")
}

/// The query page with these expressions.
pub(super) fn query_page<'e>(prefix: &str, time: &str, expressions: impl Iterator<Item = &'e str>) -> String {
    let pairs: Vec<(&str, &str)> = expressions.map(|expr| ("expr", expr)).collect();
    with_query(&with_query(&format!("{prefix}/query"), &encode(pairs)), time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_safe() {
        let check = |url: &str, expected: Option<&str>| assert_eq!(safe(url, "/skep").as_deref(), expected, "{url}");
        check("https://example.org/?a=b", Some("https://example.org/?a=b"));
        check("/d/uid/slug?x=y", Some("/skep/d/uid/slug?x=y"));
        check("d/uid", Some("/skep/d/uid"));
        check("?from=now-1h", Some("?from=now-1h"));
        check("#row", Some("#row"));
        check(" mailto:a@b", Some("mailto:a@b"));
        for bad in [
            "javascript:alert(1)",
            "JAVASCRIPT:x",
            "java\nscript:x",
            "data:text/html,x",
            "//host/x",
            "/\\host",
            "",
            "vbscript:x",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn values_are_filled_in() {
        let labels = [("pod".to_owned(), "a/b".to_owned())];
        let subject = Subject {
            name: "s",
            labels: &labels,
            value: ("1 K".to_owned(), "1000".to_owned()),
            time: Some(5),
            row: vec![("Host".to_owned(), "h&1".to_owned())],
        };
        let check = |text: &str, expected: &str| assert_eq!(subject.fill(text, true), expected, "{text}");
        check("/x?p=${__field.labels.pod}&v=${__value.raw}", "/x?p=a%2Fb&v=1000");
        check("${__data.fields.Host}/${__data.fields[0]}", "h%261/h%261");
        check("${__series.name} ${__value.time} ${__unknown} ${other}", "s 5 ${__unknown} ${other}");
    }
}
