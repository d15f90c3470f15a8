//! `councilsense`: one binary, many roles.

use std::process::ExitCode;

use tikv_jemalloc_ctl::{Access, AsName};

/// A page is thousands of small allocations: with the system's allocator they are a quarter of its processor time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // A reader of one document runs before anything else is set up: it gets no configuration and no secrets.
    if std::env::args_os().nth(1).is_some_and(|a| a == cs_documents::CHILD_COMMAND) {
        return cs_documents::run_child();
    }
    if std::env::args_os().nth(1).is_some_and(|a| a == "bff") {
        give_back_soon();
    }
    councilsense::main()
}

/// How long memory that a page left is kept for the next one, milliseconds. At once costs a fifth more processor time;
/// jemalloc's own ten seconds cost a tenth more memory (ADR 25).
const KEPT_MS: isize = 50;

/// A page takes a quarter of a megabyte for some milliseconds. Where nothing but pages is served, what they leave goes back
/// to the system soon.
fn give_back_soon() {
    // The arena that is there already, and those that come. It fails where the allocator knows no such setting: then memory
    // goes back later.
    for name in [c"arena.0.dirty_decay_ms", c"arenas.dirty_decay_ms"] {
        let _ = name.to_bytes_with_nul().name().write(KEPT_MS);
    }
}
