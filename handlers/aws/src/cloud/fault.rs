//! Every error of the SDK, classified in one place: what happened, what it proves, and what is done about it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tidegate_engine::ports::Spoke;
use tidegate_events::host::SpokeFault;

use super::meter::{Meter, Place};

/// Codes that mean "slow down".
const THROTTLES: [&str; 12] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "SlowDown",
    "EC2ThrottledException",
];
/// Codes that mean "you may not".
const DENIALS: [&str; 8] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "UnauthorizedOperation",
    "OptInRequired",
    "NotAuthorized",
    "MissingAuthenticationToken",
];
/// Codes that mean that the session, or the signature's time, is over: a new session and a new signature may pass.
const STALE: [&str; 9] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
];
/// Codes that say that the service itself does not know what became of the request.
const SERVICE_FAULTS: [&str; 10] = [
    "InternalServerError",
    "InternalServerErrorException",
    "InternalFailure",
    "InternalError",
    "InternalErrorException",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestTimeout",
    "RequestTimeoutException",
];

/// Characters of AWS's message that are kept.
const MESSAGE_MAX: usize = 300;

/// Whether an error code means "slow down".
pub(crate) fn is_throttle(code: &str) -> bool {
    THROTTLES.contains(&code)
}

/// The error code in the beginning of a body, as the JSON and the query protocol write it.
pub(crate) fn code_in(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body.get(..body.len().min(8192))?).ok()?;
    let code = if text.trim_start().starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        value.get("__type").or_else(|| value.get("code")).or_else(|| value.get("Code"))?.as_str()?.to_owned()
    } else {
        text.split_once("<Code>")?.1.split_once("</Code>")?.0.to_owned()
    };
    let code = code.rsplit('#').next().unwrap_or(&code);
    Some(code.split(':').next().unwrap_or(code).to_owned())
}

/// What an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Refused: too fast.
    Throttled,
    /// Refused: not allowed.
    Denied,
    /// Refused: the session or the signature is too old.
    Stale,
    /// Refused for what was asked.
    Refused,
    /// Nothing left this machine.
    Unsent,
    /// 5xx: the service does not know.
    Faulted,
    /// No answer: time-out, lost connection.
    Lost,
    /// An answer that nobody can read.
    Unreadable,
}

/// What is done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Again later: it may pass by itself.
    Retry,
    /// Not before somebody changed a permission; the reason is kept with the target.
    Park,
    /// A defect of ours, or of what we talk to: somebody must look.
    Alarm,
}

/// An error of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub operation: &'static str,
    pub kind: Kind,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// AWS's error code; empty where there is none.
    pub code: String,
    /// AWS's message, or what the connection said; trimmed.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.code.is_empty() {
            match self.kind {
                Kind::Unsent => "the request did not leave",
                Kind::Lost => "no answer",
                Kind::Unreadable => "the answer can't be read",
                _ => "an error without a code",
            }
        } else {
            &self.code
        };
        write!(f, "{}: {what}", self.operation)?;
        if let Some(status) = self.status {
            write!(f, " (HTTP {status})")?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl Failure {
    /// Classifies an error of the SDK.
    pub(crate) fn of<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let plain = |kind, status| Self { operation, kind, status, code: String::new(), message: chain(error) };
        match error {
            SdkError::ConstructionFailure(_) => plain(Kind::Unsent, None),
            SdkError::TimeoutError(_) => plain(Kind::Lost, None),
            SdkError::DispatchFailure(_) if never_connected(error) => plain(Kind::Unsent, None),
            SdkError::DispatchFailure(_) => plain(Kind::Lost, None),
            SdkError::ResponseError(answer) => plain(Kind::Unreadable, Some(answer.raw().status().as_u16())),
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let code = answer.err().code().unwrap_or_default();
                let message = trimmed(answer.err().message().unwrap_or_default());
                Self { operation, kind: kind_of(status, code, &message), status: Some(status), code: code.to_owned(), message }
            }
            _ => plain(Kind::Lost, None),
        }
    }

    /// An answer that is none of success, of a call that no client of the SDK made.
    pub(crate) fn answered(operation: &'static str, status: u16, body: &[u8]) -> Self {
        let code = code_in(body).unwrap_or_default();
        let fields: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let said = fields.as_ref().and_then(|fields| fields.get("message").or_else(|| fields.get("Message"))?.as_str());
        let message = trimmed(said.unwrap_or_default());
        Self { operation, kind: kind_of(status, &code, &message), status: Some(status), code, message }
    }

    /// A page or a field that AWS never leaves out.
    pub(crate) fn unreadable(operation: &'static str, message: &str) -> Self {
        Self { operation, kind: Kind::Unreadable, status: None, code: String::new(), message: trimmed(message) }
    }

    pub(crate) fn advice(&self) -> Advice {
        match self.kind {
            Kind::Throttled | Kind::Stale | Kind::Unsent | Kind::Faulted | Kind::Lost => Advice::Retry,
            Kind::Denied => Advice::Park,
            Kind::Refused | Kind::Unreadable => Advice::Alarm,
        }
    }

    /// Whether a parsed 4xx says that AWS did nothing. Where a code contradicts its status, it does not.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::Throttled | Kind::Denied | Kind::Stale | Kind::Refused) && self.status.is_some_and(|status| (400..500).contains(&status))
    }
}

impl Failure {
    /// The fault of a call in the hub. A denial there is the hub's own lack of a permission: it says nothing of any spoke, so it
    /// holds, and parks nobody.
    pub(crate) fn in_hub(self) -> SpokeFault {
        if self.kind == Kind::Denied {
            tracing::error!(operation = self.operation, code = %self.code, "ERROR the hub's role lacks a permission: {self}");
            return SpokeFault::NoAnswer(self.to_string());
        }
        self.into()
    }
}

impl From<Failure> for SpokeFault {
    fn from(failure: Failure) -> Self {
        match failure.advice() {
            Advice::Alarm => tracing::error!(operation = failure.operation, code = %failure.code, "ERROR {failure}"),
            Advice::Park => tracing::warn!(operation = failure.operation, code = %failure.code, "{failure}"),
            Advice::Retry => tracing::info!(operation = failure.operation, code = %failure.code, "{failure}"),
        }
        match failure.kind {
            Kind::Throttled => Self::Throttled,
            Kind::Denied => Self::RoleDenied(failure.to_string()),
            _ => Self::NoAnswer(failure.to_string()),
        }
    }
}

fn kind_of(status: u16, code: &str, message: &str) -> Kind {
    if code.is_empty() {
        return if status >= 500 { Kind::Faulted } else { Kind::Unreadable };
    }
    if is_throttle(code) {
        return Kind::Throttled;
    }
    if status >= 500 || SERVICE_FAULTS.contains(&code) {
        return Kind::Faulted;
    }
    if DENIALS.contains(&code) {
        return Kind::Denied;
    }
    if STALE.contains(&code) {
        // AWS uses one code for a wrong secret and for a signature whose time is over; only the latter passes with time.
        let wrong_key = matches!(code, "SignatureDoesNotMatch" | "InvalidSignatureException") && !is_about_time(message);
        return if wrong_key { Kind::Denied } else { Kind::Stale };
    }
    Kind::Refused
}

fn is_about_time(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("expired") || message.contains("not yet current")
}

/// Whether the connection was never made, so that no byte of the request can have left. Only what says so counts.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        // The HTTP client's error kind is no public type of the SDK; its text is `client error (<kind>)`.
        if error.to_string() == "client error (Connect)" {
            return true;
        }
        cause = error.source();
    }
    false
}

fn chain(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if parts.last() != Some(&part) {
            parts.push(part);
        }
        cause = error.source();
    }
    trimmed(&parts.join(": "))
}

/// One line of bounded length.
pub(crate) fn trimmed(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).collect();
    let mut short: String = line.chars().take(MESSAGE_MAX).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// Who calls: an account and Region at their pace.
#[derive(Debug, Clone)]
pub(crate) struct Caller<'a> {
    meter: &'a Meter,
    place: Place,
}

impl<'a> Caller<'a> {
    pub(crate) fn spoke(meter: &'a Meter, spoke: &Spoke) -> Self {
        Self { meter, place: Place { account: Some(spoke.account), region: Some(spoke.region.clone()), operation: "" } }
    }

    pub(crate) fn hub(hub: &'a crate::clients::Hub) -> Self {
        Self { meter: hub.meter(), place: Place { account: hub.account(), region: hub.region().cloned(), operation: "" } }
    }

    /// Waits for the operation's turn, sends, and classifies what went wrong.
    pub(crate) async fn call<T, E>(&self, operation: &'static str, sent: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.turn(operation).await?;
        sent.await.map_err(|error| Failure::of(operation, &error))
    }

    /// [`Caller::call`] for a caller that is made for one call.
    pub(crate) async fn call_owned<T, E>(self, operation: &'static str, sent: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.call(operation, sent).await
    }

    /// Counts a call that no client of the SDK makes.
    pub(crate) fn count(&self, operation: &'static str) {
        self.meter.count(Place { operation, ..self.place.clone() });
    }

    /// Waits for the operation's turn.
    pub(crate) async fn turn(&self, operation: &'static str) -> Result<(), Failure> {
        let place = Place { operation, ..self.place.clone() };
        self.meter.pace().turn(&place).await.map_err(|_| Failure {
            operation,
            kind: Kind::Throttled,
            status: None,
            code: String::new(),
            message: "too many wait for their turn; nothing was sent".into(),
        })
    }
}

/// Pages of one list: an empty token ends it, a token that comes again or too many pages are errors, and an incomplete list
/// is never given out.
#[derive(Debug)]
pub(crate) struct Pages {
    operation: &'static str,
    token: Option<String>,
    read: u32,
}

/// Pages of one list at most: 2,000,000 lines of 100 fit.
const PAGES_MAX: u32 = 20_000;

impl Pages {
    pub(crate) fn of(operation: &'static str) -> Self {
        Self { operation, token: None, read: 0 }
    }

    /// The token of the page to ask for.
    pub(crate) fn token(&self) -> Option<String> {
        self.token.clone()
    }

    /// Notes the next token. `false`: this was the last page.
    pub(crate) fn turn(&mut self, next: Option<&str>) -> Result<bool, Failure> {
        self.read = self.read.saturating_add(1);
        let next = next.filter(|token| !token.is_empty());
        if next.is_some() && (next == self.token.as_deref() || self.read >= PAGES_MAX) {
            return Err(Failure::unreadable(self.operation, "the pages of the list do not end"));
        }
        self.token = next.map(str::to_owned);
        Ok(self.token.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_from_json_and_from_xml() {
        assert_eq!(code_in(br#"{"__type":"com.amazonaws.ssm#ThrottlingException:http://x","message":"m"}"#).as_deref(), Some("ThrottlingException"));
        assert_eq!(code_in(b"<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>").as_deref(), Some("Throttling"));
        for nothing in [&b""[..], b"<html>Throttling</html>", b"{", b"{\"__type\":3}", b"\xff"] {
            assert_eq!(code_in(nothing), None);
        }
    }

    #[test]
    fn a_code_and_its_status_make_the_class() {
        for (status, code, message, kind) in [
            (400, "ThrottlingException", "", Kind::Throttled),
            (503, "SlowDown", "", Kind::Throttled),
            (400, "AccessDeniedException", "", Kind::Denied),
            (403, "InvalidSignatureException", "Signature expired: x is now earlier than y", Kind::Stale),
            (403, "InvalidSignatureException", "The request signature we calculated does not match", Kind::Denied),
            (400, "ExpiredTokenException", "", Kind::Stale),
            (500, "InternalServerError", "", Kind::Faulted),
            (400, "InternalServerError", "", Kind::Faulted),
            (500, "SomethingNew", "", Kind::Faulted),
            (400, "SomethingNew", "", Kind::Refused),
            (502, "", "", Kind::Faulted),
            (400, "", "", Kind::Unreadable),
        ] {
            assert_eq!(kind_of(status, code, message), kind, "{status} {code} {message}");
        }
    }

    #[test]
    fn only_a_4xx_refuses() {
        let failure = |status, kind| Failure { operation: "ssm:SendCommand", kind, status, code: "x".into(), message: String::new() };
        assert!(failure(Some(400), Kind::Throttled).is_refusal());
        assert!(!failure(Some(503), Kind::Throttled).is_refusal());
        assert!(!failure(Some(400), Kind::Faulted).is_refusal());
        assert!(!failure(None, Kind::Refused).is_refusal());
    }

    #[test]
    fn a_denial_parks_in_a_spoke_and_holds_in_the_hub() {
        let failure = Failure { operation: "x:Y", kind: Kind::Denied, status: Some(403), code: "AccessDenied".into(), message: "no\nline".into() };
        assert_eq!(failure.clone().in_hub(), SpokeFault::NoAnswer("x:Y: AccessDenied (HTTP 403): no\nline".into()));
        assert!(matches!(SpokeFault::from(failure), SpokeFault::RoleDenied(_)));
        assert_eq!(trimmed(" a\r\n b\u{7} "), "a b");
    }

    #[test]
    fn a_list_ends_or_is_an_error() {
        let mut pages = Pages::of("x:Y");
        assert_eq!(pages.turn(Some("a")), Ok(true));
        assert_eq!(pages.token().as_deref(), Some("a"));
        assert!(pages.turn(Some("a")).is_err());
        assert_eq!(Pages::of("x:Y").turn(Some("")), Ok(false));
    }
}
