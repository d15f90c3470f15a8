# A thin menu; what takes more than a line is in scripts/.

# Build and start everything
up *args:
    scripts/up {{args}}

# Run every suite
test:
    scripts/test

# Format, lints, licences
check:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check bans licenses sources

# Write what is generated: protobuf code, GraphQL schema
gen:
    COUNCILSENSE_REGENERATE=1 cargo test -q -p cs-proto
    cargo run -q -p councilsense -- export-schema > schema.graphql

# Run a benchmark
bench name:
    bench/{{name}}
