//! Discovery and keys.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::Shared;

/// OpenID Connect Discovery 1.0 §4.
pub(crate) async fn discovery(State(provider): State<Shared>) -> Json<Value> {
    let issuer = provider.issuer();
    let at = |path: &str| format!("{issuer}{path}");
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "revocation_endpoint": at("/revoke"),
        "end_session_endpoint": at("/end_session"),
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": ["sub", "name", "email", "email_verified", "roles", "tenant", "sid"],
        "prompt_values_supported": ["login", "none", "select_account"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

/// The public key.
pub(crate) async fn jwks(State(provider): State<Shared>) -> Json<Value> {
    Json(provider.config.key.jwks())
}
