//! A provider: its metadata and keys, fetched when first needed and again when due.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::Clock;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJsonWebKeySet,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, Client, ClientId, ClientSecret, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, ExtraTokenFields, IdTokenClaims, IdTokenFields, IssuerUrl, ProviderMetadata,
    StandardErrorResponse, StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::claims::Extra;
use super::{Fetch, SignInError};
use crate::config::{ProviderConfig, is_loopback};

/// Metadata is fetched again after this long.
const METADATA_LIVES: TimeDelta = TimeDelta::hours(1);
/// Where a provider does not answer, what is known of it serves for this long.
const METADATA_SERVES: TimeDelta = TimeDelta::hours(24);
/// After a failure everybody is told so at once for this long, instead of each waiting for another.
const METADATA_FAILED: TimeDelta = TimeDelta::seconds(10);
/// A key that is not known causes a new fetch, but not more often than this.
const KEYS_REFETCHED_AT_MOST: TimeDelta = TimeDelta::minutes(1);
/// Clocks may differ by this much.
pub(super) const SKEW: TimeDelta = TimeDelta::seconds(60);
/// Asymmetric only: a public key must never pass as an HMAC secret.
pub(super) const ALGORITHMS: [CoreJwsSigningAlgorithm; 5] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Metadata that openidconnect leaves to its user.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ExtraMetadata {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    end_session_endpoint: Option<url::Url>,
    revocation_endpoint: Option<url::Url>,
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl AdditionalProviderMetadata for ExtraMetadata {}

type Metadata = ProviderMetadata<
    ExtraMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What a token endpoint answers beyond OAuth.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ExtraTokens {
    /// Keycloak's: seconds that the refresh token lives, 0 for ever. Anybody's text, so it is read with care.
    refresh_expires_in: Option<serde_json::Value>,
}

impl ExtraTokenFields for ExtraTokens {}

impl ExtraTokens {
    /// How long the refresh token lives, where the provider says.
    pub(super) fn refresh_lives(&self) -> Option<TimeDelta> {
        let seconds = self.refresh_expires_in.as_ref()?.as_i64().filter(|seconds| *seconds > 0)?;
        TimeDelta::try_seconds(seconds)
    }
}

type TokenFields = IdTokenFields<
    Extra,
    ExtraTokens,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// What the token endpoint answers.
pub(crate) type Tokens = StandardTokenResponse<TokenFields, CoreTokenType>;

/// Verified claims.
pub(crate) type Claims = IdTokenClaims<Extra, CoreGenderClaim>;

type OidcClient = Client<
    Extra,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

#[derive(Clone)]
struct Known {
    metadata: Arc<Metadata>,
    fetched: DateTime<Utc>,
    /// When keys were last fetched because one was not known.
    keys_fetched: Option<DateTime<Utc>>,
}

/// A configured provider.
pub(crate) struct Provider {
    pub(crate) config: ProviderConfig,
    pub(crate) fetch: Fetch,
    pub(super) clock: Arc<dyn Clock>,
    // One fetch at a time: whoever comes meanwhile waits for its result.
    known: Mutex<Option<Known>>,
    /// When discovery last failed.
    failed: std::sync::Mutex<Option<DateTime<Utc>>>,
}

impl Provider {
    pub(crate) fn new(config: ProviderConfig, fetch: Fetch, clock: Arc<dyn Clock>) -> Self {
        Self { config, fetch, clock, known: Mutex::new(None), failed: std::sync::Mutex::new(None) }
    }

    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, SignInError> {
        let now = self.clock.now();
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| now - known.fetched < METADATA_LIVES) {
            return Ok(known.metadata.clone());
        }
        match self.discover_now_and_then(now).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                let keys_fetched = known.as_ref().and_then(|known| known.keys_fetched);
                *known = Some(Known { metadata: metadata.clone(), fetched: now, keys_fetched });
                Ok(metadata)
            }
            Err(error) => match known.as_mut() {
                Some(known) if now - known.fetched < METADATA_SERVES => {
                    tracing::warn!(%error, "the metadata of a provider could not be fetched; the known one serves on");
                    Ok(known.metadata.clone())
                }
                _ => Err(error),
            },
        }
    }

    /// Not again right after a failure.
    async fn discover_now_and_then(&self, now: DateTime<Utc>) -> Result<Metadata, SignInError> {
        let failed = || self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let lately = failed().is_some_and(|at| now - at < METADATA_FAILED);
        if lately {
            let issuer = &self.config.issuer;
            return Err(SignInError::Unavailable(format!("discovery of {issuer} failed a moment ago")));
        }
        let found = self.discover().await;
        // Its time is when it was given up, not when it began.
        *failed() = found.is_err().then(|| self.clock.now());
        found
    }

    async fn discover(&self) -> Result<Metadata, SignInError> {
        let issuer = IssuerUrl::new(self.config.issuer.clone())
            .map_err(|e| SignInError::Unavailable(format!("the issuer of {}: {e}", self.config.id)))?;
        // The library refuses metadata of another issuer than was asked for, compared exactly.
        let metadata = Metadata::discover_async(issuer, &self.fetch)
            .await
            .map_err(|e| SignInError::Unavailable(format!("discovery of {}: {e}", self.config.issuer)))?;
        sound(&metadata).map_err(|what| {
            SignInError::Unavailable(format!("the metadata of {}: {what}", self.config.issuer))
        })?;
        Ok(metadata)
    }

    /// `false`: the last fetch is too recent, so a stream of unknown key ids costs the provider nothing.
    pub(super) async fn refetch_keys(&self) -> Result<bool, SignInError> {
        let now = self.clock.now();
        let mut known = self.known.lock().await;
        let Some(current) = known.as_mut() else { return Ok(false) };
        if current.keys_fetched.is_some_and(|fetched| now - fetched < KEYS_REFETCHED_AT_MOST) {
            return Ok(false);
        }
        current.keys_fetched = Some(now);
        let keys = CoreJsonWebKeySet::fetch_async(current.metadata.jwks_uri(), &self.fetch)
            .await
            .map_err(|e| SignInError::Unavailable(format!("keys of {}: {e}", self.config.issuer)))?;
        current.metadata = Arc::new(Metadata::clone(&current.metadata).set_jwks(keys));
        Ok(true)
    }

    /// A client.
    pub(super) async fn client(&self) -> Result<OidcClient, SignInError> {
        let metadata = self.metadata().await?;
        let in_body = by_body(&metadata);
        Ok(OidcClient::from_provider_metadata(
            Metadata::clone(&*metadata),
            ClientId::new(self.config.client_id.clone()),
            Some(ClientSecret::new(self.config.client_secret.clone())),
        )
        .set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth }))
    }

    /// RFC 9207: an answer from another provider is refused, and so is one without a name where names were promised.
    pub(crate) async fn check_iss(&self, iss: Option<&str>) -> Result<(), SignInError> {
        let promised =
            self.metadata().await?.additional_metadata().authorization_response_iss_parameter_supported;
        match iss {
            Some(iss) if iss == self.config.issuer => Ok(()),
            Some(_) => Err(SignInError::Refused("the answer names another issuer".to_owned())),
            None if promised => Err(SignInError::Refused("the answer names no issuer".to_owned())),
            None => Ok(()),
        }
    }

    /// Where a browser goes to sign out at the provider too.
    pub(crate) async fn end_session_url(&self, origin: &str, id_token: Option<&str>) -> Option<url::Url> {
        let mut url = self.metadata().await.ok()?.additional_metadata().end_session_endpoint.clone()?;
        // The client's name is enough to come back. An id token goes along only where the operator wants that.
        let mut query = url.query_pairs_mut();
        query
            .append_pair("client_id", &self.config.client_id)
            .append_pair(&self.config.logout_redirect_parameter, &format!("{origin}/"));
        if let Some(token) = id_token.filter(|_| self.config.id_token_hint) {
            query.append_pair("id_token_hint", token);
        }
        drop(query);
        Some(url)
    }

    /// Where refresh tokens are revoked (RFC 7009), and whether our secret stands in the body there, as it does at the token
    /// endpoint.
    pub(super) async fn revocation(&self) -> Option<(url::Url, bool)> {
        let metadata = self.metadata().await.ok()?;
        let url = metadata.additional_metadata().revocation_endpoint.clone()?;
        Some((url, by_body(&metadata)))
    }
}

/// Whether our secret goes into the body. Basic is the default of OpenID Connect Discovery §3, and what every provider has to
/// take that does not say otherwise.
fn by_body(metadata: &Metadata) -> bool {
    metadata.token_endpoint_auth_methods_supported().is_some_and(|offered| {
        !offered.contains(&CoreClientAuthMethod::ClientSecretBasic)
            && offered.contains(&CoreClientAuthMethod::ClientSecretPost)
    })
}

/// What discovery must not say: endpoints in the clear, or that there is no S256.
fn sound(metadata: &Metadata) -> Result<(), &'static str> {
    let extra = metadata.additional_metadata();
    let endpoints = [
        Some(metadata.authorization_endpoint().url()),
        metadata.token_endpoint().map(|url| url.url()),
        metadata.userinfo_endpoint().map(|url| url.url()),
        Some(metadata.jwks_uri().url()),
        extra.end_session_endpoint.as_ref(),
        extra.revocation_endpoint.as_ref(),
    ];
    for url in endpoints.into_iter().flatten() {
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(url) => {}
            _ => return Err("an endpoint is neither https nor on this machine"),
        }
    }
    if metadata.token_endpoint().is_none() {
        return Err("there is no token endpoint");
    }
    match &extra.code_challenge_methods_supported {
        Some(methods) if !methods.iter().any(|method| method == "S256") => Err("PKCE by S256 is not offered"),
        _ => Ok(()),
    }
}
