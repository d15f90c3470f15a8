//! What a document asks for, looked at before anything is done about it.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Positioned, Value as ConstValue};
use async_graphql_value::Value as Written;

use crate::config::Limits;

/// Brackets within brackets: the parser calls itself for each.
pub(super) const NESTING: usize = 64;

/// A document asks for too much.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMuch {
    #[error("The document has more than {0} tokens.")]
    Tokens(usize),
    #[error("The document is nested too deeply.")]
    Nesting,
    #[error("The document has more than {0} aliases.")]
    Aliases(usize),
    #[error("An operation has more than {0} fields at its root.")]
    RootFields(usize),
    #[error("The document has more than {0} directives.")]
    Directives(usize),
    #[error("The document selects more than {0} fields, with its fragments opened.")]
    Selections(usize),
    #[error("The fragment {0:?} spreads itself.")]
    Cycle(String),
    #[error("A block string of the document has no end.")]
    Unclosed,
    #[error("The variables are used too often for their size.")]
    Variables,
}

/// Counts tokens as the grammar has them (GraphQL, October 2021, §2.1), roughly and cheaply: before parsing.
pub(crate) fn check_text(text: &str, limits: Limits) -> Result<(), TooMuch> {
    let (mut tokens, mut depth, mut at) = (0usize, 0usize, 0usize);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let begun = at;
        match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += bytes[at..].iter().position(|b| ends_line(*b)).unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' if bytes[at..].starts_with(b"\"\"\"") => {
                at += 3;
                while at < bytes.len() && !bytes[at..].starts_with(b"\"\"\"") {
                    at += if bytes[at..].starts_with(b"\\\"\"\"") { 4 } else { 1 };
                }
                // The grammar would take the quotes for an empty string, and read on where this has not looked.
                if at >= bytes.len() {
                    return Err(TooMuch::Unclosed);
                }
                at += 3;
            }
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' && !ends_line(bytes[at]) {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'{' | b'(' | b'[' => {
                depth += 1;
                if depth > NESTING {
                    return Err(TooMuch::Nesting);
                }
                at += 1;
            }
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || b"_-+".contains(&bytes[at])) {
                    at += 1;
                }
                at = at.max(begun + 1);
            }
        }
        tokens += 1;
        if tokens > limits.tokens {
            return Err(TooMuch::Tokens(limits.tokens));
        }
    }
    Ok(())
}

/// A carriage return by itself ends a line too (§2.1.2).
fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// A fragment that spreads two, each of which spreads two: thirty of them would keep the executor's own checks, which
/// open every one, busy for hours. Hand-written documents stay far below.
const SELECTIONS: usize = 5_000;

/// Every operation's selections, with fragments counted wherever they are spread. In time linear in the document.
pub(crate) fn check(document: &ExecutableDocument, limits: Limits) -> Result<(), TooMuch> {
    let mut counter = Counter::new(document);
    let (mut selections, mut directives) = (0usize, 0usize);
    for (_, operation) in document.operations.iter() {
        let counts = counter.of(&operation.node.selection_set.node);
        selections = selections.saturating_add(counts.selections);
        directives =
            directives.saturating_add(counts.directives).saturating_add(operation.node.directives.len());
        if counts.aliases > limits.aliases {
            return Err(TooMuch::Aliases(limits.aliases));
        }
        if counts.fields > limits.root_fields {
            return Err(TooMuch::RootFields(limits.root_fields));
        }
    }
    // Whoever opens fragments without looking would never end.
    if let Some(name) = counter.cycle {
        return Err(TooMuch::Cycle(name.to_string()));
    }
    if directives > limits.directives {
        return Err(TooMuch::Directives(limits.directives));
    }
    if selections > SELECTIONS {
        return Err(TooMuch::Selections(SELECTIONS));
    }
    Ok(())
}

#[derive(Clone, Copy, Default)]
struct Counts {
    /// In the selection itself, fragments opened.
    fields: usize,
    /// In it and below.
    aliases: usize,
    /// In it and below.
    directives: usize,
    /// Fields, fragments and spreads in it and below.
    selections: usize,
    /// Places in it and below that take a variable's value.
    variables: usize,
}

struct Counter<'d> {
    document: &'d ExecutableDocument,
    /// `None`: being counted, so whoever meets it again has gone round.
    known: HashMap<&'d Name, Option<Counts>>,
    cycle: Option<&'d Name>,
}

impl<'d> Counter<'d> {
    fn new(document: &'d ExecutableDocument) -> Self {
        Self { document, known: HashMap::new(), cycle: None }
    }

    fn of(&mut self, selections: &'d SelectionSet) -> Counts {
        let mut counts = Counts::default();
        for selection in &selections.items {
            let (inner, directives) = match &selection.node {
                Selection::Field(field) => {
                    let below = self.of(&field.node.selection_set.node);
                    let aliases = below.aliases.saturating_add(usize::from(field.node.alias.is_some()));
                    let own: usize = field.node.arguments.iter().map(|(_, value)| taken(&value.node)).sum();
                    let variables = below.variables.saturating_add(own);
                    (Counts { fields: 1, aliases, variables, ..below }, &field.node.directives)
                }
                Selection::InlineFragment(fragment) => {
                    (self.of(&fragment.node.selection_set.node), &fragment.node.directives)
                }
                Selection::FragmentSpread(spread) => {
                    (self.fragment(&spread.node.fragment_name.node), &spread.node.directives)
                }
            };
            counts.variables =
                counts.variables.saturating_add(inner.variables).saturating_add(taken_by(directives));
            counts.directives =
                counts.directives.saturating_add(inner.directives).saturating_add(directives.len());
            counts.selections = counts.selections.saturating_add(inner.selections).saturating_add(1);
            counts.fields = counts.fields.saturating_add(inner.fields);
            counts.aliases = counts.aliases.saturating_add(inner.aliases);
        }
        counts
    }

    fn fragment(&mut self, name: &'d Name) -> Counts {
        match self.known.get(name) {
            Some(Some(counts)) => return *counts,
            Some(None) => {
                self.cycle = Some(name);
                return Counts::default();
            }
            None => {}
        }
        let Some(fragment) = self.document.fragments.get(name) else { return Counts::default() };
        self.known.insert(name, None);
        let counts = self.of(&fragment.node.selection_set.node);
        self.known.insert(name, Some(counts));
        counts
    }
}

/// Places in a value that take a variable's.
fn taken(value: &Written) -> usize {
    match value {
        Written::Variable(_) => 1,
        Written::List(items) => items.iter().map(taken).sum(),
        Written::Object(fields) => fields.values().map(taken).sum(),
        _ => 0,
    }
}

fn taken_by(directives: &[Positioned<Directive>]) -> usize {
    directives.iter().flat_map(|d| &d.node.arguments).map(|(_, value)| taken(&value.node)).sum()
}

/// Bytes of variables that all places of an operation together may take.
const MOST_COPIED: usize = 8 << 20;

/// The executor copies a variable's value wherever one is taken: a list of a hundred thousand, taken two thousand times,
/// would fill the memory. `variables` is their size as JSON.
pub(crate) fn check_variables(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: usize,
) -> Result<(), TooMuch> {
    let mut counter = Counter::new(document);
    let places =
        counter.of(&operation.selection_set.node).variables.saturating_add(taken_by(&operation.directives));
    let defaults: usize = operation
        .variable_definitions
        .iter()
        .filter_map(|definition| definition.node.default_value.as_ref())
        .map(|value| written(&value.node))
        .sum();
    match places.saturating_mul(variables.saturating_add(defaults)) > MOST_COPIED {
        true => Err(TooMuch::Variables),
        false => Ok(()),
    }
}

/// About the size of a default as JSON.
fn written(value: &ConstValue) -> usize {
    match value {
        ConstValue::List(items) => items.iter().map(|item| written(item) + 1).sum(),
        ConstValue::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + 4 + written(value)).sum()
        }
        ConstValue::String(text) => text.len() + 2,
        _ => 4,
    }
}

/// Variables that cannot be null and have no default.
pub(crate) fn required_variables(operation: &OperationDefinition) -> Vec<String> {
    operation
        .variable_definitions
        .iter()
        .map(|definition| &definition.node)
        .filter(|variable| !variable.var_type.node.nullable && variable.default_value.is_none())
        .map(|variable| variable.name.node.to_string())
        .collect()
}

/// The operation that a request means; `None` where it names none of the document's, or has to name one.
pub(crate) fn operation<'d>(
    document: &'d ExecutableDocument,
    name: Option<&str>,
) -> Option<&'d OperationDefinition> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(&operation.node),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(all), Some(name)) => {
            all.iter().find(|(known, _)| known.as_str() == name).map(|(_, operation)| &operation.node)
        }
        (DocumentOperations::Multiple(all), None) if all.len() == 1 => {
            all.values().next().map(|operation| &operation.node)
        }
        (DocumentOperations::Multiple(_), None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::OperationType;

    fn limits() -> Limits {
        Limits { aliases: 5, root_fields: 4, tokens: 50, ..Limits::default() }
    }

    #[test]
    fn aliases_count_wherever_they_stand() {
        let refused = |text: &str| check(&parse_query(text).unwrap(), limits()).is_err();
        assert!(!refused("{ a: x { b: y c: z d: w e: v } }"));
        assert!(refused("{ a: x { b: y c: z d: w e: v f: u } }"), "six below each other");
        assert!(
            refused("{ x { ...F } y { ...F } } fragment F on T { a: p b: p c: p }"),
            "a fragment spread twice"
        );
        assert!(
            refused("query One { x } query Two { a: x b: x c: x d: x e: x f: x }"),
            "in another operation"
        );
        assert!(refused("{ ... on Query { p q } ... { r s t } }"), "five root fields in fragments");
        let cycle = "{ ...A } fragment A on Query { ...B ...B } fragment B on Query { ...A ...A }";
        assert_eq!(check(&parse_query(cycle).unwrap(), limits()), Err(TooMuch::Cycle("A".into())));
    }

    #[test]
    fn fragments_that_open_fragments_are_counted_and_not_opened() {
        let bomb: String = (0..60)
            .map(|n| format!("fragment F{n} on Query {{ ...F{0} ...F{0} }} ", n + 1))
            .chain(["fragment F60 on Query { __typename } { ...F0 }".to_owned()])
            .collect();
        let wide = Limits { root_fields: usize::MAX, ..limits() };
        assert_eq!(check(&parse_query(&bomb).unwrap(), wide), Err(TooMuch::Selections(SELECTIONS)));
    }

    #[test]
    fn directives_count_wherever_they_stand() {
        let few = Limits { directives: 3, ..limits() };
        let refused = |text: &str| check(&parse_query(text).unwrap(), few).is_err();
        assert!(!refused("{ a @x b @x { c @x } }"));
        assert!(refused("{ a @x @x @x @x }"));
        assert!(refused("{ ...F @x ...F @x } fragment F on Query { a @x }"));
        assert!(refused("query A { a } query B { ... @x { b @x @x @x } }"), "in another operation");
    }

    #[test]
    fn tokens_and_nesting_are_seen_before_parsing() {
        let check = |text: &str| check_text(text, limits());
        assert_eq!(check("query Q($a: Int = 1) { x(a: $a, b: \"one } string\") # } } }\n { y } }"), Ok(()));
        assert_eq!(check(&"a ".repeat(51)), Err(TooMuch::Tokens(50)));
        assert_eq!(check(&"\"\"\"a \" b\"\"\" ".repeat(50)), Ok(()));
        let deep = Limits { tokens: 100_000, ..limits() };
        assert_eq!(check_text(&"{a".repeat(65), deep), Err(TooMuch::Nesting));
        for odd in ["\"", "\"\\", "é", "#"] {
            assert_eq!(check(odd), Ok(()), "{odd:?}");
        }
        // What would hide all that follows.
        assert_eq!(check("{ a(b: [\"\"\"x\" [[[["), Err(TooMuch::Unclosed));
        assert_eq!(check_text(&format!("#\r{}", "{a".repeat(65)), deep), Err(TooMuch::Nesting));
        assert_eq!(check_text(&format!("\"a\r{}", "[".repeat(65)), deep), Err(TooMuch::Nesting));
    }

    #[test]
    fn large_variables_are_not_taken_often() {
        let check = |text: &str, size| {
            let document = parse_query(text).unwrap();
            let (_, operation) = document.operations.iter().next().unwrap();
            check_variables(&document, &operation.node, size)
        };
        let often = format!("query($v: [Int]) {{ a(first: [{}]) }}", "$v ".repeat(1_900));
        assert_eq!(check(&often, 239_000), Err(TooMuch::Variables));
        assert_eq!(check(&often, 4_000), Ok(()));
        let spread = format!(
            "query($v: [Int]) {{ {} }} fragment F on Query {{ {} }}",
            "...F ".repeat(30),
            "a(b: {c: [$v]}) @x(y: $v) ".repeat(20)
        );
        assert_eq!(check(&spread, 8_000), Err(TooMuch::Variables), "1,200 places in fragments");
        let default =
            format!("query($v: [Int] = [{}]) {{ a(first: [{}]) }}", "1 ".repeat(5_000), "$v ".repeat(1_900));
        assert_eq!(check(&default, 2), Err(TooMuch::Variables));
        assert_eq!(check("query($v: [ID!]!) { nodes(ids: $v) { id } }", 240_000), Ok(()));
    }

    #[test]
    fn the_operation_is_the_one_that_is_meant() {
        let kind = |document, name| operation(document, name).map(|operation| operation.ty);
        let two = parse_query("query A { x } mutation B { y }").unwrap();
        assert_eq!(kind(&two, Some("B")), Some(OperationType::Mutation));
        assert_eq!(kind(&two, None), None);
        assert_eq!(kind(&two, Some("C")), None);
        assert_eq!(kind(&parse_query("{ x }").unwrap(), None), Some(OperationType::Query));
    }
}
