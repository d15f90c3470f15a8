//! Why somebody is told, in words.

/// Which of a person's follows a meeting matches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matched {
    /// Its city is their home.
    pub(crate) home: bool,
    /// They follow its city.
    pub(crate) city: bool,
    /// They follow its body.
    pub(crate) body: bool,
    /// They follow these of its topics.
    pub(crate) topics: Vec<String>,
    /// They follow saved searches of these names, which it matches.
    pub(crate) searches: Vec<String>,
}

/// One sentence that names every follow that matched.
pub(crate) fn sentence(matched: &Matched, city: &str, body: &str) -> String {
    let mut parts = Vec::new();
    if matched.city {
        parts.push(if matched.home { format!("{city} (home city)") } else { city.to_owned() });
    }
    if matched.body {
        parts.push(if body.is_empty() { "its council".to_owned() } else { body.to_owned() });
    }
    parts.extend(matched.topics.iter().map(|topic| format!("the topic {topic}")));
    parts.extend(matched.searches.iter().map(|name| format!("the search “{name}”")));
    match parts.split_last() {
        Some((last, [])) => format!("You follow {last}"),
        Some((last, before)) => format!("You follow {} and {last}", before.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_follow_is_named() {
        let home = Matched { home: true, city: true, ..Matched::default() };
        assert_eq!(sentence(&home, "New Orleans", "City Council"), "You follow New Orleans (home city)");
        let topics = vec!["budget".into(), "housing".into()];
        let all = Matched { city: true, body: true, topics, ..Matched::default() };
        assert_eq!(
            sentence(&all, "New Orleans", "City Council"),
            "You follow New Orleans, City Council, the topic budget and the topic housing"
        );
        let search = Matched { searches: vec!["Short-term rentals".into()], ..Matched::default() };
        assert_eq!(sentence(&search, "New Orleans", ""), "You follow the search “Short-term rentals”");
    }
}
