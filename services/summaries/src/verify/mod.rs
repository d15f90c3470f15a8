//! Is a claim what its evidence says?
//!
//! First the spans: an excerpt is the text at its offsets, character by character. Then the words: every word of the claim
//! stands in its evidence, and numbers, names and negations stand beside the words they stand beside there, so that a
//! right word in a wrong place is found too. Then the structure: outcome, number, mover, seconder and votes are read again
//! from the evidence alone and compared.

mod record;
mod spans;
mod words;

use crate::summarizer::{ProposedClaim, SourceText};

pub use spans::Verifier;

/// Why a claim was refused. The codes are stable: they are stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The claim has no evidence.
    NoEvidence,
    /// A span names a text version that the meeting does not have.
    UnknownText,
    /// An excerpt differs from the text at its offsets.
    ExcerptMismatch,
    /// A span leaves the section it names.
    OutsideSection,
    /// A number is not in the evidence, or not in that place.
    NumberUnsupported,
    /// So with an amount of money.
    AmountUnsupported,
    /// So with a date.
    DateUnsupported,
    /// So with a time of day.
    TimeUnsupported,
    /// So with a name.
    NameUnsupported,
    /// A verb of decision is not in the evidence.
    MotionUnsupported,
    /// The claim denies what the evidence does not.
    NegationAdded,
    /// The evidence denies what the claim does not.
    NegationDropped,
    /// Another word is not in the evidence.
    WordUnsupported,
    /// The evidence does not say that the matter ended so.
    OutcomeUnsupported,
    /// The number of the matter is not in the evidence.
    FileNumberUnsupported,
    /// The evidence names another mover, or none.
    MoverUnsupported,
    /// The evidence names another seconder, or none.
    SeconderUnsupported,
    /// The evidence records another vote, or none.
    VotesUnsupported,
}

impl Reason {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoEvidence => "no_evidence",
            Self::UnknownText => "unknown_text",
            Self::ExcerptMismatch => "excerpt_mismatch",
            Self::OutsideSection => "outside_section",
            Self::NumberUnsupported => "number_unsupported",
            Self::AmountUnsupported => "amount_unsupported",
            Self::DateUnsupported => "date_unsupported",
            Self::TimeUnsupported => "time_unsupported",
            Self::NameUnsupported => "name_unsupported",
            Self::MotionUnsupported => "motion_unsupported",
            Self::NegationAdded => "negation_added",
            Self::NegationDropped => "negation_dropped",
            Self::WordUnsupported => "word_unsupported",
            Self::OutcomeUnsupported => "outcome_unsupported",
            Self::FileNumberUnsupported => "file_number_unsupported",
            Self::MoverUnsupported => "mover_unsupported",
            Self::SeconderUnsupported => "seconder_unsupported",
            Self::VotesUnsupported => "votes_unsupported",
        }
    }
}

/// One reason against a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What kind of fault.
    pub reason: Reason,
    /// A sentence for the reviewer.
    pub message: String,
}

impl Rejection {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// A claim that its evidence supports; only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    claim: ProposedClaim,
}

impl Verified {
    /// The claim.
    pub fn claim(&self) -> &ProposedClaim {
        &self.claim
    }

    /// The claim, to be stored.
    pub fn into_claim(self) -> ProposedClaim {
        self.claim
    }
}

/// Checks one claim against the meeting's texts. For many claims of one meeting, make a [`Verifier`] once.
pub fn verify(claim: &ProposedClaim, texts: &[SourceText]) -> Result<Verified, Vec<Rejection>> {
    Verifier::new(texts).verify(claim)
}

impl Verifier<'_> {
    /// Checks one claim; all reasons against it are told.
    pub fn verify(&self, claim: &ProposedClaim) -> Result<Verified, Vec<Rejection>> {
        let mut against = self.check_spans(&claim.evidence);
        if against.is_empty() {
            let evidence: String =
                claim.evidence.iter().map(|s| s.excerpt.as_str()).collect::<Vec<_>>().join("\n");
            against.extend(words::check(&claim.text, &evidence));
            against.extend(record::check(claim, &evidence));
        }
        if against.is_empty() { Ok(Verified { claim: claim.clone() }) } else { Err(against) }
    }
}
