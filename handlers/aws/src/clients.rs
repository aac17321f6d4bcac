//! The hub's clients: one SDK configuration, one pool of connections, and each service's client made when it is first used,
//! so that a cold start pays only for what it calls.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource, TimeSource};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder as HttpBuilder, ConnectorBuilder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::{TimeoutConfig, TimeoutConfigBuilder};
use jiff::Timestamp;
use tidegate_events::id::{AccountId, Region};

use crate::cloud::meter::{Meter, Watch};
use crate::secret::Secret;
use crate::trust::Trust;

/// Connecting, in seconds.
const CONNECT_SECS: u64 = 3;
/// One attempt, in seconds.
const ATTEMPT_SECS: u64 = 10;
/// A call with all its attempts, in seconds.
const OPERATION_SECS: u64 = 30;
/// Attempts of a read.
const ATTEMPTS_MAX: u32 = 3;

/// The hub's side of AWS. Cloning it shares everything.
#[derive(Debug, Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: SdkConfig,
    account: Option<AccountId>,
    region: Option<Region>,
    meter: Meter,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    sqs: OnceLock<aws_sdk_sqs::Client>,
    sts: OnceLock<aws_sdk_sts::Client>,
    sns: OnceLock<aws_sdk_sns::Client>,
    ssm: OnceLock<aws_sdk_ssm::Client>,
    organizations: OnceLock<aws_sdk_organizations::Client>,
    config_service: OnceLock<aws_sdk_config::Client>,
    s3: OnceLock<aws_sdk_s3::Client>,
    trust: Trust,
}

impl Hub {
    /// Takes the SDK configuration and adds what it leaves open: time-outs, retries, clock and one pool of connections for all
    /// clients, spokes' included. Makes no client and sends nothing. `account` is where the hub's own calls are counted.
    pub fn new(config: SdkConfig, account: Option<AccountId>) -> Self {
        Self::trusting(config, account, Trust::System)
    }

    fn trusting(config: SdkConfig, account: Option<AccountId>, trust: Trust) -> Self {
        let region = config.region().and_then(|region| region.as_ref().parse().ok());
        Self {
            inner: Arc::new(Inner {
                config: complete(config),
                account,
                region,
                meter: Meter::default(),
                dynamodb: OnceLock::new(),
                sqs: OnceLock::new(),
                sts: OnceLock::new(),
                sns: OnceLock::new(),
                ssm: OnceLock::new(),
                organizations: OnceLock::new(),
                config_service: OnceLock::new(),
                s3: OnceLock::new(),
                trust,
            }),
        }
    }

    /// Reads the SDK configuration from the environment. Sends nothing unless the environment names no Region.
    pub async fn load(account: Option<AccountId>, trust: Trust) -> Self {
        // The pool of connections is made first, so that the loader makes none of its own for credentials that need one.
        // On the heap: the loader's futures nest deeper than the compiler lays out.
        let config = Box::pin(aws_config::defaults(BehaviorVersion::latest()).http_client(pooled_https(trust)).load()).await;
        Self::trusting(config, account, trust)
    }

    /// The completed configuration.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.inner.config
    }

    /// The hub's own account, where it was given.
    pub fn account(&self) -> Option<AccountId> {
        self.inner.account
    }

    /// The hub's Region, where the configuration names one.
    pub fn region(&self) -> Option<&Region> {
        self.inner.region.as_ref()
    }

    /// What was sent through the hub's clients, and through those of the spokes that share its meter.
    pub fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// The time by the configuration's clock.
    pub fn now(&self) -> Timestamp {
        let now = self.inner.config.time_source().map_or_else(|| SystemTimeSource::new().now(), |source| source.now());
        Timestamp::try_from(now).unwrap_or(Timestamp::MIN)
    }

    fn watch(&self, service: &'static str) -> Watch {
        self.inner.meter.watch(self.inner.account, self.inner.region.clone(), service)
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        self.inner.dynamodb.get_or_init(|| {
            let config = aws_sdk_dynamodb::config::Builder::from(&self.inner.config).interceptor(self.watch("dynamodb"));
            aws_sdk_dynamodb::Client::from_conf(config.build())
        })
    }

    /// SQS.
    pub fn sqs(&self) -> &aws_sdk_sqs::Client {
        self.inner.sqs.get_or_init(|| {
            let config = aws_sdk_sqs::config::Builder::from(&self.inner.config).interceptor(self.watch("sqs"));
            aws_sdk_sqs::Client::from_conf(config.build())
        })
    }

    /// STS, at the regional endpoint: the SDK uses no other where the Region is a real one.
    pub fn sts(&self) -> &aws_sdk_sts::Client {
        self.inner.sts.get_or_init(|| {
            let config = aws_sdk_sts::config::Builder::from(&self.inner.config).interceptor(self.watch("sts"));
            aws_sdk_sts::Client::from_conf(config.build())
        })
    }

    /// SNS, without retries: a repeated publish is a second mail.
    pub fn sns(&self) -> &aws_sdk_sns::Client {
        self.inner.sns.get_or_init(|| {
            let config = aws_sdk_sns::config::Builder::from(&self.inner.config).retry_config(RetryConfig::disabled()).interceptor(self.watch("sns"));
            aws_sdk_sns::Client::from_conf(config.build())
        })
    }

    /// Systems Manager in the hub: change calendars.
    pub fn ssm(&self) -> &aws_sdk_ssm::Client {
        self.inner.ssm.get_or_init(|| {
            let config = aws_sdk_ssm::config::Builder::from(&self.inner.config).interceptor(self.watch("ssm"));
            aws_sdk_ssm::Client::from_conf(config.build())
        })
    }

    /// Organizations.
    pub fn organizations(&self) -> &aws_sdk_organizations::Client {
        self.inner.organizations.get_or_init(|| {
            let config = aws_sdk_organizations::config::Builder::from(&self.inner.config).interceptor(self.watch("organizations"));
            aws_sdk_organizations::Client::from_conf(config.build())
        })
    }

    /// AWS Config in the hub: the aggregator.
    pub fn config(&self) -> &aws_sdk_config::Client {
        self.inner.config_service.get_or_init(|| {
            let config = aws_sdk_config::config::Builder::from(&self.inner.config).interceptor(self.watch("config"));
            aws_sdk_config::Client::from_conf(config.build())
        })
    }

    /// Whose certificates are believed.
    pub(crate) fn trust(&self) -> Trust {
        self.inner.trust
    }

    /// S3.
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        self.inner.s3.get_or_init(|| {
            let config = aws_sdk_s3::config::Builder::from(&self.inner.config).interceptor(self.watch("s3"));
            aws_sdk_s3::Client::from_conf(config.build())
        })
    }
}

/// A configuration for an endpoint that is not AWS's own (an emulator, a simulation): one URL for all services, fixed keys.
pub fn endpoint_config(url: &str, region: &Region, access_key: &str, secret_key: &Secret) -> SdkConfig {
    let credentials = Credentials::new(access_key, secret_key.expose(), None, None, "tidegate-endpoint");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_config::Region::new(region.to_string()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .build()
}

/// Fills in what a configuration leaves open: the SDK itself would wait for an answer without end.
fn complete(config: SdkConfig) -> SdkConfig {
    let mut builder = config.to_builder();
    if config.behavior_version().is_none() {
        builder.set_behavior_version(Some(BehaviorVersion::latest()));
    }
    if config.http_client().is_none() {
        builder.set_http_client(Some(pooled_https(Trust::System)));
    }
    if config.sleep_impl().is_none() {
        builder.set_sleep_impl(Some(SharedAsyncSleep::new(TokioSleep::new())));
    }
    if config.time_source().is_none() {
        builder.set_time_source(Some(SharedTimeSource::new(SystemTimeSource::new())));
    }
    // What is given counts; but the SDK's loader gives a connect time-out alone.
    let limits = config.timeout_config().map(TimeoutConfig::to_builder).unwrap_or_default().take_unset_from(timeouts());
    builder.set_timeout_config(Some(limits.build()));
    builder.set_retry_config(Some(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX)));
    builder.build()
}

fn timeouts() -> TimeoutConfigBuilder {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECS))
        .operation_attempt_timeout(Duration::from_secs(ATTEMPT_SECS))
        .operation_timeout(Duration::from_secs(OPERATION_SECS))
}

/// The SDK's own default connector, but one for all clients: a thousand spokes of one Region share their connections.
fn pooled_https(trust: Trust) -> SharedHttpClient {
    HttpBuilder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc));
        if let Some(context) = trust.context() {
            connector = connector.tls_context(context);
        }
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_takes_either_trust() {
        for trust in [Trust::System, Trust::Amazon] {
            let config = endpoint_config("https://127.0.0.1:1", &"eu-central-1".parse().unwrap(), "id", &Secret::new("key".to_owned()));
            // Making a client makes its connector: a root that can't be read panics here.
            let hub = Hub::new(config.to_builder().http_client(pooled_https(trust)).build(), None);
            assert!(hub.sts().get_caller_identity().send().await.is_err(), "nobody listens there");
        }
    }
}
