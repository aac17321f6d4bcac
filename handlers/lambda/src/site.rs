//! This process: its settings, read at the start, and everything that talks to AWS, made when the first invocation asks for it
//! and kept for those after it.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::Context;
use tidegate_aws::bedrock::Bedrock;
use tidegate_aws::clients::Hub;
use tidegate_aws::cloud::{AwsCloud, CloudSettings};
use tidegate_aws::dynamo::DynamoStore;
use tidegate_aws::trust::Trust;
use tidegate_engine::Engine;
use tidegate_engine::store::{ActionId, Store};
use tidegate_events::Action;
use tidegate_events::id::AccountId;
use tokio::sync::OnceCell;

use crate::post::SqsPost;
use crate::settings::Settings;
use crate::shell::{Fresh, Shell};

/// The shell on AWS.
pub type AwsShell = Shell<DynamoStore, AwsCloud, SqsPost>;

/// Time that is left to answer in, in milliseconds: whatever is not done by then is handed on.
const LEAVE_MS: i64 = 15_000;

/// This process.
pub struct Site {
    settings: Settings,
    hub: OnceCell<Hub>,
    shell: OnceCell<AwsShell>,
    account: OnceLock<AccountId>,
    bedrock: OnceCell<Option<Bedrock>>,
}

impl Site {
    /// A process with these settings. Nothing is connected yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, hub: OnceCell::new(), shell: OnceCell::new(), account: OnceLock::new(), bedrock: OnceCell::new() }
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Learns from an invocation in which account this runs.
    pub fn learn(&self, context: &Context) {
        if let Some(account) = context.invoked_function_arn.split(':').nth(4).and_then(|account| account.parse().ok()) {
            self.account.get_or_init(|| account);
        }
    }

    /// The account that this runs in, once an invocation has told.
    pub fn account(&self) -> Option<AccountId> {
        self.account.get().copied()
    }

    /// The clients of the hub's own services.
    pub async fn hub(&self) -> &Hub {
        self.hub.get_or_init(|| async { Hub::load(self.account.get().copied(), Trust::for_function(std::env::vars())).await }).await
    }

    /// Bedrock's agent runtime. One that can't be used is none: it is advisory.
    pub async fn bedrock(&self) -> Option<&Bedrock> {
        let made = async {
            let named = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
            let endpoint = named("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME").or_else(|| named("AWS_ENDPOINT_URL"));
            let runtime = Bedrock::new(self.hub().await.clone(), endpoint.as_deref());
            runtime.map_err(|why| tracing::error!(%why, "no Bedrock agent is asked")).ok()
        };
        self.bedrock.get_or_init(|| made).await.as_ref()
    }

    /// The engine with queues around it.
    pub async fn shell(&self) -> &AwsShell {
        self.shell
            .get_or_init(|| async {
                let hub = self.hub().await;
                let store = DynamoStore::new(hub.dynamodb().clone(), self.settings.table.clone());
                let cloud = AwsCloud::of_hub(hub.clone(), self.cloud_settings());
                let post = SqsPost::new(hub.sqs().clone(), self.settings.queues.clone());
                Shell::new(Engine::new(store, cloud, self.settings.policy.clone()), post)
            })
            .await
    }

    fn cloud_settings(&self) -> CloudSettings {
        let settings = &self.settings;
        CloudSettings {
            partition: settings.partition.clone(),
            spoke_role: settings.spoke_role.clone(),
            external_id: settings.external_id.clone(),
            aggregator: settings.aggregator.clone(),
            topic: settings.topic.clone(),
            chat_topic: settings.chat_topic.clone(),
            // Tags decide about waves and exemptions, of older pinned policies too: they are always read.
            tags_wanted: true,
            regions: settings.regions.clone(),
            entry: std::sync::Arc::new(settings.policy.entry().clone()),
            hub_account: self.account.get().copied(),
            ..CloudSettings::default()
        }
    }
}

/// The clock of this machine: the shell is where time comes in.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Time that is left for more, by the invocation's deadline.
pub fn left_by(context: &Context) -> impl Fn() -> Duration + Send + Sync + Clone + 'static {
    let deadline = i64::try_from(context.deadline).unwrap_or(i64::MAX);
    move || Duration::from_millis(u64::try_from(deadline.saturating_sub(LEAVE_MS).saturating_sub(now().as_millisecond())).unwrap_or(0))
}

impl Fresh for DynamoStore {
    fn take_fresh(&self) -> Vec<(ActionId, Action)> {
        DynamoStore::take_fresh(self)
    }

    fn kept_at(&self, id: ActionId) -> Timestamp {
        DynamoStore::kept_at(id)
    }
}

/// Every store of an adapter is one of the engine's.
const _: fn() = || {
    fn is_store<S: Store>() {}
    is_store::<DynamoStore>();
};
