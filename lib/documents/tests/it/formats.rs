//! One small document of every format, and of every way to be broken.

use std::io::Write;
use std::path::Path;

use cs_core::document::slice_code_points;
use cs_documents::{ExtractError, Extracted, extract};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).unwrap()
}

fn read(name: &str) -> Extracted {
    let read = extract(name, &fixture(name)).unwrap();
    let length = u32::try_from(read.text.text.chars().count()).unwrap();
    let mut at = 0;
    for (i, s) in read.text.sections.iter().enumerate() {
        assert!(
            s.ordinal as usize == i && at <= s.start && s.start < s.end && s.end <= length,
            "{name}: {s:?}"
        );
        at = s.end;
    }
    assert!(read.text.marks.windows(2).all(|w| w[0].at < w[1].at), "{name}: marks in order");
    assert!(read.text.marks.iter().all(|m| m.at < length), "{name}: marks inside the text");
    read
}

fn headings(read: &Extracted) -> Vec<&str> {
    read.text.sections.iter().filter_map(|s| s.heading.as_deref()).collect()
}

#[test]
fn a_pdf_reads_as_it_is_printed() {
    let read = read("minutes.pdf");
    assert_eq!((read.media_type, read.pages), ("application/pdf", Some(3)));
    let text = &read.text.text;
    assert_eq!(
        text.as_str(),
        "MINUTES\n\
         Regular Meeting of Thursday, March 9, 2023\n\n\
         1. APPROVAL OF THE AGENDA\n\
         The council took up the agenda as it had been published and, after a short discussion of the order of its items, \
         approved it without any changes.\n\n\
         MOVED BY:\tRivera\nYEAS:\tChen, Okafor, Rivera - 3\nNAYS:\t0\n\n\
         2. ORDINANCE NO. 34,123 - BY: COUNCILMEMBER CHEN\n\
         An ordinance to amend the zoning of the block that is bounded by Oak, Elm, and Third streets was read for the \
         first time.\n\n\
         Referred to the Planning Commission.\n\n\
         The left column of this page is read before the right one, from its top to its end.\n\n\
         Then the right column follows, with its own lines in their order and nothing between."
    );
    assert_eq!(
        headings(&read),
        ["1. APPROVAL OF THE AGENDA", "2. ORDINANCE NO. 34,123 - BY: COUNCILMEMBER CHEN"]
    );
    let second = read.text.marks[1];
    assert_eq!(second.page, Some(2));
    assert_eq!(slice_code_points(text, second.at, second.at + 9), Some("and Third"));
}

#[test]
fn a_pdf_locked_against_changes_can_be_read() {
    assert_eq!(read("owner_locked.pdf").text, read("minutes.pdf").text);
}

#[test]
fn a_docx_keeps_cells_boxes_and_notes_once() {
    let read = read("minutes.docx");
    assert_eq!(
        read.text.text,
        "Roll call\nPresent: Chen & Rivera.\nAgreed\tyes\nnext line\nYEAS\t3\nNAYS\t0\n\nAdjournment\nBeside the box.\n\
         Words in a box.\n\nAs amended from the floor."
    );
    assert_eq!(headings(&read), ["Roll call", "Adjournment"]);
}

#[test]
fn captions_roll_once_and_keep_their_times() {
    let vtt = read("captions.vtt");
    assert_eq!(
        vtt.text.text,
        ">> Good morning everyone the meeting will come to order\n\n>> I move approval & adoption"
    );
    assert_eq!(vtt.text.sections[1].time_ms, Some(330_000));
    assert_eq!(read("captions.srt").text.text, "Good morning everyone Roll call, please");
    let json = read("captions.json");
    assert_eq!(json.text.text, "Good morning everyone roll call please");
    assert_eq!(json.text.mark_at(24).and_then(|m| m.time_ms), Some(3_500));
}

#[test]
fn marked_up_text() {
    let html = read("agenda.html");
    assert_eq!(
        html.text.text,
        "Agenda of the Council\n\nCafé hearing – Room 2\n\n1.\tCall to order\n\nAdjournment\n\nAt noon."
    );
    assert_eq!(headings(&html), ["Agenda of the Council", "Adjournment"]);
    let rtf = read("agenda.rtf");
    assert_eq!(rtf.text.text, "AGENDA\nCafé hearing – Room 2\nYEAS:\t3");
    assert_eq!(headings(&rtf), ["AGENDA"]);
    assert_eq!(headings(&read("agenda.md")), ["Agenda", "Items"]);
}

#[test]
fn a_file_is_what_it_holds_not_what_it_is_called() {
    let as_html = extract("agenda.html", &fixture("minutes.pdf")).unwrap();
    assert_eq!(as_html.media_type, "application/pdf");
    assert_eq!(extract("minutes.pdf", &fixture("minutes.docx")).unwrap().text, read("minutes.docx").text);
    assert_eq!(extract("minutes.pdf", b"Called to order at noon.").unwrap().media_type, "text/plain");
    assert_eq!(extract("notes.txt", &fixture("captions.vtt")).unwrap().media_type, "text/vtt");
}

#[test]
fn what_cannot_be_read_says_why() {
    let code = |name: &str, bytes: &[u8]| extract(name, bytes).map(|e| e.text.text).map_err(|e| e.code());
    assert_eq!(code("encrypted.pdf", &fixture("encrypted.pdf")), Err("encrypted"));
    assert_eq!(code("scan.pdf", &fixture("scan.pdf")), Err("needs_ocr"));
    assert_eq!(code("blank.pdf", &fixture("blank.pdf")), Err("empty"));
    assert_eq!(code("empty.txt", b"  \n"), Err("empty"));
    assert_eq!(code("truncated.pdf", &fixture("truncated.pdf")), Err("damaged"));
    let whole = fixture("minutes.pdf");
    assert_eq!(code("half.pdf", &whole[..whole.len() - 200]), Err("damaged"));
    let whole = fixture("minutes.docx");
    assert_eq!(code("half.docx", &whole[..whole.len() / 2]), Err("damaged"));
    assert_eq!(code("picture.pdf", b"\x89PNG\r\n\x1a\n0000"), Err("unsupported_format"));
    assert_eq!(code("rolls.json", br#"{"message": [{"page_content": "x"}]}"#), Err("unsupported_format"));
    assert_eq!(code("data.bin", &[0, 1, 2, 3, 0, 0]), Err("unsupported_format"));
}

#[test]
fn a_zip_bomb_is_refused_by_what_comes_out_of_it() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("word/document.xml", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"<w:document><w:body><w:p><w:r><w:t>").unwrap();
    let blanks = vec![b'a'; 1 << 20];
    for _ in 0..64 {
        zip.write_all(&blanks).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    assert!(matches!(extract("minutes.docx", &bytes), Err(ExtractError::TooLarge(_))));
}

#[test]
fn deep_nesting_ends() {
    let html = "<div>".repeat(200_000) + "words";
    assert_eq!(extract("deep.html", html.as_bytes()).unwrap().text.text, "words");
    let rtf = "{\\rtf1 ".to_owned() + &"{".repeat(200_000);
    assert_eq!(extract("deep.rtf", rtf.as_bytes()).unwrap_err().code(), "damaged");
}

/// Damage at every place of a document is an error or a text, never a panic or an endless loop.
#[test]
fn damage_anywhere_is_survived() {
    for name in
        ["minutes.pdf", "minutes.docx", "agenda.rtf", "agenda.html", "captions.vtt", "owner_locked.pdf"]
    {
        let whole = fixture(name);
        for i in (0..whole.len()).step_by(whole.len() / 15) {
            let mut bytes = whole.clone();
            bytes[i] = bytes[i].wrapping_add(1 + u8::try_from(i % 200).unwrap());
            let _ = extract(name, &bytes);
        }
    }
}
