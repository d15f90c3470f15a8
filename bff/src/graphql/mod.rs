//! The GraphQL surface: a file a noun, thin over the services' clients.

pub(crate) mod batch;
mod cost;
mod documents;
mod error;
mod execute;
mod global_id;
mod idempotent;
mod known;
mod loaders;
mod mutation;
mod persisted;
mod query;
mod scalars;
mod scope;
mod shape;
mod subscription;
mod types;

#[cfg(test)]
pub(crate) use execute::read_document;
pub(crate) use execute::{
    Execution, GraphqlRequest, Prepared, execute, prepare, refusal, subscribe, too_many,
};
pub(crate) use known::Documents;
pub(crate) use persisted::Trusted;
pub(crate) use shape::Types;

use async_graphql::ValidationMode;

use crate::config::Limits;

/// The executable schema.
type Schema = async_graphql::Schema<query::Query, mutation::Mutation, subscription::Subscription>;

/// The schema, twice: with every rule of validation, and for requests that were found valid before. Limits apply in both.
pub(crate) struct Schemas {
    pub(crate) strict: Schema,
    pub(crate) validated: Schema,
}

impl Schemas {
    pub(crate) fn new(limits: Limits, development: bool) -> Self {
        Self {
            strict: schema(limits, development, ValidationMode::Strict),
            validated: schema(limits, development, ValidationMode::Fast),
        }
    }
}

/// Levels of nesting that the parser itself follows.
const RECURSION: usize = 32;

fn schema(limits: Limits, development: bool, validation: ValidationMode) -> Schema {
    let mut builder = Schema::build(
        query::Query::default(),
        mutation::Mutation::default(),
        subscription::Subscription::default(),
    )
    .limit_depth(limits.depth)
    .limit_complexity(limits.complexity)
    .limit_directives(limits.directives)
    .limit_recursive_depth(RECURSION)
    .validation_mode(validation);
    if !development {
        builder = builder.disable_introspection().disable_suggestions();
    }
    types::register(builder).finish()
}

/// The schema definition language of the surface: what `schema.graphql` holds.
pub fn schema_sdl() -> String {
    let options =
        async_graphql::SDLExportOptions::new().sorted_fields().sorted_enum_items().include_specified_by();
    let mut sdl = schema(Limits::default(), true, ValidationMode::Strict).sdl_with_options(options);
    while sdl.ends_with("\n\n") {
        sdl.pop();
    }
    sdl
}

/// The code of a reason.
pub(crate) fn error_code(reason: cs_proto::errors::v1::Reason) -> &'static str {
    error::code(reason).as_str()
}
