//! What a person chooses to be called, and how things are shown to them.

use cs_core::{Caller, Ids};
use cs_db::TenantTx;
use cs_rpc::FieldViolation;
use icu_locale_core::LanguageIdentifier;

use crate::{Error, User, store};

const MOST_NAME: usize = 100;

/// What is to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// 1 to 100 characters, none of them a control character.
    pub display_name: Option<String>,
    /// A BCP 47 language tag; empty: as the browser says.
    pub locale: Option<String>,
    /// An IANA time zone; empty: as the browser says.
    pub time_zone: Option<String>,
}

/// Changes the caller's own profile, or nothing where any field breaks a rule.
pub async fn update(tx: &mut TenantTx, caller: &Caller, ids: &Ids, change: Change) -> Result<User, Error> {
    let user = crate::users::own(caller)?;
    let change = check(change).map_err(Error::Invalid)?;
    if !store::lock_user(tx, user).await? {
        return Err(Error::NotFound("account"));
    }
    store::set_profile(
        tx,
        user,
        change.display_name.as_deref(),
        change.locale.as_deref(),
        change.time_zone.as_deref(),
        ids.now(),
    )
    .await?;
    store::user(tx, user).await?.ok_or(Error::NotFound("account"))
}

/// The change in its canonical spelling, or every rule that it breaks.
fn check(change: Change) -> Result<Change, Vec<FieldViolation>> {
    let mut violations = Vec::new();
    let display_name = change.display_name.map(|name| name.trim().to_owned());
    if let Some(name) = &display_name
        && (!(1..=MOST_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control))
    {
        violations.push(FieldViolation::new(
            "display_name",
            format!("must have 1 to {MOST_NAME} characters, none of them a control character"),
        ));
    }
    let locale = change.locale.map(|tag| match tag.as_str() {
        "" => tag,
        text => match LanguageIdentifier::try_from_str(text) {
            Ok(known) if !known.language.is_unknown() => known.to_string(),
            _ => {
                violations.push(FieldViolation::new("locale", "must be a language tag, such as en-US"));
                tag
            }
        },
    });
    let time_zone = change.time_zone.map(|zone| match zone.as_str() {
        "" => zone,
        text => match text.parse::<chrono_tz::Tz>() {
            Ok(known) => known.name().to_owned(),
            Err(_) => {
                violations.push(FieldViolation::new(
                    "time_zone",
                    "must be an IANA time zone, such as America/Chicago",
                ));
                zone
            }
        },
    });
    if violations.is_empty() { Ok(Change { display_name, locale, time_zone }) } else { Err(violations) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, locale: &str, zone: &str) -> Change {
        Change {
            display_name: Some(name.to_owned()),
            locale: Some(locale.to_owned()),
            time_zone: Some(zone.to_owned()),
        }
    }

    #[test]
    fn every_broken_rule_is_told_at_once() {
        let fields = |c: Change| match check(c) {
            Ok(_) => Vec::new(),
            Err(violations) => violations.into_iter().map(|v| v.field).collect::<Vec<_>>(),
        };
        assert_eq!(
            fields(change("", "english, please", "Mars/Olympus")),
            ["display_name", "locale", "time_zone"]
        );
        assert_eq!(fields(change("a\u{7}b", "en", "UTC")), ["display_name"]);
        assert_eq!(fields(change(&"x".repeat(101), "", "")), ["display_name"]);
        assert_eq!(fields(change(&"é".repeat(100), "", "")), [""; 0]);
        assert_eq!(fields(Change::default()), [""; 0]);
    }

    #[test]
    fn a_language_tag_is_kept_in_its_canonical_spelling() {
        let kept = check(change("Ada", "zh-hant-TW", "America/Chicago")).unwrap();
        assert_eq!(kept.locale.as_deref(), Some("zh-Hant-TW"));
    }
}
