//! Tells cargo what the macros read: `sqlx::migrate!` and the embedded page do not see new files by themselves.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    // Without a built page the folder above is watched instead: naming one that is not there would rebuild every time.
    let page = if Path::new("../web/dist").exists() { "../web/dist" } else { "../web" };
    println!("cargo:rerun-if-changed={page}");
}
