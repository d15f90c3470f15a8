//! Keyset paging: a page is what stands after (or before) a cursor, so inserts move nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, de::DeserializeOwned};

/// Most rows in a page.
pub const MAX_PAGE: u32 = 100;
/// Rows in a page where nobody asked for a number.
pub const DEFAULT_PAGE: u32 = 20;

/// What was wrong with a page request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PageError {
    /// More than [`MAX_PAGE`].
    #[error("a page has 1 to {MAX_PAGE} rows, not {0}")]
    TooLarge(u32),
    /// Both ends at once.
    #[error("use first/after or last/before, not both")]
    BothEnds,
    /// Not a cursor of ours.
    #[error("this cursor was not made by this list")]
    InvalidCursor,
}

/// Which way a page goes from its cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `first`/`after`.
    Forward,
    /// `last`/`before`.
    Backward,
}

/// A checked page request over rows keyed by `K`.
#[derive(Clone, Debug)]
pub struct Page<K> {
    /// Rows wanted, 1 to [`MAX_PAGE`].
    pub size: u32,
    /// The row to start beyond.
    pub cursor: Option<K>,
    /// Which way.
    pub direction: Direction,
}

impl<K: DeserializeOwned> Page<K> {
    /// Checks `first`/`after` or `last`/`before`; zero and empty mean unset.
    pub fn parse(first: u32, after: &str, last: u32, before: &str) -> Result<Self, PageError> {
        let backward = last > 0 || !before.is_empty();
        if backward && (first > 0 || !after.is_empty()) {
            return Err(PageError::BothEnds);
        }
        let (size, cursor) = if backward { (last, before) } else { (first, after) };
        if size > MAX_PAGE {
            return Err(PageError::TooLarge(size));
        }
        Ok(Self {
            size: if size == 0 { DEFAULT_PAGE } else { size },
            cursor: if cursor.is_empty() { None } else { Some(decode_cursor(cursor)?) },
            direction: if backward { Direction::Backward } else { Direction::Forward },
        })
    }
}

/// Rows of a page in list order, with what lies beyond them.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    /// In list order, whichever way was asked.
    pub rows: Vec<T>,
    /// More after the last row.
    pub has_next: bool,
    /// More before the first row.
    pub has_previous: bool,
}

impl<T> Paged<T> {
    /// From rows fetched in the page's direction with one more than asked for.
    pub fn from_overfetch<K>(page: &Page<K>, mut rows: Vec<T>) -> Self {
        let more = rows.len() > page.size as usize;
        rows.truncate(page.size as usize);
        match page.direction {
            Direction::Forward => Self { rows, has_next: more, has_previous: page.cursor.is_some() },
            Direction::Backward => {
                rows.reverse();
                Self { rows, has_next: page.cursor.is_some(), has_previous: more }
            }
        }
    }
}

/// An opaque cursor for a key.
pub fn encode_cursor<K: Serialize>(key: &K) -> String {
    // A key is plain data; serde_json fails only on maps with non-string keys.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// The key of a cursor.
pub fn decode_cursor<K: DeserializeOwned>(cursor: &str) -> Result<K, PageError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| PageError::InvalidCursor)?;
    serde_json::from_slice(&bytes).map_err(|_| PageError::InvalidCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_checked() {
        assert_eq!(Page::<u32>::parse(0, "", 0, "").unwrap().size, DEFAULT_PAGE);
        assert_eq!(Page::<u32>::parse(101, "", 0, "").unwrap_err(), PageError::TooLarge(101));
        assert_eq!(Page::<u32>::parse(1, "", 1, "").unwrap_err(), PageError::BothEnds);
        assert_eq!(Page::<u32>::parse(1, "?", 0, "").unwrap_err(), PageError::InvalidCursor);
        assert_eq!(Page::<u32>::parse(1, &encode_cursor(&7), 0, "").unwrap().cursor, Some(7));
    }

    #[test]
    fn backward_rows_come_in_list_order() {
        let page = Page::<u32>::parse(0, "", 2, &encode_cursor(&9)).unwrap();
        let paged = Paged::from_overfetch(&page, vec![8, 7, 6]);
        assert_eq!(paged.rows, [7, 8]);
        assert!(paged.has_previous && paged.has_next);
    }
}
