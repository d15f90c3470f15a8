//! Pages of one search fit together, whatever is indexed, hidden or asked meanwhile.

use std::collections::BTreeSet;

use search::index::{Part, SearchIndex, SearchRequest, Visibility, VisibleTags};
use uuid::Uuid;

use crate::place::{Place, contract};
use crate::support::*;

contract! {
    hybrid_pages_stay_in_step_while_passages_are_added,
    what_is_hidden_between_pages_is_not_on_the_next,
    a_cursor_from_elsewhere_goes_on_by_its_place,
}

const TENANT: Uuid = Uuid::from_u128(1);

/// Thirty passages, of two artifacts by turns.
async fn filled(place: &Place) -> Box<dyn SearchIndex> {
    let index = place.open().await;
    let docs = (0..30_u32).map(|n| {
        let mut doc =
            passage(TENANT, uuid(10), n, &format!("zoning case {n} {}", "words ".repeat(n as usize % 7)));
        doc.artifact_id = uuid(300 + u128::from(n % 2));
        doc
    });
    index.replace_meeting(TENANT, uuid(10), Part::Documents, 1, docs.collect()).await.unwrap();
    index
}

fn asked() -> SearchRequest {
    SearchRequest { first: 7, ..request(TENANT, "zoning case words") }
}

/// The pages behind a cursor.
async fn rest(index: &dyn SearchIndex, asked: SearchRequest, after: String) -> Vec<String> {
    let (mut after, mut seen) = (Some(after), Vec::new());
    while let Some(cursor) = after {
        let page = index.search(SearchRequest { after: Some(cursor), ..asked.clone() }).await.unwrap();
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        after = page.hits.last().map(|hit| hit.cursor.clone()).filter(|_| page.has_more);
    }
    seen
}

async fn hybrid_pages_stay_in_step_while_passages_are_added(place: &Place) {
    let index = filled(place).await;
    let whole = index.search(SearchRequest { first: 100, ..asked() }).await.unwrap();
    let first = index.search(asked()).await.unwrap();
    assert!(first.has_more);
    // They move every score, and some of them would stand in front.
    let more = ["zoning", "zoning case", "zoning words", "budget of the parks", "words of a case of zoning"];
    put(&*index, TENANT, uuid(11), 1, &more).await;
    let after = first.hits.last().unwrap().cursor.clone();
    let mut seen: Vec<String> = ids(&first).into_iter().map(str::to_owned).collect();
    seen.extend(rest(&*index, asked(), after.clone()).await);
    assert_eq!(seen, ids(&whole), "no hit twice, none lost");
    let second = index.search(SearchRequest { after: Some(after), ..asked() }).await.unwrap();
    assert_eq!((second.total, second.facets), (first.total, first.facets));
    assert!(second.hits.iter().all(|hit| hit.explanation.matched_terms.contains(&"zoning".to_owned())));
    // Whoever asks anew sees them.
    assert_eq!(index.search(asked()).await.unwrap().total, whole.total + 5);
}

async fn what_is_hidden_between_pages_is_not_on_the_next(place: &Place) {
    let index = filled(place).await;
    let first = index.search(asked()).await.unwrap();
    let after = first.hits.last().unwrap().cursor.clone();
    index.set_visibility(TENANT, uuid(300), 1, Visibility::Reviewer).await.unwrap();
    let rest = rest(&*index, asked(), after.clone()).await;
    let odd = |id: &String| id.rsplit('/').next().unwrap().parse::<u32>().unwrap() % 2 == 1;
    assert!(!rest.is_empty() && rest.iter().all(odd), "{rest:?}");
    let before: BTreeSet<&str> = ids(&first).into_iter().collect();
    let shown = (0..30).map(|n| format!("{}/{n}", uuid(10))).filter(odd);
    let left: BTreeSet<String> = shown.filter(|id| !before.contains(id.as_str())).collect();
    assert_eq!(rest.into_iter().collect::<BTreeSet<_>>(), left, "the others are all there");
    // Neither another tenant nor another reader goes on with it.
    let stranger = SearchRequest { tenant: uuid(2), after: Some(after.clone()), ..asked() };
    assert!(index.search(stranger).await.unwrap().hits.is_empty());
    let all = VisibleTags::of(Visibility::ALL);
    let reviewer = SearchRequest { visible: all, after: Some(after), first: 100, ..asked() };
    assert!(
        index.search(reviewer).await.unwrap().hits.iter().any(|hit| hit.passage.artifact_id == uuid(300))
    );
}

async fn a_cursor_from_elsewhere_goes_on_by_its_place(place: &Place) {
    let index = filled(place).await;
    let whole = index.search(SearchRequest { first: 100, ..asked() }).await.unwrap();
    let first = index.search(asked()).await.unwrap();
    // Another process has kept nothing.
    drop(index);
    let index = place.open().await;
    let rest = rest(&*index, asked(), first.hits.last().unwrap().cursor.clone()).await;
    assert_eq!(rest, ids(&whole)[7..]);
}
