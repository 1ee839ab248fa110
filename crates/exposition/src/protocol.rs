//! Which formats a scrape asks for, and which one an answer says it is in. Both as Prometheus 3.5 does it.

use std::fmt::Write;

/// A format with its version, as `scrape_protocols` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `PrometheusProto`: families as protobuf messages, each behind its length.
    PrometheusProto,
    /// `PrometheusText0.0.4`
    PrometheusText0_0_4,
    /// `PrometheusText1.0.0`: names may be any UTF-8.
    PrometheusText1_0_0,
    /// `OpenMetricsText0.0.1`
    OpenMetricsText0_0_1,
    /// `OpenMetricsText1.0.0`
    OpenMetricsText1_0_0,
}

/// How a page is to spell names that are not of the old alphabet: `metric_name_escaping_scheme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// `allow-utf-8`: as they are.
    #[default]
    AllowUtf8,
    /// `underscores`
    Underscores,
    /// `dots`
    Dots,
    /// `values`
    Values,
}

/// The grammar that a page is read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The text format of Prometheus, any version.
    Text,
    /// OpenMetrics, any version.
    OpenMetrics,
    /// Protobuf messages behind their lengths.
    Protobuf,
}

/// The first weight of an `Accept` header, one more than there are protocols.
const WEIGHT_FIRST: usize = Protocol::ALL.len() + 1;

impl Protocol {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 5] = [
        Self::OpenMetricsText0_0_1,
        Self::OpenMetricsText1_0_0,
        Self::PrometheusProto,
        Self::PrometheusText0_0_4,
        Self::PrometheusText1_0_0,
    ];

    /// What a job asks for that does not say it.
    pub const DEFAULT: [Self; 4] =
        [Self::OpenMetricsText1_0_0, Self::OpenMetricsText0_0_1, Self::PrometheusText1_0_0, Self::PrometheusText0_0_4];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
        }
    }

    /// The protocol of a name in the configuration.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// The grammar of its pages.
    pub fn format(self) -> Format {
        match self {
            Self::PrometheusProto => Format::Protobuf,
            Self::PrometheusText0_0_4 | Self::PrometheusText1_0_0 => Format::Text,
            Self::OpenMetricsText0_0_1 | Self::OpenMetricsText1_0_0 => Format::OpenMetrics,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        }
    }

    fn says_escaping(self) -> bool {
        matches!(self, Self::PrometheusText1_0_0 | Self::OpenMetricsText1_0_0)
    }
}

impl Escaping {
    /// The word in the configuration and in the `Accept` header.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// The scheme of a word in the configuration.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values].into_iter().find(|scheme| scheme.name() == name)
    }
}

/// The value of the header `Accept` that asks for these protocols, the dearest first, byte by byte what Prometheus sends.
pub fn accept(protocols: &[Protocol], escaping: Escaping) -> String {
    let mut header = String::new();
    let mut weight = WEIGHT_FIRST;
    for protocol in protocols {
        header.push_str(protocol.media_type());
        if protocol.says_escaping() {
            header.push_str(";escaping=");
            header.push_str(escaping.name());
        }
        // Writing to a string does not fail.
        let _ = write!(header, ";q=0.{weight},");
        weight = weight.saturating_sub(1);
    }
    let _ = write!(header, "*/*;q=0.{weight}");
    header
}

/// The grammar of a page with this `Content-Type` (empty where it has none), or why it is refused. A page that does not say a
/// known type is read with the `fallback`, where the job names one.
pub fn format_of(content_type: &str, fallback: Option<Protocol>) -> Result<Format, String> {
    let known = match media_type(content_type) {
        Ok(media_type) => match &*media_type {
            "text/plain" => return Ok(Format::Text),
            "application/openmetrics-text" => return Ok(Format::OpenMetrics),
            "application/vnd.google.protobuf" => return Ok(Format::Protobuf),
            _ => Ok(()),
        },
        Err(reason) => Err(reason),
    };
    if let Some(protocol) = fallback {
        return Ok(protocol.format());
    }
    Err(match known {
        _ if content_type.is_empty() => {
            "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
                .to_owned()
        }
        Ok(()) => format!(
            "received unsupported Content-Type {content_type:?} and no fallback_scrape_protocol specified for target"
        ),
        Err(reason) => {
            format!("cannot parse Content-Type {content_type:?} and no fallback_scrape_protocol for target: {reason}")
        }
    })
}

/// The media type in small letters, if the header is one as Go's package `mime` reads them: parameters must be well-formed and
/// not say two things, whoever needs them or not.
fn media_type(header: &str) -> Result<String, &'static str> {
    let (kind, mut rest) = header.split_once(';').map_or((header, ""), |(kind, rest)| (kind, rest));
    let kind = kind.trim().to_ascii_lowercase();
    check_kind(&kind)?;
    let mut seen: Vec<(String, &str)> = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(kind);
        }
        let (name, value, behind) = parameter(rest).ok_or("mime: invalid media parameter")?;
        if seen.iter().any(|(known, other)| *known == name && *other != value) {
            return Err("mime: duplicate parameter name");
        }
        seen.push((name, value));
        rest = match behind.trim_start().strip_prefix(';') {
            Some(next) => next,
            None if behind.trim_start().is_empty() => "",
            None => return Err("mime: invalid media parameter"),
        };
    }
}

fn check_kind(kind: &str) -> Result<(), &'static str> {
    let behind = kind.trim_start_matches(is_token);
    if behind.len() == kind.len() {
        return Err("mime: no media type");
    }
    if behind.is_empty() {
        return Ok(());
    }
    let Some(subtype) = behind.strip_prefix('/') else { return Err("mime: expected slash after first token") };
    match subtype.trim_start_matches(is_token) {
        rest if rest.len() == subtype.len() => Err("mime: expected token after slash"),
        "" => Ok(()),
        _ => Err("mime: unexpected content after media subtype"),
    }
}

/// The parameter that stands first, its value without quotes, and what comes behind it.
fn parameter(text: &str) -> Option<(String, &str, &str)> {
    let behind = text.trim_start_matches(is_token);
    let name = &text[..text.len() - behind.len()];
    let value = behind.trim_start().strip_prefix('=')?.trim_start();
    let behind = match value.strip_prefix('"') {
        Some(quoted) => behind_quotes(quoted)?,
        None => value.trim_start_matches(is_token),
    };
    let plain = value[..value.len() - behind.len()].trim_matches('"');
    (!name.is_empty() && behind.len() < value.len()).then(|| (name.to_ascii_lowercase(), plain, behind))
}

fn behind_quotes(text: &str) -> Option<&str> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    text.get(end + 1..)
}

fn is_token(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_as_prometheus_does() {
        let check = |protocols: &[Protocol], escaping, expected: &str| {
            assert_eq!(accept(protocols, escaping), expected);
        };
        // Recorded from Prometheus 3.5.3.
        check(
            &Protocol::DEFAULT,
            Escaping::AllowUtf8,
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        );
        check(&[Protocol::PrometheusText0_0_4], Escaping::AllowUtf8, "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
        check(
            &[
                Protocol::PrometheusText1_0_0,
                Protocol::PrometheusText0_0_4,
                Protocol::PrometheusProto,
                Protocol::OpenMetricsText1_0_0,
                Protocol::OpenMetricsText0_0_1,
            ],
            Escaping::AllowUtf8,
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,\
             application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.4,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             application/openmetrics-text;version=0.0.1;q=0.2,*/*;q=0.1",
        );
        check(
            &Protocol::DEFAULT,
            Escaping::Values,
            "application/openmetrics-text;version=1.0.0;escaping=values;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=values;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        );
    }

    #[test]
    fn names_come_back() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::from_name(protocol.name()), Some(protocol));
        }
        assert_eq!(Protocol::from_name("PrometheusText"), None);
        assert_eq!(Escaping::from_name("dots"), Some(Escaping::Dots));
        assert_eq!(Escaping::from_name(""), None);
    }

    #[test]
    fn content_types() {
        let check = |header: &str, expected: Result<Format, &str>| {
            assert_eq!(format_of(header, None), expected.map_err(str::to_owned), "{header:?}");
            let with_fallback = format_of(header, Some(Protocol::PrometheusText0_0_4));
            assert_eq!(with_fallback, expected.or(Ok(Format::Text)), "{header:?} with a fallback");
        };
        check("text/plain", Ok(Format::Text));
        check("Text/Plain; version=0.0.4; charset=utf-8", Ok(Format::Text));
        check("text/plain;", Ok(Format::Text));
        check("text/plain; a=1; A=\"1\"", Ok(Format::Text));
        check(" text/plain ; a=\"x;\\\"y\" ;", Ok(Format::Text));
        check("application/openmetrics-text; version=9", Ok(Format::OpenMetrics));
        check("application/vnd.google.protobuf", Ok(Format::Protobuf));
        let blank = "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified \
                     for target";
        check("", Err(blank));
        let unsupported = "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol specified \
                           for target";
        check("text/html", Err(unsupported));
        let cannot = |header: &str, reason: &str| {
            let expected =
                format!("cannot parse Content-Type {header:?} and no fallback_scrape_protocol for target: {reason}");
            check(header, Err(&expected));
        };
        cannot("text/plain; charset", "mime: invalid media parameter");
        cannot("text/plain; a=1; a=2", "mime: duplicate parameter name");
        cannot("text/plain; a=\"1", "mime: invalid media parameter");
        cannot("text/plain; a=1 b=2", "mime: invalid media parameter");
        cannot("text/plain,text/html", "mime: unexpected content after media subtype");
        cannot("text plain", "mime: expected slash after first token");
        cannot("text/", "mime: expected token after slash");
        cannot(";", "mime: no media type");
    }
}
