//! `meeting.json`: what a meeting's folder says about itself. Every key is optional.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use cs_core::document::ArtifactKind;
use serde::Deserialize;
use serde_json::Value;

use super::StartsAt;

/// Name of the file.
pub(super) const FILE: &str = "meeting.json";

/// Unknown keys are ignored: cities keep more about a meeting than is read here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Manifest {
    pub(super) meeting_uid: Option<String>,
    pub(super) title: Option<String>,
    pub(super) body: Option<String>,
    starts_at: Option<String>,
    date: Option<String>,
    pub(super) location: Option<String>,
    pub(super) status: Option<String>,
    pub(super) artifacts: Vec<Listed>,
}

/// An artifact as listed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listed {
    pub(super) file: Option<String>,
    kind: Option<String>,
    pub(super) title: Option<String>,
    pub(super) source_url: Option<String>,
}

/// Parses the file; the error names line and column.
pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let json = serde_json::from_slice::<Value>(bytes).map_err(|e| placed(&e))?;
    if !json.is_object() {
        return Err(
            r#"it has to be one object, such as {"title": "Regular Meeting", "date": "2023-03-09"}"#.into()
        );
    }
    // A list of names is a natural thing to write; each has to be an object.
    let listed = json.get("artifacts").and_then(Value::as_array);
    if let Some(n) = listed.and_then(|listed| listed.iter().position(|entry| !entry.is_object())) {
        return Err(format!(r#"artifact {} has to be an object, such as {{"file": "minutes.pdf"}}"#, n + 1));
    }
    serde_json::from_slice(bytes).map_err(|e| placed(&e))
}

fn placed(error: &serde_json::Error) -> String {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or(&what);
    format!("line {} column {}: {what}", error.line(), error.column())
}

impl Manifest {
    /// When it began and the day that is, as far as the file says.
    pub(super) fn times(&self) -> Result<(Option<StartsAt>, Option<NaiveDate>), String> {
        let starts_at = self.starts_at.as_deref().map(moment).transpose()?;
        let day = self.date.as_deref().map(date).transpose()?;
        let began = match starts_at {
            Some(Moment::Day(day)) => Some(day),
            Some(Moment::Time(StartsAt::Local(at))) => Some(at.date()),
            Some(Moment::Time(StartsAt::Offset(at))) => Some(at.naive_local().date()),
            None => None,
        };
        if let (Some(day), Some(began)) = (day, began)
            && day != began
        {
            return Err(format!("\"date\" says {day}, \"starts_at\" says {began}; keep the right one"));
        }
        let starts_at = starts_at.and_then(|m| if let Moment::Time(at) = m { Some(at) } else { None });
        Ok((starts_at, began.or(day)))
    }
}

impl Listed {
    pub(super) fn kind(&self) -> Result<Option<ArtifactKind>, String> {
        let parsed = self.kind.as_deref().map(|k| k.parse::<ArtifactKind>().map_err(|e| e.to_string()));
        parsed.transpose()
    }
}

enum Moment {
    Day(NaiveDate),
    Time(StartsAt),
}

fn moment(text: &str) -> Result<Moment, String> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::Time(StartsAt::Offset(at)));
    }
    for format in ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(Moment::Time(StartsAt::Local(at)));
        }
    }
    for format in ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%:z", "%Y-%m-%d %H:%M%:z"] {
        if let Ok(at) = DateTime::parse_from_str(text, format) {
            return Ok(Moment::Time(StartsAt::Offset(at)));
        }
    }
    date(text).map(Moment::Day).map_err(|_| {
        format!("\"starts_at\" is {text:?}; write it as 2023-03-09T10:00 (local time) or 2023-03-09T10:00:00-06:00")
    })
}

fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d")
        .map_err(|_| format!("\"date\" is {text:?}; write it as YYYY-MM-DD"))
}
