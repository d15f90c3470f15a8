//! Names given with `body:`: people write "council" for "City Council".

use std::collections::HashSet;

use uuid::Uuid;

use super::analysis::tokens;
use super::{Field, ParsedQuery};
use crate::index::{Filters, IndexError, SearchIndex, VisibleTags};

/// Makes a filter of the names given with `body:`. One that no visible body bears is searched as words, and said.
///
/// # Errors
/// When the index does not tell its bodies.
pub async fn resolve_bodies(
    index: &dyn SearchIndex,
    tenant: Uuid,
    visible: VisibleTags,
    query: &mut ParsedQuery,
    filters: &mut Filters,
) -> Result<(), IndexError> {
    if query.bodies.is_empty() {
        return Ok(());
    }
    let known = index.bodies(tenant, visible).await?;
    let mut named = Vec::new();
    for name in query.bodies.clone() {
        match bearers(&name, &known) {
            found if found.is_empty() => query.as_words(Field::Body, &name),
            found => named.extend(found),
        }
    }
    narrow(&mut filters.bodies, named);
    Ok(())
}

/// A filter is narrowed by what a query names, and never widened: what is in neither is found by nobody.
pub(crate) fn narrow(filter: &mut Vec<Uuid>, named: Vec<Uuid>) {
    if named.is_empty() {
        return;
    }
    if filter.is_empty() {
        *filter = named;
        return;
    }
    filter.retain(|id| named.contains(id));
    if filter.is_empty() {
        // An empty filter lets everything through; this is nobody's id.
        filter.push(Uuid::nil());
    }
}

/// The same for days: what is typed and what was chosen hold both.
pub(crate) fn narrow_days(filters: &mut Filters, query: &ParsedQuery) {
    filters.from = filters.from.max(query.from);
    filters.to = [filters.to, query.to].into_iter().flatten().min();
}

/// Who bears a name: those called exactly so, else all whose names have every word of it.
fn bearers(name: &str, known: &[(Uuid, String)]) -> Vec<Uuid> {
    let folded = cs_text::fold(name);
    let of = |fits: &dyn Fn(&str) -> bool| -> Vec<Uuid> {
        let mut found: Vec<Uuid> = known.iter().filter(|(_, known)| fits(known)).map(|(id, _)| *id).collect();
        // One that was renamed bears both names.
        found.dedup();
        found
    };
    let exact = of(&|known| cs_text::fold(known) == folded);
    if !exact.is_empty() {
        return exact;
    }
    let words = terms(name);
    if words.is_empty() { Vec::new() } else { of(&|known| words.is_subset(&terms(known))) }
}

fn terms(text: &str) -> HashSet<String> {
    tokens(text).into_iter().filter(|token| !token.common).map(|token| token.term).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_query_never_widens_a_filter() {
        let id = Uuid::from_u128;
        let narrowed = |filter: &[u128], named: &[u128]| {
            let mut filter: Vec<Uuid> = filter.iter().map(|n| id(*n)).collect();
            narrow(&mut filter, named.iter().map(|n| id(*n)).collect());
            filter.iter().map(|id| id.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(narrowed(&[1, 2], &[]), [1, 2]);
        assert_eq!(narrowed(&[], &[3]), [3]);
        assert_eq!(narrowed(&[1, 2], &[2, 3]), [2]);
        assert_eq!(narrowed(&[1], &[2]), [0]);
    }

    #[test]
    fn days_typed_and_days_chosen_hold_both() {
        let narrowed = |from: &str, to: &str, typed: &str| {
            let mut filters = Filters { from: from.parse().ok(), to: to.parse().ok(), ..Filters::default() };
            narrow_days(&mut filters, &super::super::parse(typed));
            let day = |day: Option<chrono::NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
            (day(filters.from), day(filters.to))
        };
        let days = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(narrowed("", "", "zoning"), days("", ""));
        assert_eq!(
            narrowed("2020-01-01", "2024-12-31", "from:2023 to:2023"),
            days("2023-01-01", "2023-12-31")
        );
        assert_eq!(
            narrowed("2023-05-01", "2023-06-01", "from:2022 to:2024"),
            days("2023-05-01", "2023-06-01")
        );
        assert_eq!(narrowed("2023-05-01", "", "to:2024"), days("2023-05-01", "2024-12-31"));
    }

    #[test]
    fn the_whole_name_wins_and_parts_of_it_are_enough() {
        let body = |n: u128, name: &str| (Uuid::from_u128(n), name.to_owned());
        let known = [
            body(1, "City Council"),
            body(2, "Comisión de Planeación"),
            body(3, "City Council Finance Committee"),
        ];
        let found = |name: &str| bearers(name, &known).iter().map(|id| id.as_u128()).collect::<Vec<_>>();
        assert_eq!(found("city council"), [1]);
        assert_eq!(found("council"), [1, 3]);
        assert_eq!(found("committee on finance"), [3]);
        assert_eq!(found("comision de planeacion"), [2]);
        assert_eq!(found("school board"), [0_u128; 0]);
        assert_eq!(found("the of"), [0_u128; 0]);
    }
}
