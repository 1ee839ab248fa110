//! The order in which variables get their values: each after those that it names.

use thiserror::Error;

use super::interpolate::references;
use super::{Variable, VariableKind};

/// Variables that name each other have no first one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the variables {} name each other in a circle; one of them has to stand without the next", .0.join(" → "))]
pub struct CycleError(pub Vec<String>);

/// Places of the variables in the order of their evaluation; those that do not depend on each other stay as they are.
pub fn order(variables: &[Variable]) -> Result<Vec<usize>, CycleError> {
    let needs: Vec<Vec<usize>> = variables.iter().map(|variable| needs(variable, variables)).collect();
    let mut done = Vec::with_capacity(variables.len());
    let mut is_done = vec![false; variables.len()];
    while done.len() < variables.len() {
        let free = |at: &usize| !is_done[*at] && needs[*at].iter().all(|need| is_done[*need]);
        match (0..variables.len()).find(free) {
            Some(at) => {
                is_done[at] = true;
                done.push(at);
            }
            None => return Err(cycle(variables, &needs, &is_done)),
        }
    }
    Ok(done)
}

/// Variables that this one names.
fn needs(variable: &Variable, variables: &[Variable]) -> Vec<usize> {
    let query = match &variable.kind {
        VariableKind::Query(text) | VariableKind::Custom(text) => text.as_str(),
        VariableKind::Interval { choices, .. } => choices,
        _ => "",
    };
    let named: Vec<String> = references(query).into_iter().chain(references(&variable.regex)).collect();
    (0..variables.len()).filter(|at| named.contains(&variables[*at].name)).collect()
}

/// From one that waits to what it waits for, until one comes again.
fn cycle(variables: &[Variable], needs: &[Vec<usize>], is_done: &[bool]) -> CycleError {
    let mut way = vec![is_done.iter().position(|done| !done).unwrap_or(0)];
    while let Some(next) = needs[way[way.len() - 1]].iter().find(|need| !is_done[**need]).copied() {
        let seen = way.iter().position(|at| *at == next);
        way.push(next);
        if let Some(seen) = seen {
            way.drain(..seen);
            break;
        }
    }
    CycleError(way.into_iter().map(|at| variables[at].name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_come_after_those_they_name() {
        let variable = |(name, query): &(&str, &str)| Variable {
            name: (*name).to_owned(),
            kind: VariableKind::Query((*query).to_owned()),
            ..Variable::default()
        };
        let check = |variables: &[(&str, &str)], expected: Result<&[usize], &str>| {
            let found = order(&variables.iter().map(variable).collect::<Vec<_>>());
            assert_eq!(found.map_err(|error| error.to_string()), expected.map(<[_]>::to_vec).map_err(str::to_owned));
        };
        check(&[], Ok(&[]));
        check(&[("a", "up"), ("b", "up")], Ok(&[0, 1]));
        check(&[("a", "up{x=\"$b\"}"), ("b", "up{x=\"${c:regex}\"}"), ("c", "[[d]]$__range")], Ok(&[2, 1, 0]));
        check(&[("a", "$ab"), ("ab", "up")], Ok(&[1, 0]));
        let circle = "the variables b → c → b name each other in a circle; one of them has to stand without the next";
        check(&[("a", "$b"), ("b", "$c"), ("c", "$b")], Err(circle));
        let own = "the variables a → a name each other in a circle; one of them has to stand without the next";
        check(&[("a", "$a")], Err(own));
    }
}
