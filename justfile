# A thin menu; what takes more than a line is in scripts/.

# Build and start everything
up *args:
    scripts/up {{args}}

# Run every suite
test:
    scripts/test

# Workers killed, connections cut, messages doubled, at length; scripts/test runs a short one
chaos:
    COUNCILSENSE_CHAOS=long COUNCILSENSE_CHAOS_BUS=postgres cargo test -p councilsense --test chaos -- --nocapture

# The same on SNS and SQS
chaos-sns:
    COUNCILSENSE_CHAOS=long COUNCILSENSE_CHAOS_BUS=sns cargo test -p councilsense --test chaos -- --nocapture

# Format, lints, licences
check:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check bans licenses sources

# Write what is generated: protobuf code, GraphQL schema, the tables of errors and of who reaches what
gen:
    COUNCILSENSE_REGENERATE=1 cargo test -q -p cs-proto
    cargo run -q -p councilsense -- export-schema > schema.graphql.new && mv schema.graphql.new schema.graphql
    COUNCILSENSE_REGENERATE=1 cargo test -q -p councilsense --test flows the_table_of_errors
    cargo build -q -p councilsense
    COUNCILSENSE_REGENERATE=1 scripts/test-edge

# Run a benchmark
bench name *args:
    bench/{{name}} {{args}}

# Search quality on both engines, on the collections in a folder (BEIR layout each); needs OPENSEARCH_URL
deep-search dir:
    for collection in {{dir}}/*/; do for engine in embedded opensearch; do \
        echo "$collection $engine"; cargo run --release -q -p councilsense -- eval search "$collection" --engine $engine; done; done

# What a check of the policies takes; fails above 0.2 ms at the 95th percentile
deep-policy:
    cargo run --release -q -p cs-policy --example check
