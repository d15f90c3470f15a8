//! Folders as people keep them.

use std::fs;
use std::path::Path;

use cs_core::document::ArtifactKind::{Agenda, Attachment, Minutes, Transcript};
use cs_documents::Reader;
use cs_documents::folder::{self, FolderError, FolderScan, Introductions, StartsAt};

const CAPTIONS: &str = r#"[{"start": 0, "duration": 1, "text": "good morning"}]"#;

fn scan(path: &Path) -> Result<FolderScan, FolderError> {
    folder::scan(path, &Introductions::new(Reader::InProcess))
}

fn put(root: &Path, file: &str, content: impl AsRef<[u8]>) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn uids(scan: &FolderScan) -> Vec<&str> {
    scan.meetings.iter().map(|m| m.meeting_uid.as_str()).collect()
}

#[test]
fn loose_files_meet_by_body_and_date() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "city.toml", "name = \"Example\"\ntime_zone = \"America/Chicago\"\nbudget = 3\n");
    put(root, "minutes_pdf/Regular_CIty_Council_Meeting_3-9-2023.pdf", "Called to order, the first.");
    put(root, "minutes_docx/Full_Council_Minutes_3-9-2023.docx", "Called to order, the second.");
    put(root, "agenda_docx/Regular_City_Council_Meeting_Agenda_3-9-2023.docx", "Items.");
    put(root, "transcript_json/Regular_City_Council_Meeting_3-9-2023_Part_1.json", CAPTIONS);
    put(root, "minutes/Criminal_Justice_City_Council_Committee_Meeting_3-9-2023.txt", "Called.");
    put(root, "minutes/undated.txt", "MINUTES\nCity Council\nheld on Thursday, April 6, 2023 at noon");
    put(
        root,
        "minutes/copy of undated.txt",
        "MINUTES\nCity Council\nheld on Thursday, April 6, 2023 at noon",
    );
    put(root, "rolls.json", r#"{"message": [{"page_content": "Ordinance"}]}"#);
    put(root, "notes.txt", "Nothing of interest.");
    put(root, ".DS_Store", "x");
    let found = scan(root).unwrap();
    assert_eq!(found.city.name.as_deref(), Some("Example"));
    assert_eq!(
        uids(&found),
        ["city-council-2023-03-09", "criminal-justice-committee-2023-03-09", "city-council-2023-04-06"]
    );
    let council = &found.meetings[0];
    assert_eq!(council.title, "Regular City Council Meeting");
    let kinds: Vec<_> = council.artifacts.iter().map(|a| a.kind).collect();
    assert_eq!(kinds, [Agenda, Minutes, Minutes, Transcript]);
    assert!(council.derivation.iter().any(|d| d.contains("kind minutes from the name of its folder")));
    let ignored: Vec<_> =
        found.ignored.iter().map(|(p, r)| (p.file_name().unwrap().to_str().unwrap(), r.as_str())).collect();
    assert_eq!(ignored.len(), 4, "{ignored:?}");
    assert!(ignored.iter().any(|(p, r)| *p == "rolls.json" && r.contains("no captions")));
    assert!(ignored.iter().any(|(p, r)| *p == "notes.txt" && r.contains("no date")));
    assert!(
        ignored
            .iter()
            .any(|(p, r)| *p == "undated.txt" && r.contains("the same bytes as minutes/copy of undated.txt"))
    );
    assert_eq!(scan(root).unwrap(), found, "the same every time");
}

#[test]
fn a_meeting_s_folder_describes_itself() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let json = r#"{"title": "Budget Hearing", "body": "Finance Committee", "starts_at": "2023-03-09T10:00:00-06:00",
        "location": "Room 2", "status": "held", "mayor": "unknown key",
        "artifacts": [{"file": "papers/a.txt", "kind": "agenda", "source_url": "https://council.example/a"},
                      {"file": "gone.pdf"}, {"file": "../../secret.txt", "kind": "minutes"}]}"#;
    put(root, "hearing/meeting.json", json);
    put(root, "hearing/papers/a.txt", "Items.");
    put(root, "hearing/sheet.xlsx", "x");
    put(root, "2023-03-10-regular-meeting/minutes.txt", "Called.");
    put(root, "2023-03-10-special-meeting/minutes.txt", "Called again.");
    put(root, "2023-04-01-broken/meeting.json", "{\"title\": \"x\",\n \"body\": 3}");
    put(root, "2023-04-01-broken/minutes.txt", "Called.");
    put(root, "2023-04-02-worse/meeting.json", "not json");
    put(root, "2023-04-03-a-list/meeting.json", "[{\"title\": \"x\"}]");
    put(root, "2023-04-04-names/meeting.json", r#"{"artifacts": ["minutes.txt"]}"#);
    std::fs::create_dir(root.join("2023-04-05-nothing-yet")).unwrap();
    std::fs::create_dir(root.join("spare")).unwrap();
    put(root, "secret.txt", "March 9, 2023");
    let found = scan(root).unwrap();
    assert_eq!(
        uids(&found),
        [
            "finance-committee-2023-03-09",
            "secret-2023-03-09",
            "city-council-2023-03-10",
            "city-council-2023-03-10-special",
            "city-council-2023-04-01-broken",
            "city-council-2023-04-02-worse",
            "city-council-2023-04-03-a-list",
            "city-council-2023-04-04-names",
            "city-council-2023-04-05-nothing-yet",
        ]
    );
    let hearing = &found.meetings[0];
    assert!(
        matches!(hearing.starts_at, Some(StartsAt::Offset(at)) if at.to_rfc3339() == "2023-03-09T10:00:00-06:00")
    );
    assert_eq!((hearing.location.as_deref(), hearing.status.as_deref()), (Some("Room 2"), Some("held")));
    assert_eq!(hearing.error, None);
    let papers: Vec<_> =
        hearing.artifacts.iter().map(|a| (a.file.as_str(), a.kind, a.error.is_some())).collect();
    assert_eq!(
        papers,
        [
            ("papers/a.txt", Agenda, false),
            ("../../secret.txt", Minutes, true),
            ("gone.pdf", Attachment, true),
            ("sheet.xlsx", Attachment, false)
        ]
    );
    let error = |i: usize| found.meetings[i].error.clone().unwrap_or_default();
    assert!(error(4).contains("2023-04-01-broken/meeting.json: line 2 column"), "{}", error(4));
    assert!(error(5).contains("2023-04-02-worse/meeting.json: line 1 column"), "{}", error(5));
    assert!(error(6).contains("has to be one object"), "{}", error(6));
    assert!(error(7).contains("artifact 1 has to be an object"), "{}", error(7));
    assert!(error(8).contains("holds no document"), "{}", error(8));
    let told: Vec<_> = hearing.artifacts.iter().filter_map(|a| a.error.as_deref()).collect();
    assert!(
        told[0].contains("outside of the meeting's folder") && told[1].contains("no such file"),
        "{told:?}"
    );
    let spare = dir.path().canonicalize().unwrap().join("spare");
    assert_eq!(found.ignored, [(spare, "the folder is empty".to_owned())]);
}

#[test]
fn one_file_and_one_meeting_s_folder() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "minutes/Council_3-9-2023.txt", "Called.");
    put(root, "minutes/Council_4-6-2023.txt", "Called.");
    let one = scan(&root.join("minutes/Council_3-9-2023.txt")).unwrap();
    assert_eq!((uids(&one), one.meetings[0].artifacts[0].kind), (vec!["city-council-2023-03-09"], Minutes));
    put(root, "2023-05-01/minutes.txt", "Called.");
    let folder = scan(&root.join("2023-05-01")).unwrap();
    assert_eq!(
        (uids(&folder), folder.meetings[0].artifacts[0].file.as_str()),
        (vec!["city-council-2023-05-01"], "minutes.txt")
    );
}

#[test]
fn nothing_there_and_nothing_in_it() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(scan(dir.path()), Err(FolderError::Empty(_))));
    assert!(matches!(scan(&dir.path().join("none")), Err(FolderError::NotFound(_))));
    put(dir.path(), "city.toml", "name = [");
    assert!(matches!(scan(dir.path()), Err(FolderError::City { .. })));
}

#[test]
fn a_very_large_file_is_listed_unread() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create(dir.path().join("Council_Minutes_3-9-2023.pdf")).unwrap();
    file.set_len(500 << 20).unwrap();
    let found = scan(dir.path()).unwrap();
    assert_eq!(found.meetings[0].artifacts[0].size_bytes, 500 << 20);
    put(dir.path(), "2023-04-06/minutes.txt", "Called.");
    fs::File::create(dir.path().join("2023-04-06/meeting.json")).unwrap().set_len(500 << 20).unwrap();
    let found = scan(dir.path()).unwrap();
    let error = found.meetings[1].error.as_deref().unwrap();
    assert!(error.contains("it has 500 MB, at most 1 MB are read; correct the file"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out() {
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "Council_Minutes_3-9-2023.txt", "secret");
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "a/Council_Minutes_4-6-2023.txt", "Called.");
    std::os::unix::fs::symlink(
        outside.path().join("Council_Minutes_3-9-2023.txt"),
        root.join("Minutes_3-9-2023.txt"),
    )
    .unwrap();
    std::os::unix::fs::symlink(outside.path(), root.join("out")).unwrap();
    std::os::unix::fs::symlink(root, root.join("a/ring")).unwrap();
    let found = scan(root).unwrap();
    assert_eq!((uids(&found), found.ignored.len()), (vec!["city-council-2023-04-06"], 3));
}
