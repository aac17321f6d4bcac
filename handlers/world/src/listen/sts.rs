//! STS over the wire, in the query protocol: AssumeRole into accounts of this world, and GetCallerIdentity. The access key of a session is
//! its account, as everywhere here; what the session may do is not modelled.

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use tidegate_events::id::AccountId;

use super::answer::Refusal;
use super::{Service, Wire, signature};
use crate::clock::{HOUR, ms, time};
use crate::draw::Draw;
use crate::probe::{HUB_ROLE, SPOKE_ROLE};
use crate::spec::{AccountState, Role};

/// What is said to whoever may not assume a role: AWS does not say why.
const DENIED: &str = "AccessDenied";

/// Answers `POST /` of a form, which is how STS is asked.
pub(super) async fn take(wire: &Wire, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
    let id = wire.request_id();
    match answer(wire, headers, body).await {
        Ok((action, result)) => {
            let metadata = format!("<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>");
            let space = "https://sts.amazonaws.com/doc/2011-06-15/";
            xml(StatusCode::OK, format!("<{action}Response xmlns=\"{space}\"><{action}Result>{result}</{action}Result>{metadata}</{action}Response>"))
        }
        Err(Refusal::Error { status, code, message }) => {
            let status = if code == DENIED { StatusCode::FORBIDDEN } else { status };
            let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{}</Message></Error>", escaped(&message));
            xml(status, format!("<ErrorResponse>{error}<RequestId>{id}</RequestId></ErrorResponse>"))
        }
        Err(Refusal::Cut) => xml(StatusCode::SERVICE_UNAVAILABLE, String::new()),
    }
}

fn xml(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/xml"));
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The value of a field of a form.
fn field(body: &str, name: &str) -> Option<String> {
    let value = body.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

async fn answer(wire: &Wire, headers: &HeaderMap, body: &[u8]) -> Result<(&'static str, String), Refusal> {
    let caller = signature::caller(headers, Service::Sts, ms(wire.world.now()))?;
    let account = wire.identities.account(&caller.key).await?;
    let body = String::from_utf8_lossy(body);
    let hub = crate::calls::hub();
    let count = |call| {
        let place = hub.as_ref().map(|hub| tidegate_engine::ports::Spoke { account, region: hub.region.clone() });
        if let Some(place) = place {
            wire.world.inner().calls.count(&place, call, 1);
        }
    };
    match field(&body, "Action").as_deref() {
        Some("GetCallerIdentity") => {
            count("sts:GetCallerIdentity");
            let role = if account == wire.hub { HUB_ROLE } else { SPOKE_ROLE };
            let arn = format!("arn:aws:sts::{account}:assumed-role/{role}/tidegate");
            Ok(("GetCallerIdentity", format!("<Arn>{arn}</Arn><UserId>AROAEXAMPLE:tidegate</UserId><Account>{account}</Account>")))
        }
        Some("AssumeRole") => {
            count("sts:AssumeRole");
            assume(wire, account, &body).map(|result| ("AssumeRole", result))
        }
        other => Err(Refusal::new("InvalidAction", format!("Could not find operation {} for version 2011-06-15", other.unwrap_or_default()))),
    }
}

fn assume(wire: &Wire, caller: AccountId, body: &str) -> Result<String, Refusal> {
    let arn = field(body, "RoleArn").ok_or_else(|| Refusal::new("ValidationError", "RoleArn is required"))?;
    let denied = || {
        Refusal::new(
            DENIED,
            format!("User: arn:aws:sts::{caller}:assumed-role/{HUB_ROLE}/tidegate is not authorized to perform: sts:AssumeRole on resource: {arn}"),
        )
    };
    let mut parts = arn.split(':').skip(4);
    let (account, role) = (parts.next().and_then(|id| id.parse::<AccountId>().ok()), parts.next().and_then(|name| name.rsplit('/').next()));
    let (Some(account), Some(role)) = (account, role) else { return Err(Refusal::new("ValidationError", format!("{arn} is invalid"))) };
    let says_id = field(body, "ExternalId").is_some_and(|id| !id.is_empty());
    let inner = wire.world.inner();
    let spec = inner.state.accounts.get(&account).filter(|spec| spec.state == AccountState::Active).ok_or_else(denied)?;
    match spec.role {
        Role::Ok if says_id => {}
        Role::Unguarded => {}
        Role::Ok | Role::Missing | Role::WrongTrust => return Err(denied()),
    }
    let token = Draw::new(0, "session").text(&arn).at(inner.state.now).hex(64);
    let ends = time(inner.state.now + HOUR).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let user = format!(
        "<AssumedRoleUser><Arn>arn:aws:sts::{account}:assumed-role/{role}/tidegate</Arn><AssumedRoleId>AROAEXAMPLE:tidegate</AssumedRoleId></AssumedRoleUser>"
    );
    let keys = format!("<AccessKeyId>{account}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>", Draw::new(0, "key").text(&arn).hex(40));
    Ok(format!("{user}<Credentials>{keys}<SessionToken>{token}</SessionToken><Expiration>{ends}</Expiration></Credentials>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_form_are_decoded() {
        let body = "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2FPatchExecRole&ExternalId=a+b%2&Version=2011-06-15";
        assert_eq!(field(body, "RoleArn").as_deref(), Some("arn:aws:iam::111122223333:role/PatchExecRole"));
        assert_eq!(field(body, "ExternalId"), None, "half an escape is nothing");
        assert_eq!((field(body, "Action").as_deref(), field(body, "Act")), (Some("AssumeRole"), None));
    }
}
