//! The syntax tree of an expression as JSON, as Prometheus' pages read it: fields sorted by name, times in milliseconds.

use model::{MatchOp, Matcher};
use promql::{
    AtTime, Expr, Function, Grouping, Kind, Matching, Modifiers, NodeId, Sides, Type, Variadic, VectorSelector,
};

use crate::json::{Object, push_array, push_bytes, push_text};
use crate::number::push_plain;
use crate::reply::push_texts;

/// What is still to be written. A stack of these stands in for recursion: chains of operators may be very long.
enum Part {
    Text(Vec<u8>),
    Node(NodeId),
}

/// Writes the tree.
pub(crate) fn push_tree(out: &mut Vec<u8>, expr: &Expr) {
    let mut stack = vec![Part::Node(expr.root())];
    while let Some(part) = stack.pop() {
        match part {
            Part::Text(text) => out.extend_from_slice(&text),
            Part::Node(id) => {
                let mut writer = NodeWriter { expr, parts: Vec::new(), text: Vec::new() };
                writer.node(id);
                writer.parts.push(Part::Text(writer.text));
                stack.extend(writer.parts.into_iter().rev());
            }
        }
    }
}

/// Writes one node; its children become parts of their own.
struct NodeWriter<'a> {
    expr: &'a Expr,
    parts: Vec<Part>,
    text: Vec<u8>,
}

impl NodeWriter<'_> {
    fn node(&mut self, id: NodeId) {
        let expr = self.expr;
        match &expr.node(id).kind {
            Kind::Number { value, .. } => self.literal("numberLiteral", |out| {
                out.push(b'"');
                push_plain(out, *value);
                out.push(b'"');
            }),
            Kind::Text(bytes) => {
                self.literal("stringLiteral", |out| push_bytes(out, bytes));
            }
            Kind::Vector(selector) => self.selector(selector, None),
            Kind::Matrix { selector, range } => {
                if let Kind::Vector(selector) = &expr.node(*selector).kind {
                    self.selector(selector, Some(*range));
                }
            }
            Kind::Subquery { expr, range, step, modifiers } => self.subquery(*expr, *range, *step, *modifiers),
            Kind::Call { function, args } => self.call(function, args),
            Kind::Aggregate { op, expr, param, grouping } => self.aggregate(op.name(), *expr, *param, grouping),
            Kind::Unary { negative, expr } => {
                self.child("{\"expr\":", *expr);
                let op = if *negative { "-" } else { "+" };
                self.end(&format!(",\"op\":\"{op}\",\"type\":\"unaryExpr\""));
            }
            Kind::Binary { op, lhs, rhs, returns_bool, matching } => {
                self.child(&format!("{{\"bool\":{returns_bool},\"lhs\":"), *lhs);
                self.text.extend_from_slice(b",\"matching\":");
                push_matching(&mut self.text, matching.as_ref());
                self.text.extend_from_slice(b",\"op\":");
                push_text(&mut self.text, op.symbol());
                self.child(",\"rhs\":", *rhs);
                self.end(",\"type\":\"binaryExpr\"");
            }
            Kind::Paren(inner) => {
                self.child("{\"expr\":", *inner);
                self.end(",\"type\":\"parenExpr\"");
            }
        }
    }

    fn literal(&mut self, kind: &str, value: impl FnOnce(&mut Vec<u8>)) {
        let mut object = Object::new(&mut self.text);
        object.text("type", kind);
        value(object.field("val"));
        object.end();
    }

    fn selector(&mut self, selector: &VectorSelector, range: Option<i64>) {
        let mut object = Object::new(&mut self.text);
        object.array("matchers", &selector.matchers, push_matcher).text("name", &selector.name);
        object.integer("offset", selector.modifiers.offset);
        if let Some(range) = range {
            object.integer("range", range);
        }
        push_start_or_end(&mut object, selector.modifiers);
        push_fixed_time(&mut object, selector.modifiers);
        object.text("type", if range.is_some() { "matrixSelector" } else { "vectorSelector" });
        object.end();
    }

    fn subquery(&mut self, expr: NodeId, range: i64, step: Option<i64>, modifiers: Modifiers) {
        self.child("{\"expr\":", expr);
        let mut fields = Vec::new();
        let mut object = Object::new(&mut fields);
        object.integer("offset", modifiers.offset).integer("range", range);
        push_start_or_end(&mut object, modifiers);
        object.integer("step", step.unwrap_or_default());
        push_fixed_time(&mut object, modifiers);
        object.text("type", "subquery");
        object.end();
        fields[0] = b',';
        self.text.append(&mut fields);
    }

    fn call(&mut self, function: &Function, args: &[NodeId]) {
        self.text.extend_from_slice(b"{\"args\":[");
        for (i, &arg) in args.iter().enumerate() {
            self.child(if i == 0 { "" } else { "," }, arg);
        }
        self.text.extend_from_slice(b"],\"func\":");
        let mut object = Object::new(&mut self.text);
        push_texts(object.field("argTypes"), function.args.iter().map(|&kind| type_word(kind)));
        object.text("name", function.name).text("returnType", type_word(function.returns));
        object.integer(
            "variadic",
            match function.variadic {
                Variadic::Exact => 0,
                Variadic::Optional => 1,
                Variadic::Repeated => -1,
            },
        );
        object.end();
        self.end(",\"type\":\"call\"");
    }

    fn aggregate(&mut self, op: &str, expr: NodeId, param: Option<NodeId>, grouping: &Grouping) {
        self.child("{\"expr\":", expr);
        self.text.extend_from_slice(b",\"grouping\":");
        push_texts(&mut self.text, &grouping.labels);
        self.text.extend_from_slice(b",\"op\":");
        push_text(&mut self.text, op);
        match param {
            Some(param) => self.child(",\"param\":", param),
            None => self.text.extend_from_slice(b",\"param\":null"),
        }
        self.end(&format!(",\"type\":\"aggregation\",\"without\":{}", grouping.without));
    }

    fn child(&mut self, before: &str, id: NodeId) {
        self.text.extend_from_slice(before.as_bytes());
        self.parts.push(Part::Text(std::mem::take(&mut self.text)));
        self.parts.push(Part::Node(id));
    }

    fn end(&mut self, fields: &str) {
        self.text.extend_from_slice(fields.as_bytes());
        self.text.push(b'}');
    }
}

pub(crate) fn push_matcher(out: &mut Vec<u8>, matcher: &Matcher) {
    let mut object = Object::new(out);
    object.text("name", matcher.name());
    object.text(
        "type",
        match matcher.op() {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Match => "=~",
            MatchOp::NotMatch => "!~",
        },
    );
    object.text("value", matcher.value());
    object.end();
}

fn push_matching(out: &mut Vec<u8>, matching: Option<&Matching>) {
    let Some(matching) = matching else {
        out.extend_from_slice(b"null");
        return;
    };
    let mut object = Object::new(out);
    object.text(
        "card",
        match matching.sides {
            Sides::OneToOne => "one-to-one",
            Sides::ManyToOne => "many-to-one",
            Sides::OneToMany => "one-to-many",
            Sides::ManyToMany => "many-to-many",
        },
    );
    push_array(object.field("include"), &matching.include, |out, label| push_text(out, label));
    push_array(object.field("labels"), &matching.labels, |out, label| push_text(out, label));
    object.bool("on", matching.on);
    object.end();
}

fn push_start_or_end(object: &mut Object<'_>, modifiers: Modifiers) {
    match modifiers.at {
        Some(AtTime::Start) => object.text("startOrEnd", "start"),
        Some(AtTime::End) => object.text("startOrEnd", "end"),
        _ => object.word("startOrEnd", "null"),
    };
}

fn push_fixed_time(object: &mut Object<'_>, modifiers: Modifiers) {
    match modifiers.at {
        Some(AtTime::Fixed(timestamp)) => object.integer("timestamp", timestamp),
        _ => object.word("timestamp", "null"),
    };
}

pub(crate) fn type_word(kind: Type) -> &'static str {
    match kind {
        Type::Scalar => "scalar",
        Type::String => "string",
        Type::Vector => "vector",
        Type::Matrix => "matrix",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_chains_take_no_stack() {
        let chain = vec!["1"; 100_000].join("+");
        let mut out = Vec::new();
        push_tree(&mut out, &promql::parse(&chain).unwrap());
        assert!(out.ends_with(b"\"type\":\"binaryExpr\"}"));
    }
}
