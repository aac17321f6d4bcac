//! `console`: the approval page, behind a function URL or an HTTP API, and decisions of callers whose AWS identity Lambda has
//! proven.

use std::sync::Arc;

use aws_lambda_events::lambda_function_urls::{LambdaFunctionUrlRequest, LambdaFunctionUrlResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use tidegate_console::{Console, Decider, Request, Response};
use tidegate_events::Event;
use tidegate_events::id::{AccountId, PersonId};
use tidegate_rules::decide::Outcome;

use crate::intake::words;
use crate::site::{AwsShell, Site, now};

impl Decider for AwsShell {
    async fn take(&self, event: &Event, now: Timestamp) -> Result<Outcome, String> {
        AwsShell::take(self, event, now).await.map_err(|error| words(&error))
    }
}

/// Answers one request.
pub async fn run(site: Arc<Site>, event: LambdaEvent<LambdaFunctionUrlRequest>) -> LambdaFunctionUrlResponse {
    site.learn(&event.context);
    let request = read(event.payload, site.account());
    let shell = site.shell().await;
    let response = match Console::new(shell.engine(), shell).answer(&request, now()).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(error = %words(&error), path = %request.path, "a request was not answered");
            Response::json(503, &serde_json::json!({"schema": "tidegate.error/1", "error": "this can't be answered now: try again in a minute"}))
        }
    };
    tracing::info!(method = %request.method, path = %request.path, status = response.status, caller = ?request.caller, "request");
    write(response)
}

fn read(payload: LambdaFunctionUrlRequest, home: Option<AccountId>) -> Request {
    let body = payload.body.unwrap_or_default();
    // A body that is not the base64 it says it is has nothing to say.
    let body = if payload.is_base64_encoded { STANDARD.decode(body).unwrap_or_default() } else { body.into_bytes() };
    let iam = payload.request_context.authorizer.and_then(|authorizer| authorizer.iam);
    Request {
        method: payload.request_context.http.method.unwrap_or_default().to_ascii_uppercase(),
        path: payload.raw_path.unwrap_or_else(|| "/".into()),
        query: payload.raw_query_string.unwrap_or_default(),
        content_type: payload.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned(),
        body,
        caller: iam.and_then(|iam| iam.user_arn).and_then(|arn| person(&arn, home)),
    }
}

/// The person behind an ARN that Lambda has verified.
///
/// A user is its name. Whoever assumes a role may choose the session's name, so it stands for a person only where IAM Identity
/// Center chose it; any other session is named `role+session`, which no list of people's names contains by accident. Whoever is of
/// another account than `home` carries its number, since names are one account's own.
fn person(arn: &str, home: Option<AccountId>) -> Option<PersonId> {
    let (place, path) = arn.rsplit_once(':')?;
    let account: AccountId = place.rsplit_once(':')?.1.parse().ok()?;
    let mut parts = path.split('/');
    let name = match parts.next()? {
        "user" => parts.next_back()?.to_owned(),
        "assumed-role" => match (parts.next()?, parts.next()?) {
            (role, session) if role.starts_with("AWSReservedSSO_") => session.to_owned(),
            (role, session) => format!("{role}+{session}"),
        },
        _ => return None,
    };
    if home == Some(account) { name.parse().ok() } else { format!("{name}+{account}").parse().ok() }
}

fn write(response: Response) -> LambdaFunctionUrlResponse {
    let mut answer = LambdaFunctionUrlResponse::default();
    answer.status_code = i64::from(response.status);
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers.insert(HeaderName::from_static(name), value);
        }
    }
    answer.body = Some(response.body);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(arn: &str) -> Option<String> {
        person(arn, "111122223333".parse().ok()).map(|person| person.to_string())
    }

    #[test]
    fn a_session_is_a_person_only_where_nobody_could_choose_its_name() {
        assert_eq!(named("arn:aws:iam::111122223333:user/ops/alice").as_deref(), Some("alice"));
        assert_eq!(named("arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Patch_0123456789abcdef/bob@example.com").as_deref(), Some("bob@example.com"));
        assert_eq!(named("arn:aws:sts::111122223333:assumed-role/Deploy/alice").as_deref(), Some("Deploy+alice"));
        assert_eq!(named("arn:aws:iam::444455556666:user/alice").as_deref(), Some("alice+444455556666"), "another account's alice is another person");
        for nobody in ["arn:aws:iam::111122223333:root", "arn:aws:sts::111122223333:assumed-role/Deploy", "alice", ""] {
            assert_eq!(named(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn only_the_verified_identity_counts() {
        let payload = serde_json::json!({
            "version": "2.0", "rawPath": "/v1/decisions", "rawQueryString": "", "headers": {"x-caller": "alice"},
            "requestContext": {"timeEpoch": 0, "http": {"method": "post"}}, "body": "e30=", "isBase64Encoded": true,
        });
        let request = read(serde_json::from_value(payload).unwrap(), None);
        assert_eq!((request.method.as_str(), request.body.as_slice(), request.caller), ("POST", b"{}".as_slice(), None));
    }
}
