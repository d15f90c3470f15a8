//! HTTP to a provider: bounded in time and size, and never redirected.

use std::pin::Pin;
use std::time::Duration;

use futures::TryStreamExt;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

const CONNECT: Duration = Duration::from_secs(3);
/// Metadata, keys and tokens are a few kilobytes.
const LARGEST: usize = 512 * 1024;

/// The provider did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no usable answer: {0}")]
    Http(#[from] reqwest::Error),
    #[error("the answer is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("the provider answered {0}")]
    Status(u16),
    #[error(transparent)]
    Response(#[from] http::Error),
}

/// One client for all providers; connections are shared.
#[derive(Clone)]
pub(crate) struct Fetch(reqwest::Client);

impl Fetch {
    /// `exchange`: the time one request may take, from the first byte sent to the last received.
    pub(crate) fn new(exchange: Duration) -> Result<Self, reqwest::Error> {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT.min(exchange))
            .timeout(exchange)
            .user_agent("councilsense")
            .build()
            .map(Self)
    }

    pub(crate) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let answer = self.0.execute(reqwest::Request::try_from(request)?).await?;
        // A provider in trouble is told apart from one that refuses.
        if answer.status().is_server_error() {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let mut response = http::Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            *headers = answer.headers().clone();
        }
        let mut body = Vec::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.try_next().await? {
            if body.len() + chunk.len() > LARGEST {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(response.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Fetch {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
