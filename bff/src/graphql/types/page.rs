//! Relay connections over the services' pages.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{ObjectType, OutputType};
use cs_core::page::{DEFAULT_PAGE, MAX_PAGE};
use cs_proto::common::v1::{PageInfo, PageRequest};

use crate::graphql::error::Fault;

/// The rows that a page can have, for counting what a document costs.
pub(crate) fn size(first: Option<i32>, last: Option<i32>) -> usize {
    let asked = first.or(last).and_then(|n| u32::try_from(n).ok()).unwrap_or(DEFAULT_PAGE);
    asked.clamp(1, MAX_PAGE) as usize
}

fn checked(field: &str, n: Option<i32>) -> Result<u32, Fault> {
    match n.map(u32::try_from) {
        None => Ok(0),
        Some(Ok(n)) if (1..=MAX_PAGE).contains(&n) => Ok(n),
        Some(_) => Err(Fault::input(field, format!("must be 1 to {MAX_PAGE}"))),
    }
}

/// `first`/`after`, or `last`/`before`.
pub(crate) fn request(
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
) -> Result<PageRequest, Fault> {
    if (first.is_some() || after.is_some()) && (last.is_some() || before.is_some()) {
        return Err(Fault::input("first", "use first and after, or last and before, not both"));
    }
    Ok(PageRequest {
        first: checked("first", first)?,
        after: after.unwrap_or_default(),
        last: checked("last", last)?,
        before: before.unwrap_or_default(),
    })
}

/// A connection of rows and their cursors, in list order.
pub(crate) fn connection<P, N: OutputType>(
    rows: Vec<P>,
    cursors: Vec<String>,
    info: Option<PageInfo>,
    node: impl Fn(P) -> N,
) -> Connection<String, N> {
    with_fields(rows, cursors, info, EmptyFields, node)
}

/// The same, with fields beside the edges.
pub(crate) fn with_fields<P, N: OutputType, F: ObjectType>(
    rows: Vec<P>,
    cursors: Vec<String>,
    info: Option<PageInfo>,
    fields: F,
    node: impl Fn(P) -> N,
) -> Connection<String, N, F> {
    let info = info.unwrap_or_default();
    let mut connection =
        Connection::with_additional_fields(info.has_previous_page, info.has_next_page, fields);
    connection.edges.extend(rows.into_iter().zip(cursors).map(|(row, cursor)| Edge::new(cursor, node(row))));
    connection
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_one_to_a_hundred() {
        assert!(request(Some(100), None, None, None).is_ok());
        for (first, last) in [(Some(101), None), (Some(0), None), (Some(-1), None), (None, Some(1000))] {
            let fault = request(first, None, last, None).unwrap_err();
            assert_eq!(fault.fields.len(), 1);
        }
        assert!(request(Some(1), None, Some(1), None).is_err());
        assert_eq!((size(None, None), size(Some(7), None), size(None, Some(5000))), (20, 7, 100));
    }
}
