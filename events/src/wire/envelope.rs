//! The EventBridge envelope. Source: EventBridge user guide, "Events": `source`, `detail-type`, `account`, `region`, `time`,
//! `id`, `resources` and `detail` are the same for every service.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::reader::{Object, Stop, quoted};
use crate::id::{AccountId, Digest, InstanceId, Region, TargetKey};

/// The source of our own events.
pub(super) const OURS: &str = "tidegate";

/// An envelope whose fields are well formed; the detail is still to be read.
pub(super) struct Envelope<'v> {
    pub(super) source: &'v str,
    pub(super) detail_type: &'v str,
    pub(super) account: Option<AccountId>,
    pub(super) region: Option<Region>,
    pub(super) time: Timestamp,
    pub(super) id: Option<String>,
    pub(super) resources: &'v [Value],
    pub(super) detail: Object<'v>,
}

impl<'v> Envelope<'v> {
    /// Reads it. EventBridge stamps account and Region into every event; only our own may come past it, and lack them.
    pub(super) fn read(root: &Object<'v>) -> Result<Self, Stop> {
        let source = root.text("source")?;
        let is_stamped = |key: &str| source != OURS || root.get(key).is_some();
        Ok(Self {
            source,
            detail_type: root.text("detail-type")?,
            account: is_stamped("account").then(|| root.id("account")).transpose()?,
            region: is_stamped("region").then(|| root.id("region")).transpose()?,
            time: root.time("time")?,
            id: root.optional_text("id")?.map(str::to_owned),
            resources: if root.get("resources").is_some() { root.array("resources")? } else { &[] },
            detail: root.object("detail")?,
        })
    }

    /// The account and Region that the event speaks of.
    pub(super) fn place(&self) -> Result<(AccountId, Region), Stop> {
        match (self.account, &self.region) {
            (Some(account), Some(region)) => Ok((account, region.clone())),
            (None, _) => Err(Stop::Rejected("account is missing".into())),
            (_, None) => Err(Stop::Rejected("region is missing".into())),
        }
    }

    /// The instance in the account and Region that the event speaks of.
    pub(super) fn target(&self, instance: InstanceId) -> Result<TargetKey, Stop> {
        let (account, region) = self.place()?;
        Ok(TargetKey { account, region, instance })
    }

    /// That a detail which repeats account and Region means the same ones. EventBridge stamps the envelope, the detail is
    /// only said; where they differ somebody has edited the event.
    pub(super) fn agrees(&self, account_key: &str, region_key: &str) -> Result<(), Stop> {
        let (account, region) = self.place()?;
        let (said_account, said_region): (AccountId, Region) = (self.detail.id(account_key)?, self.detail.id(region_key)?);
        if said_account != account {
            return Err(self.contradiction(account_key, said_account.to_string(), "account", account.to_string()));
        }
        if said_region != region {
            return Err(self.contradiction(region_key, said_region.to_string(), "region", region.to_string()));
        }
        Ok(())
    }

    fn contradiction(&self, key: &str, said: String, stamped_key: &str, stamped: String) -> Stop {
        self.detail.wrong(key, format_args!("{} contradicts the envelope, whose {stamped_key} is {}", quoted(&said), quoted(&stamped)))
    }
}

/// An event of our own in its wire form. Its id is made of its content, so that sending it twice is one event.
pub(super) fn ours(detail_type: &str, at: Timestamp, detail: Value) -> Value {
    let time = at.to_string();
    let id = Digest::of_parts([detail_type.as_bytes(), time.as_bytes(), detail.to_string().as_bytes()]).as_uuid();
    json!({ "version": "0", "id": id, "source": OURS, "detail-type": detail_type, "time": time, "resources": [], "detail": detail })
}
