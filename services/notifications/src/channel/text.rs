//! The words of a message.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cs_core::MeetingId;
use url::Url;

use super::{Item, Message};

/// The page of a meeting. Its id is the edge's opaque one.
pub(super) fn meeting_page(public: &Url, item: &Item) -> String {
    let id = URL_SAFE_NO_PAD.encode(format!("Meeting:{}", MeetingId::from(item.meeting_id)));
    page(public, &format!("/meetings/{id}"))
}

/// A page of the web application.
pub(super) fn page(public: &Url, path: &str) -> String {
    public.join(path).map_or_else(|_| format!("{public}{path}"), String::from)
}

/// The heading of one thing told.
pub(super) fn heading(item: &Item) -> String {
    if item.kind.starts_with("summary_changed") {
        format!("Changed: {} · {}", item.title, item.city_name)
    } else {
        format!("{} · {}", item.title, item.city_name)
    }
}

/// One line for the whole message.
pub(super) fn subject(message: &Message) -> String {
    match (message.items.as_slice(), message.digest_at) {
        ([item], None) => heading(item),
        (items, _) => match items.len() {
            1 => "1 council meeting that you follow".to_owned(),
            count => format!("{count} council meetings that you follow"),
        },
    }
}

/// The message as plain text.
pub(super) fn plain(public: &Url, message: &Message) -> String {
    let mut text = String::new();
    for item in &message.items {
        text += &format!(
            "{}\n{}\n\n{}\n\n{}.\n\n\n",
            heading(item),
            meeting_page(public, item),
            item.body,
            item.reason
        );
    }
    text += &format!(
        "--\nStop these e-mails: {}\nChange what you are told, and when: {}\n",
        message.stop.link, message.stop.settings
    );
    text
}

/// The message as HTML: no scripts, no pictures, nothing that tells anybody that it was opened.
pub(super) fn html(public: &Url, message: &Message) -> String {
    let mut html = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    html += &escape(&subject(message));
    html += "</title></head>\n<body style=\"font-family:sans-serif;max-width:40em;margin:auto;line-height:1.5\">\n";
    for item in &message.items {
        html += &format!(
            "<h2 style=\"font-size:1.1em\"><a href=\"{}\">{}</a></h2>\n<p style=\"white-space:pre-line\">{}</p>\n<p><small>{}.</small></p>\n",
            escape(&meeting_page(public, item)),
            escape(&heading(item)),
            escape(&item.body),
            escape(&item.reason)
        );
    }
    html += &format!(
        "<hr>\n<p><small><a href=\"{}\">Stop these e-mails</a> · <a href=\"{}\">Change what you are told, and when</a></small></p>\n</body></html>\n",
        escape(&message.stop.link),
        escape(&message.stop.settings)
    );
    html
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// The beginning of a text, within `most` bytes, cut between characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end =
        (0..=most.saturating_sub('…'.len_utf8())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_council_writes_is_text_and_not_markup() {
        assert_eq!(escape("<b a=\"x\">R&D</b>"), "&lt;b a=&quot;x&quot;&gt;R&amp;D&lt;/b&gt;");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("ééééé", 7), "éé…");
        assert!((0..10).all(|most| cut("市議会市議会", most.max(3)).len() <= most.max(3)));
    }
}
