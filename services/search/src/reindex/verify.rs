//! Whether an index holds what the services have: every meeting's passages and claims are counted on both sides, and
//! some of them are looked for and compared word by word.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use cs_core::{Caller, CityId, MeetingId};
use cs_proto::meetings::v1::Meeting;
use serde_json::Value;
use uuid::Uuid;

use super::{Progress, ReindexError, id, remove};
use crate::index::{Counts, Filters, Held, MAX_FIRST, Mode, PassageDoc, SearchRequest, VisibleTags};
use crate::query::analysis::tokens;
use crate::query::{ParsedQuery, parse};
use crate::{Deps, Error, indexer};

/// Meetings of which a passage and a claim are compared.
const SAMPLES: usize = 20;
/// Words of a sample that are searched.
const SAMPLE_WORDS: usize = 12;
/// As many cities and meetings that differ are named.
const TOLD: usize = 5;

/// What was compared, and agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Passages, on both sides.
    pub passages: u64,
    /// Claims, on both sides.
    pub claims: u64,
    /// Passages and claims that were looked for, found, and are word for word what the services have.
    pub samples: usize,
}

/// Where an index is not what the services have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences(Vec<Difference>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Difference {
    held: Held,
    wanted: Counts,
    found: Counts,
    /// What is wrong with a sample, where the counts agree.
    sample: Option<String>,
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cities: BTreeMap<Uuid, (Counts, Counts)> = BTreeMap::new();
        for Difference { held, wanted, found, .. } in &self.0 {
            let (all_wanted, all_found) = cities.entry(held.city).or_default();
            *all_wanted += *wanted;
            *all_found += *found;
        }
        for (city, (wanted, found)) in cities.iter().filter(|(_, (w, f))| w != f).take(TOLD) {
            let city = CityId::from(*city);
            write!(f, "of city {city} it has {found} where the services have {wanted}; ")?;
        }
        for (place, difference) in self.0.iter().take(TOLD).enumerate() {
            let Difference { held, wanted, found, sample } = difference;
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}meeting {}: ", MeetingId::from(held.meeting))?;
            match sample {
                Some(sample) => f.write_str(sample)?,
                None => write!(f, "{found} in it, {wanted} in the services")?,
            }
        }
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} more meetings"),
        }
    }
}

/// Compares an index with the services. What differs is indexed once more, since a meeting may have been published
/// after the last pass; what differs then as well is an error.
///
/// # Errors
/// [`ReindexError::Differs`] names the difference; [`ReindexError::Interrupted`] where something did not answer.
pub async fn confirm(
    deps: &Deps,
    caller: &Caller,
    now: DateTime<Utc>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(), ReindexError> {
    let (mut verified, differences) = compare(deps, caller, None).await?;
    if !differences.0.is_empty() {
        let meetings: BTreeSet<Uuid> = differences.0.iter().map(|d| d.held.meeting).collect();
        for meeting in &meetings {
            match indexer::meeting(deps, caller, &MeetingId::from(*meeting).to_string())
                .await
                .map_err(Error::from)?
            {
                Some(meeting) => indexer::index_meeting(deps, caller, &meeting, now).await?,
                None => remove(deps, caller.tenant.uuid(), *meeting, now).await?,
            }
        }
        progress(Progress::Mended(meetings.len()));
        let (again, differences) = compare(deps, caller, Some(&meetings)).await?;
        if !differences.0.is_empty() {
            return Err(ReindexError::Differs(differences));
        }
        verified.passages += again.passages;
        verified.claims += again.claims;
        verified.samples += again.samples;
    }
    progress(Progress::Verified(verified));
    Ok(())
}

/// Compares an index with the services, and changes nothing.
///
/// # Errors
/// As [`confirm`].
pub async fn verify(deps: &Deps, caller: &Caller) -> Result<Verified, ReindexError> {
    match compare(deps, caller, None).await? {
        (verified, differences) if differences.0.is_empty() => Ok(verified),
        (_, differences) => Err(ReindexError::Differs(differences)),
    }
}

/// What agrees and what does not, of all meetings or of some.
async fn compare(
    deps: &Deps,
    caller: &Caller,
    only: Option<&BTreeSet<Uuid>>,
) -> Result<(Verified, Differences), Error> {
    let is_asked = |meeting: &Uuid| only.is_none_or(|only| only.contains(meeting));
    let meetings = listed(deps, caller).await?;
    let mut there = deps.index.meetings(caller.tenant.uuid()).await?;
    let step = meetings.len().div_ceil(SAMPLES).max(1);
    let (mut verified, mut differences) = (Verified::default(), Vec::new());
    for (place, meeting) in meetings.iter().enumerate() {
        if !is_asked(&id(meeting)?) {
            continue;
        }
        let city = meeting.city_id.parse::<CityId>().map_err(|e| Error::invalid("city_id", e.to_string()))?;
        let held = Held { city: city.uuid(), meeting: id(meeting)? };
        let passages = indexer::passages_of(deps, caller, meeting).await?;
        let claims = indexer::claims_of(deps, caller, meeting).await?;
        let wanted = Counts { passages: passages.len() as u64, claims: claims.len() as u64 };
        let found = there.remove(&held).unwrap_or_default();
        let (mut compared, mut sample) = (0, None);
        if wanted == found && (only.is_some() || place % step == 0) {
            for doc in [middle(passages), middle(claims)].into_iter().flatten() {
                compared += 1;
                sample = sample.or(odd(deps, doc).await?);
            }
        }
        if wanted == found && sample.is_none() {
            verified.passages += wanted.passages;
            verified.claims += wanted.claims;
            verified.samples += compared;
        } else {
            differences.push(Difference { held, wanted, found, sample });
        }
    }
    // What is left is of no meeting that the services have.
    let strays = there.into_iter().filter(|(held, _)| is_asked(&held.meeting));
    differences.extend(strays.map(|(held, found)| Difference {
        held,
        wanted: Counts::default(),
        found,
        sample: None,
    }));
    Ok((verified, Differences(differences)))
}

async fn listed(deps: &Deps, caller: &Caller) -> Result<Vec<Meeting>, Error> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let (meetings, next) = indexer::list(deps, caller, after).await?;
        all.extend(meetings);
        match next {
            Some(cursor) => after = cursor,
            None => return Ok(all),
        }
    }
}

/// The one in the middle, or the next after it that can be searched: a line of dashes has no words.
fn middle(mut docs: Vec<PassageDoc>) -> Option<PassageDoc> {
    let half = docs.len() / 2;
    docs.rotate_left(half);
    docs.into_iter().find(|doc| !tokens(&doc.text).is_empty())
}

/// What is wrong with a passage in the index, if anything: it is looked for by its words and compared field by field.
async fn odd(deps: &Deps, wanted: PassageDoc) -> Result<Option<String>, Error> {
    let words: Vec<&str> = wanted.text.split_whitespace().take(SAMPLE_WORDS).collect();
    // Typed as words: what looks like an operator in a document is none here.
    let query = ParsedQuery { words: words.join(" "), ..parse("") };
    let request = SearchRequest {
        tenant: wanted.tenant_id,
        // A passage keeps the tag that it was indexed with; the one that holds is that by which it is found.
        visible: VisibleTags::of([wanted.visibility]),
        query,
        vector: None,
        mode: Mode::Keyword,
        filters: Filters { meetings: vec![wanted.meeting_id], ..Filters::default() },
        first: MAX_FIRST,
        after: None,
        group_by_meeting: false,
    };
    let answer = deps.index.search(request).await?;
    let Some(hit) = answer.hits.into_iter().find(|hit| hit.passage.id == wanted.id) else {
        let tag = wanted.visibility.as_str();
        return Ok(Some(format!("passage {} is not found by its words, or not as {tag}", wanted.id)));
    };
    // The services know no embedder.
    let (embedder, visibility) = (hit.passage.embedder.clone(), hit.passage.visibility);
    let wanted = PassageDoc { embedder, visibility, ..wanted };
    let fields = unlike(&wanted, &hit.passage);
    Ok((!fields.is_empty()).then(|| {
        format!("passage {} has another {} in it than in the services", wanted.id, fields.join(", "))
    }))
}

/// The names of the fields in which two passages differ.
fn unlike(a: &PassageDoc, b: &PassageDoc) -> Vec<String> {
    let fields = |doc: &PassageDoc| match serde_json::to_value(doc) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (a, b) = (fields(a), fields(b));
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_by_city_and_meeting() {
        let difference = |n: u128, found: u64, sample: Option<&str>| Difference {
            held: Held { city: Uuid::from_u128(1), meeting: Uuid::from_u128(n) },
            wanted: Counts { passages: 12, claims: 3 },
            found: Counts { passages: found, claims: 3 },
            sample: sample.map(str::to_owned),
        };
        let told = Differences(vec![difference(2, 11, None), difference(3, 12, Some("passage x is odd"))]);
        let told = told.to_string();
        let city = CityId::from(Uuid::from_u128(1));
        assert!(
            told.starts_with(&format!(
                "of city {city} it has 23 passages and 6 claims where the services have 24 passages and 6 claims; "
            )),
            "{told}"
        );
        assert!(
            told.contains(": 11 passages and 3 claims in it, 12 passages and 3 claims in the services; "),
            "{told}"
        );
        assert!(told.ends_with(": passage x is odd"), "{told}");
        let many = Differences((0..9).map(|n| difference(n, 0, None)).collect());
        assert!(many.to_string().ends_with("; and 4 more meetings"));
    }
}
