//! What an operation may cost.

use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Value as ConstValue};
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
    let mut coster = Coster { document, operation, variables, types, left: MOST_COUNTED };
    coster.of(root, &operation.selection_set.node, 0).max(1)
}

/// Selections looked at for a cost; fragments can make a small document a large one.
const MOST_COUNTED: usize = 10_000;
/// A list whose length nobody names.
const SOME: u32 = 10;

/// What a field at the root costs whatever is selected below it: work of a service that no list's length shows.
fn base(parent: &str, field: &str) -> u32 {
    match (parent, field) {
        // The query's vector, and both halves of a hybrid search.
        ("Query", "search") => 100,
        // All that every service keeps about a person.
        ("Mutation", "requestDataExport") => 1_000,
        _ => 1,
    }
}

struct Coster<'d> {
    document: &'d ExecutableDocument,
    operation: &'d OperationDefinition,
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
                    below
                        .saturating_mul(self.times(parent, named, is_list, &field.node))
                        .saturating_add(base(parent, &field.node.name.node))
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

    /// How many a value names, looked at where it stands: a copy of a variable's value can be large.
    fn length(&self, value: &Written) -> Option<u32> {
        match value {
            Written::Number(n) => n.as_u64().map(clamped),
            Written::List(items) => Some(clamped(items.len() as u64)),
            Written::Variable(variable) => match self.variables.get(variable.as_str()) {
                Some(value) => given(value),
                None => written(self.default(variable)?),
            },
            _ => None,
        }
    }

    fn default(&self, variable: &Name) -> Option<&ConstValue> {
        let definitions = &self.operation.variable_definitions;
        let definition = definitions.iter().find(|definition| definition.node.name.node == *variable)?;
        Some(&definition.node.default_value.as_ref()?.node)
    }

    fn times(&self, parent: &str, named: &str, is_list: bool, field: &Field) -> u32 {
        let most = MAX_PAGE;
        let lengths = ["first", "last", "ids"];
        let named_length = lengths.iter().find_map(|name| {
            let (_, value) = field.arguments.iter().find(|(known, _)| known.node.as_str() == *name)?;
            self.length(&value.node)
        });
        // A search has all that it is asked in one argument.
        let in_input = || {
            let (_, value) = field.arguments.iter().find(|(known, _)| known.node.as_str() == "input")?;
            match &value.node {
                Written::Object(fields) => lengths.iter().find_map(|name| self.length(fields.get(*name)?)),
                Written::Variable(variable) => match self.variables.get(variable.as_str()) {
                    Some(Value::Object(fields)) => lengths.iter().find_map(|name| given(fields.get(*name)?)),
                    Some(_) => None,
                    None => match self.default(variable)? {
                        ConstValue::Object(fields) => {
                            lengths.iter().find_map(|name| written(fields.get(*name)?))
                        }
                        _ => None,
                    },
                },
                _ => None,
            }
        };
        if let Some(length) = named_length.or_else(in_input) {
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

/// The same of a value that came with the request.
fn given(value: &Value) -> Option<u32> {
    match value {
        Value::Number(n) => n.as_u64().map(clamped),
        Value::Array(items) => Some(clamped(items.len() as u64)),
        _ => None,
    }
}

/// The same of a variable's default.
fn written(value: &ConstValue) -> Option<u32> {
    match value {
        ConstValue::Number(n) => n.as_u64().map(clamped),
        ConstValue::List(items) => Some(clamped(items.len() as u64)),
        _ => None,
    }
}

fn clamped(length: u64) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
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
        let search = |input: &str| {
            format!("query($n: Int, $i: SearchInput!) {{ search(input: {input}) {{ nodes {{ score }} }} }}")
        };
        let hundred = 100 + 100 * 2;
        assert_eq!(cost(&search("{query: \"q\"}"), json!({})), 100 + 20 * 2);
        assert_eq!(cost(&search("{query: \"q\", first: 100}"), json!({})), hundred);
        assert_eq!(cost(&search("{query: \"q\", first: $n}"), json!({"n": 100})), hundred);
        assert_eq!(cost(&search("$i"), json!({"i": {"query": "q", "first": 100}})), hundred);
        let default = "query($n: Int = 100) { search(input: {query: \"q\", first: $n}) { nodes { score } } }";
        assert_eq!(cost(default, json!({})), hundred);
        assert_eq!(cost(default, json!({"n": 1})), 100 + 2);
        let whole =
            "query($i: SearchInput! = {query: \"q\", first: 100}) { search(input: $i) { nodes { score } } }";
        assert_eq!(cost(whole, json!({})), hundred);
        assert_eq!(cost(&search("$i"), json!({"i": {"query": "q"}})), 100 + 20 * 2);
        assert_eq!(cost("mutation { requestDataExport(input: {}) { json } }", json!({})), 1_001);
        let cycle = "{ ...A } fragment A on Query { ...A }";
        assert_eq!(cost(cycle, json!({})), u32::MAX, "a cycle ends");
    }
}
