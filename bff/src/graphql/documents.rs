//! What a document asks for, looked at before anything is done about it.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};

use crate::config::Limits;

/// Brackets within brackets: the parser calls itself for each.
const NESTING: usize = 64;

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
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' if bytes[at..].starts_with(b"\"\"\"") => {
                at += 3;
                while at < bytes.len() && !bytes[at..].starts_with(b"\"\"\"") {
                    at += if bytes[at..].starts_with(b"\\\"\"\"") { 4 } else { 1 };
                }
                at += 3;
            }
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' && bytes[at] != b'\n' {
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

/// Aliases and root fields of every operation, with fragments counted wherever they are spread.
pub(crate) fn check(document: &ExecutableDocument, limits: Limits) -> Result<(), TooMuch> {
    let mut counter = Counter { document, known: HashMap::new() };
    for (_, operation) in document.operations.iter() {
        let counts = counter.of(&operation.node.selection_set.node);
        if counts.aliases > limits.aliases {
            return Err(TooMuch::Aliases(limits.aliases));
        }
        if counts.fields > limits.root_fields {
            return Err(TooMuch::RootFields(limits.root_fields));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Default)]
struct Counts {
    /// In the selection itself, fragments opened.
    fields: usize,
    /// In it and below.
    aliases: usize,
}

struct Counter<'d> {
    document: &'d ExecutableDocument,
    /// A fragment being counted is known as nothing: a cycle ends there, and validation refuses it later.
    known: HashMap<&'d Name, Counts>,
}

impl<'d> Counter<'d> {
    fn of(&mut self, selections: &'d SelectionSet) -> Counts {
        let mut counts = Counts::default();
        for selection in &selections.items {
            let inner = match &selection.node {
                Selection::Field(field) => {
                    let below = self.of(&field.node.selection_set.node);
                    Counts { fields: 1, aliases: below.aliases + usize::from(field.node.alias.is_some()) }
                }
                Selection::InlineFragment(fragment) => self.of(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node),
            };
            counts.fields = counts.fields.saturating_add(inner.fields);
            counts.aliases = counts.aliases.saturating_add(inner.aliases);
        }
        counts
    }

    fn fragment(&mut self, name: &'d Name) -> Counts {
        if let Some(counts) = self.known.get(name) {
            return *counts;
        }
        let Some(fragment) = self.document.fragments.get(name) else { return Counts::default() };
        self.known.insert(name, Counts::default());
        let counts = self.of(&fragment.node.selection_set.node);
        self.known.insert(name, counts);
        counts
    }
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
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::OperationType;

    use super::*;

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
        assert!(
            !refused("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"),
            "a cycle ends"
        );
    }

    #[test]
    fn tokens_and_nesting_are_seen_before_parsing() {
        let check = |text: &str| check_text(text, limits());
        assert_eq!(check("query Q($a: Int = 1) { x(a: $a, b: \"one } string\") # } } }\n { y } }"), Ok(()));
        assert_eq!(check(&"a ".repeat(51)), Err(TooMuch::Tokens(50)));
        assert_eq!(check(&"\"\"\"a \" b\"\"\" ".repeat(50)), Ok(()));
        let deep = Limits { tokens: 100_000, ..limits() };
        assert_eq!(check_text(&"{a".repeat(65), deep), Err(TooMuch::Nesting));
        for odd in ["\"", "\"\\", "\"\"\"", "é", "#"] {
            assert_eq!(check(odd), Ok(()), "{odd:?}");
        }
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
