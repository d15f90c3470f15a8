//! `schema.graphql` is what clients are built against: it is the code's, and it breaks no client of an earlier one.

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema.graphql");

#[test]
fn the_checked_in_schema_is_the_one_that_is_served() {
    #[expect(clippy::disallowed_methods, reason = "a test is told to write by the environment")]
    if std::env::var("UPDATE_SCHEMA").is_ok() {
        std::fs::write(PATH, bff::schema_sdl()).unwrap();
    }
    let checked_in = std::fs::read_to_string(PATH).unwrap();
    assert!(
        checked_in == bff::schema_sdl(),
        "schema.graphql differs from the code: run this test with UPDATE_SCHEMA=1, or `councilsense export-schema > schema.graphql`"
    );
}
