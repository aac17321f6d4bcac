//! A request and a response, as any server hands them over.

use std::collections::BTreeMap;

use serde::Serialize;
use tidegate_events::id::PersonId;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// GET, HEAD, OPTIONS, POST.
    pub method: String,
    /// The path, from the first slash.
    pub path: String,
    /// The query, raw, without the question mark.
    pub query: String,
    /// The `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
    /// Who calls, where the server has proven it (an IAM identity); never taken from the request itself.
    pub caller: Option<PersonId>,
}

impl Request {
    /// Fields of the query; of a repeated one, the first.
    pub fn fields(&self) -> BTreeMap<String, String> {
        read(self.query.as_bytes())
    }

    /// Fields of a form in the body.
    pub fn form(&self) -> BTreeMap<String, String> {
        read(&self.body)
    }
}

fn read(encoded: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(encoded) {
        fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    fields
}

/// A response. None is ever cached: what is asked may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// No scripts, no frames, no other origin, and no trace of the link in what the browser sends elsewhere.
const GUARDS: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=31536000"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

impl Response {
    /// A page.
    pub fn html(status: u16, body: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    /// A JSON document.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        Self::new(status, "application/json", body)
    }

    /// No body, and what may be asked here.
    pub fn options(allow: &str) -> Self {
        let mut response = Self::new(204, "text/plain", String::new());
        response.headers.push(("allow", allow.to_owned()));
        response
    }

    fn new(status: u16, content_type: &str, body: String) -> Self {
        let mut headers: Vec<(&'static str, String)> = GUARDS.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        headers.push(("content-type", content_type.to_owned()));
        Self { status, headers, body }
    }

    /// Without its body, as HEAD asks.
    pub fn without_body(mut self) -> Self {
        self.body.clear();
        self
    }
}
