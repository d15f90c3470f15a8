//! Replacing, removing, hiding, erasing.

use search::index::{Applied, Part, PassageKind, Visibility, VisibleTags};

use crate::place::{Place, contract};
use crate::support::*;

contract! {
    a_replacement_replaces_and_an_older_version_does_nothing,
    parts_are_replaced_apart_and_a_removal_outlives_a_late_event,
    hiding_an_artifact_hides_all_that_is_drawn_from_it,
    a_stricter_tag_in_fresh_passages_beats_an_old_override,
    a_claim_is_as_hidden_as_the_most_hidden_of_its_documents_and_says_nothing_of_the_others,
    an_erased_tenant_leaves_nothing_and_others_stay,
    pages_stay_in_step_while_passages_are_added,
    meetings_are_grouped_and_facets_count_what_total_counts,
}

async fn a_replacement_replaces_and_an_older_version_does_nothing(place: &Place) {
    let index = place.open().await;
    let (tenant, meeting) = (uuid(1), uuid(10));
    put(&*index, tenant, meeting, 2, &["zoning ordinance adopted", "budget hearing"]).await;
    put(&*index, tenant, meeting, 2, &["zoning ordinance adopted", "budget hearing"]).await;
    assert_eq!(index.stats(tenant).await.unwrap().passages, 2);
    let stale = index.replace_meeting(tenant, meeting, Part::Documents, 1, vec![]).await.unwrap();
    assert_eq!(stale, Applied::Stale { indexed: 2 });
    put(&*index, tenant, meeting, 3, &["zoning ordinance deferred"]).await;
    let found = index.search(words(tenant, "zoning")).await.unwrap();
    assert_eq!(texts(&found), ["zoning ordinance deferred"]);
    assert_eq!((found.total, index.stats(tenant).await.unwrap().meetings), (1, 1));
}

async fn parts_are_replaced_apart_and_a_removal_outlives_a_late_event(place: &Place) {
    let index = place.open().await;
    let (tenant, meeting) = (uuid(1), uuid(10));
    put(&*index, tenant, meeting, 5, &["zoning minutes"]).await;
    let claim = passage(tenant, meeting, 9, "zoning was decided");
    index.replace_meeting(tenant, meeting, Part::Claims, 1, vec![claim]).await.unwrap();
    assert_eq!(index.search(words(tenant, "zoning")).await.unwrap().total, 2);
    index.remove_part(tenant, meeting, Part::Claims, 3).await.unwrap();
    assert_eq!(index.search(words(tenant, "zoning")).await.unwrap().total, 1);
    drop(index);
    let index = place.open().await;
    assert_eq!(index.version(tenant, meeting, Part::Claims).await.unwrap(), Some(3));
    let late = passage(tenant, meeting, 9, "zoning was decided");
    let applied = index.replace_meeting(tenant, meeting, Part::Claims, 2, vec![late]).await.unwrap();
    assert_eq!(applied, Applied::Stale { indexed: 3 });
    assert_eq!(index.search(words(tenant, "zoning")).await.unwrap().total, 1);
}

async fn hiding_an_artifact_hides_all_that_is_drawn_from_it(place: &Place) {
    let index = place.open().await;
    let (tenant, meeting) = (uuid(1), uuid(10));
    let mut docs =
        vec![passage(tenant, meeting, 0, "zoning minutes"), passage(tenant, meeting, 1, "zoning agenda")];
    docs[1].artifact_id = uuid(301);
    let mut claim = passage(tenant, meeting, 2, "zoning claim of both");
    claim.artifact_id = uuid(301);
    claim.derived_from = vec![uuid(300)];
    docs.push(claim);
    index.replace_meeting(tenant, meeting, Part::Documents, 1, docs.clone()).await.unwrap();
    assert_eq!(index.search(words(tenant, "zoning")).await.unwrap().total, 3);

    index.set_visibility(tenant, uuid(300), 7, Visibility::Reviewer).await.unwrap();
    let found = index.search(request(tenant, "zoning")).await.unwrap();
    assert_eq!(texts(&found), ["zoning agenda"]);
    let mut reviewer = request(tenant, "zoning");
    reviewer.visible = VisibleTags::of(Visibility::ALL);
    assert_eq!(index.search(reviewer).await.unwrap().total, 3);

    // An older change does nothing, and neither a restart nor a re-publication with the old tag shows it again.
    let stale = index.set_visibility(tenant, uuid(300), 6, Visibility::Public).await.unwrap();
    assert_eq!(stale, Applied::Stale { indexed: 7 });
    index.replace_meeting(tenant, meeting, Part::Documents, 2, docs).await.unwrap();
    drop(index);
    let index = place.open().await;
    assert_eq!(texts(&index.search(request(tenant, "zoning")).await.unwrap()), ["zoning agenda"]);
    index.set_visibility(tenant, uuid(300), 8, Visibility::Public).await.unwrap();
    assert_eq!(index.search(words(tenant, "zoning")).await.unwrap().total, 3);
}

async fn a_stricter_tag_in_fresh_passages_beats_an_old_override(place: &Place) {
    let index = place.open().await;
    let (tenant, meeting) = (uuid(1), uuid(10));
    index.set_visibility(tenant, uuid(300), 1, Visibility::Public).await.unwrap();
    let mut doc = passage(tenant, meeting, 0, "zoning minutes");
    doc.visibility = Visibility::Reviewer;
    index.replace_meeting(tenant, meeting, Part::Documents, 1, vec![doc]).await.unwrap();
    assert!(index.search(request(tenant, "zoning")).await.unwrap().hits.is_empty());
}

async fn a_claim_is_as_hidden_as_the_most_hidden_of_its_documents_and_says_nothing_of_the_others(
    place: &Place,
) {
    let index = place.open().await;
    let (tenant, meeting) = (uuid(1), uuid(10));
    let minutes = passage(tenant, meeting, 0, "zoning minutes");
    index.replace_meeting(tenant, meeting, Part::Documents, 1, vec![minutes]).await.unwrap();
    index.set_visibility(tenant, uuid(300), 1, Visibility::Public).await.unwrap();
    // Drawn from the minutes and from a hidden packet, of which this index was never told.
    let mut claim = passage(tenant, meeting, 1, "zoning claim of both");
    claim.kind = PassageKind::Decision;
    claim.derived_from = vec![uuid(301)];
    claim.visibility = Visibility::Reviewer;
    index.replace_meeting(tenant, meeting, Part::Claims, 1, vec![claim.clone()]).await.unwrap();
    let seen = async || {
        let found = index.search(words(tenant, "zoning")).await.unwrap();
        let mut texts: Vec<String> = texts(&found).into_iter().map(str::to_owned).collect();
        texts.sort();
        texts
    };
    assert_eq!(seen().await, ["zoning minutes"], "the minutes are not hidden with it");
    index.set_visibility(tenant, uuid(300), 2, Visibility::Public).await.unwrap();
    assert_eq!(seen().await, ["zoning minutes"], "a word on one document does not show the other");
    // The packet is shown: whoever indexes writes the claim again.
    index.set_visibility(tenant, uuid(301), 3, Visibility::Public).await.unwrap();
    claim.visibility = Visibility::Public;
    index.replace_meeting(tenant, meeting, Part::Claims, 1, vec![claim]).await.unwrap();
    assert_eq!(seen().await, ["zoning claim of both", "zoning minutes"]);
    index.set_visibility(tenant, uuid(301), 4, Visibility::Member).await.unwrap();
    assert_eq!(seen().await, ["zoning minutes"]);
}

async fn an_erased_tenant_leaves_nothing_and_others_stay(place: &Place) {
    let index = place.open().await;
    put(&*index, uuid(1), uuid(10), 1, &["zoning"]).await;
    put(&*index, uuid(2), uuid(20), 1, &["zoning"]).await;
    index.erase_tenant(uuid(1)).await.unwrap();
    assert!(index.search(request(uuid(1), "zoning")).await.unwrap().hits.is_empty());
    assert_eq!(index.search(request(uuid(2), "zoning")).await.unwrap().hits.len(), 1);
    assert_eq!(index.version(uuid(1), uuid(10), Part::Documents).await.unwrap(), None);
    if let Place::Embedded(dir) = place {
        assert!(!dir.path().join("tenants").join(uuid(1).to_string()).exists());
    }
    put(&*index, uuid(1), uuid(10), 1, &["zoning again"]).await;
    assert_eq!(texts(&index.search(request(uuid(1), "zoning")).await.unwrap()), ["zoning again"]);
}

async fn pages_stay_in_step_while_passages_are_added(place: &Place) {
    let index = place.open().await;
    let tenant = uuid(1);
    let many: Vec<String> = (0..30).map(|i| format!("zoning case {i} {}", "words ".repeat(i))).collect();
    put(&*index, tenant, uuid(10), 1, &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let all = index.search(words(tenant, "zoning")).await.unwrap();
    let whole =
        index.search(search::index::SearchRequest { first: 100, ..words(tenant, "zoning") }).await.unwrap();
    assert_eq!(whole.hits.len(), 30);
    assert!(all.has_more && !whole.has_more);
    put(&*index, tenant, uuid(11), 1, &["zoning zoning zoning"]).await;
    let mut seen: Vec<String> = ids(&all).into_iter().map(str::to_owned).collect();
    let mut after = all.hits.last().map(|hit| hit.cursor.clone());
    while let Some(cursor) = after {
        let mut next = words(tenant, "zoning");
        next.after = Some(cursor);
        let page = index.search(next).await.unwrap();
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        after = page.hits.last().map(|hit| hit.cursor.clone());
    }
    assert_eq!(seen, ids(&whole), "no hit twice, none lost, though one was added in front");
}

async fn meetings_are_grouped_and_facets_count_what_total_counts(place: &Place) {
    let index = place.open().await;
    let tenant = uuid(1);
    put(&*index, tenant, uuid(10), 1, &["zoning one", "zoning two", "parks"]).await;
    put(&*index, tenant, uuid(11), 1, &["zoning three"]).await;
    let mut grouped = words(tenant, "zoning");
    grouped.group_by_meeting = true;
    let found = index.search(grouped).await.unwrap();
    assert_eq!((found.hits.len(), found.reachable, found.total), (2, 2, 3));
    assert_eq!(found.hits.iter().map(|h| h.more_in_meeting).sum::<u32>(), 1);
    assert_eq!(found.facets.cities, [(uuid(100), 3)]);
    assert_eq!(found.facets.years, [(2023, 3)]);
    assert_eq!(found.facets.artifact_kinds, [("minutes".to_owned(), 3)]);
}
