//! What an operation may cost.

use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql_value::Value as Written;
use cs_core::page::{DEFAULT_PAGE, MAX_PAGE};
use serde_json::{Map, Value};

use super::documents::NESTING;
use super::shape::Types;

/// What an operation may cost: a field is one, and what hangs below a list counts as often as the list is long. Counted
/// for rates; the executor has limits of its own.
pub(crate) fn cost(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Map<String, Value>,
    types: &Types,
) -> u32 {
    let root = match operation.ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    };
    let mut coster = Coster { document, variables, types, left: MOST_COUNTED };
    coster.of(root, &operation.selection_set.node, 0).max(1)
}

/// Selections looked at for a cost; fragments can make a small document a large one.
const MOST_COUNTED: usize = 10_000;
/// A list whose length nobody names.
const SOME: u32 = 10;

struct Coster<'d> {
    document: &'d ExecutableDocument,
    variables: &'d Map<String, Value>,
    types: &'d Types,
    left: usize,
}

impl Coster<'_> {
    fn of(&mut self, parent: &str, selections: &SelectionSet, depth: usize) -> u32 {
        let mut cost = 0u32;
        for selection in &selections.items {
            if self.left == 0 || depth > NESTING {
                return u32::MAX;
            }
            self.left -= 1;
            let this = match &selection.node {
                Selection::Field(field) => {
                    let (named, is_list) = self.types.named(parent, &field.node.name.node);
                    let below = self.of(named, &field.node.selection_set.node, depth + 1);
                    below.saturating_mul(self.times(parent, named, is_list, &field.node)).saturating_add(1)
                }
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    self.of(on.unwrap_or(parent), &fragment.node.selection_set.node, depth + 1)
                }
                Selection::FragmentSpread(spread) => {
                    match self.document.fragments.get(&spread.node.fragment_name.node) {
                        Some(fragment) => {
                            let on = fragment.node.type_condition.node.on.node.as_str();
                            self.of(on, &fragment.node.selection_set.node, depth + 1)
                        }
                        None => 0,
                    }
                }
            };
            cost = cost.saturating_add(this);
        }
        cost
    }

    fn times(&self, parent: &str, named: &str, is_list: bool, field: &Field) -> u32 {
        let most = MAX_PAGE;
        let length = |name: &&str| {
            let (_, value) = field.arguments.iter().find(|(known, _)| known.node.as_str() == *name)?;
            // Looked at where it stands: a copy of a variable's value can be large.
            let length = match &value.node {
                Written::Number(n) => n.as_u64(),
                Written::List(items) => u64::try_from(items.len()).ok(),
                Written::Variable(variable) => match self.variables.get(variable.as_str())? {
                    Value::Number(n) => n.as_u64(),
                    Value::Array(items) => u64::try_from(items.len()).ok(),
                    _ => None,
                },
                _ => None,
            };
            length.and_then(|n| u32::try_from(n).ok())
        };
        let named_length = ["first", "last", "ids"].iter().find_map(length);
        if let Some(length) = named_length {
            return length.clamp(1, most);
        }
        match () {
            () if named.ends_with("Connection") => DEFAULT_PAGE,
            // Counted where the connection was.
            () if parent.ends_with("Connection") => 1,
            () if is_list => SOME,
            () => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_count_by_their_length_and_fragments_where_they_are_spread() {
        let types = Types::of(&crate::graphql::schema_sdl());
        let cost = |text: &str, variables: Value| {
            let document = parse_query(text).unwrap();
            let (_, operation) = document.operations.iter().next().unwrap();
            let Value::Object(variables) = variables else { panic!("a map") };
            super::cost(&document, &operation.node, &variables, &types)
        };
        assert_eq!(cost("{ __typename }", json!({})), 1);
        assert_eq!(cost("{ viewer { id } }", json!({})), 2);
        // The connection, and five times: edges, node, title.
        assert_eq!(cost("{ meetings(first: 5) { edges { node { title } } } }", json!({})), 1 + 5 * 3);
        let by_variable = "query($n: Int) { meetings(first: $n) { nodes { title } } }";
        assert_eq!(cost(by_variable, json!({"n": 7})), 1 + 7 * 2);
        assert_eq!(cost(by_variable, json!({"n": 1_000_000})), 1 + 100 * 2, "a page is not longer");
        assert_eq!(cost(by_variable, json!({})), 1 + 20 * 2);
        let spread =
            "{ a: meetings { ...N } b: meetings { ...N } } fragment N on MeetingConnection { nodes { id } }";
        assert_eq!(cost(spread, json!({})), 2 * (1 + 20 * 2));
        assert_eq!(cost("query($i: [ID!]!) { nodes(ids: $i) { id } }", json!({"i": ["a", "b"]})), 1 + 2);
        let cycle = "{ ...A } fragment A on Query { ...A }";
        assert_eq!(cost(cycle, json!({})), u32::MAX, "a cycle ends");
    }
}
