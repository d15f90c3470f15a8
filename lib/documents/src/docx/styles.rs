//! Which paragraph styles are headings.

use std::collections::{HashMap, HashSet};

use quick_xml::Reader;
use quick_xml::events::Event;

use super::body::{attribute, damaged};
use crate::error::ExtractError;

/// The ids of the styles that are headings: by outline level, by name, or by the style they are based on.
pub(super) fn headings(xml: &[u8]) -> Result<HashSet<String>, ExtractError> {
    let mut reader = Reader::from_reader(xml);
    let mut based_on: HashMap<String, String> = HashMap::new();
    let mut found = HashSet::new();
    let mut id = String::new();
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer).map_err(damaged)? {
            Event::Start(e) | Event::Empty(e) => match e.local_name().as_ref() {
                "style" => id = attribute(&e, "styleId").unwrap_or_default(),
                "name" => {
                    let name = attribute(&e, "val").unwrap_or_default().to_lowercase();
                    if name.starts_with("heading") || name == "title" || name == "subtitle" {
                        found.insert(id.clone());
                    }
                }
                "outlineLvl" if attribute(&e, "val").is_some_and(|v| v != "9") => {
                    found.insert(id.clone());
                }
                "basedOn" => {
                    based_on.insert(id.clone(), attribute(&e, "val").unwrap_or_default());
                }
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
        buffer.clear();
    }
    // A chain of styles is short; a ring of them ends here too.
    for _ in 0..8 {
        let more: Vec<String> = based_on
            .iter()
            .filter(|(id, on)| found.contains(*on) && !found.contains(*id))
            .map(|(id, _)| id.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    Ok(found)
}
