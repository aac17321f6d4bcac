//! Answers and refusals as the awsJson protocols write them: 1.0 of CloudWatch, 1.1 of all others.

use axum::body::Body;
use axum::http::{HeaderName, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use tidegate_engine::ports::Spoke;
use tidegate_events::id::AccountId;

use super::Service;
use super::signature::Caller;
use crate::clock::Ms;
use crate::world::Inner;

/// One call under way: who, where, and the world it is about.
pub(super) struct Asked<'a> {
    pub inner: &'a mut Inner,
    /// The caller's account and the Region of its signature.
    pub spoke: Spoke,
    /// The account that owns the aggregator and the organization.
    pub hub: AccountId,
    pub caller: &'a Caller,
    /// As it is counted: `ssm:SendCommand`.
    pub call: &'static str,
}

/// What an operation comes to.
pub(super) type Answer = Result<Value, Refusal>;

/// Why there is no answer, or not the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An error as AWS words it.
    Error { status: StatusCode, code: &'static str, message: String },
    /// The connection is closed without an answer.
    Cut,
}

impl Refusal {
    /// An error of the caller.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self::Error { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    /// An error of the server.
    pub fn server(code: &'static str, message: &str) -> Self {
        Self::Error { status: StatusCode::INTERNAL_SERVER_ERROR, code, message: message.to_owned() }
    }

    /// A value outside of its limits, as every service words it.
    pub fn constraint(value: impl std::fmt::Display, member: &str, constraint: impl std::fmt::Display) -> Self {
        let message = format!("1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}");
        Self::new("ValidationException", message)
    }

    /// A required member that is missing.
    pub fn missing(member: &str) -> Self {
        Self::constraint("null", member, "Member must not be null")
    }

    /// Too many calls, as this service words it.
    pub fn throttled(service: Service) -> Self {
        let code = match service {
            Service::Ssm | Service::Config | Service::CloudWatch => "ThrottlingException",
            Service::Organizations => "TooManyRequestsException",
            Service::Tagging => "ThrottledException",
            Service::Sts => "Throttling",
        };
        Self::new(code, "Rate exceeded")
    }

    /// Something broke inside the service.
    pub fn broken(service: Service) -> Self {
        let code = match service {
            Service::Ssm => "InternalServerError",
            Service::Config | Service::Sts => "InternalFailure",
            Service::Organizations => "ServiceException",
            Service::Tagging => "InternalServiceException",
            Service::CloudWatch => "InternalServiceFault",
        };
        Self::server(code, "An error occurred on the server side.")
    }
}

/// Errors of Systems Manager that carry `message` in small letters; where the model names no member, too.
const SSM_SMALL: [&str; 8] = [
    "InvalidCommandId",
    "InvocationDoesNotExist",
    "DuplicateInstanceId",
    "InvalidFilterKey",
    "InvalidInstanceInformationFilterValue",
    "InvalidPluginName",
    "InvalidResourceId",
    "InvalidResourceType",
];

/// The member that carries the text of an error in this service's model.
fn message_member(service: Option<Service>, code: &str) -> &'static str {
    // Errors that every service has are in no model.
    let common = [
        "ThrottlingException",
        "ValidationException",
        "SerializationException",
        "MissingAuthenticationTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "UnrecognizedClientException",
        "UnknownOperationException",
    ];
    match service {
        _ if common.contains(&code) => "message",
        Some(Service::Ssm) if code != "AccessDeniedException" && !SSM_SMALL.contains(&code) => "Message",
        Some(Service::Organizations | Service::Tagging) => "Message",
        Some(Service::Ssm | Service::Config | Service::CloudWatch | Service::Sts) | None => "message",
    }
}

/// The response to a call. `id` is what `x-amzn-RequestId` says.
pub(super) fn respond(service: Option<Service>, answer: &Answer, id: &str) -> Response<Body> {
    let (status, body) = match answer {
        Ok(value) => (StatusCode::OK, value.clone()),
        Err(Refusal::Cut) => (StatusCode::SERVICE_UNAVAILABLE, json!({})),
        Err(Refusal::Error { status, code, message }) => {
            let mut fields = Map::from_iter([("__type".to_owned(), json!(code))]);
            if !message.is_empty() {
                fields.insert(message_member(service, code).to_owned(), json!(message));
            }
            (*status, Value::Object(fields))
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let version = if service == Some(Service::CloudWatch) { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(version));
    if let Ok(id) = id.parse() {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}

/// A time as awsJson1.1 writes it: seconds since 1970, with milliseconds.
pub(super) fn epoch(at: Ms) -> Value {
    // Exact: milliseconds of any time that a calendar has stay far below 2^53.
    json!(at as f64 / 1_000.0)
}

/// Leaves out what is not there: AWS writes no nulls.
pub(super) fn compact(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}
