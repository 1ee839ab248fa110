//! The functions that every template knows.

use std::cmp::Ordering;

use crate::functions::exactly;
use crate::{CallError, Value, format};

const NAMES: [&str; 19] = [
    "and", "or", "not", "len", "index", "slice", "print", "println", "printf", "html", "js", "urlquery", "eq", "ne",
    "lt", "le", "gt", "ge", "call",
];

/// Whether there is a built-in function of this name.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls a built-in function; `None` if there is none of this name. `and` and `or` are the executor's.
pub(crate) fn call(name: &str, arguments: &[Value]) -> Option<Result<Value, CallError>> {
    Some(match name {
        "call" => call_value(arguments),
        "not" => exactly(name, arguments).map(|[value]| Value::Bool(!value.is_true())),
        "len" => exactly(name, arguments).and_then(|[value]| len(value)),
        "index" => index(arguments),
        "slice" => slice(arguments),
        "print" => Ok(Value::string(print(arguments))),
        "println" => Ok(Value::string(println(arguments))),
        "printf" => printf(arguments),
        "html" => Ok(Value::string(html(&print(arguments)))),
        "js" => Ok(Value::string(js(&print(arguments)))),
        "urlquery" => Ok(Value::string(url_query(&print(arguments)))),
        "eq" => equal_to_any(arguments).map(Value::Bool),
        "ne" => exactly(name, arguments).and_then(|[a, b]| Ok(Value::Bool(!equal(a, b)?))),
        "lt" | "le" | "gt" | "ge" => exactly(name, arguments).and_then(|[a, b]| order(name, a, b)),
        _ => return None,
    })
}

fn failed<T>(message: impl Into<String>) -> Result<T, CallError> {
    Err(CallError::Failed(message.into()))
}

/// No value here is a function.
fn call_value(arguments: &[Value]) -> Result<Value, CallError> {
    match arguments.first() {
        None => Err(CallError::Count("wrong number of args for call: want at least 1 got 0".to_owned())),
        Some(Value::Nil) => failed("call of nil"),
        Some(value) => failed(format!("non-function {} of type {}", value.show(), value.type_name())),
    }
}

fn len(value: &Value) -> Result<Value, CallError> {
    let length = match value {
        Value::String(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.entries.len(),
        Value::Nil => return failed("len of nil pointer"),
        other => return failed(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(length as i64))
}

fn index(arguments: &[Value]) -> Result<Value, CallError> {
    let Some((first, keys)) = arguments.split_first() else {
        return Err(CallError::Count("wrong number of args for index: want at least 1 got 0".to_owned()));
    };
    keys.iter().try_fold(first.clone(), |value, key| match (&value, key) {
        (Value::List(list), Value::Int(i)) => match usize::try_from(*i).ok().and_then(|i| list.get(i)) {
            Some(element) => Ok(element.clone()),
            None => failed(format!("index out of range: {i}")),
        },
        (Value::String(text), Value::Int(i)) => match usize::try_from(*i).ok().and_then(|i| text.as_bytes().get(i)) {
            Some(byte) => Ok(Value::Int(i64::from(*byte))),
            None => failed(format!("index out of range: {i}")),
        },
        (Value::Map(map), Value::String(key)) => Ok(map.entries.get(&**key).cloned().unwrap_or(map.kind.missing())),
        (Value::Map(_), key) => failed(format!("value has type {}; should be string", key.type_name())),
        (Value::List(_) | Value::String(_), key) => {
            failed(format!("cannot index slice/array with type {}", key.type_name()))
        }
        (Value::Nil, _) => failed("index of untyped nil"),
        (other, _) => failed(format!("can't index item of type {}", other.type_name())),
    })
}

fn slice(arguments: &[Value]) -> Result<Value, CallError> {
    let Some((first, bounds)) = arguments.split_first() else {
        return Err(CallError::Count("wrong number of args for slice: want at least 1 got 0".to_owned()));
    };
    let length = match first {
        Value::String(text) => text.len(),
        Value::List(list) => list.len(),
        other => return failed(format!("can't slice item of type {}", other.type_name())),
    };
    let bound = |i: usize, default: usize| match bounds.get(i) {
        None => Ok(default),
        Some(Value::Int(bound)) => match usize::try_from(*bound) {
            Ok(bound) if bound <= length => Ok(bound),
            _ => failed(format!("index out of range: {bound}")),
        },
        Some(other) => failed(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let (start, end) = (bound(0, 0)?, bound(1, length)?);
    if start > end {
        return failed(format!("invalid slice index: {start} > {end}"));
    }
    Ok(match first {
        Value::List(list) => Value::List(list[start..end].into()),
        Value::String(text) => Value::string(String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned()),
        _ => Value::Nil,
    })
}

/// Blanks stand between two operands of which neither is a text.
fn print(arguments: &[Value]) -> String {
    let mut text = String::new();
    for (i, value) in arguments.iter().enumerate() {
        let both = |a: &Value, b: &Value| !matches!(a, Value::String(_)) && !matches!(b, Value::String(_));
        if i > 0 && both(value, &arguments[i - 1]) {
            text.push(' ');
        }
        text.push_str(&value.show());
    }
    text
}

fn println(arguments: &[Value]) -> String {
    let shown: Vec<String> = arguments.iter().map(Value::show).collect();
    format!("{}\n", shown.join(" "))
}

fn printf(arguments: &[Value]) -> Result<Value, CallError> {
    match arguments.split_first() {
        Some((Value::String(pattern), rest)) => Ok(Value::string(format::format(pattern, rest))),
        Some(_) => Err(CallError::Type { index: 0, wanted: "string" }),
        None => Err(CallError::Count("wrong number of args for printf: want at least 1 got 0".to_owned())),
    }
}

fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\0' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => escaped.extend(['\\', c]),
            '<' | '>' | '&' | '=' => escaped.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if u32::from(c) < 0x20 => escaped.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The escaping of a query's value in a URL: a blank becomes a plus.
pub(crate) fn url_query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => escaped.push('+'),
            b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            b if b.is_ascii_alphanumeric() => escaped.push(char::from(b)),
            b => escaped.push_str(&format!("%{b:02X}")),
        }
    }
    escaped
}

fn equal_to_any(arguments: &[Value]) -> Result<bool, CallError> {
    match arguments {
        [] => Err(CallError::Count("wrong number of args for eq: want at least 1 got 0".to_owned())),
        [_] => failed("missing argument for comparison"),
        [first, others @ ..] => {
            for other in others {
                if equal(first, other)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, CallError> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::String(a), Value::String(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Duration(a), Value::Duration(b)) => Ok(a == b),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::List(_) | Value::Map(_) | Value::Object(_), _)
        | (_, Value::List(_) | Value::Map(_) | Value::Object(_)) => failed("non-comparable type"),
        (a, b) => incompatible(a, b),
    }
}

fn incompatible<T>(a: &Value, b: &Value) -> Result<T, CallError> {
    failed(format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()))
}

fn order(name: &str, a: &Value, b: &Value) -> Result<Value, CallError> {
    let order = match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Duration(a), Value::Duration(b)) | (Value::Duration(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(_) | Value::List(_) | Value::Map(_) | Value::Object(_) | Value::Nil, _) => {
            return failed("invalid type for comparison");
        }
        (a, b) => return incompatible(a, b),
    };
    let holds = match name {
        "lt" => order == Some(Ordering::Less),
        "gt" => order == Some(Ordering::Greater),
        "le" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    };
    Ok(Value::Bool(holds))
}
