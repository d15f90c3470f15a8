//! `body:` in a query: a name becomes a filter of both legs.

use search::index::{BODY_LABEL, Mode, Part, SearchIndex, SearchRequest, Visibility, VisibleTags};
use search::query::resolve_bodies;
use uuid::Uuid;

use crate::place::{Place, contract};
use crate::support::*;

contract! {
    bodies_are_known_by_name_to_those_who_see_their_passages,
    a_body_filters_both_legs,
    a_name_that_nobody_bears_is_words_and_said,
    a_body_that_was_renamed_bears_both_names,
}

const COUNCIL: u128 = 200;
const ETHICS: u128 = 201;
const FINANCE: u128 = 202;

/// Passages about zoning and about parks of each of three bodies; one body's are for reviewers alone.
async fn filled(place: &Place) -> Box<dyn SearchIndex> {
    let index = place.open().await;
    let bodies = [
        (COUNCIL, "City Council", Visibility::Public),
        (ETHICS, "Ethics Board", Visibility::Reviewer),
        (FINANCE, "Finance Committee (Peña)", Visibility::Public),
    ];
    for (body, name, visibility) in bodies {
        let meeting = uuid(1_000 + body);
        let texts = ["zoning of the river", "parks and playgrounds", "zoning and parks of the board"];
        let docs = texts.iter().zip(0..).map(|(text, n)| {
            let mut doc = passage(uuid(1), meeting, n, text);
            doc.body_id = uuid(body);
            doc.visibility = visibility;
            doc.labels.insert(BODY_LABEL.to_owned(), name.to_owned());
            // Looks like the label of a name, and is none.
            doc.labels.insert("antibody".to_owned(), "Ghost Council".to_owned());
            doc
        });
        index.replace_meeting(uuid(1), meeting, Part::Documents, 1, docs.collect()).await.unwrap();
    }
    let mut other = passage(uuid(2), uuid(20), 0, "zoning");
    other.labels.insert(BODY_LABEL.to_owned(), "School Board".to_owned());
    index.replace_meeting(uuid(2), uuid(20), Part::Documents, 1, vec![other]).await.unwrap();
    index
}

/// As the service asks: names resolved by who may see them, then searched.
async fn resolved(index: &dyn SearchIndex, mut asked: SearchRequest) -> SearchRequest {
    resolve_bodies(index, asked.tenant, asked.visible, &mut asked.query, &mut asked.filters).await.unwrap();
    asked
}

async fn bodies_are_known_by_name_to_those_who_see_their_passages(place: &Place) {
    let index = filled(place).await;
    let known = async |tenant, visible| index.bodies(tenant, visible).await.unwrap();
    let council = (uuid(COUNCIL), "City Council".to_owned());
    let ethics = (uuid(ETHICS), "Ethics Board".to_owned());
    let finance = (uuid(FINANCE), "Finance Committee (Peña)".to_owned());
    assert_eq!(known(uuid(1), everyone()).await, [council.clone(), finance.clone()]);
    assert_eq!(known(uuid(1), VisibleTags::of(Visibility::ALL)).await, [council, ethics, finance]);
    assert_eq!(known(uuid(2), everyone()).await, [(uuid(200), "School Board".to_owned())]);
    assert!(known(uuid(1), VisibleTags::of([])).await.is_empty());
    assert!(known(uuid(3), everyone()).await.is_empty());
}

async fn a_body_filters_both_legs(place: &Place) {
    let index = filled(place).await;
    for (typed, bodies) in [
        ("zoning body:\"city council\"", vec![COUNCIL]),
        ("body:council zoning", vec![COUNCIL]),
        ("zoning body:pena", vec![FINANCE]),
        ("zoning body:council body:finance", vec![COUNCIL, FINANCE]),
    ] {
        for mode in [Mode::Hybrid, Mode::Keyword, Mode::Vector] {
            let mut asked = request(uuid(1), typed);
            asked.mode = mode;
            let asked = resolved(&*index, asked).await;
            let wanted: Vec<Uuid> = bodies.iter().map(|body| uuid(*body)).collect();
            assert_eq!(asked.filters.bodies, wanted, "{typed}");
            let found = index.search(asked).await.unwrap();
            // Every passage has a vector: by meaning each of the body's is found, by words those that have the word.
            let each = if mode == Mode::Keyword { 2 } else { 3 };
            assert_eq!(found.total, each * bodies.len() as u64, "{typed} {mode:?}");
            assert_eq!(found.hits.len() as u64, found.total, "{typed} {mode:?}");
            assert!(found.hits.iter().all(|hit| wanted.contains(&hit.passage.body_id)), "{typed} {mode:?}");
            assert!(found.facets.bodies.iter().all(|(body, _)| wanted.contains(body)), "{typed} {mode:?}");
            assert!(found.messages.is_empty(), "{typed}: {:?}", found.messages);
        }
    }
}

async fn a_name_that_nobody_bears_is_words_and_said(place: &Place) {
    let index = filled(place).await;
    // Nobody's, another tenant's, one that this reader may not know of, another label's, and none at all.
    for name in ["nobody", "school", "ethics", "ghost", "\"the of\"", "\".*\"", "\"body=City Council\""] {
        let typed = format!("parks body:{name}");
        let asked = resolved(&*index, request(uuid(1), &typed)).await;
        assert!(asked.filters.bodies.is_empty(), "{name}");
        assert!(asked.query.bodies.is_empty(), "{name}");
        let found = index.search(asked).await.unwrap();
        assert!(found.total >= 4, "{name}: what was asked for beside it is found");
    }
    let asked = resolved(&*index, request(uuid(1), "parks body:ethics")).await;
    assert!(asked.query.words.contains("ethics") && asked.query.messages[0].contains("ethics"));
    let mut reviewer = request(uuid(1), "parks body:ethics");
    reviewer.visible = VisibleTags::of(Visibility::ALL);
    let found = index.search(resolved(&*index, reviewer).await).await.unwrap();
    assert!(found.total > 0 && found.hits.iter().all(|hit| hit.passage.body_id == uuid(ETHICS)));
}

async fn a_body_that_was_renamed_bears_both_names(place: &Place) {
    let index = filled(place).await;
    let mut doc = passage(uuid(1), uuid(30), 0, "zoning of the shore");
    doc.body_id = uuid(COUNCIL);
    doc.labels.insert(BODY_LABEL.to_owned(), "Common Council".to_owned());
    index.replace_meeting(uuid(1), uuid(30), Part::Documents, 1, vec![doc]).await.unwrap();
    for name in ["common", "city", "council"] {
        let asked = resolved(&*index, request(uuid(1), &format!("zoning body:{name}"))).await;
        assert_eq!(asked.filters.bodies, [uuid(COUNCIL)], "{name}");
        let found = index.search(asked).await.unwrap();
        assert_eq!(found.total, 4, "{name}: a body is found whole, whatever it was called");
    }
}
