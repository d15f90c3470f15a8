//! What an operator and a script are told of an ingest.

use std::path::PathBuf;

use cs_documents::folder::FoundMeeting;
use serde::Serialize;
use serde_json::json;

use crate::config::Settings;

/// The status of a meeting that was taken in and whose end was not waited for.
pub(super) const UNFINISHED: &str = "unfinished";

/// What became of a meeting: an entry of `--json`, whose keys only ever grow.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub(super) meeting_uid: String,
    pub(super) title: String,
    pub(super) date: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) artifacts: Vec<ToldArtifact>,
    pub(super) claims: u32,
    pub(super) ecr: Option<f64>,
    #[serde(skip)]
    pub(super) changed: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ToldArtifact {
    pub(super) file: String,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) pages: u32,
    pub(super) characters: u32,
}

impl Told {
    pub(super) fn of(meeting: &FoundMeeting) -> Self {
        Self {
            meeting_uid: meeting.meeting_uid.clone(),
            title: meeting.title.clone(),
            date: meeting.date.map(|d| d.to_string()).unwrap_or_default(),
            status: "failed".to_owned(),
            reason: String::new(),
            artifacts: Vec::new(),
            claims: 0,
            ecr: None,
            changed: false,
        }
    }

    /// Whether it did not come to an end that is shown as it comes.
    fn has_no_end(&self) -> bool {
        (self.status == "failed" && self.artifacts.is_empty()) || self.status == UNFINISHED
    }

    pub(super) fn text(&self) -> String {
        let mut text =
            format!("{:<10} {:<18} {} ({} claims)", self.date, self.status, self.title, self.claims);
        if !self.changed && self.status != "failed" && self.status != UNFINISHED {
            text.push_str(" · unchanged");
        }
        if !self.reason.is_empty() {
            text = format!("{text}\n           {}", self.reason);
        }
        for artifact in self.artifacts.iter().filter(|a| !a.reason.is_empty()) {
            text = format!("{text}\n           {}: {} ({})", artifact.file, artifact.status, artifact.reason);
        }
        text
    }
}

/// What a run did, for scripts: keys are added, never changed.
fn document(told: &[Told], ignored: &[(PathBuf, String)]) -> serde_json::Value {
    let ignored =
        ignored.iter().map(|(path, reason)| json!({ "file": path.display().to_string(), "reason": reason }));
    json!({ "meetings": told, "ignored": ignored.collect::<Vec<_>>() })
}

pub(super) fn report(
    settings: &Settings,
    told: &[Told],
    ignored: &[(PathBuf, String)],
) -> anyhow::Result<()> {
    if settings.json {
        println!("{}", serde_json::to_string_pretty(&document(told, ignored))?);
        return Ok(());
    }
    for line in told.iter().filter(|m| m.has_no_end()) {
        println!("{}", line.text());
    }
    for (path, reason) in ignored {
        println!("ignored    {}: {reason}", path.display());
    }
    let count = |status: &str| told.iter().filter(|m| m.status == status).count();
    let unfinished = match count(UNFINISHED) {
        0 => String::new(),
        some => format!(", {some} unfinished"),
    };
    println!(
        "{} meetings: {} published, {} with limited confidence, {} rejected, {} failed{unfinished}; {} unchanged",
        told.len(),
        count("published"),
        count("limited_confidence"),
        count("rejected"),
        count("failed"),
        told.iter().filter(|m| m.status != "failed" && m.status != UNFINISHED && !m.changed).count()
    );
    if told.is_empty() {
        eprintln!("nothing was taken in: each file that is there is named above with the reason");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_passed_over_is_in_the_document() {
        let ignored = [(PathBuf::from("minutes.pdf"), "encrypted: it needs a password".to_owned())];
        let document = document(&[], &ignored);
        assert_eq!(document["meetings"], json!([]));
        assert_eq!(document["ignored"][0]["file"], "minutes.pdf");
        assert!(document["ignored"][0]["reason"].as_str().unwrap().starts_with("encrypted"));
    }
}
