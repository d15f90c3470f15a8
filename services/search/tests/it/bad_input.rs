//! Whatever is typed is searched, and no more is promised than was done.

use std::collections::BTreeSet;

use search::index::{IndexError, Mode, Part};

use crate::place::{Place, contract};
use crate::support::*;

contract! {
    nothing_typed_is_an_error,
    what_is_not_searched_as_typed_is_said,
    words_that_say_little_are_searched_when_alone,
    scripts_diacritics_and_numbers_are_found,
    phrases_bind_and_exclusions_shut_out,
    a_misspelt_name_is_found_and_said,
    hits_say_why,
    without_an_embedder_keywords_answer_and_it_is_said,
    what_does_not_belong_is_refused,
}

const TEXTS: [&str; 6] = [
    "Ord. Calendar No. 34,123 amends the zoning code of Peña Street",
    "Motion M-23-126 by Councilmember Giarrusso on short term rentals",
    "to be or not to be, that is the question",
    "市議会は予算案を可決した 🏛",
    "The zoning amendment was deferred after a long debate on rentals",
    "Parks and recreation budget hearing with rental income",
];

async fn filled(place: &Place) -> Box<dyn search::index::SearchIndex> {
    let index = place.open().await;
    put(&*index, uuid(1), uuid(10), 1, &TEXTS).await;
    index
}

async fn nothing_typed_is_an_error(place: &Place) {
    let index = filled(place).await;
    let long = "zoning ordinance budget ".repeat(4_000);
    let distinct: String = (0..10_000).map(|i| format!("word{i} ")).collect();
    let quoted = format!("\"{}\" -\"{}\"", "zoning ".repeat(1_400), "rentals ".repeat(1_200));
    let quotes = "\"zoning\" -rentals Ord. 29,650 ".repeat(300);
    for typed in [
        "",
        " ",
        "\"",
        "\"\"",
        "zoning \"late night",
        "zoning\" and \"\"\"rentals",
        "\"\u{0}\"zoning",
        "body:\"zoning",
        "-\"zoning",
        "-",
        "the of and",
        "\u{0}\u{1}\u{1b}[31m",
        "🏛",
        "市議会",
        "совет ₿ ﷽",
        "body:",
        "from:x to:y",
        "((((",
        "a AND OR NOT *:*",
        "~2 ^9 /.*/ [a TO b]",
        &long,
        &distinct,
        &quoted,
        &quotes,
        "e\u{301}\u{301}\u{301}",
        "\u{202e}gninoz",
    ] {
        for mode in [Mode::Hybrid, Mode::Keyword, Mode::Vector] {
            let mut asked = request(uuid(1), typed);
            asked.mode = mode;
            let found = index.search(asked).await.unwrap();
            assert!(found.hits.len() as u64 <= found.total, "{typed:.40}");
        }
        index.search(words(uuid(1), typed)).await.unwrap();
    }
}

async fn what_is_not_searched_as_typed_is_said(place: &Place) {
    let index = filled(place).await;
    let many: String = (0..10_000).map(|i| format!("zoning{i} ")).collect();
    for (typed, said) in [
        (many.as_str(), "The query is long"),
        ("zoning \"late night", "has no partner"),
        ("-zoning", "nothing asked for"),
        ("zoning from:yesterday", "not a day, month or year"),
        ("zoning \"rentals of zoning\"", "stands nowhere"),
        ("\u{1b}\u{0} \u{7}", "There is no word"),
        ("\"\"", "There is no word"),
    ] {
        let found = index.search(words(uuid(1), typed)).await.unwrap();
        assert!(found.messages.iter().any(|m| m.contains(said)), "{typed:.40}: {:?}", found.messages);
        assert!(found.messages.iter().all(|m| !m.contains(char::is_control)), "{typed:.40}");
    }
    // A sign that is no letter is looked for like a word, and what is beside it is found all the same.
    assert_eq!(texts(&index.search(words(uuid(1), "🏛 予算案")).await.unwrap())[0], TEXTS[3]);
    assert_eq!(index.search(words(uuid(1), "zoning \"late night")).await.unwrap().total, 2);
    assert_eq!(index.search(words(uuid(1), "zo\u{0}ning zoning")).await.unwrap().total, 2);
}

async fn words_that_say_little_are_searched_when_alone(place: &Place) {
    let index = filled(place).await;
    let found = index.search(words(uuid(1), "to be or not to be")).await.unwrap();
    assert_eq!(texts(&found)[0], TEXTS[2]);
    let found = index.search(words(uuid(1), "\"not to be\"")).await.unwrap();
    assert_eq!(texts(&found), [TEXTS[2]]);
}

async fn scripts_diacritics_and_numbers_are_found(place: &Place) {
    let index = filled(place).await;
    for (typed, wanted) in
        [("pena", 0), ("Peña", 0), ("Ord. 34,123", 0), ("34123", 0), ("M-23-126", 1), ("予算案", 3)]
    {
        let found = index.search(request(uuid(1), typed)).await.unwrap();
        assert_eq!(texts(&found)[0], TEXTS[wanted], "{typed}");
        let found = index.search(words(uuid(1), typed)).await.unwrap();
        assert_eq!(texts(&found)[0], TEXTS[wanted], "{typed}");
    }
}

async fn phrases_bind_and_exclusions_shut_out(place: &Place) {
    let index = filled(place).await;
    let found = index.search(request(uuid(1), "\"short term rentals\"")).await.unwrap();
    assert_eq!(texts(&found), [TEXTS[1]]);
    let found = index.search(request(uuid(1), "\"rentals term\"")).await.unwrap();
    assert!(!found.hits.is_empty() && found.messages[0].contains("rentals term"));
    let found = index.search(request(uuid(1), "rentals -\"short term\" -budget")).await.unwrap();
    assert!(!texts(&found).contains(&TEXTS[1]) && !texts(&found).contains(&TEXTS[5]));
    assert_eq!(texts(&found)[0], TEXTS[4]);
    // A phrase that stands only in what is excluded stands nowhere.
    let found = index.search(words(uuid(1), "rentals \"short term\" -giarrusso")).await.unwrap();
    assert_eq!(texts(&found).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([TEXTS[4], TEXTS[5]]));
    assert!(found.messages[0].contains("“short term” stands nowhere"), "{:?}", found.messages);
    // What is dropped is told in the order in which it was typed.
    let typed = "rentals \"income budget\" \"parks and\" \"short term\" \"no such\"";
    let told = index.search(words(uuid(1), typed)).await.unwrap().messages;
    let dropped: Vec<&str> = told.iter().filter_map(|told| told.split(['“', '”']).nth(1)).collect();
    assert_eq!(dropped, ["income budget", "short term", "no such"]);
}

async fn a_misspelt_name_is_found_and_said(place: &Place) {
    let index = filled(place).await;
    let found = index.search(words(uuid(1), "Giaruso")).await.unwrap();
    assert_eq!(texts(&found), [TEXTS[1]]);
    assert!(found.messages[0].contains("Giaruso"));
    assert_eq!(found.hits[0].explanation.matched_terms, ["Giaruso"]);
}

async fn hits_say_why(place: &Place) {
    let index = filled(place).await;
    let found = index.search(request(uuid(1), "zoning rentals")).await.unwrap();
    let hit = &found.hits[0];
    assert_eq!(hit.explanation.matched_terms, ["zoning", "rentals"]);
    assert!(hit.explanation.keyword_rank.is_some() && hit.explanation.vector_rank.is_some());
    let shown: Vec<String> = hit
        .highlights
        .iter()
        .map(|s| hit.passage.text.chars().skip(s.start as usize).take((s.end - s.start) as usize).collect())
        .collect();
    assert_eq!(shown, ["zoning", "rentals"]);
    for hit in &found.hits {
        assert!(!hit.highlights.is_empty());
    }
}

async fn without_an_embedder_keywords_answer_and_it_is_said(place: &Place) {
    let index = filled(place).await;
    let mut asked = request(uuid(1), "zoning");
    asked.vector = None;
    let found = index.search(asked).await.unwrap();
    assert!(found.degraded && found.total == 2);
    let mut asked = request(uuid(1), "zoning");
    asked.vector = Some(vec![1.0; 3]);
    assert!(index.search(asked).await.unwrap().degraded);
    assert!(!index.search(request(uuid(1), "zoning")).await.unwrap().degraded);
}

async fn what_does_not_belong_is_refused(place: &Place) {
    let index = filled(place).await;
    let stray = passage(uuid(2), uuid(10), 0, "x");
    let refused = index.replace_meeting(uuid(1), uuid(10), Part::Documents, 2, vec![stray]).await;
    assert!(matches!(refused, Err(IndexError::Misplaced(_))));
    let mut other = passage(uuid(1), uuid(10), 0, "x");
    other.vector = vec![1.0; 3];
    let refused = index.replace_meeting(uuid(1), uuid(10), Part::Documents, 2, vec![other]).await;
    assert!(matches!(refused, Err(IndexError::Dimensions { expected: DIMS, found: 3 })));
    for cursor in
        ["", "x", "0123456789abcdef012345678", "+0000000000000000000000000", "é000000000000000000000000"]
    {
        let mut asked = words(uuid(1), "zoning");
        asked.after = Some(cursor.to_owned());
        let answer = index.search(asked).await;
        assert!(
            cursor.len() == 25 && cursor.is_ascii() && answer.is_ok()
                || matches!(answer, Err(IndexError::BadCursor)),
            "{cursor}"
        );
    }
}
