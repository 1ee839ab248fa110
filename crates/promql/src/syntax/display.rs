//! Prints expressions as Prometheus formats them.

use std::fmt::{self, Formatter, Write};
use std::time::Duration;

use model::{Labels, Matcher, format_duration, is_valid_label_name, is_valid_metric_name};

use super::number::OF_NAN;
use super::quote;
use super::tree::{AtTime, Expr, Grouping, Kind, Matching, Modifiers, NodeId, Sides, VectorSelector};

/// What is still to be printed; a stack of these replaces recursion.
enum Piece<'a> {
    Node(NodeId),
    Text(&'a str),
    Modifiers(&'a Modifiers),
    /// `[5m` and, for a subquery, `:1m`.
    Range(i64, Option<Option<i64>>),
    Selector(&'a VectorSelector),
    /// The operator of this binary node, with blanks around it.
    Operator(NodeId),
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write_from(f, self.root())
    }
}

/// A node on one line.
struct OneLine<'a>(&'a Expr, NodeId);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.write_from(f, self.1)
    }
}

/// The operator of a binary node with what belongs to it, blanks around.
struct Operator<'a>(&'a Expr, NodeId);

impl fmt::Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.write_operator(f, self.1)
    }
}

/// ` by (a) `, or nothing.
pub(crate) struct Grouped<'a>(pub(crate) &'a Grouping);

impl fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_grouping(f, self.0)
    }
}

impl Expr {
    pub(crate) fn one_line(&self, id: NodeId) -> String {
        OneLine(self, id).to_string()
    }

    pub(crate) fn operator(&self, id: NodeId) -> String {
        Operator(self, id).to_string()
    }

    fn write_from(&self, f: &mut Formatter<'_>, id: NodeId) -> fmt::Result {
        let mut pieces = vec![Piece::Node(id)];
        while let Some(piece) = pieces.pop() {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Modifiers(modifiers) => write_modifiers(f, modifiers)?,
                Piece::Range(range, subquery) => write_range(f, range, subquery)?,
                Piece::Selector(selector) => write_selector(f, selector)?,
                Piece::Operator(id) => self.write_operator(f, id)?,
                Piece::Node(id) => self.write_node(f, id, &mut pieces)?,
            }
        }
        Ok(())
    }

    /// Prints the head of a node and puts the rest on the stack, last piece first.
    fn write_node<'a>(&'a self, f: &mut Formatter<'_>, id: NodeId, pieces: &mut Vec<Piece<'a>>) -> fmt::Result {
        match self.kind(id) {
            Kind::Number { value, duration } => f.write_str(&format_number(*value, *duration)),
            Kind::Text(bytes) => f.write_str(&literal(bytes)),
            Kind::Vector(selector) => {
                pieces.extend([Piece::Modifiers(&selector.modifiers), Piece::Selector(selector)]);
                Ok(())
            }
            Kind::Matrix { selector, range } => {
                if let Kind::Vector(selector) = self.kind(*selector) {
                    pieces.push(Piece::Modifiers(&selector.modifiers));
                    pieces.push(Piece::Range(*range, None));
                    pieces.push(Piece::Selector(selector));
                }
                Ok(())
            }
            Kind::Subquery { expr, range, step, modifiers } => {
                pieces.push(Piece::Modifiers(modifiers));
                pieces.push(Piece::Range(*range, Some(*step)));
                pieces.push(Piece::Node(*expr));
                Ok(())
            }
            Kind::Call { function, args } => {
                push_list(pieces, args);
                write!(f, "{}(", function.name)
            }
            Kind::Aggregate { op, expr, param, grouping } => {
                let args: Vec<_> = param.iter().chain([expr]).copied().collect();
                push_list(pieces, &args);
                f.write_str(op.name())?;
                write_grouping(f, grouping)?;
                f.write_char('(')
            }
            Kind::Unary { negative, expr } => {
                pieces.push(Piece::Node(*expr));
                f.write_char(if *negative { '-' } else { '+' })
            }
            Kind::Binary { lhs, rhs, .. } => {
                pieces.extend([Piece::Node(*rhs), Piece::Operator(id), Piece::Node(*lhs)]);
                Ok(())
            }
            Kind::Paren(inner) => {
                pieces.extend([Piece::Text(")"), Piece::Node(*inner)]);
                f.write_char('(')
            }
        }
    }

    fn write_operator(&self, f: &mut Formatter<'_>, id: NodeId) -> fmt::Result {
        let Kind::Binary { op, returns_bool, matching, .. } = self.kind(id) else {
            return Ok(());
        };
        write!(f, " {op}{}", if *returns_bool { " bool" } else { "" })?;
        if let Some(matching) = matching {
            write_matching(f, matching)?;
        }
        f.write_char(' ')
    }
}

fn push_list<'a>(pieces: &mut Vec<Piece<'a>>, args: &[NodeId]) {
    pieces.push(Piece::Text(")"));
    for (i, arg) in args.iter().enumerate().rev() {
        pieces.push(Piece::Node(*arg));
        if i > 0 {
            pieces.push(Piece::Text(", "));
        }
    }
}

fn write_grouping(f: &mut Formatter<'_>, grouping: &Grouping) -> fmt::Result {
    if grouping.labels.is_empty() && !grouping.without {
        return Ok(());
    }
    f.write_str(if grouping.without { " without (" } else { " by (" })?;
    write_labels(f, &grouping.labels)?;
    f.write_str(") ")
}

fn write_matching(f: &mut Formatter<'_>, matching: &Matching) -> fmt::Result {
    let grouped = match matching.sides {
        Sides::ManyToOne => Some("left"),
        Sides::OneToMany => Some("right"),
        Sides::OneToOne | Sides::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || grouped.is_some() {
        f.write_str(if matching.on { " on (" } else { " ignoring (" })?;
        write_labels(f, &matching.labels)?;
        f.write_char(')')?;
    }
    if let Some(side) = grouped {
        write!(f, " group_{side} (")?;
        write_labels(f, &matching.include)?;
        f.write_char(')')?;
    }
    Ok(())
}

fn write_labels(f: &mut Formatter<'_>, labels: &[String]) -> fmt::Result {
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        // A colon needs no quotes in lists of labels.
        let quoted = if is_valid_metric_name(label) { label.clone() } else { literal(label.as_bytes()) };
        f.write_str(&quoted)?;
    }
    Ok(())
}

/// A label name, quoted where it is not of the classic alphabet.
fn label_name(name: &str) -> String {
    if is_valid_label_name(name) { name.to_owned() } else { literal(name.as_bytes()) }
}

fn write_selector(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    f.write_str(&selector.name)?;
    let own = usize::from(!selector.name.is_empty());
    let shown = &selector.matchers[..selector.matchers.len() - own];
    if shown.is_empty() {
        // A selector without name and conditions is legal as the second argument of `info`.
        return f.write_str(if own == 0 { "{}" } else { "" });
    }
    let mut conditions: Vec<String> = shown.iter().map(format_matcher).collect();
    conditions.sort();
    write!(f, "{{{}}}", conditions.join(","))
}

fn format_matcher(matcher: &Matcher) -> String {
    format!("{}{}{}", label_name(matcher.name()), matcher.op(), literal(matcher.value().as_bytes()))
}

fn write_modifiers(f: &mut Formatter<'_>, modifiers: &Modifiers) -> fmt::Result {
    match modifiers.at {
        None => {}
        Some(AtTime::Fixed(at)) => write!(f, " @ {:.3}", at as f64 / 1e3)?,
        Some(AtTime::Start) => f.write_str(" @ start()")?,
        Some(AtTime::End) => f.write_str(" @ end()")?,
    }
    match modifiers.offset {
        0 => Ok(()),
        // The opposite of the least duration is the same again in Go, with a sign of its own behind that of the offset.
        OF_NAN => write!(f, " offset -{}", format_millis(OF_NAN)),
        offset => write!(f, " offset {}", format_millis(offset)),
    }
}

fn write_range(f: &mut Formatter<'_>, range: i64, subquery: Option<Option<i64>>) -> fmt::Result {
    write!(f, "[{}", format_millis(range))?;
    if let Some(step) = subquery {
        write!(f, ":{}", step.map(format_millis).unwrap_or_default())?;
    }
    f.write_char(']')
}

fn format_millis(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    format!("{sign}{}", format_duration(Duration::from_millis(millis.unsigned_abs())))
}

fn format_number(value: f64, duration: bool) -> String {
    if duration {
        return format_millis((value * 1e3).round() as i64);
    }
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        v if v.is_infinite() => if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        v => v.to_string(),
    }
}

/// A string literal. The lexer refuses the replacement character, which stands for bytes that are no UTF-8, unless it is
/// escaped.
fn literal(bytes: &[u8]) -> String {
    quote(bytes).replace('\u{fffd}', "\\ufffd")
}

/// A label set as Prometheus prints it: `{__name__="up", job="a"}`.
pub(crate) fn format_labels(labels: &Labels) -> String {
    let pair = |(name, value): (&str, &str)| format!("{}={}", label_name(name), quote(value.as_bytes()));
    let pairs: Vec<String> = labels.iter().map(pair).collect();
    format!("{{{}}}", pairs.join(", "))
}
