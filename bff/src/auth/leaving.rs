//! A person whose account is gone: nothing of theirs goes on here.

use std::sync::Arc;

use cs_core::UserId;
use tower_sessions::Session;

use super::oidc;
use super::session::{StoreError, Which};
use crate::app::App;

/// Not everything could be ended; the same again ends the rest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the session store does not answer: {0}")]
    Session(#[from] tower_sessions::session::Error),
}

/// Ends a person's sessions on every device, takes the cookie of `session` back, and forgets what was kept for them.
/// Open subscriptions end within seconds, as after signing out.
pub(crate) async fn leave(app: &Arc<App>, user: UserId, session: Option<&Session>) -> Result<(), LeaveError> {
    app.sessions.forget_answers(user).await?;
    let ended = app.sessions.end_all(Which::Of(user.uuid())).await?;
    if let Some(session) = session {
        session.flush().await?;
    }
    app.memory.forget();
    app.tokens.forget(user);
    tracing::info!(event = "account.left", user_id = %user, sessions = ended.len(), "a person left");
    oidc::revoke_later(app, ended);
    Ok(())
}
