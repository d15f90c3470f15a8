//! Between code point offsets, which are stored, and byte offsets, which Rust slices by.

/// A checkpoint is kept for every so many code points.
const STEP: usize = 64;

/// An index of a text: each lookup walks at most 64 code points, however long the text is.
#[derive(Clone, Debug)]
pub struct CodePoints<'t> {
    text: &'t str,
    /// Byte offset of code points 0, 64, 128 and so on; empty for ASCII, where both offsets are the same.
    checkpoints: Vec<u32>,
    length: u32,
}

impl<'t> CodePoints<'t> {
    /// Reads the text once. Texts are shorter than 4 GiB: offsets in the contracts are 32 bits wide.
    pub fn new(text: &'t str) -> Self {
        if text.is_ascii() {
            return Self { text, checkpoints: Vec::new(), length: narrow(text.len()) };
        }
        let mut checkpoints = Vec::with_capacity(text.len() / STEP + 1);
        let mut length = 0;
        for (byte, _) in text.char_indices() {
            if length % STEP == 0 {
                checkpoints.push(narrow(byte));
            }
            length += 1;
        }
        Self { text, checkpoints, length: narrow(length) }
    }

    /// Number of code points.
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Byte offset of a code point; that of one past the last is the length in bytes. `None` beyond.
    pub fn byte_of(&self, code_point: u32) -> Option<usize> {
        if code_point > self.length {
            return None;
        }
        if self.checkpoints.is_empty() {
            return Some(code_point as usize);
        }
        if code_point == self.length {
            return Some(self.text.len());
        }
        let checkpoint = self.checkpoints[code_point as usize / STEP] as usize;
        let (byte, _) = self.text[checkpoint..].char_indices().nth(code_point as usize % STEP)?;
        Some(checkpoint + byte)
    }

    /// Code point that begins at a byte offset. `None` beyond the text and inside a code point.
    pub fn cp_of(&self, byte: usize) -> Option<u32> {
        if !self.text.is_char_boundary(byte) {
            return None;
        }
        let before = self.checkpoints.partition_point(|c| *c as usize <= byte);
        match before.checked_sub(1) {
            None => Some(narrow(byte)),
            Some(n) => {
                let walked = self.text[self.checkpoints[n] as usize..byte].chars().count();
                Some(narrow(n * STEP + walked))
            }
        }
    }

    /// The text between two code point offsets, or `None` where they do not lie in it.
    pub fn slice(&self, start: u32, end: u32) -> Option<&'t str> {
        self.text.get(self.byte_of(start)?..self.byte_of(end)?)
    }
}

fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random_texts;

    #[test]
    fn agrees_with_counting_one_by_one() {
        for text in random_texts(300) {
            let index = CodePoints::new(&text);
            let bytes: Vec<usize> = text.char_indices().map(|(b, _)| b).chain([text.len()]).collect();
            assert_eq!(index.len() as usize, bytes.len() - 1);
            for (code_point, byte) in bytes.iter().enumerate() {
                assert_eq!(index.byte_of(code_point as u32), Some(*byte));
                assert_eq!(index.cp_of(*byte), Some(code_point as u32));
            }
            assert_eq!(index.byte_of(index.len() + 1), None);
            assert_eq!(index.cp_of(text.len() + 1), None);
            assert_eq!(index.slice(0, index.len()), Some(text.as_str()));
        }
    }

    #[test]
    fn the_inside_of_a_code_point_has_no_offset() {
        let index = CodePoints::new("né");
        assert_eq!(index.cp_of(2), None);
        assert_eq!(index.slice(1, 2), Some("é"));
        assert_eq!(index.slice(2, 1), None);
    }
}
