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

/// The page with everything that a person was told.
pub(super) fn list(public: &Url) -> String {
    page(public, "/notifications")
}

/// A page of the web application.
fn page(public: &Url, path: &str) -> String {
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
        (items, _) => match items.len() as u64 + message.more {
            1 => "1 council meeting that you follow".to_owned(),
            count => format!("{count} council meetings that you follow"),
        },
    }
}

/// Why a digest is sent: each reason once.
pub(super) fn reasons(items: &[Item]) -> String {
    let mut all: Vec<&str> = Vec::new();
    for item in items {
        if !all.contains(&item.reason.as_str()) {
            all.push(&item.reason);
        }
    }
    all.join("; ")
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
    if message.more > 0 {
        text += &format!("And {} more: {}\n\n\n", message.more, list(public));
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
    if message.more > 0 {
        html += &format!("<p><a href=\"{}\">And {} more</a></p>\n", escape(&list(public)), message.more);
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
    fn a_long_digest_says_how_many_more_there_are_and_where() {
        let now = chrono::DateTime::UNIX_EPOCH;
        let item = Item {
            kind: "meeting_published".into(),
            meeting_id: uuid::Uuid::nil(),
            city_name: "Springfield".into(),
            title: "City Council".into(),
            body: "Words.".into(),
            reason: "You follow Springfield".into(),
            summary_version: 1,
            created_at: now,
        };
        let message = |more| Message {
            dedupe_key: "0".repeat(64),
            tenant: uuid::Uuid::nil().into(),
            user: uuid::Uuid::nil().into(),
            address: super::super::Address::Mailbox { name: String::new(), address: String::new() },
            items: vec![item.clone(), item.clone()],
            more,
            digest_at: Some(now),
            created_at: now,
            now,
            stop: super::super::Stop { link: String::new(), settings: String::new() },
        };
        let public: Url = "https://council.example/".parse().unwrap();
        assert_eq!(subject(&message(3)), "5 council meetings that you follow");
        assert!(plain(&public, &message(3)).contains("And 3 more: https://council.example/notifications\n"));
        assert!(
            html(&public, &message(3))
                .contains("<a href=\"https://council.example/notifications\">And 3 more</a>")
        );
        assert_eq!(subject(&message(0)), "2 council meetings that you follow");
        let other = Item { reason: "You follow the search “rentals”".into(), ..item.clone() };
        assert_eq!(
            reasons(&[item.clone(), other, item.clone()]),
            "You follow Springfield; You follow the search “rentals”"
        );
        assert!(
            !plain(&public, &message(0)).contains("more") && !html(&public, &message(0)).contains("more")
        );
    }

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
