//! Templates of notifications: the functions and methods of Alertmanager 0.33.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::alert::{regex, replace, title, upper};
use crate::functions::{exactly, text};
use crate::value::{NESTING_MAX, PAIR, pair, sorted};
use crate::{CallError, Functions, Map, MapKind, Object, Value, humanize, time};

/// Go's name of the type of an alert in a notification.
pub const ALERT: &str = "template.Alert";

const NAMES: [&str; 20] = [
    "append",
    "date",
    "dict",
    "humanizeDuration",
    "join",
    "list",
    "match",
    "now",
    "reReplaceAll",
    "safeHtml",
    "safeUrl",
    "since",
    "stringSlice",
    "title",
    "toJson",
    "toLower",
    "toUpper",
    "trimSpace",
    "tz",
    "urlUnescape",
];

/// What templates of notifications may call.
#[derive(Clone, Copy, Debug)]
pub struct NoticeFunctions {
    /// The time of the notification.
    pub now: Timestamp,
}

type Called = Result<Value, CallError>;

fn failed<T>(message: impl Into<String>) -> Result<T, CallError> {
    Err(CallError::Failed(message.into()))
}

impl Functions for NoticeFunctions {
    fn has(&self, name: &str) -> bool {
        NAMES.contains(&name)
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Called {
        match name {
            "append" => append(arguments),
            "dict" => dict(arguments),
            "list" => shallow(arguments).map(|()| Value::List(arguments.into())),
            "stringSlice" => {
                (0..arguments.len()).try_for_each(|index| text(arguments, index).map(drop))?;
                Ok(Value::List(arguments.into()))
            }
            "now" => exactly::<0>(name, arguments).map(|_| at(self.now)),
            "join" => exactly::<2>(name, arguments).and_then(|_| join(arguments)),
            "match" => {
                exactly::<2>(name, arguments)?;
                Ok(Value::Bool(regex(text(arguments, 0)?)?.is_match(text(arguments, 1)?)))
            }
            "reReplaceAll" => {
                exactly::<3>(name, arguments)?;
                replace(text(arguments, 0)?, text(arguments, 1)?, text(arguments, 2)?)
            }
            "date" => {
                exactly::<2>(name, arguments)?;
                Ok(Value::string(time::format(zoned(arguments, 1)?, text(arguments, 0)?)))
            }
            "tz" => {
                exactly::<2>(name, arguments)?;
                in_zone(text(arguments, 0)?, zoned(arguments, 1)?)
            }
            "since" => {
                exactly::<1>(name, arguments)?;
                Ok(between(self.now, zoned(arguments, 0)?.timestamp()))
            }
            "toJson" => exactly::<1>(name, arguments).map(|[value]| Value::string(json(value))),
            "humanizeDuration" => {
                let [value] = exactly(name, arguments)?;
                Ok(Value::string(humanize::humanize_duration(humanize::to_float(value)?)))
            }
            name => {
                exactly::<1>(name, arguments)?;
                of_text(name, text(arguments, 0)?)
            }
        }
    }

    fn method(&self, receiver: &Value, name: &str, arguments: &[Value]) -> Option<Called> {
        match receiver {
            Value::Map(map) if map.kind == MapKind::Pairs => of_pairs(map, name, arguments),
            Value::List(list) => of_list(list, name),
            Value::Time(time) => of_time(time, name, arguments),
            Value::Duration(nanoseconds) => of_duration(*nanoseconds, name),
            _ => None,
        }
    }
}

fn of_text(name: &str, text: &str) -> Called {
    Ok(match name {
        "toUpper" => Value::string(upper(text)),
        "toLower" => Value::string(text.to_lowercase()),
        // Letters behind the first become small, other than in rules.
        "title" => Value::string(title(&text.to_lowercase())),
        "trimSpace" => Value::string(text.trim()),
        "safeHtml" => Value::Html(text.into()),
        "safeUrl" => Value::Url(text.into()),
        "urlUnescape" => Value::string(unescape(text)?),
        name => return failed(format!("function {name:?} not defined")),
    })
}

/// A time in UTC.
pub(crate) fn at(timestamp: Timestamp) -> Value {
    Value::Time(Arc::new(timestamp.to_zoned(TimeZone::UTC)))
}

impl Value {
    /// A time in UTC, in milliseconds since 1970; `None` is Go's time before all others.
    pub fn time(millis: Option<i64>) -> Self {
        let moment = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        at(moment.unwrap_or_else(zero))
    }
}

/// Go's time before all others: the first of January of the year 1.
fn zero() -> Timestamp {
    Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::MIN)
}

fn zoned(arguments: &[Value], index: usize) -> Result<&Zoned, CallError> {
    match arguments.get(index) {
        Some(Value::Time(time)) => Ok(time),
        _ => Err(CallError::Type { index, wanted: "time.Time" }),
    }
}

fn in_zone(name: &str, time: &Zoned) -> Called {
    let zone = match name {
        "" => TimeZone::UTC,
        "Local" => TimeZone::system(),
        name => match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(_) => return failed(format!("unknown time zone {name}")),
        },
    };
    Ok(Value::Time(Arc::new(time.with_time_zone(zone))))
}

fn between(later: Timestamp, earlier: Timestamp) -> Value {
    let nanoseconds = later.as_nanosecond() - earlier.as_nanosecond();
    let bound = |limit: i64| if nanoseconds < 0 { -limit } else { limit };
    Value::Duration(i64::try_from(nanoseconds).unwrap_or_else(|_| bound(i64::MAX)))
}

/// Values inside each other are printed and dropped by recursion.
fn shallow(arguments: &[Value]) -> Result<(), CallError> {
    match arguments.iter().any(|value| value.nesting() >= NESTING_MAX) {
        true => failed(format!("nested deeper than {NESTING_MAX} levels")),
        false => Ok(()),
    }
}

fn append(arguments: &[Value]) -> Called {
    let Some((first, rest)) = arguments.split_first() else {
        return Err(CallError::Count("wrong number of args for append: want at least 1 got 0".to_owned()));
    };
    let Value::List(list) = first else { return Err(CallError::Type { index: 0, wanted: "[]interface {}" }) };
    shallow(rest)?;
    Ok(Value::List(list.iter().chain(rest).cloned().collect()))
}

fn dict(arguments: &[Value]) -> Called {
    if !arguments.len().is_multiple_of(2) {
        return failed("dict requires an even number of arguments");
    }
    shallow(arguments)?;
    let mut entries = std::collections::BTreeMap::new();
    for pair in arguments.chunks_exact(2) {
        let Value::String(key) = &pair[0] else {
            return failed("dict keys must be strings");
        };
        entries.insert(key.to_string(), pair[1].clone());
    }
    Ok(Value::Map(Arc::new(Map { entries, kind: MapKind::Any })))
}

fn join(arguments: &[Value]) -> Called {
    let separator = text(arguments, 0)?;
    let Value::List(list) = &arguments[1] else { return Err(CallError::Type { index: 1, wanted: "[]string" }) };
    Ok(Value::string(list.iter().map(Value::print).collect::<Vec<_>>().join(separator)))
}

/// What stands in a query: `+` is a blank.
fn unescape(text: &str) -> Result<String, CallError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let value = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let Some(value) = value.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
                    let shown: String = String::from_utf8_lossy(behind).chars().take(2).collect();
                    return failed(format!("invalid URL escape {}", crate::quote(&format!("%{shown}"))));
                };
                rest = &behind[2..];
                value
            }
            byte => byte,
        });
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn of_pairs(map: &Map, name: &str, arguments: &[Value]) -> Option<Called> {
    let list = |values: &mut dyn Iterator<Item = Value>| Ok(Value::List(values.collect()));
    Some(match name {
        "SortedPairs" => list(&mut sorted(map).map(|(name, value)| {
            let fields = vec![("Name", Value::string(name.as_str())), ("Value", value.clone())];
            Value::Object(Arc::new(Object { type_name: PAIR, fields }))
        })),
        "Names" => list(&mut sorted(map).map(|(name, _)| Value::string(name.as_str()))),
        "Values" => list(&mut sorted(map).map(|(_, value)| value.clone())),
        "String" => Ok(Value::string(Value::Map(Arc::new(map.clone())).print())),
        "Remove" => exactly::<1>(name, arguments).and_then(|[names]| remove(map, names)),
        _ => return None,
    })
}

fn remove(map: &Map, names: &Value) -> Called {
    let Value::List(names) = names else { return Err(CallError::Type { index: 0, wanted: "[]string" }) };
    let is_kept = |name: &str| !names.iter().any(|other| matches!(other, Value::String(other) if **other == *name));
    let entries = map.entries.iter().filter(|(name, _)| is_kept(name));
    let entries = entries.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(Value::Map(Arc::new(Map { entries, kind: MapKind::Pairs })))
}

/// Methods of lists of alerts and of pairs; those of an empty list give an empty one.
fn of_list(list: &[Value], name: &str) -> Option<Called> {
    let is_of = |type_name| list.iter().all(|value| matches!(value, Value::Object(o) if o.type_name == type_name));
    let (alerts, pairs) = (is_of(ALERT), is_of(PAIR));
    let only = |status: &str| {
        let is_so = |value: &&Value| matches!(value, Value::Object(o) if o.fields.iter().any(|(name, value)| *name == "Status" && value.print() == status));
        Ok(Value::List(list.iter().filter(is_so).cloned().collect()))
    };
    let part = |take: fn((String, String)) -> String| {
        Ok(Value::List(list.iter().filter_map(pair).map(|pair| Value::string(take(pair))).collect()))
    };
    Some(match name {
        "Firing" if alerts => only("firing"),
        "Resolved" if alerts => only("resolved"),
        "Names" if pairs => part(|(name, _)| name),
        "Values" if pairs => part(|(_, value)| value),
        "String" if pairs => Ok(Value::string(Value::List(list.into()).print())),
        _ => return None,
    })
}

fn of_time(time: &Zoned, name: &str, arguments: &[Value]) -> Option<Called> {
    let number = |value: i64| Ok(Value::Int(value));
    let other = || zoned(arguments, 0).map(Zoned::timestamp);
    let here = time.timestamp();
    Some(match name {
        "Format" => exactly::<1>(name, arguments).and_then(|_| {
            let layout = text(arguments, 0)?;
            Ok(Value::string(time::format(time, layout)))
        }),
        "String" => Ok(Value::string(time::show(time))),
        "UTC" => in_zone("", time),
        "Local" => in_zone("Local", time),
        "Unix" => number(here.as_second()),
        "UnixMilli" => number(here.as_millisecond()),
        "Year" => number(time.year().into()),
        "Day" => number(time.day().into()),
        "YearDay" => number(time.day_of_year().into()),
        "Hour" => number(time.hour().into()),
        "Minute" => number(time.minute().into()),
        "Second" => number(time.second().into()),
        "Month" => Ok(Value::string(time::format(time, "January"))),
        "Weekday" => Ok(Value::string(time::format(time, "Monday"))),
        "IsZero" => Ok(Value::Bool(here == zero())),
        "Sub" => other().map(|other| between(here, other)),
        "Before" => other().map(|other| Value::Bool(here < other)),
        "After" => other().map(|other| Value::Bool(here > other)),
        "Equal" => other().map(|other| Value::Bool(here == other)),
        "Add" => add(time, arguments),
        _ => return None,
    })
}

fn add(time: &Zoned, arguments: &[Value]) -> Called {
    let (Some(Value::Duration(nanoseconds)) | Some(Value::Int(nanoseconds))) = arguments.first() else {
        return Err(CallError::Type { index: 0, wanted: "time.Duration" });
    };
    let span = jiff::SignedDuration::from_nanos(*nanoseconds);
    match time.checked_add(span) {
        Ok(time) => Ok(Value::Time(Arc::new(time))),
        Err(_) => failed("the time is out of range"),
    }
}

fn of_duration(nanoseconds: i64, name: &str) -> Option<Called> {
    let float = |unit: f64| Ok(Value::Float(nanoseconds as f64 / unit));
    Some(match name {
        "String" => Ok(Value::string(time::duration(nanoseconds))),
        "Seconds" => float(1e9),
        "Minutes" => float(6e10),
        "Hours" => float(3.6e12),
        "Milliseconds" => Ok(Value::Int(nanoseconds / 1_000_000)),
        _ => return None,
    })
}

/// As Go's encoder writes it.
fn json(value: &Value) -> String {
    match value {
        Value::Nil => "null".to_owned(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => value.print(),
        Value::Duration(nanoseconds) => nanoseconds.to_string(),
        Value::Time(time) => json_text(&time::format(time, "2006-01-02T15:04:05.999999999Z07:00")),
        Value::String(text) | Value::Html(text) | Value::Url(text) => json_text(text),
        Value::List(list) => format!("[{}]", list.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::Map(map) => object(map.entries.iter().map(|(name, value)| (name.clone(), json(value)))),
        Value::Object(fields) => {
            let is_pair = fields.type_name == PAIR;
            object(fields.fields.iter().map(|(name, value)| (field(name, is_pair), json(value))))
        }
    }
}

/// The spelling of a field in JSON; pairs have Go's.
fn field(name: &str, is_pair: bool) -> String {
    match name {
        name if is_pair => name.to_owned(),
        "NotificationReason" => "notification_reason".to_owned(),
        name => name[..1].to_ascii_lowercase() + &name[1..],
    }
}

fn object(members: impl Iterator<Item = (String, String)>) -> String {
    let members: Vec<String> = members.map(|(name, value)| format!("{}:{value}", json_text(&name))).collect();
    format!("{{{}}}", members.join(","))
}

fn json_text(text: &str) -> String {
    let mut output = String::with_capacity(text.len() + 2);
    output.push('"');
    for c in text.chars() {
        match c {
            '"' => output.push_str("\\\""),
            '\\' => output.push_str("\\\\"),
            '\n' => output.push_str("\\n"),
            '\r' => output.push_str("\\r"),
            '\t' => output.push_str("\\t"),
            '\u{8}' => output.push_str("\\b"),
            '\u{c}' => output.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\u{20}' => {
                output.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => output.push(c),
        }
    }
    output.push('"');
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Library, Output, Template};

    fn data() -> Value {
        let alert = |status: &str, name: &str| {
            let labels = Value::pairs([("alertname", "A"), ("i", name), ("Aa", "z")]);
            let start = Value::time(Some(1_795_217_642_123));
            let fields = vec![("Status", Value::string(status)), ("Labels", labels), ("StartsAt", start)];
            Value::Object(Arc::new(Object { type_name: ALERT, fields }))
        };
        let alerts = Value::List([alert("firing", "1"), alert("resolved", "2")].into());
        let labels = Value::pairs([("alertname", "A"), ("Aa", "z"), ("t", "a <b>")]);
        Value::Object(Arc::new(Object {
            type_name: "*template.Data",
            fields: vec![("Alerts", alerts), ("CommonLabels", labels), ("Status", Value::string("firing"))],
        }))
    }

    fn check(text: &str, expected: &str) {
        let functions = NoticeFunctions { now: Timestamp::from_millisecond(1_795_217_732_123).unwrap() };
        let mut library = Library::default();
        library
            .add(
                "x.tmpl",
                "{{ define \"t\" }}<{{ .Status }}>{{ end }}{{ define \"u\" }}\n{{ .X }}{{ end }}",
                &functions,
            )
            .unwrap();
        let got = Template::parse("", text, &functions)
            .and_then(|template| template.execute_with(&library, Output::Text, &data(), &functions));
        assert_eq!(got.unwrap_or_else(|e| e.to_string()), expected, "{text}");
    }

    /// The texts are those of `amtool template render` 0.33.1.
    #[test]
    fn writes_what_notifications_say() {
        check("{{ .Alerts.Firing | len }}/{{ len .Alerts }} {{ .Status | toUpper | title }}", "1/2 Firing");
        check("{{ .CommonLabels.SortedPairs.Values | join \" \" }}", "A z a <b>");
        check(
            "{{ .CommonLabels }}|{{ .CommonLabels.SortedPairs }}",
            "alertname=A, Aa=z, t=a <b>|alertname=A, Aa=z, t=a <b>",
        );
        check("{{ .CommonLabels.Names | join \",\" }}{{ .CommonLabels.none }}", "alertname,Aa,t");
        check("{{ with .CommonLabels.Remove (stringSlice \"t\" \"x\") }}{{ .Values | join \"-\" }}{{ end }}", "A-z");
        check("{{ range .CommonLabels.SortedPairs }}{{ .Name }}:{{ .Value }};{{ end }}", "alertname:A;Aa:z;t:a <b>;");
        check("{{ (index .Alerts 1).Labels.i }}{{ range .Alerts.Resolved }}{{ .Labels.i }}{{ end }}", "22");
        check("{{ range .Alerts.Firing }}{{ .StartsAt }}{{ end }}", "2026-11-20 23:34:02.123 +0000 UTC");
        check("{{ (index .Alerts 0).StartsAt.Format \"02 Jan 15:04\" }}", "20 Nov 23:34");
        check("{{ (index .Alerts 0).StartsAt | tz \"Europe/Berlin\" | date \"15:04 MST\" }}", "00:34 CET");
        check(
            "{{ since (index .Alerts 0).StartsAt }} {{ since (index .Alerts 0).StartsAt | humanizeDuration }}",
            "1m30s 1m 30s",
        );
        check("{{ (now.Sub (index .Alerts 0).StartsAt).Seconds }}", "90");
        check(
            "{{ toJson .CommonLabels }}{{ list 1 \"a\" | toJson }}",
            "{\"Aa\":\"z\",\"alertname\":\"A\",\"t\":\"a \\u003cb\\u003e\"}[1,\"a\"]",
        );
        check(
            "{{ (dict \"a\" 1).a }}{{ append (list 1) 2 }} {{ urlUnescape \"a%2Bb+c\" }}{{ trimSpace \" x \" }}",
            "1[1 2] a+b cx",
        );
        check("{{ if match \"^fir\" .Status }}{{ reReplaceAll \"f(i)\" \"$1\" .Status }}{{ end }}", "iring");
        check("{{ template \"t\" . }}", "<firing>");
    }

    #[test]
    fn errors_name_the_file_of_the_template() {
        check(
            "{{ template \"u\" . }}",
            "template: x.tmpl:2:3: executing \"u\" at <.X>: can't evaluate field X in type *template.Data",
        );
        check(
            "{{ template \"v\" . }}",
            "template: :1:12: executing \"\" at <{{template \"v\" .}}>: template \"v\" not defined",
        );
        check(
            "{{ tz \"No/Where\" now }}",
            "template: :1:3: executing \"\" at <tz \"No/Where\" now>: error calling tz: unknown time zone No/Where",
        );
        check("{{ nothing }}", "template: :1: function \"nothing\" not defined");
    }
}
