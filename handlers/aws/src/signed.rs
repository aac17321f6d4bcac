//! Requests signed with Signature Version 4 by hand, for what is called without an SDK of its own.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, ConnectorBuilder, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::http::Request;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use crate::clients::Hub;

/// Connecting, in seconds.
const CONNECT_SECS: u64 = 5;
/// Bytes of an answer: more than either service has to say.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Where credentials may be used: an address without a path, encrypted or on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Without a slash at its end.
    pub url: String,
    /// Host and port.
    pub host: String,
}

impl Place {
    /// # Errors
    /// When the URL is not one that credentials may be used at. `what` is how the error names it.
    pub(crate) fn parse(url: &str, what: &str) -> Result<Self, String> {
        let url = url.trim().trim_end_matches('/');
        let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(format!("`{url}` is no URL of {what}: expected `https://...`")),
        };
        if rest.is_empty() || rest.contains(['/', '?', '#', '@']) || rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("`{url}` is no URL of {what}: expected a host and nothing behind it"));
        }
        // A session's token goes with the request.
        if !secure && !is_loopback(rest) {
            return Err(format!("`{url}` is not encrypted: only `https://` keeps what the request is signed with to yourself"));
        }
        Ok(Self { url: url.to_owned(), host: rest.to_owned() })
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One service at one place.
#[derive(Debug)]
pub(crate) struct Signed {
    hub: Hub,
    place: Place,
    /// What signatures are checked for.
    service: &'static str,
    region: String,
    answer_secs: u64,
    /// Made for the first request: most processes never send one.
    connector: OnceLock<Connector>,
}

impl Signed {
    /// With the credentials of this hub. Sends nothing yet.
    pub(crate) fn new(hub: Hub, place: Place, service: &'static str, region: String, answer_secs: u64) -> Self {
        Self { hub, place, service, region, answer_secs, connector: OnceLock::new() }
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            let times = HttpConnectorSettings::builder().connect_timeout(Duration::from_secs(CONNECT_SECS));
            let times = times.read_timeout(Duration::from_secs(self.answer_secs)).build();
            let mut connector = ConnectorBuilder::default().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc));
            if let Some(context) = self.hub.trust().context() {
                connector = connector.tls_context(context);
            }
            connector.set_connector_settings(Some(times));
            connector.set_sleep_impl(Some(SharedAsyncSleep::new(TokioSleep::new())));
            connector.set_proxy_config(Some(ProxyConfig::from_env()));
            connector.build()
        })
    }

    #[cfg(test)]
    pub(crate) fn service(&self) -> &'static str {
        self.service
    }

    #[cfg(test)]
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Sends once. A body is JSON.
    ///
    /// # Errors
    /// When there are no credentials, or no answer: whether it was taken is not known then.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Answer, String> {
        let json = [("content-type", "application/json")];
        let headers: &[_] = if body.is_empty() { &[] } else { &json };
        self.send(method, path, headers, body).await
    }

    /// Sends once, with headers of the caller's.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn send(&self, method: &str, path: &str, more: &[(&str, &str)], body: Vec<u8>) -> Result<Answer, String> {
        let url = &self.place.url;
        let uri = format!("{url}{path}");
        let mut headers = vec![("host".to_owned(), self.place.host.clone())];
        headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        headers.extend(self.sign(method, &uri, &headers, &body).await?);
        let wrong = |error: &dyn std::fmt::Display| format!("the request can't be made: {error}");
        let mut request = Request::new(SdkBody::from(body));
        request.set_method(method).map_err(|error| wrong(&error))?;
        request.set_uri(uri).map_err(|error| wrong(&error))?;
        for (name, value) in headers {
            request.headers_mut().try_insert(name, value).map_err(|error| wrong(&error))?;
        }
        let answer = self.connector().call(request).await.map_err(|error| format!("`{url}` does not answer: {}", causes(&error)))?;
        let status = answer.status().as_u16();
        let (mut stream, mut body) = (ByteStream::new(answer.into_body()), Vec::new());
        while let Some(piece) = stream.next().await {
            body.extend_from_slice(&piece.map_err(|error| format!("`{url}` broke off its answer: {error}"))?);
            if body.len() > BODY_MAX {
                return Err(format!("`{url}` answers without an end: more than {BODY_MAX} bytes"));
            }
        }
        Ok(Answer { status, body })
    }

    /// Headers that prove who asks.
    async fn sign(&self, method: &str, uri: &str, headers: &[(String, String)], body: &[u8]) -> Result<Vec<(String, String)>, String> {
        let provider = self.hub.sdk_config().credentials_provider().ok_or("no AWS credentials are configured")?;
        let identity = provider.provide_credentials().await.map_err(|error| format!("no AWS credentials: {}", causes(&error)))?.into();
        let wrong = |error: &dyn std::fmt::Display| format!("the request can't be signed: {error}");
        let params = v4::SigningParams::builder().identity(&identity).region(&self.region).name(self.service);
        let params = params.time(SystemTime::from(self.hub.now())).settings(SigningSettings::default()).build().map_err(|error| wrong(&error))?;
        let signed = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(method, uri, signed, SignableBody::Bytes(body)).map_err(|error| wrong(&error))?;
        let (made, _) = http_request::sign(request, &params.into()).map_err(|error| wrong(&error))?.into_parts();
        Ok(made.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// An error with everything that caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
