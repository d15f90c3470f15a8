//! `councilsense`: one binary, many roles.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A reader of one document runs before anything else is set up: it gets no configuration and no secrets.
    if std::env::args_os().nth(1).is_some_and(|a| a == cs_documents::CHILD_COMMAND) {
        return cs_documents::run_child();
    }
    councilsense::main()
}
