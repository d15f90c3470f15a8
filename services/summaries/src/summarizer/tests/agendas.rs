use cs_core::document::ArtifactKind;

use super::super::ClaimKind;
use super::{decisions, source, summarize, texts_of};

const AGENDA: &str = "AGENDA\nRegular City Council Meeting\nto be held on Thursday, April 20, 2023 at 10:00 A.M.\n1. ROLL CALL\nREGULAR AGENDA\n7. CAL. NO. 33,893 - BY: COUNCILMEMBER HARRIS\nBrief:\nAn Ordinance to establish reporting requirements applicable to the Department of Finance; and otherwise to provide with respect thereto.\nAnnotation:\n(Referred to the Budget Committee).\n8. CAL. NO. 34,017 - BY: COUNCILMEMBER MORRELL\nBrief:\nAn Ordinance to require annual reporting on Mardi Gras.\nAnnotation:\n(Council Rule 34. Postponement Deadline 5/5/23).\n9. MOTION - NO. M-23-1 - BY: GREEN\nBrief:\nDirecting staff to study parking.\nAnnotation:\nTo be adopted.\n";

#[test]
fn an_agenda_decides_nothing() {
    let draft = summarize(vec![source(ArtifactKind::Agenda, AGENDA)]);
    assert!(decisions(&draft).is_empty());
    let topics = texts_of(&draft, ClaimKind::Topic);
    assert_eq!(topics.len(), 3);
    assert!(topics[0].starts_with("CAL. NO. 33,893"));
    assert!(!draft.short_summary.is_empty());
}

#[test]
fn a_transcript_decides_nothing() {
    let said = "good morning welcome to the council\nwe will now take up the ordinance about short term rentals and the housing permit\nmoved by councilmember green second by harris the motion passed\nthank you\n";
    let draft = summarize(vec![source(ArtifactKind::Transcript, said)]);
    assert!(decisions(&draft).is_empty());
    assert!(draft.claims.iter().all(|c| c.kind == ClaimKind::Topic && c.confidence <= 0.5));
    assert!(!draft.claims.is_empty());
}

#[test]
fn minutes_come_before_the_agenda() {
    let minutes = "1. CAL. NO. 33,893 - BY: COUNCILMEMBER HARRIS\nBrief:\nAn Ordinance to establish reporting requirements.\nAnnotation:\nWITHDRAWN.\n";
    let draft = summarize(vec![source(ArtifactKind::Agenda, AGENDA), source(ArtifactKind::Minutes, minutes)]);
    assert_eq!(draft.claims.len(), 1);
    assert_eq!(draft.claims[0].evidence[0].text_index, 1);
}

#[test]
fn nothing_gives_nothing() {
    assert!(summarize(vec![]).claims.is_empty());
    assert!(summarize(vec![source(ArtifactKind::Minutes, "")]).claims.is_empty());
}
