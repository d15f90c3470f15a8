//! Rubbish into everything that reads what anybody can send: seeds of `bff/fuzz/seeds`, changed at random, with a fixed
//! beginning so that a failure comes again. On the stable compiler and in the ordinary test run; nothing may panic, and
//! nothing may take long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use async_graphql::parser::parse_query;
use axum::http::{HeaderMap, HeaderValue};

use crate::auth::oidc::read_access_token;
use crate::config::Limits;
use crate::graphql::{Types, read_document};
use crate::http::protocol::{Heard, Protocol};
use crate::http::{read_accept, read_query, read_request};

/// Inputs a target: some seconds in a debug build.
const RUNS: usize = 6_000;
/// Longest that one input may take, on a busy machine in a debug build.
const LONGEST: Duration = Duration::from_secs(2);
/// Pieces that random bytes seldom hit.
const WORDS: [&str; 24] = [
    "{",
    "}",
    "\"",
    "\\",
    "\u{0}",
    "é",
    "🏛",
    "...",
    "fragment A on Query { ...A }",
    "@include(if: true)",
    "\"\"\"",
    "#",
    "[[[[[[[[",
    "null",
    "-0",
    "1e400",
    "18446744073709551616",
    "$n",
    "query",
    "subscription",
    "%",
    "&query=",
    "..",
    "\u{feff}",
];

/// Xorshift (Marsaglia 2003): the same sequence everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n.max(1) as u64).unwrap()
    }

    fn change(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(input.len() + 1);
            match self.below(6) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => {
                    input.remove(at);
                }
                2 => input.truncate(at),
                3 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    input.splice(at..at, other[from..].iter().copied());
                }
                4 => {
                    let again: Vec<u8> = input[at..].to_vec();
                    input.extend(again);
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())];
                    input.splice(at..at, word.bytes());
                }
            }
            input.truncate(64 * 1024);
        }
        input
    }
}

fn seeds(of: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(of);
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Gives how many inputs the target took.
fn feed(of: &str, mut target: impl FnMut(&[u8]) -> bool) -> usize {
    let (seeds, mut chance, mut taken) = (seeds(of), Chance(0x9E37_79B9_7F4A_7C15), 0);
    for _ in 0..RUNS {
        let input = chance.change(&seeds);
        let begun = Instant::now();
        taken += usize::from(target(&input));
        assert!(begun.elapsed() < LONGEST, "{:?}", String::from_utf8_lossy(&input));
    }
    taken
}

#[test]
fn requests() {
    let types = Types::of(&crate::graphql::schema_sdl());
    let taken = feed("request", |input| match read_request(input) {
        Some(request) => read_document(&request, Limits::default(), &types),
        None => false,
    });
    assert!(taken > RUNS / 100, "the seeds themselves are taken: {taken}");
}

#[test]
fn addresses_and_headers() {
    let taken = feed("query", |input| {
        let text = String::from_utf8_lossy(input);
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(input) {
            headers.insert("accept", value);
        }
        read_accept(&headers);
        read_query(&text)
    });
    assert!(taken > RUNS / 100, "{taken}");
}

/// Whole conversations: random lines in random order, until one of them ends the connection.
#[test]
fn conversations_over_a_socket() {
    const KNOWN: [u16; 5] = [4400, 4401, 4403, 4409, 4429];
    // Lines as clients send them: random ones alone seldom pass the first.
    let plain = [
        r#"{"type":"connection_init"}"#,
        r#"{"type":"subscribe","id":"N","payload":{"query":"{ a }"}}"#,
        r#"{"type":"subscribe","id":"N","payload":{"query":"subscription { b }"}}"#,
        r#"{"type":"complete","id":"N"}"#,
        r#"{"type":"ping","payload":{"n":1}}"#,
        r#"{"type":"pong"}"#,
    ];
    let (seeds, mut chance) = (seeds("socket"), Chance(0x2545_F491_4F6C_DD1D));
    let (mut closed, mut operations) = (BTreeMap::new(), 0);
    for turn in 0..RUNS {
        let mut protocol = Protocol::new(turn % 16 == 0);
        let mut open = BTreeSet::new();
        let mut acknowledged = false;
        for line in 0..24 {
            let text = match chance.below(4) {
                0 => String::from_utf8_lossy(&chance.change(&seeds)).into_owned(),
                // Most conversations begin as they should.
                _ if line == 0 => plain[0].to_owned(),
                _ => {
                    let id = chance.below(9).to_string();
                    plain[1 + chance.below(plain.len() - 1)].replace('N', &id)
                }
            };
            let begun = Instant::now();
            let heard = protocol.hear(&text, |id| open.contains(id));
            assert!(begun.elapsed() < LONGEST, "{text:?}");
            match heard {
                Err(close) => {
                    let code = close.frame().code;
                    assert!(KNOWN.contains(&code), "{code}: {text:?}");
                    *closed.entry(code).or_insert(0) += 1;
                    break;
                }
                Ok(Heard::Nothing) => {}
                Ok(Heard::Answer(message)) if message["type"] == "connection_ack" => {
                    assert!(!acknowledged, "twice: {text:?}");
                    acknowledged = true;
                }
                Ok(Heard::Answer(message)) => assert_eq!(message["type"], "pong", "{text:?}"),
                Ok(Heard::Begin(id, request)) => {
                    assert!(acknowledged && !id.is_empty() && request.query.is_some(), "{text:?}");
                    assert!(open.insert(id), "an id twice: {text:?}");
                    operations += 1;
                }
                Ok(Heard::Leave(id)) => {
                    open.remove(&id);
                }
            }
            assert_eq!(protocol.is_initialised(), acknowledged);
        }
    }
    assert!(operations > RUNS / 4, "conversations get somewhere: {operations}");
    assert_eq!(
        closed.keys().copied().collect::<Vec<u16>>(),
        KNOWN,
        "each way to end one is taken: {closed:?}"
    );
}

#[test]
fn access_tokens() {
    let taken = feed("token", |input| read_access_token(&String::from_utf8_lossy(input)));
    // A change of one letter is a change of what it encodes, so few are still tokens.
    assert!(taken > 0, "the seed itself is taken");
}

#[test]
fn documents_are_measured_before_anything_opens_them() {
    // Found by these targets' kind of input: each of them kept a process busy for hours.
    let cycle = "{ ...A } fragment A on Query { ...A ...A }".to_owned();
    let chain: String =
        (0..60).map(|n| format!("fragment F{n} on Query {{ ...F{0} ...F{0} }} ", n + 1)).collect();
    let bomb = format!("{chain} fragment F60 on Query {{ __typename }} {{ ...F0 }}");
    let types = Types::of(&crate::graphql::schema_sdl());
    for text in [cycle, bomb] {
        assert!(parse_query(&text).is_ok());
        let request = read_request(serde_json::json!({"query": text}).to_string().as_bytes()).unwrap();
        let begun = Instant::now();
        assert!(!read_document(&request, Limits::default(), &types));
        assert!(begun.elapsed() < LONGEST);
    }
}
