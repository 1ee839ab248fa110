//! The `os` collector, from `/etc/os-release` or `/usr/lib/os-release`.

use std::collections::HashMap;

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::text::File;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector =
    HostCollector { name: "os", help: "Name and version of the distribution.", open: |_| Box::new(collect) };

/// Labels; the file's keys are the same in capitals.
const LABELS: [&str; 12] = [
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];
const VERSION_LABELS: [&str; 3] = ["id", "id_like", "name"];

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let file = roots.root("etc/os-release").or_else(|_| roots.root("usr/lib/os-release"))?;
    let values = parse(&file);
    let labels = |names: &[&'static str]| -> Vec<(&'static str, String)> {
        names.iter().map(|name| (*name, values.get(&name.to_uppercase()).cloned().unwrap_or_default())).collect()
    };
    let help = "What the distribution says of itself; always 1.";
    families.family("node_os_info", MetricKind::Gauge, help).with(labels(&LABELS), 1.0);
    let version = values.get("VERSION_ID").map(|id| major_minor(id)).unwrap_or_default();
    if version > 0.0 {
        let help = "The version of the distribution as major.minor.";
        families.family("node_os_version", MetricKind::Gauge, help).with(labels(&VERSION_LABELS), version);
    }
    if let Some(end) = values.get("SUPPORT_END") {
        let seconds = day(end).ok_or_else(|| file.error("a day such as 2030-01-31 was expected", end))?;
        families.gauge("node_os_support_end_timestamp_seconds", "When support of the distribution ends.", seconds);
    }
    Ok(())
}

/// Lines `KEY=value`; values may stand in quotes as a shell reads them.
fn parse(file: &File) -> HashMap<String, String> {
    let lines = file.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), unquote(value.trim())))
        .collect()
}

fn unquote(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' { chars.next() } else { Some(c) };
        text.extend(c);
    }
    text
}

/// The number that the text begins with, such as 22.04; zero where it begins with none.
fn major_minor(version: &str) -> f64 {
    let mut dots = 0;
    let end = version
        .find(|c: char| {
            dots += u32::from(c == '.');
            !(c.is_ascii_digit() || (c == '.' && dots == 1))
        })
        .unwrap_or(version.len());
    version[..end].trim_end_matches('.').parse().unwrap_or_default()
}

/// Seconds since 1970 of the beginning of a day.
fn day(text: &str) -> Option<f64> {
    let date: jiff::civil::Date = text.parse().ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        let check = |value, expected: &str| assert_eq!(unquote(value), expected, "{value}");
        check("debian", "debian");
        check("\"Debian GNU/Linux\"", "Debian GNU/Linux");
        check("'it is \"it\"'", "it is \"it\"");
        check(r#""a \"b\" \$c""#, "a \"b\" $c");
        check("", "");
    }

    #[test]
    fn versions() {
        let check = |text, expected| assert_eq!(major_minor(text), expected, "{text}");
        check("12", 12.0);
        check("22.04", 22.04);
        check("8.10.3", 8.1);
        check("5.", 5.0);
        check("rolling", 0.0);
        check("", 0.0);
    }

    #[test]
    fn days() {
        assert_eq!(day("1970-01-02"), Some(86_400.0));
        assert_eq!(day("soon"), None);
    }
}
