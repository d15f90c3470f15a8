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
    AdditionalProviderMetadata, ClaimsVerificationError, Client, ClientId, ClientSecret,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenClaims, IdTokenFields,
    IssuerUrl, Nonce, ProviderMetadata, RedirectUrl, SignatureVerificationError, StandardErrorResponse,
    StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::claims::Extra;
use super::{Fetch, SignInError};
use crate::config::ProviderConfig;

/// Metadata is fetched again after this long.
const METADATA_LIVES: TimeDelta = TimeDelta::hours(1);
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

type TokenFields = IdTokenFields<
    Extra,
    EmptyExtraTokenFields,
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
    keys_fetched: DateTime<Utc>,
}

/// A configured provider.
pub(crate) struct Provider {
    pub(crate) config: ProviderConfig,
    pub(crate) fetch: Fetch,
    clock: Arc<dyn Clock>,
    // One fetch at a time: whoever comes meanwhile waits for its result.
    known: Mutex<Option<Known>>,
}

impl Provider {
    pub(crate) fn new(config: ProviderConfig, fetch: Fetch, clock: Arc<dyn Clock>) -> Self {
        Self { config, fetch, clock, known: Mutex::new(None) }
    }

    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, SignInError> {
        let now = self.clock.now();
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| now - known.fetched < METADATA_LIVES) {
            return Ok(known.metadata.clone());
        }
        let metadata = Arc::new(self.discover().await?);
        *known = Some(Known { metadata: metadata.clone(), fetched: now, keys_fetched: now });
        Ok(metadata)
    }

    async fn discover(&self) -> Result<Metadata, SignInError> {
        let issuer = IssuerUrl::new(self.config.issuer.clone())
            .map_err(|e| SignInError::Unavailable(format!("the issuer of {}: {e}", self.config.id)))?;
        // The library refuses metadata of another issuer than was asked for, compared exactly.
        Metadata::discover_async(issuer, &self.fetch)
            .await
            .map_err(|e| SignInError::Unavailable(format!("discovery of {}: {e}", self.config.issuer)))
    }

    /// `false`: the last fetch is too recent, so a stream of unknown key ids costs the provider nothing.
    pub(super) async fn refetch_keys(&self) -> Result<bool, SignInError> {
        let now = self.clock.now();
        let mut known = self.known.lock().await;
        let Some(current) = known.as_mut() else { return Ok(false) };
        if now - current.keys_fetched < KEYS_REFETCHED_AT_MOST {
            return Ok(false);
        }
        current.keys_fetched = now;
        let keys = CoreJsonWebKeySet::fetch_async(current.metadata.jwks_uri(), &self.fetch)
            .await
            .map_err(|e| SignInError::Unavailable(format!("keys of {}: {e}", self.config.issuer)))?;
        current.metadata = Arc::new(Metadata::clone(&current.metadata).set_jwks(keys));
        Ok(true)
    }

    /// A client for one redirect address.
    pub(crate) async fn client(&self, origin: &str) -> Result<OidcClient, SignInError> {
        let redirect = RedirectUrl::new(format!("{origin}/auth/callback"))
            .map_err(|e| SignInError::Unavailable(format!("our own address {origin}: {e}")))?;
        Ok(OidcClient::from_provider_metadata(
            Metadata::clone(&*self.metadata().await?),
            ClientId::new(self.config.client_id.clone()),
            Some(ClientSecret::new(self.config.client_secret.clone())),
        )
        .set_redirect_uri(redirect))
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

    /// The claims of an id token: signature, issuer, audience, times and nonce.
    pub(crate) async fn verify(
        &self,
        tokens: &Tokens,
        nonce: &Nonce,
        origin: &str,
    ) -> Result<Claims, SignInError> {
        let refused = |e: ClaimsVerificationError| SignInError::Refused(format!("id token: {e}"));
        match self.verify_once(tokens, nonce, origin).await? {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) if self.refetch_keys().await? => {
                self.verify_once(tokens, nonce, origin).await?.map_err(refused)
            }
            result => result.map_err(refused),
        }
    }

    async fn verify_once(
        &self,
        tokens: &Tokens,
        nonce: &Nonce,
        origin: &str,
    ) -> Result<Result<Claims, ClaimsVerificationError>, SignInError> {
        let client = self.client(origin).await?;
        let id_token = tokens
            .extra_fields()
            .id_token()
            .ok_or_else(|| SignInError::Refused("the provider gave no id token".to_owned()))?;
        let now = self.clock.now();
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || now - SKEW)
            .set_issue_time_verifier_fn(move |issued| {
                if issued > now + SKEW { Err("issued in the future".to_owned()) } else { Ok(()) }
            });
        Ok(id_token.claims(&verifier, nonce).cloned())
    }

    /// Where a browser goes to sign out at the provider too.
    pub(crate) async fn end_session_url(&self, origin: &str) -> Option<url::Url> {
        let mut url = self.metadata().await.ok()?.additional_metadata().end_session_endpoint.clone()?;
        // No id token goes along as a hint: tokens never leave the BFF. The client's name is enough to come back.
        url.query_pairs_mut()
            .append_pair("client_id", &self.config.client_id)
            .append_pair("post_logout_redirect_uri", &format!("{origin}/"));
        Some(url)
    }

    /// Where refresh tokens are revoked (RFC 7009).
    pub(crate) async fn revocation_url(&self) -> Option<url::Url> {
        self.metadata().await.ok()?.additional_metadata().revocation_endpoint.clone()
    }
}
