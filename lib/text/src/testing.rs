//! Texts for tests that hold for every text.

/// Pieces that are likely to break a rule: abbreviations, several scripts, combining marks, odd white space.
const PIECES: &[&str] = &[
    "The ",
    "council ",
    "adopted ",
    "Ord. ",
    "No. ",
    "29,650 M.C.S. ",
    "at 5:30 p.m. ",
    "Mr. ",
    "Green ",
    "St. ",
    "moved. ",
    "Carried! ",
    "Why? ",
    "\n",
    "\n\n",
    "1. ",
    "a) ",
    "• ",
    "é",
    "e\u{301}",
    "🏛️ ",
    "市議会は採択した。",
    "\u{a0}",
    "\t",
    "\r\n",
    ":",
    "\"",
    "(",
    ")",
    "...",
    "ß",
    "\u{200b}",
    "نص ",
    "x",
    " ",
    "YEAS:\n",
    "J. ",
    "$1.5 million ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// `count` texts, the same ones each time, from empty to a few hundred pieces.
pub(crate) fn random_texts(count: usize) -> impl Iterator<Item = String> {
    // A linear congruential generator (Knuth's MMIX constants) is random enough and needs no crate.
    let mut state = 7_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    (0..count).map(move |n| {
        let length = next(2 + n);
        (0..length).map(|_| PIECES[next(PIECES.len())]).collect()
    })
}
