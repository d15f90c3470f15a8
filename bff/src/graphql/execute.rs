//! From a request to an answer, by whichever way it came.

use std::sync::Arc;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::OperationType;
use async_graphql::{ErrorExtensionValues, PathSegment, Request, Response, ServerError, Value, Variables};
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::cost;
use super::documents::{self, TooMuch};
use super::error::Code;
use super::known::{Hash, Known, Operation, hash};
use super::persisted::{self, Asked};
use super::scope::Scope;
use super::shape::{Ordered, Plan, Types};
use crate::app::App;
use crate::auth::Visitor;
use crate::config::Limits;

/// More errors than this say nothing that the first ones did not.
const MOST_ERRORS: usize = 25;

/// The members of a request (GraphQL over HTTP, §5.4).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GraphqlRequest {
    /// Absent where `extensions.persistedQuery` names it.
    #[serde(default)]
    pub(crate) query: Option<String>,
    #[serde(default)]
    pub(crate) operation_name: Option<String>,
    #[serde(default)]
    pub(crate) variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    pub(crate) extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A parsed request within the limits.
pub(crate) struct Prepared {
    pub(crate) kind: OperationType,
    /// What it costs at most, in fields with lists counted by their size: what rates are counted in.
    pub(crate) cost: u32,
    request: Request,
    plan: Arc<Plan>,
    /// Of document, operation and variables: what validation depends on.
    hash: Hash,
    /// The document, to be kept once it has been executed.
    document: (Hash, Arc<Known>),
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

    /// The hash names nothing that is kept: the client sends the text along. The message is the protocol's.
    fn not_kept(request_id: &str) -> Self {
        let mut refused = Self::refused(Code::BadUserInput, persisted::NOT_KEPT, request_id);
        for error in &mut refused.errors {
            let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
            extensions.set("reason", "PERSISTED_QUERY_NOT_FOUND");
            extensions.set("retryable", true);
        }
        refused
    }

    /// Whether nothing was executed.
    pub(crate) fn is_request_error(&self) -> bool {
        self.data.is_none()
    }
}

/// Parses, and measures before and after; what was seen lately is known already.
pub(crate) fn prepare(app: &App, request: GraphqlRequest, request_id: &str) -> Result<Prepared, Execution> {
    let (document_hash, known) = known(app, &request, request_id)?;
    let GraphqlRequest { operation_name, variables, .. } = request;
    let Operation { kind, plan, required, .. } =
        known.operation(operation_name.as_deref()).ok_or_else(|| {
            let sentence = "operationName has to name one of the document's operations.";
            Execution::refused(Code::BadUserInput, sentence, request_id)
        })?;
    // The executor would find this out on the way (October 2021, §6.1.2).
    let missing = required.iter().find(|name| {
        variables.as_ref().and_then(|given| given.get(name.as_str())).is_none_or(serde_json::Value::is_null)
    });
    if let Some(name) = missing {
        let sentence = format!("The variable ${name} is required.");
        return Err(Execution::refused(Code::BadUserInput, &sentence, request_id));
    }
    let given = variables.as_ref().map(|given| serde_json::to_vec(given).unwrap_or_default());
    let name = operation_name.as_deref().unwrap_or_default();
    let hash = hash(&[&document_hash, name.as_bytes(), given.as_deref().unwrap_or_default()]);
    let none = serde_json::Map::new();
    let mut costs = 1;
    if let Some(operation) = documents::operation(&known.document, operation_name.as_deref()) {
        documents::check_variables(&known.document, operation, given.as_ref().map_or(0, Vec::len))
            .map_err(|error| Execution::refused(Code::TooComplex, &error.to_string(), request_id))?;
        costs = cost::cost(&known.document, operation, variables.as_ref().unwrap_or(&none), &app.types);
    }
    // What is more complex than that is refused, and costs its refusal.
    let cost = costs.min(u32::try_from(app.config.limits.complexity).unwrap_or(u32::MAX));
    // The executor parses no text where it is given a document.
    let mut parsed = Request::new(String::new());
    parsed.set_parsed_query(known.document.clone());
    parsed.operation_name = operation_name;
    if let Some(variables) = variables {
        parsed.variables = Variables::from_json(serde_json::Value::Object(variables));
    }
    let (kind, plan) = (*kind, plan.clone());
    Ok(Prepared { kind, cost, request: parsed, plan, hash, document: (document_hash, known) })
}

/// The document that a request has or names.
fn known(app: &App, request: &GraphqlRequest, request_id: &str) -> Result<(Hash, Arc<Known>), Execution> {
    let refused = |message: &str| Execution::refused(Code::BadUserInput, message, request_id);
    let asked = persisted::asked(request).map_err(|wrong| refused(&wrong.to_string()))?;
    let (hash, text) = match asked {
        Asked::Text(text) => (hash(&[text.as_bytes()]), Some(text)),
        Asked::Both(text, hash) => (hash, Some(text)),
        Asked::Hash(hash) => (hash, None),
    };
    if app.trusted.is_exclusive() && !app.trusted.contains(&hash) {
        return Err(Execution::refused(
            Code::Forbidden,
            "Only the documents of this site's own pages are executed.",
            request_id,
        ));
    }
    if let Some(known) = app.documents.find(&hash) {
        return Ok((hash, known));
    }
    let text = match text.or_else(|| app.trusted.text(&hash)) {
        Some(text) => text,
        None => return Err(Execution::not_kept(request_id)),
    };
    Ok((hash, Arc::new(measured(app.config.limits, &app.types, text, request_id)?)))
}

fn measured(limits: Limits, types: &Types, text: &str, request_id: &str) -> Result<Known, Execution> {
    let too_much = |error: &TooMuch| {
        let malformed = matches!(error, TooMuch::Cycle(_) | TooMuch::Unclosed);
        let code = if malformed { Code::BadUserInput } else { Code::TooComplex };
        Execution::refused(code, &error.to_string(), request_id)
    };
    documents::check_text(text, limits).map_err(|e| too_much(&e))?;
    let document = parse_query(text).map_err(|error| {
        let mut error = ServerError::from(error);
        let code = code_of(&error.message);
        // The parser's own words quote the line that they are about; where that is, is said beside them.
        error.message = match code {
            Code::TooComplex => "The document is nested too deep.".to_owned(),
            _ => "The document is not GraphQL.".to_owned(),
        };
        describe(&mut error, code, request_id);
        Execution { data: None, errors: vec![error] }
    })?;
    documents::check(&document, limits).map_err(|e| too_much(&e))?;
    let operations = document.operations.iter().map(|(name, operation)| Operation {
        name: name.map(ToString::to_string),
        kind: operation.node.ty,
        plan: Plan::new(types, &document, &operation.node),
        required: documents::required_variables(&operation.node),
    });
    Ok(Known { text: text.into(), operations: operations.collect(), document })
}

/// For feeding it rubbish: whether a request's document is within the limits. All that happens before execution happens.
#[cfg(test)]
pub(crate) fn read_document(request: &GraphqlRequest, limits: Limits, types: &Types) -> bool {
    let Ok(Asked::Text(text) | Asked::Both(text, _)) = persisted::asked(request) else { return false };
    let Ok(known) = measured(limits, types, text, "") else { return false };
    let variables = request.variables.clone().unwrap_or_default();
    known.operations.iter().all(|operation| {
        let name = operation.name.as_deref();
        documents::operation(&known.document, name)
            .is_some_and(|operation| cost::cost(&known.document, operation, &variables, types) > 0)
    })
}

/// Executes a query or mutation. A query ends with whoever asked; a mutation that has begun is made, and its answer kept
/// for whoever repeats it.
pub(crate) async fn execute(app: &Arc<App>, visitor: Visitor, prepared: Prepared) -> Execution {
    if prepared.kind != OperationType::Mutation {
        return executed(app, visitor, prepared).await;
    }
    let all = app.clone();
    app.to_its_end(async move { executed(&all, visitor, prepared).await }).await
}

async fn executed(app: &Arc<App>, visitor: Visitor, prepared: Prepared) -> Execution {
    let request_id = visitor.caller.request_id.clone();
    let scope = Arc::new(Scope::request(app.clone(), visitor));
    // Validation depends on nothing but the request, so a request is validated once.
    let was_valid = app.documents.is_valid(&prepared.hash);
    let schema = if was_valid { &app.schema.validated } else { &app.schema.strict };
    let execution = schema.execute(prepared.request.data(scope.clone()));
    let execution = finished(scope.queue.drive(Box::pin(execution)).await, &prepared.plan, &request_id);
    if !was_valid && !execution.is_request_error() {
        app.documents.was_valid(prepared.hash);
    }
    // Only what is worth finding again, and has been paid for.
    if !execution.is_request_error() {
        let (hash, known) = prepared.document;
        app.documents.keep(hash, known);
    }
    execution
}

/// The answers of a subscription.
pub(crate) fn subscribe(
    app: &Arc<App>,
    visitor: Visitor,
    prepared: Prepared,
) -> impl Stream<Item = Execution> + Send + Unpin + 'static {
    let request_id = visitor.caller.request_id.clone();
    let scope = Arc::new(Scope::subscription(app.clone(), visitor));
    let events = app.schema.strict.execute_stream(prepared.request.data(scope.clone()));
    let (app, plan, mut document) = (app.clone(), prepared.plan, Some(prepared.document));
    scope.queue.drive(events).map(move |response| {
        let execution = finished(response, &plan, &request_id);
        if !execution.is_request_error()
            && let Some((hash, known)) = document.take()
        {
            app.documents.keep(hash, known);
        }
        execution
    })
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
