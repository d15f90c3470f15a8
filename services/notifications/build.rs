//! `sqlx::migrate!` misses new files otherwise.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
