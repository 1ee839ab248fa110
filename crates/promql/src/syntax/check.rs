//! Types, and what the grammar cannot say.

use model::METRIC_NAME;

use super::quote;
use super::tree::{Aggregation, Expr, Kind, Matching, Node, NodeId, Sides, Type, VectorSelector};
use crate::error::{ParseError, Position};
use crate::function::{Function, Variadic};

/// Steps of a walk in the order in which Prometheus checks, so that of several errors the same one comes first.
#[derive(Clone, Copy)]
enum Step {
    Enter(NodeId),
    Leave(NodeId),
    /// The node must have the type; the text says where.
    Expect(NodeId, Type, Context),
}

#[derive(Clone, Copy)]
enum Context {
    Aggregated,
    AggregationParam,
    Argument(&'static Function),
}

struct Checker<'a> {
    nodes: &'a mut [Node],
    operators: &'a [Position],
    types: &'a [Type],
    text: &'a str,
    steps: Vec<Step>,
}

/// Checks a tree whose last node is the root. Drops the matching of operators that have a scalar operand and makes set
/// operators many-to-many.
pub(super) fn check(mut nodes: Vec<Node>, operators: &[Position], text: &str) -> Result<Expr, ParseError> {
    let types = types(&nodes);
    let root = NodeId((nodes.len() - 1) as u32);
    let steps = vec![Step::Enter(root)];
    let mut checker = Checker { nodes: &mut nodes, operators, types: &types, text, steps };
    while let Some(step) = checker.steps.pop() {
        checker.step(step)?;
    }
    Ok(Expr::new(nodes, types, text))
}

/// Types of all nodes; children stand before their parents.
fn types(nodes: &[Node]) -> Vec<Type> {
    let mut types: Vec<Type> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let of = |id: &NodeId| types[id.0 as usize];
        types.push(match &node.kind {
            Kind::Number { .. } => Type::Scalar,
            Kind::Text(_) => Type::String,
            Kind::Vector(_) | Kind::Aggregate { .. } => Type::Vector,
            Kind::Matrix { .. } | Kind::Subquery { .. } => Type::Matrix,
            Kind::Call { function, .. } => function.returns,
            Kind::Paren(expr) | Kind::Unary { expr, .. } => of(expr),
            Kind::Binary { lhs, rhs, .. } => match (of(lhs), of(rhs)) {
                (Type::Scalar, Type::Scalar) => Type::Scalar,
                _ => Type::Vector,
            },
        });
    }
    types
}

fn is_operand(of: Type) -> bool {
    matches!(of, Type::Scalar | Type::Vector)
}

impl Checker<'_> {
    fn error<T>(&self, position: Position, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.text, position, message))
    }

    fn type_of(&self, id: NodeId) -> Type {
        self.types[id.0 as usize]
    }

    fn position(&self, id: NodeId) -> Position {
        self.nodes[id.0 as usize].position
    }

    fn step(&mut self, step: Step) -> Result<(), ParseError> {
        match step {
            Step::Enter(id) => self.enter(id),
            Step::Leave(id) => self.leave(id),
            Step::Expect(id, wanted, context) => self.expect(id, wanted, context),
        }
    }

    /// Later steps first: the stack is popped from its end.
    fn enter(&mut self, id: NodeId) -> Result<(), ParseError> {
        match &self.nodes[id.0 as usize].kind {
            Kind::Number { .. } | Kind::Text(_) => {}
            Kind::Vector(selector) => self.vector(id, selector)?,
            Kind::Paren(inner) | Kind::Matrix { selector: inner, .. } => self.steps.push(Step::Enter(*inner)),
            Kind::Unary { expr, .. } | Kind::Subquery { expr, .. } => {
                let expr = *expr;
                self.steps.extend([Step::Leave(id), Step::Enter(expr)]);
            }
            Kind::Binary { lhs, rhs, .. } => {
                let (lhs, rhs) = (*lhs, *rhs);
                self.steps.extend([Step::Leave(id), Step::Enter(rhs), Step::Enter(lhs)]);
            }
            Kind::Aggregate { op, expr, param, .. } => {
                if let Some(param) = *param {
                    let wanted = if *op == Aggregation::CountValues { Type::String } else { Type::Scalar };
                    self.steps.push(Step::Expect(param, wanted, Context::AggregationParam));
                    self.steps.push(Step::Enter(param));
                }
                let expr = *expr;
                self.steps.push(Step::Expect(expr, Type::Vector, Context::Aggregated));
                self.steps.push(Step::Enter(expr));
            }
            Kind::Call { function, args } => {
                let args = args.clone();
                self.call(id, function, &args)?;
            }
        }
        Ok(())
    }

    fn leave(&mut self, id: NodeId) -> Result<(), ParseError> {
        match &self.nodes[id.0 as usize].kind {
            Kind::Unary { expr, .. } if !is_operand(self.type_of(*expr)) => {
                let got = self.type_of(*expr).documented();
                let message = "unary expression only allowed on expressions of type scalar or instant vector, got";
                self.error(self.position(id), format!("{message} \"{got}\""))
            }
            Kind::Subquery { expr, .. } if self.type_of(*expr) != Type::Vector => {
                let got = self.type_of(*expr).name();
                let message = format!("subquery is only allowed on instant vector, got {got} instead");
                self.error(self.position(id), message)
            }
            Kind::Binary { .. } => {
                self.binary(id)?;
                self.settle_matching(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn expect(&self, id: NodeId, wanted: Type, context: Context) -> Result<(), ParseError> {
        let got = self.type_of(id);
        if got == wanted {
            return Ok(());
        }
        let context = match context {
            Context::Aggregated => "aggregation expression".to_owned(),
            Context::AggregationParam => "aggregation parameter".to_owned(),
            Context::Argument(function) => format!("call to function {}", quote(function.name.as_bytes())),
        };
        let (wanted, got) = (wanted.documented(), got.documented());
        self.error(self.position(id), format!("expected type {wanted} in {context}, got {got}"))
    }

    fn vector(&self, id: NodeId, selector: &VectorSelector) -> Result<(), ParseError> {
        if selector.name.is_empty() {
            if selector.matchers.iter().all(model::Matcher::matches_empty) {
                let message = "vector selector must contain at least one non-empty matcher";
                return self.error(self.position(id), message);
            }
            return Ok(());
        }
        let own = selector.matchers.len() - 1;
        match selector.matchers[..own].iter().find(|m| m.name() == METRIC_NAME) {
            None => Ok(()),
            Some(other) => {
                let (name, other) = (quote(selector.name.as_bytes()), quote(other.value().as_bytes()));
                self.error(self.position(id), format!("metric name must not be set twice: {name} or {other}"))
            }
        }
    }

    fn binary(&self, id: NodeId) -> Result<(), ParseError> {
        let Kind::Binary { op, lhs, rhs, returns_bool, matching } = &self.nodes[id.0 as usize].kind else {
            return Ok(());
        };
        let (left, right) = (self.type_of(*lhs), self.type_of(*rhs));
        let operator = self.operators[id.0 as usize];
        let whole = self.position(id);
        let no_matching = Matching::default();
        let matching = matching.as_ref().unwrap_or(&no_matching);
        if *returns_bool && !op.is_comparison() {
            return self.error(operator, "bool modifier can only be used on comparison operators");
        }
        if op.is_comparison() && !returns_bool && left == Type::Scalar && right == Type::Scalar {
            return self.error(operator, "comparisons between scalars must use BOOL modifier");
        }
        if let (true, Some(label)) = (matching.on, matching.labels.iter().find(|l| matching.include.contains(l))) {
            let label = quote(label.as_bytes());
            return self.error(operator, format!("label {label} must not occur in ON and GROUP clause at once"));
        }
        for (side, of) in [(lhs, left), (rhs, right)] {
            if !is_operand(of) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.error(self.position(*side), message);
            }
        }
        let vectors = left == Type::Vector && right == Type::Vector;
        if !vectors && !matching.labels.is_empty() {
            return self.error(whole, "vector matching only allowed between instant vectors");
        }
        if vectors && op.is_set() && matches!(matching.sides, Sides::ManyToOne | Sides::OneToMany) {
            return self.error(whole, format!("no grouping allowed for \"{op}\" operation"));
        }
        if !vectors && op.is_set() {
            return self.error(whole, format!("set operator \"{op}\" not allowed in binary scalar expression"));
        }
        Ok(())
    }

    fn settle_matching(&mut self, id: NodeId) {
        if let Kind::Binary { op, lhs, rhs, matching, .. } = &mut self.nodes[id.0 as usize].kind {
            let scalar = |side: NodeId| self.types[side.0 as usize] == Type::Scalar;
            if scalar(*lhs) || scalar(*rhs) {
                *matching = None;
            } else if let (true, Some(matching)) = (op.is_set(), matching) {
                matching.sides = Sides::ManyToMany;
            }
        }
    }

    fn call(&mut self, id: NodeId, function: &'static Function, args: &[NodeId]) -> Result<(), ParseError> {
        self.argument_count(id, function, args.len())?;
        let info_selector = if function.name == "info" { args.get(1).copied() } else { None };
        if let Some(selector) = info_selector {
            self.info_selector(selector)?;
        }
        for (i, arg) in args.iter().enumerate().rev() {
            let wanted = function.args[i.min(function.args.len() - 1)];
            self.steps.push(Step::Expect(*arg, wanted, Context::Argument(function)));
            // The selector of `info` may match everything, so it is not entered.
            if info_selector != Some(*arg) {
                self.steps.push(Step::Enter(*arg));
            }
        }
        Ok(())
    }

    fn argument_count(&self, id: NodeId, function: &Function, got: usize) -> Result<(), ParseError> {
        let types = function.args.len();
        let (least, most) = match function.variadic {
            Variadic::Exact => (types, types),
            Variadic::Optional => (types - 1, types),
            Variadic::Repeated => (types - 1, usize::MAX),
        };
        if (least..=most).contains(&got) {
            return Ok(());
        }
        let (bound, wanted) = match function.variadic {
            Variadic::Exact => ("", types),
            _ if got < least => ("at least ", least),
            _ => ("at most ", most),
        };
        let name = quote(function.name.as_bytes());
        let message = format!("expected {bound}{wanted} argument(s) in call to {name}, got {got}");
        self.error(self.position(id), message)
    }

    fn info_selector(&self, arg: NodeId) -> Result<(), ParseError> {
        match &self.nodes[arg.0 as usize].kind {
            Kind::Vector(selector) if selector.name.is_empty() => Ok(()),
            Kind::Vector(_) => {
                self.error(self.position(arg), "expected label selectors only, got vector selector instead")
            }
            _ => self.error(self.position(arg), "expected label selectors only"),
        }
    }
}
