//! How different councils write down what they did. The records are made up; the manners are real.

use cs_core::document::ArtifactKind;

use super::super::{ClaimKind, Outcome};
use super::{brief, decisions, source, summarize, texts_of};

fn minutes(text: &str) -> super::Draft {
    summarize(vec![source(ArtifactKind::Minutes, text)])
}

#[test]
fn a_motion_told_in_a_paragraph() {
    let draft = minutes(
        "CITY OF ELMWOOD\nThe regular meeting was called to order by Mayor Reed at 7:00 p.m.\nPresent: Reed, Ortiz, Chan, Baker, Diaz\n\n\
         4. Resolution No. 2023-14, Street Resurfacing Program\nPublic Works Director Hall presented the item.\n\
         Councilmember Ortiz moved to approve Resolution No. 2023-14 in the amount of $412,500. Councilmember Chan seconded the motion.\n\
         The motion carried 4-1, with Councilmember Baker opposed.\n\
         5. Rezoning of 12 Mill Road, Case No. Z-23-7\nCouncilmember Diaz made a motion to table the rezoning until June 6, 2023, seconded by Councilmember Ortiz. Motion passed unanimously.\n\
         6. Dog park hours\nMoved by Baker, seconded by Diaz, to extend the hours. The motion failed 2-3.\n\
         7. Adjournment\nThe meeting was adjourned at 9:12 p.m.\n",
    );
    assert_eq!(
        brief(&draft),
        [
            ("Resolution No. 2023-14", "adopted", "Ortiz", Some(4), Some(1)),
            ("Case No. Z-23-7", "deferred", "Diaz", None, None),
            ("", "failed", "Baker", Some(2), Some(3)),
        ]
    );
    assert_eq!(decisions(&draft)[0].seconder.as_deref(), Some("Chan"));
    let facts = texts_of(&draft, ClaimKind::Fact);
    assert!(
        facts.iter().any(|f| f.contains("7:00 p.m.")) && facts.iter().any(|f| f.contains("9:12 p.m.")),
        "{facts:?}"
    );
}

#[test]
fn a_motion_with_a_vote_by_name_below_it() {
    let draft = minutes(
        "6. Bill No. 2023-118, an ordinance amending the parking code\n\
         A motion was made by Councilmember Fields, seconded by Councilmember Ross, that this Ordinance be Adopted. The motion carried by the following vote:\n\
         Aye: 5 - Fields, Ross, Lane, Moore and Price\nNay: 2 - Stone and Webb\nAbsent: 0\n\
         7. Resolution No. 2023-9, naming the bridge\n\
         A motion was made by Councilmember Lane, seconded by Councilmember Webb, that this Resolution be Referred to the Public Works Committee. The motion carried by the following vote:\n\
         Aye: 7 - Fields, Ross, Lane, Moore, Price, Stone and Webb\nNay: 0\n",
    );
    let found = decisions(&draft);
    assert_eq!(found.len(), 2, "{found:#?}");
    let votes = found[0].votes.as_ref().expect("a vote");
    assert_eq!((found[0].mover.as_deref(), found[0].seconder.as_deref()), (Some("Fields"), Some("Ross")));
    assert_eq!(votes.yeas, ["Fields", "Ross", "Lane", "Moore", "Price"]);
    assert_eq!(votes.nays, ["Stone", "Webb"]);
    assert_eq!(found[0].file_number.as_deref(), Some("Bill No. 2023-118"));
    assert_eq!(found[1].outcome, Outcome::Referred);
}

#[test]
fn a_result_before_its_mover() {
    let draft = minutes(
        "1. RESOLUTION 23-44 AUTHORIZING A GRANT APPLICATION\nRESULT: ADOPTED [UNANIMOUS]\nMOVER: Ann Wu, Council Member\nSECONDER: Tom Hill, Vice Mayor\nAYES: Wu, Hill, Nash, Cole\nABSENT: Park\n\
         2. ORDINANCE 23-09 LEASH LAW\nRESULT: DEFEATED [1 TO 3]\nMOVER: Tom Hill, Vice Mayor\nSECONDER: Ann Wu, Council Member\nAYES: Hill\nNAYS: Wu, Nash, Cole\nABSENT: Park\n",
    );
    let found = decisions(&draft);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!((found[0].outcome, found[0].mover.as_deref()), (Outcome::Adopted, Some("Ann Wu")));
    assert_eq!(found[0].votes.as_ref().expect("a vote").yeas, ["Wu", "Hill", "Nash", "Cole"]);
    assert_eq!(
        (found[1].outcome, found[1].file_number.as_deref()),
        (Outcome::Failed, Some("ORDINANCE 23-09"))
    );
}

#[test]
fn dispositions_in_running_text() {
    let draft = minutes(
        "OFFICIAL MINUTES  Disposition: COMMUNICATIONS  38 Request of Joe Doe to address Council (Communication)  PLACED ON FILE  CONSENT AGENDA  \
         39 Appoint Ann Roe to the Planning Committee (Report)  (Y-5) CONFIRMED *40 Accept a grant in the amount of $94,710 (Ordinance)  (Y-5) 184349  \
         41 Adopt a Waste Program (Ordinance)  PASSED TO SECOND READING JANUARY 19, 2011 AT 9:30 AM  *42 Authorize a Transit Project (Ordinance)  REFERRED TO COMMISSIONER OF FINANCE  \
         43 Amend the horse code (Second Reading Agenda 5)  (Y-4; N-1 Fritz) 184361 ",
    );
    assert_eq!(
        brief(&draft),
        [
            ("38", "received", "", None, None),
            ("39", "adopted", "", Some(5), Some(0)),
            ("184349", "adopted", "", Some(5), Some(0)),
            ("41", "deferred", "", None, None),
            ("42", "referred", "", None, None),
            ("184361", "adopted", "", Some(4), Some(1)),
        ]
    );
    assert!(!draft.claims[0].text.contains("CONSENT"));
}

#[test]
fn actions_that_carry_their_roll_call_number() {
    let draft = minutes(
        "22-0073 1. ROLL CALL: Present: Cole, Bond, Mann.\n22-0074 2. APPROVING AGENDA, AS PRESENTED: Moved by Bond. Motion Carried 6-0.\n\
         22-0075 3. Direction to Staff on Cold Weather. Moved by Mann to address cold weather as follows:\n1. Direct city staff to work with shelters.\n2. Direct staff to report by October 2022.\nMotion Carried 6-0.\n\
         22-0076 MOTION TO ADJOURN. Moved by Mann to adjourn. Motion Carried 5-0. Shaw did not vote.\n",
    );
    assert_eq!(
        brief(&draft),
        [
            ("22-0074", "adopted", "Bond", Some(6), Some(0)),
            ("22-0075", "adopted", "Mann", Some(6), Some(0)),
            ("22-0076", "adopted", "Mann", Some(5), Some(0))
        ]
    );
}

#[test]
fn history_and_hopes_are_not_decisions() {
    let draft = minutes(
        "3. Presentation on the bond measure\nThe ordinance was adopted in 2010 by the voters. If the motion passed, the tax would rise. Staff recommended that the resolution be approved next month. \
         The item was previously approved by the committee. A motion may be adopted later.\n",
    );
    assert!(decisions(&draft).is_empty(), "{draft:#?}");
}

#[test]
fn actions_told_by_a_formula_below_the_title() {
    let draft = minutes(
        "1. Int 0674-2022 A Local Law to amend the administrative code, in relation to requiring a pamphlet for older adults\nThis Introduction was Laid Over by Committee\n\
         2. Res 0457-2023 Resolution approving the new designation of certain organizations to receive funding\nA motion was made that this Resolution be Approved, by Council approved by Roll Call.\nAffirmative: 3 - Ann Roe, Bo Diaz, Cy Lee, Jr.\nNegative: 1 - Di Fox\nAbstain: 0\nAbsent: 0\nResult: Pass\n\
         3. LU 0158-2023 Application number C 210480 ZMK submitted by 1233 57th Street\nA motion was made that this Land Use Application be Disapproved by Committee with Companion Resolution approved by Roll Call.\nAffirmative: 4 - Ann Roe, Bo Diaz, Cy Lee, Di Fox\nNegative: 0\nResult: Pass\n\
         4. Int 0873-2023 A Local Law about hearings\nThis Introduction was Hearing Held by Committee\n\
         5. LU 0160-2023 An application\nThis Land Use Application was Referred to Comm by Council to the Committee on Land Use\n",
    );
    assert_eq!(
        brief(&draft),
        [
            ("Int 0674-2022", "deferred", "", None, None),
            ("Res 0457-2023", "adopted", "", Some(3), Some(1)),
            ("LU 0158-2023", "failed", "", Some(4), Some(0)),
            ("LU 0160-2023", "referred", "", None, None),
        ]
    );
}
