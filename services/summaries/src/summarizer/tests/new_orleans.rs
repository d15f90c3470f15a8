//! The manner of New Orleans: heading, `Brief:`, `Annotation:`, status, vote block; read from PDF and, scrambled, from DOCX.

use cs_core::document::ArtifactKind;

use super::super::ClaimKind;
use super::{brief, decisions, source, summarize, texts_of};

const VOTE: &str = "MOVED BY:\tThomas\nSECONDED BY: Green\nACTION:\tAdopt\nYEAS:\tGiarrusso, Green, Harris, Moreno, Thomas - 5\nNAYS:\tMorrell - 1\nABSTAIN:\t0\nABSENT:\tKing - 1\nRECUSED:\t0\nAND THE MOTION PASSED.\n";

fn minutes(text: &str) -> super::Draft {
    summarize(vec![source(ArtifactKind::Minutes, text)])
}

fn record() -> String {
    format!(
        "MINUTES\nRegular City Council Meeting\nheld in City Hall on Thursday, April 20, 2023 at 10:20 A.M.\n1. ROLL CALL - CLERK OF COUNCIL\nPRESENT: Green, Harris, Moreno - 3\nABSENT: King - 1\n\
         THREE MEMBERS PRESENT, CONSTITUTING A QUORUM.\n\
         1. COMMUNICATION - FROM ZACH SMITH\nBrief:\nRequesting to appeal the decision for 2516 Upperline Street.\nAnnotation:\nRECEIVED. (Hearing Date Set For 5/11/23).\nHDLC APPEAL - Zach Smith\n\
         2. COMMUNICATION - FROM THE CHIEF OF EMS\nBrief:\nSubmitting a proposed agreement.\nAnnotation:\nELECTRONICALLY SUBMITTED. RECEIVED AND REFERRED TO THE BUDGET COMMITTEE.\n\
         3. CAL. NO. 33,296 - BY: COUNCILMEMBER BANKS\nBrief:\nAn Ordinance to transfer funds of $500,000; and otherwise to provide with respect thereto.\nAnnotation:\n(Referred to the Budget Committee).\nADOPTED.\n33296 - 28672 M.C.S.\n\
         4. LEGISLATIVE GROUPING\n4a. CAL. NO. 34,113 - BY: COUNCILMEMBER MORRELL\nBrief:\nAn Ordinance to amend billing rules.\nAnnotation:\nELECTRONICALLY SUBMITTED.\n34113 - 29413 M.C.S.\n\
         4b. AMENDMENT TO ORDINANCE CAL. NO. 34,113 - BY: COUNCILMEMBER MORRELL\nBrief:\n1) On page 2, insert “Office”.\n2. On page 3, delete it.\nAnnotation:\n34113 Amendment\n{}{}\
         5. CAL. NO. 34,091 - BY: COUNCILMEMBERS GREEN AND\nTHOMAS (BY REQUEST)\nBrief:\nAn Ordinance to appropriate grant funds.\nAnnotation:\nCONTINUED TO THE MEETING OF 5/11/23 AND REFERRED TO THE BUDGET\nCOMMITTEE.\n34091\n\
         6. MOTION - NO. M-23-160 - BY: COUNCILMEMBER MORRELL\nBrief:\nDirecting the Law Department to transfer Unit 530B.\nAnnotation:\nWITHDRAWN.\nM-23-160\n\
         7. MOTION - NO. M-23-163 - BY: COUNCILMEMBER THOMAS\nBrief:\nDirecting the City Planning Commission to conduct a study.\nAnnotation:\n{VOTE}\
         8. CAL. NO. 33,665 - BY: COUNCILMEMBER MORRELL\nBrief:\nAn Ordinance about liens.\nAnnotation:\nContinued until later in the meeting.\n33665\n\
         9. ZONING DOCKET NO. 87/22 - CITY COUNCIL\nBrief:\nRequesting a text amendment.\nAnnotation:\nPAST DEADLINE.\nPETITION DIES.\n",
        VOTE.replace("Adopt", "Amendment"),
        VOTE.replace("Adopt", "As Amended")
    )
}

#[test]
fn every_recorded_decision_with_its_outcome() {
    let draft = minutes(&record());
    assert_eq!(
        brief(&draft),
        [
            ("", "received", "", None, None),
            ("", "referred", "", None, None),
            ("CAL. NO. 33,296", "adopted", "", None, None),
            ("CAL. NO. 34,113", "adopted", "Thomas", Some(5), Some(1)),
            ("CAL. NO. 34,113", "adopted", "Thomas", Some(5), Some(1)),
            ("CAL. NO. 34,091", "deferred", "", None, None),
            ("M-23-160", "withdrawn", "", None, None),
            ("M-23-163", "adopted", "Thomas", Some(5), Some(1)),
            ("ZONING DOCKET NO. 87/22", "failed", "", None, None),
        ]
    );
}

#[test]
fn an_amendment_is_a_step_and_the_ordinance_as_amended_is_the_matter() {
    let draft = minutes(&record());
    let found = decisions(&draft);
    assert_eq!(found[3].motion.as_deref(), Some("Amendment"));
    assert_eq!(
        (found[4].motion.as_deref(), found[4].title.as_deref()),
        (None, Some("An Ordinance to amend billing rules."))
    );
}

#[test]
fn hearings_directions_and_facts() {
    let draft = minutes(&record());
    let actions = texts_of(&draft, ClaimKind::Action);
    assert!(actions[0].ends_with("Hearing Date Set For 5/11/23"), "{actions:?}");
    // A direction that was withdrawn directs nobody.
    assert_eq!(actions.iter().filter(|a| a.contains("Directing")).count(), 1, "{actions:?}");
    let facts = texts_of(&draft, ClaimKind::Fact);
    assert!(
        facts.iter().any(|f| f.starts_with("PRESENT: Green, Harris, Moreno - 3 ABSENT: King - 1")),
        "{facts:?}"
    );
}

#[test]
fn the_short_summary_prefers_money_to_communications() {
    let draft = minutes(&record());
    let first = &draft.claims[draft.short_summary[0]].text;
    assert!(first.contains("$500,000") || first.contains("34,113"), "{first}");
    assert!(draft.short_summary.iter().all(|&i| !draft.claims[i].text.contains("COMMUNICATION")));
}

#[test]
fn values_before_their_labels_and_lost_zeros() {
    let scrambled = "24. CAL. NO. 34,182 - BY: COUNCILMEMBER GIARRUSSO\nBrief:\nAn Ordinance about petty cash.\nAnnotation:\nELECTRONICALLY SUBMITTED.\nMOVED BY:\nGiarrusso\nSECONDED BY:\nMorrell\nAdopt\nACTION:\nGiarrusso, Harris, Morrell, Thomas - 4\nYEAS:\nGreen - 1\nNAYS:\nABSTAIN:\n0\nKing, Moreno - 2\n11/57\nhttps://council.example.com/MinutesViewer.php?view_id=42\nABSENT:\nRECUSED:\n0\nAND THE MOTION PASSED.\n";
    let draft = minutes(scrambled);
    let votes = decisions(&draft)[0].votes.clone().expect("a vote");
    assert_eq!(votes.yeas, ["Giarrusso", "Harris", "Morrell", "Thomas"]);
    assert_eq!(votes.nays, ["Green"]);
    assert_eq!(votes.absent, ["King", "Moreno"]);
    assert!(votes.abstain.is_empty() && votes.recused.is_empty());
}

#[test]
fn all_labels_before_all_values() {
    let queued = "9. MOTION - NO. M-21-194 - BY: COUNCILMEMBER BANKS\nBrief:\nGranting the text amendment.\nAnnotation:\nMOVED BY:\nSECONDED BY:\nACTION:\nYEAS:\nBanks\nNguyen\nAdopt\nBanks, Brossett, Moreno, Nguyen - 4\nNAYS:\n0\nABSTAIN:\n0\nABSENT:\n0\nRECUSED:\n0\nAND THE MOTION PASSED.\n";
    let draft = minutes(queued);
    assert_eq!(brief(&draft), [("M-21-194", "adopted", "Banks", Some(4), Some(0))]);
    assert_eq!(decisions(&draft)[0].seconder.as_deref(), Some("Nguyen"));
}

#[test]
fn the_same_minutes_twice_are_one_record() {
    let draft = summarize(vec![
        source(ArtifactKind::Minutes, &record()),
        source(ArtifactKind::Minutes, &record().replace('\t', "\n")),
    ]);
    assert_eq!(decisions(&draft).len(), 9);
}

#[test]
fn a_mover_above_the_label() {
    let above = "16. CAL. NO. 33,992 - BY: COUNCILMEMBER KING\nBrief:\nAn Ordinance about advice.\nAnnotation:\n33992 - 29295 M.C.S.\nKing\nMOVED BY:\nSECONDED BY:\nGiarrusso\nAdopt\nACTION:\nGiarrusso, Green, King - 3\nYEAS:\nNAYS:\n0\nABSTAIN:\n0\nThomas - 1\nABSENT:\nRECUSED:\n0\nAND THE MOTION PASSED.\n";
    let draft = minutes(above);
    let found = decisions(&draft);
    assert_eq!((found[0].mover.as_deref(), found[0].seconder.as_deref()), (Some("King"), Some("Giarrusso")));
    // A speaker above the block who is no member has not moved it.
    let draft = minutes(&above.replace("\nKing\nMOVED", "\nErin Holmes\nMOVED"));
    assert_eq!(decisions(&draft)[0].mover, None);
    // Both names above their labels.
    let both = above.replace(
        "MOVED BY:\nSECONDED BY:\nGiarrusso\nAdopt\nACTION:",
        "MOVED BY:\nGiarrusso\nSECONDED BY:\nACTION:\nAdopt",
    );
    let draft = minutes(&both);
    let found = decisions(&draft);
    assert_eq!((found[0].mover.as_deref(), found[0].seconder.as_deref()), (Some("King"), Some("Giarrusso")));
}

#[test]
fn the_consent_agenda_adopts_what_it_gives_a_number() {
    let draft = minutes(
        "CONSENT AGENDA\n19. CAL. NO. 33,978 - BY: COUNCILMEMBER THOMAS\nBrief:\nAn Ordinance about a gas station.\nAnnotation:\nELECTRONICALLY SUBMITTED.\n33978 - 29286 M.C.S.\n\
         20. CAL. NO. 33,980 - BY: COUNCILMEMBER THOMAS\nBrief:\nAn Ordinance about a school.\nAnnotation:\n33980\n\
         28. AND THE CONSENT AGENDA WAS ADOPTED.\nREGULAR AGENDA\nVCC APPEAL - OF RALPH LONG\n1.\nBrief:\nRequesting to appeal a decision.\nAnnotation:\nCONTINUED TO THE MEETING OF 1/19/2023.\n",
    );
    assert_eq!(
        brief(&draft),
        [("CAL. NO. 33,978", "adopted", "", None, None), ("", "deferred", "", None, None)]
    );
    assert!(draft.claims.iter().any(|c| c.decision.is_some()
        && c.text.ends_with("AND THE CONSENT AGENDA WAS ADOPTED.")
        && c.evidence.iter().any(|e| e.excerpt.contains("33978 - 29286"))));
}

#[test]
fn an_outcome_stated_above_its_vote_is_one_decision() {
    let draft = minutes(&format!(
        "19a. CAL. NO. 33,937 - BY: COUNCILMEMBER MORRELL\nBrief:\nAn Ordinance about bills.\nAnnotation:\nADOPTED, AS AMENDED.\n\
         19b. AMENDMENT TO ORDINANCE CALENDAR NO. 33,937 - BY: COUNCILMEMBER MORRELL\nBrief:\n1. On page 1, insert a word.\nAnnotation:\n{}",
        VOTE.replace("Adopt", "As Amended")
    ));
    assert_eq!(brief(&draft), [("CAL. NO. 33,937", "adopted", "Thomas", Some(5), Some(1))]);
}

#[test]
fn offices_among_the_names_are_no_people() {
    let draft = minutes(
        "6. ADJOURNMENT\nMOVED BY: Harris\nSECONDED BY: Green\nACTION: Adjourn\nYEAS: Harris, Green - 2\nNAYS: 0\nABSENT: Joseph Giarrusso, Budget Chair, JP Morrell - 2\nAND THE MOTION PASSED\n",
    );
    assert_eq!(
        decisions(&draft)[0].votes.as_ref().expect("a vote").absent,
        ["Joseph Giarrusso", "JP Morrell"]
    );
}
