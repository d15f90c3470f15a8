//! The structure of a decision against what its evidence says when it is read alone.

use super::{Reason, Rejection};
use crate::summarizer::tokens::{normalise, words};
use crate::summarizer::{
    DecisionDetail, Outcome, ProposedClaim, VoteCounts, Votes, dispositions, outcomes, prose, votes,
};

/// What a passage says about one motion.
#[derive(Debug, Default)]
struct Reading {
    mover: Option<String>,
    seconder: Option<String>,
    votes: Option<Votes>,
    outcome: Option<Outcome>,
}

pub(super) fn check(claim: &ProposedClaim, evidence: &str) -> Vec<Rejection> {
    let Some(detail) = &claim.decision else { return Vec::new() };
    let mut against = Vec::new();
    let said = normalise(evidence);
    if let Some(number) = &detail.file_number
        && !said.contains(number.as_str())
    {
        against.push(Rejection::new(
            Reason::FileNumberUnsupported,
            format!("The evidence does not name {number}."),
        ));
    }
    if let Some(title) = &detail.title {
        let known = words(&said);
        if let Some(missing) = words(title).iter().find(|w| *w != "…" && !known.contains(w)) {
            against.push(Rejection::new(
                Reason::WordUnsupported,
                format!("The title's word “{missing}” is not in the evidence."),
            ));
        }
    }
    let readings = read(evidence);
    if !readings.iter().any(|r| r.outcome == Some(detail.outcome)) {
        against.push(Rejection::new(
            Reason::OutcomeUnsupported,
            format!("The evidence does not say that the matter was {}.", detail.outcome.as_str()),
        ));
    }
    against.extend(compare(detail, &readings, "evidence"));
    // The statement itself must tell the same vote as the structure.
    if let Some(at) = votes::first_label_at(&claim.text) {
        let told = read_block(&[&claim.text[at..]], None);
        against.extend(told_otherwise(detail, &told));
    } else if let Some(mover) = &detail.mover {
        let told = prose::told(&claim.text);
        if told.mover.is_some_and(|m| m != *mover) {
            against.push(Rejection::new(
                Reason::MoverUnsupported,
                format!("The statement does not name {mover} as mover."),
            ));
        }
    }
    against
}

/// The mover, seconder and vote of one and the same motion of the evidence.
fn compare(detail: &DecisionDetail, readings: &[Reading], what: &str) -> Vec<Rejection> {
    let agrees = |r: &&Reading| {
        (detail.mover.is_none() || r.mover == detail.mover)
            && (detail.seconder.is_none() || r.seconder == detail.seconder)
            && (detail.votes.is_none() || r.votes == detail.votes)
            && (r.outcome.is_none()
                || r.outcome == Some(detail.outcome)
                || (detail.mover.is_none() && detail.votes.is_none()))
    };
    if readings.iter().any(|r| agrees(&r))
        || (detail.mover.is_none() && detail.seconder.is_none() && detail.votes.is_none())
    {
        return Vec::new();
    }
    let mut against = Vec::new();
    let any = |f: &dyn Fn(&Reading) -> bool| readings.iter().any(f);
    if let Some(mover) = &detail.mover
        && !any(&|r| r.mover.as_ref() == Some(mover))
    {
        against.push(Rejection::new(
            Reason::MoverUnsupported,
            format!("The {what} does not name {mover} as mover."),
        ));
    }
    if let Some(seconder) = &detail.seconder
        && !any(&|r| r.seconder.as_ref() == Some(seconder))
    {
        against.push(Rejection::new(
            Reason::SeconderUnsupported,
            format!("The {what} does not name {seconder} as seconder."),
        ));
    }
    if against.is_empty() {
        against
            .push(Rejection::new(Reason::VotesUnsupported, format!("The {what} does not record this vote.")));
    }
    against
}

fn told_otherwise(detail: &DecisionDetail, told: &Reading) -> Vec<Rejection> {
    let mut against = Vec::new();
    if told.mover.is_some() && told.mover != detail.mover {
        against.push(Rejection::new(
            Reason::MoverUnsupported,
            "The statement names another mover than the record of the vote.",
        ));
    }
    if told.seconder.is_some() && told.seconder != detail.seconder {
        against.push(Rejection::new(
            Reason::SeconderUnsupported,
            "The statement names another seconder than the record of the vote.",
        ));
    }
    if let (Some(a), Some(b)) = (&told.votes, &detail.votes) {
        let lists = a.yeas == b.yeas
            && a.nays == b.nays
            && a.abstain == b.abstain
            && a.absent == b.absent
            && a.recused == b.recused;
        let counts = [
            (a.counts.yeas, b.counts.yeas),
            (a.counts.nays, b.counts.nays),
            (a.counts.absent, b.counts.absent),
            (a.counts.recused, b.counts.recused),
        ];
        // The statement leaves zeros out.
        if !lists || counts.iter().any(|(a, b)| a.is_some() && a != b) {
            against.push(Rejection::new(
                Reason::VotesUnsupported,
                "The statement tells another vote than the record.",
            ));
        }
    }
    against
}

/// All readings of a passage: its vote blocks, its prose, its statuses, its disposition.
fn read(evidence: &str) -> Vec<Reading> {
    let lines: Vec<&str> = evidence.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let told = prose::told(evidence);
    let mut out: Vec<Reading> = votes::find(&lines)
        .into_iter()
        .map(|range| {
            let mut reading = read_block(&lines[range], told.action.as_deref());
            // The motion may stand in a sentence before the vote.
            reading.mover = reading.mover.or_else(|| told.mover.clone());
            reading.seconder = reading.seconder.or_else(|| told.seconder.clone());
            reading
        })
        .collect();
    out.extend(
        lines
            .iter()
            .filter_map(|line| outcomes::status(line))
            .map(|s| Reading { outcome: Some(s.outcome), ..Reading::default() }),
    );
    let counted =
        |yeas, nays| Votes { counts: VoteCounts { yeas, nays, ..VoteCounts::default() }, ..Votes::default() };
    if let Some(ending) = dispositions::ending(evidence) {
        let votes = ending
            .yeas
            .map(|yeas| Votes { nays: ending.against.clone(), ..counted(Some(yeas), ending.nays) });
        out.push(Reading {
            mover: told.mover.clone(),
            seconder: told.seconder.clone(),
            votes,
            outcome: Some(ending.outcome),
        });
    }
    out.push(Reading {
        votes: told.counts.map(|(y, n)| counted(Some(y), Some(n))),
        mover: told.mover,
        seconder: told.seconder,
        outcome: told.outcome,
    });
    out
}

/// `action` is what the prose says that the motion was to do, for blocks that do not say it.
fn read_block(lines: &[&str], action: Option<&str>) -> Reading {
    let block = votes::parse(lines);
    let by_count = block.votes.as_ref().and_then(Votes::carried);
    Reading {
        outcome: block
            .passed
            .or(by_count)
            .map(|passed| outcomes::of_motion(block.action.as_deref().or(action), passed)),
        mover: block.mover,
        seconder: block.seconder,
        votes: block.votes,
    }
}
