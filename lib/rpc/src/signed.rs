//! Caller tokens lately signed: a signature costs more than the rest of a call does.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{Caller, Role, Subject, TenantId};
use tonic::metadata::{Ascii, MetadataValue};

/// A token is used again for this long: half its life, so that the other half is left to the call.
const REUSED: TimeDelta = TimeDelta::seconds(30);
/// More callers at once than this are signed for anew.
const MOST: usize = 20_000;

/// All that a token says of a caller.
type Speaker = (TenantId, Subject, BTreeSet<Role>);

struct Kept {
    header: MetadataValue<Ascii>,
    made: DateTime<Utc>,
}

/// The tokens of one role for one audience.
#[derive(Default)]
pub(crate) struct Signed(Mutex<HashMap<Speaker, Kept>>);

impl Signed {
    /// The `authorization` header of `caller`: one that was made less than half a minute ago, or what `sign` makes.
    pub(crate) fn header<E>(
        &self,
        caller: &Caller,
        now: DateTime<Utc>,
        sign: impl FnOnce() -> Result<MetadataValue<Ascii>, E>,
    ) -> Result<MetadataValue<Ascii>, E> {
        let speaker = (caller.tenant, caller.subject.clone(), caller.roles.clone());
        let fresh = |kept: &Kept| kept.made <= now && now - kept.made < REUSED;
        {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = kept.get(&speaker).filter(|kept| fresh(kept)) {
                return Ok(kept.header.clone());
            }
        }
        let header = sign()?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.retain(|_, kept| fresh(kept));
            if kept.len() >= MOST {
                kept.clear();
            }
        }
        kept.insert(speaker, Kept { header: header.clone(), made: now });
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use cs_core::Trace;

    use super::*;

    #[test]
    fn a_token_is_kept_for_its_caller_and_for_half_its_life() {
        let (signed, now) = (Signed::default(), DateTime::<Utc>::UNIX_EPOCH);
        let mut made = 0;
        let mut header = |caller: &Caller, now| {
            let sign = || {
                made += 1;
                Ok::<_, ()>(made.to_string().parse().unwrap())
            };
            signed.header(caller, now, sign).unwrap().to_str().unwrap().to_owned()
        };
        let one = Caller::service("bff", TenantId::of_slug("a"), Trace::start());
        let again = Caller { request_id: "another".into(), trace: Trace::start(), ..one.clone() };
        assert_eq!((header(&one, now), header(&again, now)), ("1".into(), "1".into()));
        let elsewhere = Caller { tenant: TenantId::of_slug("b"), ..one.clone() };
        let risen = Caller { roles: [Role::Owner].into(), ..one.clone() };
        assert_eq!((header(&elsewhere, now), header(&risen, now)), ("2".into(), "3".into()));
        assert_eq!(header(&one, now + TimeDelta::seconds(29)), "1");
        assert_eq!(header(&one, now + TimeDelta::seconds(30)), "4");
        assert_eq!(header(&one, now), "5", "the clock went back");
    }
}
