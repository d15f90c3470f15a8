//! A person takes what is kept about them along, or leaves for good.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use cs_core::UserId;
use cs_proto::accounts::v1 as accounts;
use cs_proto::notifications::v1 as notifications;
use cs_proto::summaries::v1 as summaries;
use serde_json::{Value, json};

use crate::auth::leave;
use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::once;
use crate::graphql::scope::{Scope, read, write};
use crate::graphql::types::UserError;

#[derive(InputObject, Debug)]
struct DeleteAccountInput {
    /// The words `delete my account`.
    confirmation: String,
    /// Not needed: a repetition changes nothing.
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct DeleteAccountPayload {
    /// Of the person who is gone. Every session of theirs is over, this one included.
    id: Option<ID>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct RequestDataExportInput {
    /// Not needed: nothing changes, and the answer is what is kept at the moment it is given.
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct RequestDataExportPayload {
    /// All that is kept about the person, secrets apart, as the text of a JSON document. It is kept nowhere.
    json: Option<String>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub(super) struct AccountMutations;

#[Object]
impl AccountMutations {
    /// Deletes the person's account and everything of theirs, for good. Who signs in again is somebody new.
    async fn delete_account(
        &self,
        context: &Context<'_>,
        input: DeleteAccountInput,
    ) -> Result<DeleteAccountPayload> {
        let scope = Scope::of(context);
        let person = scope.person()?;
        let change = async {
            let request = accounts::DeleteAccountRequest { confirmation: input.confirmation.clone() };
            let gone = write!(scope.calls, accounts.delete_account, request)?;
            leave(&scope.app, person, scope.session.as_ref()).await.map_err(lost)?;
            Ok(gone)
        };
        // Without a key: the answer would be kept, and nothing of the person is.
        let outcome = once(scope, "deleteAccount", None, &input, change).await?;
        let (gone, user_errors) = outcome.parts();
        Ok(DeleteAccountPayload { id: gone.map(|gone| Kind::User.id(&gone.user_id)), user_errors })
    }

    /// All that is kept about the person, to take along.
    #[graphql(complexity = "100 + child_complexity")]
    async fn request_data_export(
        &self,
        context: &Context<'_>,
        input: RequestDataExportInput,
    ) -> Result<RequestDataExportPayload> {
        let scope = Scope::of(context);
        let person = scope.person()?;
        let change = async { Ok(kept(scope, person).await?.to_string()) };
        // Without a key: a day's copy of it would be one more thing that is kept.
        let outcome = once(scope, "requestDataExport", None, &input, change).await?;
        let (json, user_errors) = outcome.parts();
        Ok(RequestDataExportPayload { json, user_errors })
    }
}

fn lost(error: impl std::fmt::Display) -> Fault {
    tracing::warn!(%error, "the session store does not answer");
    Fault::unavailable()
}

/// What each service that keeps anything about people says of this one, and their sessions here.
async fn kept(scope: &Scope, person: UserId) -> Result<Value, Fault> {
    let account = async {
        let answer = read!(scope.calls, accounts.export_account, accounts::ExportAccountRequest {})?;
        parsed(&answer.json)
    };
    let told = async {
        let answer = read!(scope.calls, notifications.export_person, notifications::ExportPersonRequest {})?;
        parsed(&answer.json)
    };
    let flagged = async {
        let answer = read!(scope.calls, summaries.export_person, summaries::ExportPersonRequest {})?;
        parsed(&answer.json)
    };
    let sessions = async { scope.app.sessions.list(person).await.map_err(lost) };
    let (account, told, flagged, sessions) = futures::try_join!(account, told, flagged, sessions)?;
    let written =
        |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let sessions: Vec<Value> = sessions
        .into_iter()
        .map(|session| {
            json!({
                "created_at": written(session.created_at),
                "last_seen_at": written(session.last_seen_at),
                "user_agent": session.user_agent,
            })
        })
        .collect();
    Ok(json!({
        "exported_at": written(scope.app.clock.now()),
        "accounts": account,
        "notifications": told,
        "summaries": flagged,
        "sessions": sessions,
    }))
}

fn parsed(text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| {
        tracing::error!(%error, "a service's export is not JSON");
        Fault::internal()
    })
}
