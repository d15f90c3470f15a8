//! The token, userinfo and revocation endpoints, as their client.

use axum::http::{Method, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{CoreErrorResponseType, CoreGenderClaim};
use openidconnect::{
    AuthorizationCode, Nonce, OAuth2TokenResponse, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, StandardErrorResponse, UserInfoClaims, UserInfoError,
};

use super::claims::Extra;
use super::fetch::FetchError;
use super::provider::{Claims, Provider, Tokens};
use super::verify::Due;
use super::{SignInError, person::Named};
use crate::auth::session::{self, SignInUnderWay};

/// Where a provider does not say how long its access tokens live (RFC 6749 §5.1 only recommends it).
const USUAL: TimeDelta = TimeDelta::hours(1);

/// What a provider gave, verified.
pub(super) struct Granted {
    pub(super) tokens: session::Tokens,
    /// Until then the refresh token lives, where the provider says.
    pub(super) lives_until: Option<DateTime<Utc>>,
    pub(super) claims: Option<Claims>,
    /// What to call the person.
    pub(super) named: Named,
}

/// What became of a refresh token.
pub(super) enum Renewal {
    Renewed(Box<Granted>),
    /// The provider takes it no more, or answered with something that must not be believed.
    Dead(String),
}

type TokenError = RequestTokenError<FetchError, StandardErrorResponse<CoreErrorResponseType>>;

impl Provider {
    /// A code becomes tokens; the id token is verified.
    pub(super) async fn redeem(
        &self,
        code: String,
        under_way: &SignInUnderWay,
        since: Option<DateTime<Utc>>,
    ) -> Result<(Claims, Granted), SignInError> {
        let redirect = self.redirect(&under_way.origin)?;
        let tokens = self
            .client()
            .await?
            .set_redirect_uri(redirect)
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|e| SignInError::Unavailable(format!("{} has no token endpoint: {e}", self.config.id)))?
            .set_pkce_verifier(PkceCodeVerifier::new(under_way.verifier.clone()))
            .request_async(&self.fetch)
            .await
            .map_err(told)?;
        let nonce = Nonce::new(under_way.nonce.clone());
        let claims = self.verify(&tokens, Due::SignIn { nonce: &nonce, since }).await?;
        let mut granted = self.granted(&tokens, None);
        granted.named = self.named(&claims, &tokens).await?;
        Ok((claims, granted))
    }

    /// Our address at an origin, for answers.
    pub(super) fn redirect(&self, origin: &str) -> Result<RedirectUrl, SignInError> {
        RedirectUrl::new(format!("{origin}/auth/callback"))
            .map_err(|e| SignInError::Unavailable(format!("our own address {origin}: {e}")))
    }

    /// New tokens for a refresh token. An error: the provider cannot be asked now, which says nothing of the person.
    pub(super) async fn renew(&self, refresh: &str, subject: &str) -> Result<Renewal, SignInError> {
        let token = RefreshToken::new(refresh.to_owned());
        let client = self.client().await?;
        let request = client.exchange_refresh_token(&token).map_err(|e| {
            SignInError::Unavailable(format!("{} has no token endpoint: {e}", self.config.id))
        })?;
        let tokens = match request.request_async(&self.fetch).await {
            Ok(tokens) => tokens,
            Err(RequestTokenError::ServerResponse(answer))
                if *answer.error() == CoreErrorResponseType::InvalidGrant =>
            {
                return Ok(Renewal::Dead("the provider takes the refresh token no more".to_owned()));
            }
            // Our own credentials are wrong, say: nothing that a person should pay for.
            Err(error) => return Err(SignInError::Unavailable(told(error).to_string())),
        };
        let mut granted = self.granted(&tokens, Some(refresh));
        if tokens.extra_fields().id_token().is_some() {
            match self.verify(&tokens, Due::Renewal { subject }).await {
                Ok(claims) => granted.claims = Some(claims),
                Err(SignInError::Refused(why)) => return Ok(Renewal::Dead(why)),
                // The token that was sent is spent: what came for it is kept, and its claims are looked at next time.
                Err(other) => tracing::warn!(error = %other, "a renewed id token could not be looked at"),
            }
        }
        Ok(Renewal::Renewed(Box::new(granted)))
    }

    fn granted(&self, tokens: &Tokens, before: Option<&str>) -> Granted {
        let now = self.clock.now();
        let refresh = tokens.refresh_token().map(|token| token.secret().clone());
        // A provider that does not rotate gives no new one: the old one stays good (RFC 6749 §6).
        let refresh = refresh.or_else(|| before.map(str::to_owned));
        let lives = tokens.expires_in().and_then(|lives| TimeDelta::from_std(lives).ok()).unwrap_or(USUAL);
        let extra = tokens.extra_fields().extra_fields();
        let id = tokens.extra_fields().id_token().filter(|_| self.config.id_token_hint);
        Granted {
            lives_until: extra.refresh_lives().filter(|_| refresh.is_some()).map(|lives| now + lives),
            tokens: session::Tokens {
                due: refresh.is_some().then_some(now + lives.min(TimeDelta::days(1))),
                refresh,
                id: id.map(ToString::to_string),
            },
            claims: None,
            named: Named::default(),
        }
    }

    /// What to call a person: by the id token, else by userinfo, whose answer must be of the same person (§5.3.2).
    async fn named(&self, claims: &Claims, tokens: &Tokens) -> Result<Named, SignInError> {
        let named = Named::of_claims(claims);
        let client = self.client().await?;
        if named.is_somebody() {
            return Ok(named);
        }
        let subject = Some(claims.subject().clone());
        let Ok(request) = client.user_info(tokens.access_token().clone(), subject) else { return Ok(named) };
        let answer: Result<UserInfoClaims<Extra, CoreGenderClaim>, _> =
            request.require_signed_response(false).request_async(&self.fetch).await;
        match answer {
            Ok(info) => Ok(Named::of_userinfo(&info)),
            Err(UserInfoError::Request(why)) => Err(SignInError::Unavailable(format!("userinfo: {why}"))),
            Err(UserInfoError::ClaimsVerification(error)) => {
                Err(SignInError::Refused(format!("userinfo: {error}")))
            }
            Err(_) => Err(SignInError::Refused("the answer of userinfo cannot be read".to_owned())),
        }
    }

    fn revocation_request(
        &self,
        url: &url::Url,
        in_body: bool,
        token: &str,
    ) -> http::Result<http::Request<Vec<u8>>> {
        let (id, secret) = (self.config.client_id.as_str(), self.config.client_secret.as_str());
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.append_pair("token", token).append_pair("token_type_hint", "refresh_token");
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(url.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if in_body {
            body.append_pair("client_id", id).append_pair("client_secret", secret);
        } else {
            let encode =
                |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let client = STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
            request = request.header(header::AUTHORIZATION, format!("Basic {client}"));
        }
        request.body(body.finish().into_bytes())
    }

    /// RFC 7009. A provider that does not answer keeps nobody signed in here, so it is only logged.
    pub(crate) async fn revoke(&self, token: &str) {
        let Some((url, in_body)) = self.revocation().await else { return };
        let request = self.revocation_request(&url, in_body, token);
        let outcome = match request {
            Ok(request) => self.fetch.send(request).await.map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => {
                tracing::warn!(status = answer.status().as_u16(), "a refresh token was not revoked");
            }
            Err(error) => tracing::warn!(%error, "a refresh token was not revoked"),
        }
    }
}

/// An answer of the token endpoint that is none. The answer itself may hold a token, so it is not shown.
fn told(error: TokenError) -> SignInError {
    match error {
        RequestTokenError::ServerResponse(refusal) => {
            // Its own words could be anything, a token of ours included.
            let code = match refusal.error() {
                CoreErrorResponseType::Extension(_) => "an error of its own",
                known => known.as_ref(),
            };
            SignInError::Refused(format!("the token endpoint answered {code}"))
        }
        RequestTokenError::Request(error) => {
            SignInError::Unavailable(format!("the token endpoint does not answer: {error}"))
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            SignInError::Refused("the token endpoint's answer cannot be read".to_owned())
        }
    }
}
