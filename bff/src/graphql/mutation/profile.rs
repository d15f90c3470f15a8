//! A person's own account.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use cs_proto::accounts::v1 as pb;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::{Outcome, once};
use crate::graphql::scope::{Scope, write};
use crate::graphql::types::{UserError, Viewer};

#[derive(InputObject, Debug)]
struct UpdateProfileInput {
    display_name: Option<String>,
    /// BCP 47.
    locale: Option<String>,
    /// IANA time zone.
    time_zone: Option<String>,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct UpdateProfilePayload {
    viewer: Option<Viewer>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct SetHomeCityInput {
    /// null: no home city any more.
    city_id: Option<ID>,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct SetHomeCityPayload {
    viewer: Option<Viewer>,
    user_errors: Vec<UserError>,
}

fn parts(outcome: Outcome<pb::User>) -> (Option<Viewer>, Vec<UserError>) {
    let (user, user_errors) = outcome.parts();
    (user.map(Arc::new).map(Viewer), user_errors)
}

#[derive(Default)]
pub(super) struct ProfileMutations;

#[Object]
impl ProfileMutations {
    /// Changes what is given, and nothing else.
    async fn update_profile(
        &self,
        context: &Context<'_>,
        input: UpdateProfileInput,
    ) -> Result<UpdateProfilePayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let request = pb::UpdateProfileRequest {
            display_name: input.display_name.clone(),
            locale: input.locale.clone(),
            time_zone: input.time_zone.clone(),
            idempotency_key: input.idempotency_key.clone().unwrap_or_default(),
        };
        let change =
            async { write!(scope.calls, accounts.update_profile, request)?.user.ok_or_else(Fault::internal) };
        let outcome = once(scope, "updateProfile", input.idempotency_key.as_ref(), &input, change).await?;
        let (viewer, user_errors) = parts(outcome);
        Ok(UpdateProfilePayload { viewer, user_errors })
    }

    /// The city a person lives in; it is followed from then on.
    async fn set_home_city(
        &self,
        context: &Context<'_>,
        input: SetHomeCityInput,
    ) -> Result<SetHomeCityPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let city_id =
            input.city_id.as_ref().map_or(Ok(String::new()), |id| Kind::City.own(id, "input.cityId"))?;
        let idempotency_key = input.idempotency_key.clone().unwrap_or_default();
        let request = pb::SetHomeCityRequest { city_id, idempotency_key };
        let change =
            async { write!(scope.calls, accounts.set_home_city, request)?.user.ok_or_else(Fault::internal) };
        let outcome = once(scope, "setHomeCity", input.idempotency_key.as_ref(), &input, change).await?;
        let (viewer, user_errors) = parts(outcome);
        Ok(SetHomeCityPayload { viewer, user_errors })
    }
}
