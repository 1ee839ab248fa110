//! A page as text, format version 0.0.4.

use std::fmt::{self, Write};

use model::{Families, Family, Point};

/// What the endpoints answer with.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes the families one after the other, each with HELP and TYPE.
pub(crate) fn write(families: &Families) -> String {
    let mut page = String::new();
    for family in families.iter() {
        // Writing to a string cannot fail.
        let _ = write_family(&mut page, family);
    }
    page
}

fn write_family(page: &mut String, family: &Family) -> fmt::Result {
    writeln!(page, "# HELP {} {}", family.name, family.help.replace('\\', r"\\").replace('\n', r"\n"))?;
    writeln!(page, "# TYPE {} {}", family.name, family.kind)?;
    family.points.iter().try_for_each(|point| write_point(page, &family.name, point))
}

fn write_point(page: &mut String, name: &str, point: &Point) -> fmt::Result {
    write!(page, "{name}{}", point.suffix)?;
    for (i, (label, value)) in point.labels.iter().enumerate() {
        let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        write!(page, "{}{label}=\"{value}\"", if i == 0 { '{' } else { ',' })?;
    }
    let end = if point.labels.is_empty() { "" } else { "}" };
    writeln!(page, "{end} {}", point.value)
}

#[cfg(test)]
mod tests {
    use model::MetricKind;

    use super::*;

    #[test]
    fn help_and_labels_are_escaped() {
        let mut families = Families::default();
        families.family("a", MetricKind::Gauge, "x\\y\nz").value(1.5).with([("b", "c\\d\"e\nf"), ("g", "h")], 2e9);
        let expected = "# HELP a x\\\\y\\nz\n# TYPE a gauge\na 1.5\na{b=\"c\\\\d\\\"e\\nf\",g=\"h\"} 2000000000\n";
        assert_eq!(write(&families), expected);
    }
}
