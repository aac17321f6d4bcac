//! Requests that no client of the SDK makes: signed here with Signature Version 4, and sent once.

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
use crate::trust::Trust;

/// Connecting, in seconds.
const CONNECT_SECS: u64 = 5;

/// Connections on which an answer may take so many seconds.
pub(crate) fn connector(trust: Trust, answer_secs: u64) -> Connector {
    let settings = HttpConnectorSettings::builder().connect_timeout(Duration::from_secs(CONNECT_SECS)).read_timeout(Duration::from_secs(answer_secs)).build();
    let mut connector = ConnectorBuilder::default().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc));
    if let Some(context) = trust.context() {
        connector = connector.tls_context(context);
    }
    connector.set_connector_settings(Some(settings));
    connector.set_sleep_impl(Some(SharedAsyncSleep::new(TokioSleep::new())));
    connector.set_proxy_config(Some(ProxyConfig::from_env()));
    connector.build()
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// The service that the signature is for.
    pub service: &'a str,
    /// The Region that it is for.
    pub region: &'a str,
    /// `GET`, `POST`.
    pub method: &'a str,
    /// Where to.
    pub uri: String,
    /// Headers that are signed; `host` is among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Signs with the hub's credentials and sends once. Gives the status and the body, whatever they are.
///
/// # Errors
/// When it can't be signed, or there is no answer: whether it was taken is not known then.
pub(crate) async fn send(hub: &Hub, connector: &Connector, ask: Ask<'_>) -> Result<(u16, Vec<u8>), String> {
    let signed = sign(hub, &ask).await?;
    let wrong = |error: &dyn std::fmt::Display| format!("the request can't be made: {error}");
    let mut request = Request::new(SdkBody::from(ask.body));
    request.set_method(ask.method).map_err(|error| wrong(&error))?;
    request.set_uri(ask.uri).map_err(|error| wrong(&error))?;
    for (name, value) in ask.headers.into_iter().chain(signed) {
        request.headers_mut().try_insert(name, value).map_err(|error| wrong(&error))?;
    }
    let answer = connector.call(request).await.map_err(|error| format!("no answer: {}", causes(&error)))?;
    let status = answer.status().as_u16();
    let body = ByteStream::new(answer.into_body()).collect().await.map_err(|error| format!("the answer broke off: {error}"))?;
    Ok((status, body.to_vec()))
}

/// Headers that prove who asks.
async fn sign(hub: &Hub, ask: &Ask<'_>) -> Result<Vec<(String, String)>, String> {
    let provider = hub.sdk_config().credentials_provider().ok_or("no AWS credentials are configured")?;
    let identity = provider.provide_credentials().await.map_err(|error| format!("no AWS credentials: {}", causes(&error)))?.into();
    let wrong = |error: &dyn std::fmt::Display| format!("the request can't be signed: {error}");
    let params = v4::SigningParams::builder().identity(&identity).region(ask.region).name(ask.service);
    let params = params.time(SystemTime::from(hub.now())).settings(SigningSettings::default()).build().map_err(|error| wrong(&error))?;
    let headers = ask.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new(ask.method, &ask.uri, headers, SignableBody::Bytes(&ask.body)).map_err(|error| wrong(&error))?;
    let (made, _) = http_request::sign(request, &params.into()).map_err(|error| wrong(&error))?.into_parts();
    Ok(made.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// An error with everything that caused it.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
