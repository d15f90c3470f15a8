//! Server-sent events by the `graphql-sse` protocol, in its mode of one connection a operation.

use std::convert::Infallible;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::future::{self, Either};
use futures::stream::{self, BoxStream, StreamExt};
use tower_sessions::Session;

use super::graphql::{self, Media};
use super::{RequestContext, watches, ws};
use crate::app::App;
use crate::graphql::{Execution, execute, prepare, refusal, too_many};

pub(crate) async fn stream(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let request = match graphql::read(&app, &parts.headers, body).await {
        Ok(request) => request,
        Err((status, message)) => {
            let refusal = graphql::refused(Media::Json, status, message, &context);
            return graphql::unexecuted(&app, Media::Json, &context, refusal).await;
        }
    };
    let visitor = match graphql::visitor(&app, &context, &session, &parts.headers).await {
        Ok(visitor) => visitor,
        Err(response) => return response,
    };
    let signed_in = visitor.session.as_ref().and_then(Session::id);
    let mut prepared = prepare(&app, request, &context.request_id);
    let spent = match &prepared {
        Ok(asked) => graphql::spend(&app, &context, &visitor, asked).await.is_ok(),
        Err(_) => app.rates.take_refused(context.from).await.is_ok(),
    };
    if !spent {
        prepared = Err(too_many("Too many requests.", &context.request_id));
    }
    let answers: Result<BoxStream<'static, Execution>, Execution> = match prepared {
        Err(refused) => Err(refused),
        Ok(prepared) if prepared.kind == OperationType::Subscription => {
            watches::open(&app, &context, visitor, prepared)
        }
        Ok(prepared) => {
            let app = app.clone();
            Ok(stream::once(async move { execute(&app, visitor, prepared).await }).boxed())
        }
    };
    // By this protocol whatever GraphQL itself has to say is an event.
    let answers = answers.unwrap_or_else(|refused| stream::once(future::ready(refused)).boxed());
    let ended = ws::session_ended(app.clone(), signed_in);
    let stopping = app.tasks.stopping();
    let until = async move {
        let stopped = std::pin::pin!(stopping.cancelled());
        match future::select(std::pin::pin!(ended), stopped).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    };
    let events = answers
        .map(|execution| named("next", serde_json::to_string(&execution).unwrap_or_default()))
        .chain(stream::once(future::ready(named("complete", String::new()))))
        .take_until(Box::pin(until))
        .map(Ok::<_, Infallible>);
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn named(event: &str, data: String) -> Event {
    Event::default().event(event).data(data)
}

/// The protocol's mode of one connection for several operations is not offered.
pub(crate) async fn refused(Extension(context): Extension<RequestContext>) -> Response {
    let message = "Streams are opened by POST, one a operation.";
    let mut response =
        (StatusCode::METHOD_NOT_ALLOWED, axum::Json(refusal(message, &context.request_id))).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}
