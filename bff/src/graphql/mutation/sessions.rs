//! A person's sessions.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use cs_proto::errors::v1::Reason;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::once;
use crate::graphql::scope::Scope;
use crate::graphql::types::UserError;

#[derive(InputObject, Debug)]
struct EndSessionInput {
    id: ID,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct EndSessionPayload {
    /// Of the session that is over.
    id: Option<ID>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub(super) struct SessionMutations;

#[Object]
impl SessionMutations {
    /// Signs a browser of the person's out. Its open subscriptions end within seconds.
    async fn end_session(&self, context: &Context<'_>, input: EndSessionInput) -> Result<EndSessionPayload> {
        let scope = Scope::of(context);
        let person = scope.person()?;
        let own = Kind::Session.own(&input.id, "input.id")?;
        let change = async {
            let session = own.parse().map_err(|_| Fault::input("input.id", "must be the id of a Session"))?;
            match scope.app.sessions.end(person, session).await {
                Ok(true) => {
                    scope.app.memory.forget();
                    Ok(own.clone())
                }
                Ok(false) => Err(Fault::from(cs_rpc::status(Reason::NotFound, "no such session", &[]))),
                Err(error) => {
                    tracing::warn!(%error, "a session could not be ended");
                    Err(Fault::unavailable())
                }
            }
        };
        let outcome = once(scope, "endSession", input.idempotency_key.as_ref(), &input, change).await?;
        let (id, user_errors) = outcome.parts();
        Ok(EndSessionPayload { id: id.map(|id| Kind::Session.id(&id)), user_errors })
    }
}
