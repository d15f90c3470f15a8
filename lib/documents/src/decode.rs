//! Bytes to characters: UTF-8 or UTF-16 by their marks, UTF-8 by its shape, Windows-1252 otherwise.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// Decodes text; never fails, since every byte has a character in Windows-1252.
pub(crate) fn text(bytes: &[u8]) -> String {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Cut in the middle of a character: still UTF-8.
        Err(e) if e.error_len().is_none() => String::from_utf8_lossy(&bytes[..e.valid_up_to()]).into_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// Decodes HTML: what its `meta` names counts where nothing stronger speaks.
pub(crate) fn html(bytes: &[u8]) -> String {
    if Encoding::for_bom(bytes).is_some() || std::str::from_utf8(bytes).is_ok() {
        return text(bytes);
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(2048)]).to_ascii_lowercase();
    let named = head.split_once("charset=").and_then(|(_, rest)| {
        let rest = rest.trim_start_matches(['"', '\'']);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).unwrap_or(rest.len());
        Encoding::for_label(&rest.as_bytes()[..end])
    });
    let encoding = named.filter(|e| *e != UTF_8).unwrap_or(WINDOWS_1252);
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

/// Whether the beginning of a file is text rather than data.
pub(crate) fn is_text(head: &[u8]) -> bool {
    if Encoding::for_bom(head).is_some() {
        return true;
    }
    let odd = head.iter().filter(|b| **b < 9 || (14..32).contains(*b) && **b != 27).count();
    !head.contains(&0) && odd * 50 <= head.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_encodings() {
        assert_eq!(text("Año — ☂".as_bytes()), "Año — ☂");
        assert_eq!(text(b"A\xf1o \x97 caf\xe9"), "Año — café");
        assert_eq!(text(b"\xff\xfeA\0\xf1\0o\0"), "Año");
        assert_eq!(html(b"<meta charset=\"iso-8859-2\"><p>\xb1"), "<meta charset=\"iso-8859-2\"><p>ą");
    }
}
