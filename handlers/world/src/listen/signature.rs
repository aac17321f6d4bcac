//! Who is calling, from a signature version 4: its shape, scope and time. The secret is not known here, so the signature itself is
//! taken as it is.

use axum::http::HeaderMap;
use tidegate_events::id::Region;

use super::Service;
use super::answer::Refusal;
use crate::clock::{MINUTE, Ms, ms, time};

/// How far a signature's time may be off.
const SKEW: Ms = 5 * MINUTE;

/// What a signature says of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The access key.
    pub key: String,
    pub region: Region,
    pub signed: Ms,
}

/// Reads the signature of a call to this service at `now`.
pub(super) fn caller(headers: &HeaderMap, service: Service, now: Ms) -> Result<Caller, Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(authorization) = header("authorization") else {
        return Err(Refusal::new("MissingAuthenticationTokenException", "Missing Authentication Token"));
    };
    let incomplete = |what: &str| Refusal::new("IncompleteSignatureException", format!("Authorization header requires {what}. Authorization={authorization}"));
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| incomplete("the algorithm 'AWS4-HMAC-SHA256'"))?;
    let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('=')).filter(|value| !value.is_empty());
    let scope = field("Credential").ok_or_else(|| incomplete("'Credential' parameter"))?;
    field("SignedHeaders").ok_or_else(|| incomplete("'SignedHeaders' parameter"))?;
    field("Signature").ok_or_else(|| incomplete("'Signature' parameter"))?;
    let mut parts = scope.split('/');
    let (Some(key), Some(date), Some(region), Some(named), Some("aws4_request"), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        let what = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term";
        return Err(Refusal::new("IncompleteSignatureException", format!("{what}, got '{scope}'")));
    };
    let invalid = |message: String| Refusal::new("InvalidSignatureException", message);
    if key.is_empty() || key.len() > 128 || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Refusal::new("UnrecognizedClientException", "The security token included in the request is invalid."));
    }
    if named != service.scope() {
        return Err(invalid(format!("Credential should be scoped to correct service: '{}'.", service.scope())));
    }
    let region: Region = region.parse().map_err(|_| invalid(format!("Credential should be scoped to a valid Region, not '{region}'.")))?;
    let Some(stamp) = header("x-amz-date") else { return Err(incomplete("existence of either a 'X-Amz-Date' or a 'Date' header")) };
    let signed = stamp.parse::<jiff::Timestamp>().ok().filter(|_| stamp.len() == 16 && stamp.ends_with('Z'));
    let signed = signed.map(ms).ok_or_else(|| incomplete(&format!("'X-Amz-Date' as YYYYMMDD'T'HHMMSS'Z', not '{stamp}'")))?;
    if !stamp.starts_with(date) {
        return Err(invalid(format!("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{date}' != '{stamp}'.")));
    }
    let compact = |at: Ms| time(at).strftime("%Y%m%dT%H%M%SZ").to_string();
    if signed < now - SKEW {
        return Err(invalid(format!("Signature expired: {stamp} is now earlier than {} ({} - 5 min.)", compact(now - SKEW), compact(now))));
    }
    if signed > now + SKEW {
        return Err(invalid(format!("Signature not yet current: {stamp} is still later than {} ({} + 5 min.)", compact(now + SKEW), compact(now))));
    }
    Ok(Caller { key: key.to_owned(), region, signed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=111122223333/20261119/eu-west-1/ssm/aws4_request, SignedHeaders=host;x-amz-date, Signature=00";

    fn at(text: &str) -> Ms {
        ms(text.parse().unwrap())
    }

    fn refused(authorization: Option<&str>, date: &str, now: &str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-date", date.parse().unwrap());
        if let Some(authorization) = authorization {
            headers.insert("authorization", authorization.parse().unwrap());
        }
        match caller(&headers, Service::Ssm, at(now)) {
            Ok(caller) => {
                assert_eq!((caller.key.as_str(), caller.region.as_str()), ("111122223333", "eu-west-1"));
                ""
            }
            Err(Refusal::Error { code, .. }) => code,
            Err(Refusal::Cut) => panic!("a signature cuts no connection"),
        }
    }

    #[test]
    fn a_signature_says_who_and_where_and_holds_five_minutes_both_ways() {
        let (date, now) = ("20261119T190000Z", "2026-11-19T19:00:00Z");
        assert_eq!(refused(Some(GOOD), date, now), "");
        assert_eq!(refused(Some(GOOD), date, "2026-11-19T19:05:00Z"), "");
        assert_eq!(refused(Some(GOOD), date, "2026-11-19T19:05:01Z"), "InvalidSignatureException");
        assert_eq!(refused(Some(GOOD), date, "2026-11-19T18:54:59Z"), "InvalidSignatureException");
        assert_eq!(refused(None, date, now), "MissingAuthenticationTokenException");
        for (from, to, code) in [
            ("AWS4-HMAC-SHA256", "Basic", "IncompleteSignatureException"),
            ("/aws4_request", "", "IncompleteSignatureException"),
            (", Signature=00", "", "IncompleteSignatureException"),
            ("eu-west-1", "Europe", "InvalidSignatureException"),
            ("/ssm/", "/config/", "InvalidSignatureException"),
            ("20261119/", "20261120/", "InvalidSignatureException"),
            ("111122223333", "", "UnrecognizedClientException"),
        ] {
            assert_eq!(refused(Some(&GOOD.replacen(from, to, 1)), date, now), code, "{from} -> {to}");
        }
        assert_eq!(refused(Some(GOOD), "yesterday", now), "IncompleteSignatureException");
    }
}
