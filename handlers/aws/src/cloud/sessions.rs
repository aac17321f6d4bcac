//! Sessions in spokes: one AssumeRole per account and hour, shared by all who wait for it, and only into accounts that the
//! organization's directory lists as active.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_config::{Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder;
use aws_sdk_sts::types::Tag;
use aws_smithy_types::retry::RetryConfig;
use jiff::{SignedDuration, Timestamp};
use tidegate_engine::ports::Spoke;
use tidegate_events::host::SpokeFault;
use tidegate_events::id::{AccountId, Region};

use super::CloudSettings;
use super::directory::Directory;
use super::fault::{Caller, Failure, Kind};
use super::timestamp;
use crate::clients::Hub;

const ASSUME: &str = "sts:AssumeRole";
/// A session's life in seconds: role chaining allows no more, and a Lambda function already acts under a role.
const SESSION_SECS: i32 = 3600;
/// So long before its end a session is replaced, in seconds.
const RENEW_SECS: i64 = 300;
/// A refusal is remembered so long, in seconds: fifty batches of a closed account ask STS once.
const REFUSED_SECS: i64 = 30;
/// What CloudTrail shows in the spoke; the trust policy asks for `wave-*`.
const SOURCE_IDENTITY: &str = "wave-tidegate";
/// The session's name in ARNs.
const SESSION_NAME: &str = "tidegate";

/// The clients of one account and Region.
#[derive(Debug)]
pub(crate) struct SpokeClients {
    config: SdkConfig,
    hub: Hub,
    spoke: Spoke,
    ssm: OnceLock<aws_sdk_ssm::Client>,
    ssm_once: OnceLock<aws_sdk_ssm::Client>,
    config_service: OnceLock<aws_sdk_config::Client>,
    tagging: OnceLock<aws_sdk_resourcegroupstagging::Client>,
    sts: OnceLock<aws_sdk_sts::Client>,
}

impl SpokeClients {
    fn new(hub: Hub, spoke: Spoke, credentials: Option<Credentials>) -> Self {
        let mut config = hub.sdk_config().to_builder().region(SdkRegion::new(spoke.region.to_string()));
        if let Some(credentials) = credentials {
            config.set_credentials_provider(Some(SharedCredentialsProvider::new(credentials)));
        }
        Self {
            config: config.build(),
            hub,
            spoke,
            ssm: OnceLock::new(),
            ssm_once: OnceLock::new(),
            config_service: OnceLock::new(),
            tagging: OnceLock::new(),
            sts: OnceLock::new(),
        }
    }

    fn watch(&self, service: &'static str) -> super::meter::Watch {
        self.hub.meter().watch(Some(self.spoke.account), Some(self.spoke.region.clone()), service)
    }

    pub(crate) fn ssm(&self) -> &aws_sdk_ssm::Client {
        self.ssm.get_or_init(|| {
            let config = aws_sdk_ssm::config::Builder::from(&self.config).interceptor(self.watch("ssm"));
            aws_sdk_ssm::Client::from_conf(config.build())
        })
    }

    /// For SendCommand and StartAutomationExecution: nothing is repeated, and no clock is corrected behind the intent's back.
    pub(crate) fn ssm_once(&self) -> &aws_sdk_ssm::Client {
        self.ssm_once.get_or_init(|| {
            let config = aws_sdk_ssm::config::Builder::from(&self.config)
                .retry_config(RetryConfig::disabled())
                .disable_clock_skew_correction(true)
                .interceptor(self.watch("ssm"));
            aws_sdk_ssm::Client::from_conf(config.build())
        })
    }

    pub(crate) fn config(&self) -> &aws_sdk_config::Client {
        self.config_service.get_or_init(|| {
            let config = aws_sdk_config::config::Builder::from(&self.config).interceptor(self.watch("config"));
            aws_sdk_config::Client::from_conf(config.build())
        })
    }

    pub(crate) fn sts(&self) -> &aws_sdk_sts::Client {
        self.sts.get_or_init(|| {
            let config = aws_sdk_sts::config::Builder::from(&self.config).interceptor(self.watch("sts"));
            aws_sdk_sts::Client::from_conf(config.build())
        })
    }

    pub(crate) fn tagging(&self) -> &aws_sdk_resourcegroupstagging::Client {
        self.tagging.get_or_init(|| {
            let config = aws_sdk_resourcegroupstagging::config::Builder::from(&self.config).interceptor(self.watch("tag"));
            aws_sdk_resourcegroupstagging::Client::from_conf(config.build())
        })
    }
}

/// A session in one account. Its clients live as long as it does.
#[derive(Debug)]
struct Session {
    /// `None`: the hub's own credentials.
    credentials: Option<Credentials>,
    /// `None`: it does not end.
    renew_at: Option<Timestamp>,
    regions: Mutex<BTreeMap<Region, Arc<SpokeClients>>>,
}

impl Session {
    fn clients(&self, hub: &Hub, spoke: &Spoke) -> Arc<SpokeClients> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = regions.get(&spoke.region) {
            return Arc::clone(known);
        }
        let made = Arc::new(SpokeClients::new(hub.clone(), spoke.clone(), self.credentials.clone()));
        regions.insert(spoke.region.clone(), Arc::clone(&made));
        made
    }
}

#[derive(Debug, Clone, Default)]
enum Slot {
    #[default]
    Empty,
    Open(Arc<Session>),
    Refused {
        fault: SpokeFault,
        until: Timestamp,
    },
}

/// The sessions of this process.
#[derive(Debug)]
pub(crate) struct Sessions {
    hub: Hub,
    settings: Arc<CloudSettings>,
    directory: Arc<Directory>,
    slots: Mutex<HashMap<AccountId, Arc<tokio::sync::Mutex<Slot>>>>,
}

impl Sessions {
    pub(crate) fn new(hub: Hub, settings: Arc<CloudSettings>, directory: Arc<Directory>) -> Self {
        Self { hub, settings, directory, slots: Mutex::default() }
    }

    fn slot(&self, account: AccountId) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(account).or_default())
    }

    /// The clients of a spoke. The account comes from the spoke alone, which the envelope of an event named; the directory must
    /// know it as active, every time.
    ///
    /// # Errors
    /// Where the account may not be entered, or STS does not let us.
    pub(crate) async fn enter(&self, spoke: &Spoke) -> Result<Arc<SpokeClients>, SpokeFault> {
        let tree = self.directory.admit(spoke.account).await?;
        let slot = self.slot(spoke.account);
        // Held while STS is asked: whoever comes meanwhile finds its answer here.
        let mut slot = slot.lock().await;
        let now = self.hub.now();
        match &*slot {
            Slot::Open(session) if session.renew_at.is_none_or(|at| now < at) => return Ok(session.clients(&self.hub, spoke)),
            Slot::Refused { fault, until } if now < *until => return Err(fault.clone()),
            _ => {}
        }
        let opened = if tree.alone == Some(spoke.account) {
            Ok(Session { credentials: None, renew_at: None, regions: Mutex::default() })
        } else {
            self.assume(spoke.account).await
        };
        match opened {
            Ok(session) => {
                let session = Arc::new(session);
                *slot = Slot::Open(Arc::clone(&session));
                Ok(session.clients(&self.hub, spoke))
            }
            Err(failure) => {
                let fault = refused(failure);
                let until = now.checked_add(SignedDuration::from_secs(REFUSED_SECS)).unwrap_or(now);
                *slot = Slot::Refused { fault: fault.clone(), until };
                Err(fault)
            }
        }
    }

    /// Ends a session that AWS calls over: the next caller assumes the role anew.
    pub(crate) async fn forget(&self, account: AccountId) {
        *self.slot(account).lock().await = Slot::Empty;
    }

    /// The question for a session, but for the external id.
    fn asked(&self, account: AccountId) -> Result<AssumeRoleFluentBuilder, Failure> {
        let settings = &self.settings;
        let tag =
            |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build().map_err(|error| Failure::unreadable(ASSUME, &error.to_string()));
        let tags = settings.session_tags.iter().map(tag).collect::<Result<Vec<_>, _>>()?;
        let request = self
            .hub
            .sts()
            .assume_role()
            .role_arn(format!("arn:{}:iam::{account}:role/{}", settings.partition, settings.spoke_role))
            .role_session_name(SESSION_NAME)
            .source_identity(SOURCE_IDENTITY)
            .set_tags((!tags.is_empty()).then_some(tags));
        Ok(request.duration_seconds(SESSION_SECS))
    }

    /// Whether the role lets the hub in that does not say the external id; `None` where that is not known. The session, where one
    /// comes of it, is thrown away.
    pub(crate) async fn opens_without_external_id(&self, account: AccountId) -> Option<bool> {
        match Caller::hub(&self.hub).call(ASSUME, self.asked(account).ok()?.send()).await {
            Ok(_) => Some(true),
            Err(failure) if failure.kind == Kind::Denied => Some(false),
            Err(_) => None,
        }
    }

    async fn assume(&self, account: AccountId) -> Result<Session, Failure> {
        let request = self.asked(account)?.set_external_id(self.settings.external_id.as_ref().map(|id| id.expose().to_owned()));
        let answer = Caller::hub(&self.hub).call(ASSUME, request.send()).await?;
        let given = answer.credentials().ok_or_else(|| Failure::unreadable(ASSUME, "no credentials"))?;
        let ends_at = timestamp(given.expiration()).ok_or_else(|| Failure::unreadable(ASSUME, "no end of the session"))?;
        let credentials =
            Credentials::new(given.access_key_id(), given.secret_access_key(), Some(given.session_token().to_owned()), Some(ends_at.into()), "tidegate-spoke");
        let renew_at = ends_at.checked_sub(SignedDuration::from_secs(RENEW_SECS)).unwrap_or(ends_at);
        Ok(Session { credentials: Some(credentials), renew_at: Some(renew_at), regions: Mutex::default() })
    }
}

/// A denial by STS is told in AWS's words, which name the role and the caller.
fn refused(failure: Failure) -> SpokeFault {
    match failure.kind {
        Kind::Denied => {
            tracing::warn!(operation = ASSUME, "{failure}");
            SpokeFault::RoleDenied(if failure.message.is_empty() { failure.code } else { failure.message })
        }
        _ => failure.into(),
    }
}
