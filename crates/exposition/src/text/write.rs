//! Metric families as a page.

use model::{Families, Family, Point, is_valid_label_name, is_valid_metric_name};

use crate::format_float;

/// Appends the families as text 0.0.4, in their order. Families without points are left out, as Prometheus' clients do.
pub fn write(families: &Families, into: &mut String) {
    for family in families.iter().filter(|family| !family.points.is_empty()) {
        write_head(family, into);
        for point in &family.points {
            write_point(&family.name, point, into);
        }
    }
}

fn write_head(family: &Family, into: &mut String) {
    into.push_str("# HELP ");
    push_name(&family.name, "", into);
    into.push(' ');
    push_escaped(&family.help, false, into);
    into.push_str("\n# TYPE ");
    push_name(&family.name, "", into);
    into.push(' ');
    // The format of 0.0.4 knows five words; other kinds have none of their own there.
    into.push_str(match family.kind {
        model::MetricKind::Unknown => "untyped",
        model::MetricKind::GaugeHistogram => "histogram",
        model::MetricKind::Info | model::MetricKind::StateSet => "gauge",
        kind => kind.as_str(),
    });
    into.push('\n');
}

fn write_point(name: &str, point: &Point, into: &mut String) {
    let quoted = !is_valid_metric_name(name);
    if !quoted {
        into.push_str(name);
        into.push_str(point.suffix);
    }
    if quoted || !point.labels.is_empty() {
        into.push('{');
        if quoted {
            push_name(name, point.suffix, into);
        }
        write_labels(point, quoted, into);
        into.push('}');
    }
    into.push(' ');
    format_float(point.value, into);
    into.push('\n');
}

fn write_labels(point: &Point, mut comma: bool, into: &mut String) {
    for (name, value) in &point.labels {
        if comma {
            into.push(',');
        }
        comma = true;
        if is_valid_label_name(name) {
            into.push_str(name);
        } else {
            push_quoted(name, "", into);
        }
        into.push('=');
        push_quoted(value, "", into);
    }
}

fn push_name(name: &str, suffix: &str, into: &mut String) {
    if is_valid_metric_name(name) {
        into.push_str(name);
        into.push_str(suffix);
    } else {
        push_quoted(name, suffix, into);
    }
}

pub(crate) fn push_quoted(text: &str, suffix: &str, into: &mut String) {
    into.push('"');
    push_escaped(text, true, into);
    into.push_str(suffix);
    into.push('"');
}

/// Backslash and line feed are escaped everywhere, the quotation mark within quotation marks.
fn push_escaped(text: &str, quotes: bool, into: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '"' if quotes => into.push_str("\\\""),
            c => into.push(c),
        }
    }
}
