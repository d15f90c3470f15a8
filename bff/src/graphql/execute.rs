//! From a request to an answer, by whichever way it came.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{ErrorExtensionValues, PathSegment, Request, Response, ServerError, Value, Variables};
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::documents::{self, TooMuch};
use super::error::Code;
use super::scope::Scope;
use super::shape::{Ordered, Plan};
use crate::app::App;
use crate::auth::Visitor;

/// More errors than this say nothing that the first ones did not.
const MOST_ERRORS: usize = 25;

/// The members of a request (GraphQL over HTTP, §5.4).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GraphqlRequest {
    pub(crate) query: String,
    #[serde(default)]
    pub(crate) operation_name: Option<String>,
    #[serde(default)]
    pub(crate) variables: Option<serde_json::Map<String, serde_json::Value>>,
    /// Only its being a map is of interest yet.
    #[serde(default)]
    #[allow(dead_code, reason = "refuses what is not a map")]
    pub(crate) extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A parsed request within the limits.
pub(crate) struct Prepared {
    pub(crate) kind: OperationType,
    request: Request,
    plan: Arc<Plan>,
}

/// An answer, ready to be written.
pub(crate) struct Execution {
    /// Absent where the request failed before anything was executed.
    data: Option<(Value, Arc<Plan>)>,
    pub(crate) errors: Vec<ServerError>,
}

impl Serialize for Execution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = serializer.serialize_map(None)?;
        // Errors first, as the specification advises: a reader sees at once that something failed.
        if !self.errors.is_empty() {
            written.serialize_entry("errors", &self.errors)?;
        }
        if let Some((data, plan)) = &self.data {
            written.serialize_entry("data", &Ordered { data, plan })?;
        }
        written.end()
    }
}

impl Execution {
    /// A refusal of the request itself.
    fn refused(code: Code, message: &str, request_id: &str) -> Self {
        let mut error = ServerError::new(message, None);
        describe(&mut error, code, request_id);
        Self { data: None, errors: vec![error] }
    }

    /// Whether nothing was executed.
    pub(crate) fn is_request_error(&self) -> bool {
        self.data.is_none()
    }
}

/// Parses, and measures before and after.
pub(crate) fn prepare(app: &App, request: GraphqlRequest, request_id: &str) -> Result<Prepared, Execution> {
    let too_much = |error: &TooMuch| Execution::refused(Code::TooComplex, &error.to_string(), request_id);
    documents::check_text(&request.query, app.config.limits).map_err(|e| too_much(&e))?;
    let mut parsed = Request::new(request.query);
    parsed.operation_name = request.operation_name;
    if let Some(variables) = request.variables {
        parsed.variables = Variables::from_json(serde_json::Value::Object(variables));
    }
    let name = parsed.operation_name.clone();
    let document = match parsed.parsed_query() {
        Ok(document) => document,
        Err(mut error) => {
            let code = code_of(&error.message);
            describe(&mut error, code, request_id);
            return Err(Execution { data: None, errors: vec![error] });
        }
    };
    documents::check(document, app.config.limits).map_err(|e| too_much(&e))?;
    let operation = documents::operation(document, name.as_deref()).ok_or_else(|| {
        let sentence = "operationName has to name one of the document's operations.";
        Execution::refused(Code::BadUserInput, sentence, request_id)
    })?;
    let (kind, plan) = (operation.ty, Plan::new(&app.types, document, operation));
    Ok(Prepared { kind, request: parsed, plan })
}

/// Executes a query or mutation.
pub(crate) async fn execute(app: &Arc<App>, visitor: Visitor, prepared: Prepared) -> Execution {
    let request_id = visitor.caller.request_id.clone();
    let scope = Arc::new(Scope::request(app.clone(), visitor));
    let execution = app.schema.execute(prepared.request.data(scope.clone()));
    finished(scope.queue.drive(Box::pin(execution)).await, &prepared.plan, &request_id)
}

/// The answers of a subscription.
pub(crate) fn subscribe(
    app: &Arc<App>,
    visitor: Visitor,
    prepared: Prepared,
) -> impl Stream<Item = Execution> + Send + Unpin + 'static {
    let request_id = visitor.caller.request_id.clone();
    let scope = Arc::new(Scope::subscription(app.clone(), visitor));
    let events = app.schema.execute_stream(prepared.request.data(scope.clone()));
    let plan = prepared.plan;
    scope.queue.drive(events).map(move |response| finished(response, &plan, &request_id))
}

fn finished(mut response: Response, plan: &Arc<Plan>, request_id: &str) -> Execution {
    let executed = response.errors.is_empty()
        || response.data != Value::Null
        || response.errors.iter().any(|error| !error.path.is_empty());
    for error in &response.errors {
        plan.fail(&mut response.data, &error.path);
    }
    response.errors.truncate(MOST_ERRORS);
    for error in &mut response.errors {
        let code = code_of(&error.message);
        describe(error, code, request_id);
    }
    Execution { data: executed.then(|| (response.data, plan.clone())), errors: response.errors }
}

/// Of an error of the executor's own.
fn code_of(message: &str) -> Code {
    let limits = ["Query is too complex.", "Query is nested too deep.", "The recursion depth of the query"];
    if limits.iter().any(|limit| message.starts_with(limit)) { Code::TooComplex } else { Code::BadUserInput }
}

/// Every error has a code and the request's name; one that has a code already keeps it.
fn describe(error: &mut ServerError, code: Code, request_id: &str) {
    let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
    if extensions.get("code").is_none() {
        extensions.set("code", code.as_str());
        extensions.set("reason", if code == Code::BadUserInput { "INVALID_ARGUMENT" } else { code.as_str() });
        extensions.set("retryable", code == Code::RateLimited);
    }
    extensions.set("requestId", request_id);
    if matches!(extensions.get("code"), Some(Value::String(code)) if code == "INTERNAL") {
        let path: Vec<String> = error
            .path
            .iter()
            .map(|segment| match segment {
                PathSegment::Field(name) => name.clone(),
                PathSegment::Index(at) => at.to_string(),
            })
            .collect();
        tracing::error!(event = "graphql.internal", path = path.join("."), "a field could not be resolved");
    }
}

/// The request itself is not one.
pub(crate) fn refusal(message: &str, request_id: &str) -> Execution {
    Execution::refused(Code::BadUserInput, message, request_id)
}

/// The client has as much as it may.
pub(crate) fn too_many(message: &str, request_id: &str) -> Execution {
    Execution::refused(Code::RateLimited, message, request_id)
}
