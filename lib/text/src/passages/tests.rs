use super::*;
use crate::testing::random_texts;

fn document(text: &str, cuts: &[u32]) -> ExtractedText {
    let length = text.chars().count() as u32;
    let bounds: Vec<u32> = [0].into_iter().chain(cuts.iter().copied()).chain([length]).collect();
    let sections = bounds
        .windows(2)
        .enumerate()
        .map(|(n, b)| Section {
            ordinal: n as u32,
            heading: Some(format!("Item {n}")),
            start: b[0],
            end: b[1],
            page: Some(1),
            time_ms: None,
        })
        .collect();
    ExtractedText { text: text.to_owned(), sections, marks: Vec::new() }
}

#[test]
fn within_a_section_only_white_space_lies_between_passages() {
    let options = PassageOptions { words: 12, most: 15, least: 4 };
    for text in random_texts(300) {
        let chars: Vec<char> = text.chars().collect();
        let document = document(&text, &[chars.len() as u32 / 3, chars.len() as u32 / 2]);
        let passages = passages(&document, "Title", options);
        let mut held = vec![false; chars.len()];
        for (n, passage) in passages.iter().enumerate() {
            let section = &document.sections[passage.section as usize];
            assert!(
                section.start <= passage.start && passage.start < passage.end && passage.end <= section.end
            );
            assert!(n == 0 || passages[n - 1].end <= passage.start);
            assert_eq!(passage.ordinal as usize, n);
            assert!(
                !chars[passage.start as usize].is_whitespace()
                    && !chars[passage.end as usize - 1].is_whitespace()
            );
            let body: String = chars[passage.start as usize..passage.end as usize].iter().collect();
            assert!(words::words(&body).len() <= options.most + options.least + 2, "{body:?}");
            held[passage.start as usize..passage.end as usize].fill(true);
        }
        assert!(chars.iter().zip(held).all(|(c, held)| held || c.is_whitespace()), "{text:?}");
    }
}

#[test]
fn passages_end_with_sentences_and_have_about_a_hundred_words() {
    let sentence = "The motion by Councilmember King to adopt Ord. No. 29,650 passed with six yeas. ";
    let text = sentence.repeat(60);
    let passages = passages(&document(&text, &[]), "Minutes", PassageOptions::default());
    let index = CodePoints::new(&text);
    for passage in &passages {
        let body = index.slice(passage.start, passage.end).unwrap();
        assert!(body.ends_with("yeas.") && body.starts_with("The motion"), "{body}");
        let words = body.split_whitespace().count();
        // Eight sentences of 14 words each; the last passage holds what is left.
        assert!(words == 112 || passage.end == index.len() - 1, "{words}");
    }
    assert_eq!(passages.len(), 8);
}

#[test]
fn a_transcript_without_full_stops_is_cut_between_words() {
    let text = "you know what people do not know about the culture ".repeat(50);
    let passages = passages(&document(&text, &[]), "", PassageOptions::default());
    assert_eq!(passages.len(), 5);
    let index = CodePoints::new(&text);
    let bodies: Vec<&str> = passages.iter().map(|p| index.slice(p.start, p.end).unwrap()).collect();
    assert_eq!(bodies.join(" "), text.trim());
}

#[test]
fn a_short_rest_joins_the_passage_before_it_but_never_another_section() {
    let text = format!(
        "{}Short end. Next item here.",
        "One two three four five six seven eight nine ten. ".repeat(10)
    );
    let cut = text.find("Next").unwrap() as u32;
    let passages = passages(&document(&text, &[cut]), "T", PassageOptions::default());
    let spans: Vec<(u32, u32)> = passages.iter().map(|p| (p.section, p.end)).collect();
    assert_eq!(spans, [(0, cut - 1), (1, text.len() as u32)]);
}

#[test]
fn title_and_heading_are_carried_and_the_place_is_that_of_the_beginning() {
    let mut document = document("Roll call. Then more was said. ", &[11]);
    document.marks = vec![
        Mark { at: 0, page: Some(3), time_ms: None },
        Mark { at: 11, page: None, time_ms: Some(5_000) },
        Mark { at: 20, page: Some(4), time_ms: Some(9_000) },
    ];
    let passages = passages(&document, "Regular meeting", PassageOptions::default());
    assert_eq!((passages[0].page, passages[0].time_ms), (Some(3), None));
    assert_eq!((passages[1].page, passages[1].time_ms), (Some(1), Some(5_000)));
    assert_eq!(passages[1].with_context("Then"), "Regular meeting\nItem 1\nThen");
}

#[test]
fn a_text_without_sections_is_one_and_bad_sections_are_left_out() {
    let mut document = document("Words.", &[]);
    document.sections[0].end = 99;
    assert_eq!(passages(&document, "T", PassageOptions::default()), []);
    document.sections.clear();
    let found = passages(&document, "T", PassageOptions::default());
    assert_eq!((found[0].start, found[0].end, found[0].context.as_str()), (0, 6, "T"));
    document.text = " \n ".to_owned();
    assert_eq!(passages(&document, "T", PassageOptions::default()), []);
}
