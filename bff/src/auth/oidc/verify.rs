//! Whether an id token may be believed (OpenID Connect Core §3.1.3.7).

use chrono::{DateTime, Utc};
use openidconnect::{
    AccessTokenHash, ClaimsVerificationError, IdToken, Nonce, OAuth2TokenResponse, SignatureVerificationError,
};

use super::SignInError;
use super::provider::{ALGORITHMS, Claims, Provider, SKEW, Tokens};

/// What an id token has to say beyond being ours.
#[derive(Clone, Copy)]
pub(super) enum Due<'a> {
    /// The nonce of the sign-in, and, where that was asked for, that the person showed themselves since.
    SignIn { nonce: &'a Nonce, since: Option<DateTime<Utc>> },
    /// Of the same person as before; a renewed token has no nonce (§12.2).
    Renewal { subject: &'a str },
}

fn refused(what: impl std::fmt::Display) -> SignInError {
    SignInError::Refused(format!("id token: {what}"))
}

impl Provider {
    /// The claims of an id token: signature, issuer, audience, times and what is due.
    pub(super) async fn verify(&self, tokens: &Tokens, due: Due<'_>) -> Result<Claims, SignInError> {
        match self.verify_once(tokens, due).await? {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) if self.refetch_keys().await? => self.verify_once(tokens, due).await?.map_err(refused),
            // Keys were fetched for somebody else's sake a moment ago. That says nothing of who is signed in already.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) if matches!(due, Due::Renewal { .. }) => {
                Err(SignInError::Unavailable("the key of an id token is not known yet".to_owned()))
            }
            result => result.map_err(refused),
        }
        .and_then(|claims| self.fits(claims, due))
    }

    async fn verify_once(
        &self,
        tokens: &Tokens,
        due: Due<'_>,
    ) -> Result<Result<Claims, ClaimsVerificationError>, SignInError> {
        let client = self.client().await?;
        let id_token: &IdToken<_, _, _, _> =
            tokens.extra_fields().id_token().ok_or_else(|| refused("the provider gave none"))?;
        let now = self.clock.now();
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || now - SKEW)
            .set_issue_time_verifier_fn(move |issued| {
                if issued > now + SKEW { Err("issued in the future".to_owned()) } else { Ok(()) }
            });
        let verified = match due {
            Due::SignIn { nonce, .. } => id_token.claims(&verifier, nonce),
            Due::Renewal { .. } => id_token.claims(&verifier, |_: Option<&Nonce>| Ok(())),
        };
        let claims = match verified {
            Ok(claims) => claims.clone(),
            Err(error) => return Ok(Err(error)),
        };
        // §3.1.3.6: the access token belongs to this id token, where that is said.
        if let Some(said) = claims.access_token_hash() {
            let (Ok(algorithm), Ok(key)) = (id_token.signing_alg(), id_token.signing_key(&verifier)) else {
                return Err(refused("its key cannot be told"));
            };
            let is = AccessTokenHash::from_token(tokens.access_token(), algorithm, key).map_err(refused)?;
            if is != *said {
                return Err(refused("it belongs to another access token"));
            }
        }
        Ok(Ok(claims))
    }

    fn fits(&self, claims: Claims, due: Due<'_>) -> Result<Claims, SignInError> {
        if claims.authorized_party().is_some_and(|party| party.as_str() != self.config.client_id) {
            return Err(refused("it was issued to another client"));
        }
        if claims.subject().is_empty() {
            return Err(refused("it names nobody"));
        }
        match due {
            Due::Renewal { subject } if claims.subject().as_str() != subject => {
                Err(refused("it names somebody else than before"))
            }
            Due::SignIn { since: Some(since), .. } => match claims.auth_time() {
                None => Err(refused("it does not say when the person signed in")),
                Some(at) if at < since - SKEW || at > self.clock.now() + SKEW => {
                    Err(refused("the sign-in behind it is not a fresh one"))
                }
                Some(_) => Ok(claims),
            },
            Due::Renewal { .. } | Due::SignIn { since: None, .. } => Ok(claims),
        }
    }
}
