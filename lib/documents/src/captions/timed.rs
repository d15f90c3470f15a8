//! WebVTT and SubRip: blocks of a time line and words.

use super::Cue;

pub(super) fn cues(text: &str) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    let mut open = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(start) = time_line(line) {
            cues.push(Cue { start, text: String::new(), speaker: None });
            open = true;
        } else if line.is_empty() {
            open = false;
        } else if open {
            // SubRip files without blank lines: a bare number before a time line is the next cue's name.
            if line.chars().all(|c| c.is_ascii_digit())
                && lines.peek().is_some_and(|n| time_line(n.trim()).is_some())
            {
                continue;
            }
            if let Some(cue) = cues.last_mut() {
                let (speaker, words) = words(line);
                cue.speaker = cue.speaker.take().or(speaker);
                if !cue.text.is_empty() && !words.is_empty() {
                    cue.text.push('\n');
                }
                cue.text.push_str(&words);
            }
        }
    }
    cues
}

/// The start of `00:01:02.500 --> 00:01:04.000 align:start`.
fn time_line(line: &str) -> Option<u64> {
    let (start, _) = line.split_once("-->")?;
    clock(start.trim())
}

/// `h:mm:ss.mmm`, `mm:ss`, with `.` or `,` before the fraction, as milliseconds.
pub(super) fn clock(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    let parts: Vec<u64> = whole.split(':').map(|p| p.trim().parse().ok()).collect::<Option<_>>()?;
    if !(2..=3).contains(&parts.len()) || parts.iter().any(|p| *p > 10_000) {
        return None;
    }
    let seconds = parts.iter().fold(0, |all, part| all * 60 + part);
    let ms = format!("{fraction:0<3}").get(..3)?.parse::<u64>().ok()?;
    Some(seconds * 1000 + ms)
}

/// The words of a caption line without markup, and the voice it names.
fn words(line: &str) -> (Option<String>, String) {
    let mut out = String::with_capacity(line.len());
    let mut speaker = None;
    let mut rest = line;
    while let Some(open) = rest.find('<') {
        let (before, tag) = rest.split_at(open);
        let Some(close) = tag.find('>') else { break };
        let name = &tag[1..close];
        // A lone "<" in words is no markup.
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') {
            out.push_str(before);
            out.push('<');
            rest = &tag[1..];
            continue;
        }
        if let Some(voice) = name
            .strip_prefix("v ")
            .or_else(|| name.strip_prefix("v.").and_then(|n| n.split_once(' ')).map(|n| n.1))
        {
            speaker = Some(voice.trim().to_owned());
        }
        out.push_str(before);
        rest = &tag[close + 1..];
    }
    out.push_str(rest);
    let out = out.replace("&gt;", ">").replace("&lt;", "<").replace("&nbsp;", " ").replace("&amp;", "&");
    (speaker, out.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_all_kinds() {
        assert_eq!(clock("00:01:02.500"), Some(62_500));
        assert_eq!(clock("01:02,5"), Some(62_500));
        assert_eq!(clock("4:18"), Some(258_000));
        assert_eq!(clock("12"), None);
    }

    #[test]
    fn markup_goes_and_the_voice_stays() {
        assert_eq!(
            words("<v Helena Moreno>Good <c.loud>morning</c>, 3 < 4 &amp; so on</v>"),
            (Some("Helena Moreno".into()), "Good morning, 3 < 4 & so on".into())
        );
    }
}
