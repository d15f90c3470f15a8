//! The GraphQL surface: a file a noun, thin over the services' clients.

pub(crate) mod batch;
mod documents;
mod error;
mod execute;
mod global_id;
mod idempotent;
mod loaders;
mod mutation;
mod query;
mod scalars;
mod scope;
mod shape;
mod subscription;
mod types;

pub(crate) use execute::{Execution, GraphqlRequest, execute, prepare, refusal, subscribe, too_many};
pub(crate) use shape::Types;

use crate::config::Limits;

/// The executable schema.
pub(crate) type Schema = async_graphql::Schema<query::Query, mutation::Mutation, subscription::Subscription>;

/// Levels of nesting that the parser itself follows.
const RECURSION: usize = 32;

pub(crate) fn schema(limits: Limits, development: bool) -> Schema {
    let mut builder = Schema::build(
        query::Query::default(),
        mutation::Mutation::default(),
        subscription::Subscription::default(),
    )
    .limit_depth(limits.depth)
    .limit_complexity(limits.complexity)
    .limit_directives(limits.directives)
    .limit_recursive_depth(RECURSION);
    if !development {
        builder = builder.disable_introspection().disable_suggestions();
    }
    types::register(builder).finish()
}

/// The schema definition language of the surface: what `schema.graphql` holds.
pub fn schema_sdl() -> String {
    let options =
        async_graphql::SDLExportOptions::new().sorted_fields().sorted_enum_items().include_specified_by();
    let mut sdl = schema(Limits::default(), true).sdl_with_options(options);
    while sdl.ends_with("\n\n") {
        sdl.pop();
    }
    sdl
}

/// The code of a reason.
pub(crate) fn error_code(reason: cs_proto::errors::v1::Reason) -> &'static str {
    error::code(reason).as_str()
}
