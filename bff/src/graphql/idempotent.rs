//! The same idempotency key gives the same answer for a day.
//!
//! What is kept is the service's answer, not the selected fields of it: a repetition may select others.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::{Value, json};

use super::error::Fault;
use super::scope::Scope;
use super::types::{UserError, domain};
use crate::auth::session::{Claim, StoreError};

/// Longest key taken.
const LONGEST: usize = 200;

/// What came of a change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<M> {
    Done(M),
    /// A rule of the domain was broken; nothing was changed.
    Refused(Vec<UserError>),
}

impl<M> Outcome<M> {
    /// The answer, and the rules that were broken: one of the two.
    pub(crate) fn parts(self) -> (Option<M>, Vec<UserError>) {
        match self {
            Self::Done(message) => (Some(message), Vec::new()),
            Self::Refused(errors) => (None, errors),
        }
    }
}

impl<M: Message + Default> Outcome<M> {
    fn kept(&self) -> Value {
        match self {
            Self::Done(message) => json!({"done": STANDARD.encode(message.encode_to_vec())}),
            Self::Refused(errors) => json!({"refused": errors}),
        }
    }

    fn restored(mut kept: Value) -> Option<Self> {
        if let Some(done) = kept["done"].as_str() {
            return M::decode(STANDARD.decode(done).ok()?.as_slice()).ok().map(Self::Done);
        }
        serde_json::from_value(kept["refused"].take()).ok().map(Self::Refused)
    }
}

fn lost(error: &StoreError) -> Fault {
    tracing::warn!(%error, "an idempotency key could not be looked up");
    Fault::unavailable()
}

/// Makes a person's change. With a key: once, whatever happens to the answer on its way.
pub(crate) async fn once<M, I, A>(
    scope: &Scope,
    mutation: &str,
    key: Option<&String>,
    input: &I,
    change: A,
) -> Result<Outcome<M>, Fault>
where
    M: Message + Default,
    I: std::fmt::Debug,
    A: Future<Output = Result<M, Fault>>,
{
    let person = scope.person()?;
    let Some(key) = key else { return sorted(change.await) };
    if key.is_empty() || key.chars().count() > LONGEST {
        return Err(Fault::input("input.idempotencyKey", format!("must be 1 to {LONGEST} characters")));
    }
    let store = &scope.app.sessions;
    let request = format!("{mutation} {input:?}");
    match store.claim(person, key, request.as_bytes()).await.map_err(|e| lost(&e))? {
        Claim::New => {}
        Claim::Answered(kept) => return Outcome::restored(kept).ok_or_else(Fault::internal),
        Claim::UnderWay => return Err(Fault::under_way()),
        Claim::Misused => {
            return Err(Fault::input("input.idempotencyKey", "was used for another request"));
        }
    }
    let outcome = sorted(change.await);
    let kept = match &outcome {
        Ok(outcome) => store.answer(person, key, &outcome.kept()).await,
        Err(_) => store.unclaim(person, key).await,
    };
    if let Err(error) = kept {
        // The change is made; only its repetition is not prevented any more than without a key.
        tracing::warn!(%error, mutation, "the answer to an idempotency key was not kept");
    }
    outcome
}

fn sorted<M>(result: Result<M, Fault>) -> Result<Outcome<M>, Fault> {
    match result {
        Ok(message) => Ok(Outcome::Done(message)),
        Err(fault) => domain(fault).map(Outcome::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_and_restored() {
        let done = Outcome::Done("text".to_owned());
        assert_eq!(Outcome::<String>::restored(done.kept()), Some(done));
        let fault = Fault::from(cs_rpc::status(cs_proto::errors::v1::Reason::UnknownCity, "", &[]));
        let refused: Outcome<String> = sorted(Err(fault)).unwrap();
        assert!(matches!(&refused, Outcome::Refused(errors) if errors.len() == 1));
        assert_eq!(Outcome::<String>::restored(refused.kept()), Some(refused));
        assert_eq!(Outcome::<String>::restored(json!({"other": 1})), None);
    }
}
