//! `councilsense`: one binary, many roles.

use std::process::ExitCode;

/// A page is thousands of small allocations: with the system's allocator they are a quarter of its processor time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // A reader of one document runs before anything else is set up: it gets no configuration and no secrets.
    if std::env::args_os().nth(1).is_some_and(|a| a == cs_documents::CHILD_COMMAND) {
        return cs_documents::run_child();
    }
    councilsense::main()
}
