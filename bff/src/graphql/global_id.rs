//! Opaque ids: what they name and its own id, so that `node(id)` finds it.

use async_graphql::ID;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::Fault;

/// What an id can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Artifact,
    Body,
    City,
    Claim,
    ClaimFlag,
    DeadLetter,
    Follow,
    Identity,
    Meeting,
    Notification,
    PushSubscription,
    Run,
    SavedSearch,
    Session,
    Source,
    Summary,
    User,
    Webhook,
}

const KINDS: [(Kind, &str); 18] = [
    (Kind::Artifact, "Artifact"),
    (Kind::Body, "Body"),
    (Kind::City, "City"),
    (Kind::Claim, "Claim"),
    (Kind::ClaimFlag, "ClaimFlag"),
    (Kind::DeadLetter, "DeadLetter"),
    (Kind::Follow, "Follow"),
    (Kind::Identity, "Identity"),
    (Kind::Meeting, "Meeting"),
    (Kind::Notification, "Notification"),
    (Kind::PushSubscription, "PushSubscription"),
    (Kind::Run, "Run"),
    (Kind::SavedSearch, "SavedSearch"),
    (Kind::Session, "Session"),
    (Kind::Source, "Source"),
    (Kind::Summary, "Summary"),
    (Kind::User, "Viewer"),
    (Kind::Webhook, "Webhook"),
];
/// No id of ours is longer.
const LONGEST: usize = 200;

impl Kind {
    fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The global id of one of this kind.
    pub(crate) fn id(self, own: &str) -> ID {
        ID(URL_SAFE_NO_PAD.encode(format!("{}:{own}", self.name())))
    }

    /// The own id inside a global one of this kind.
    pub(crate) fn own(self, id: &ID, field: &str) -> Result<String, Fault> {
        match parse(id) {
            Some((kind, own)) if kind == self => Ok(own),
            _ => Err(Fault::input(field, format!("must be the id of a {}", self.name()))),
        }
    }
}

/// What a global id names; `None` where it is none of ours.
pub(crate) fn parse(id: &ID) -> Option<(Kind, String)> {
    if id.len() > LONGEST {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id.as_bytes()).ok()?).ok()?;
    let (name, own) = text.split_once(':')?;
    let (kind, _) = KINDS.iter().find(|(_, known)| *known == name)?;
    // Own ids are ULIDs, except those of dead letters of queues.
    let plain = !own.is_empty() && own.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:.".contains(&b));
    plain.then(|| (*kind, own.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_round_trips_and_rubbish_names_nothing() {
        let id = Kind::Meeting.id("01J00000000000000000000000");
        assert_eq!(Kind::Meeting.own(&id, "id").unwrap(), "01J00000000000000000000000");
        assert!(Kind::City.own(&id, "cityId").is_err());
        for bad in ["", "x", "TWVldGluZw", "TWVldGluZzo", "VW5rbm93bjoxMjM", "%%%", "TWVldGluZzphIGI"] {
            assert_eq!(parse(&ID(bad.into())), None, "{bad}");
        }
        assert_eq!(parse(&ID("A".repeat(300))), None);
    }
}
