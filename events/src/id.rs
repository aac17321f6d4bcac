//! Identities that cannot be wrong: each parses once, and a value of the type is proof that it was well formed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not the id it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is not {what}: expected {expected}")]
pub struct IdError {
    what: &'static str,
    got: String,
    expected: &'static str,
}

impl IdError {
    fn new(what: &'static str, got: &str, expected: &'static str) -> Self {
        let mut shown: String = got.chars().take(80).collect();
        if shown.len() < got.len() {
            shown.push('…');
        }
        Self { what, got: shown, expected }
    }
}

/// Serde, schema and `TryFrom<&str>` through `Display` and `FromStr`, so that an id has one written form everywhere.
macro_rules! written_as_text {
    ($type:ident, $schema:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $schema })
            }
        }
    };
}

/// An AWS account id: twelve digits, leading zeros included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl AccountId {
    /// The account with this number, or `None` above twelve digits.
    pub fn from_number(number: u64) -> Option<Self> {
        (number < 1_000_000_000_000).then_some(Self(number))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl FromStr for AccountId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let err = || IdError::new("an AWS account id", text, "12 digits, such as `111122223333`");
        if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(err());
        }
        text.parse().map(Self).map_err(|_| err())
    }
}
written_as_text!(AccountId, "^[0-9]{12}$");

/// Small shared text behind the ids below; cloning one is a reference count.
macro_rules! text_id {
    ($(#[$doc:meta])* $type:ident, $what:literal, $expected:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(Arc::from(text))) } else { Err(IdError::new($what, text, $expected)) }
            }
        }
        written_as_text!($type, $pattern);
    };
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    match parts.split_last() {
        Some((number, words)) => {
            text.len() <= 32
                && words.len() >= 2
                && words.iter().all(word)
                && number.len() <= 2
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        None => false,
    }
}

fn is_instance(text: &str) -> bool {
    let hex = |rest: &str| rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if let Some(rest) = text.strip_prefix("mi-") {
        return rest.len() == 17 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    }
    text.strip_prefix("i-").is_some_and(|rest| (rest.len() == 8 || rest.len() == 17) && hex(rest))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@+=,".contains(&b))
}

fn is_slug(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

text_id!(
    /// An AWS Region, such as `eu-west-1`.
    Region, "an AWS Region", "a name such as `eu-west-1`", "^[a-z]+(-[a-z]+)+-[0-9]{1,2}$", is_region
);
text_id!(
    /// A managed instance: `i-` and 8 or 17 hex digits (EC2), or `mi-` and 17 characters (hybrid nodes).
    /// Source: the SSM API model's pattern for instance ids.
    InstanceId, "an instance id", "`i-` and 8 or 17 hex digits, or `mi-` and 17 characters", "^(i-([0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-zA-Z_]{17})$", is_instance
);
text_id!(
    /// A person (or principal) who decides: approves, rejects, resumes.
    PersonId, "a person's name", "1 to 64 letters, digits or `-_.@+=,`", "^[A-Za-z0-9_.@+=,-]{1,64}$", is_name
);
text_id!(
    /// A lane: catalog entry and policy name. At most one campaign of a lane runs and one collects.
    LaneId, "a lane", "1 to 64 lower-case letters, digits or `-`", "^[a-z0-9-]{1,64}$", is_slug
);
text_id!(
    /// A Run Command id as SSM gave it: a UUID.
    CommandId, "a command id", "a UUID of 36 characters", "^[0-9a-f-]{36}$",
    |text| text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
);
text_id!(
    /// The id of an Automation execution: a UUID.
    ExecutionId, "an automation execution's id", "a UUID of 36 characters", "^[0-9a-f-]{36}$",
    |text| text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
);
impl ExecutionId {
    /// As the id that a batch keeps of what it started: commands and executions have ids of one form.
    pub fn as_command(&self) -> CommandId {
        CommandId(Arc::clone(&self.0))
    }
}
text_id!(
    /// A snapshot id that pins a set of approved patches in one account and Region: a UUID.
    SnapshotId, "a snapshot id", "a UUID of 36 characters", "^[0-9a-fA-F-]{36}$",
    |text| text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
);

impl PersonId {
    /// Whether both name one person: directories do not tell letter case apart, so neither does a quorum.
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl InstanceId {
    /// Whether this is a hybrid node (`mi-`), which has no EC2 state and no EC2 tags.
    pub fn is_hybrid(&self) -> bool {
        self.0.starts_with("mi-")
    }
}

/// One target: one instance in one account and Region. Written `account/region/instance`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey {
    /// The account that owns the instance.
    pub account: AccountId,
    /// The Region it runs in.
    pub region: Region,
    /// The instance.
    pub instance: InstanceId,
}

impl fmt::Display for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.account, self.region, self.instance)
    }
}

impl FromStr for TargetKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(account), Some(region), Some(instance), None) => Ok(Self { account: account.parse()?, region: region.parse()?, instance: instance.parse()? }),
            _ => Err(IdError::new("a target", text, "`account/region/instance-id`")),
        }
    }
}
written_as_text!(TargetKey, "^[0-9]{12}/[a-z0-9-]+/m?i-[0-9a-zA-Z_]+$");

/// One rollout of one lane: `<lane>.<n>`, numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CampaignId {
    /// The lane it belongs to.
    pub lane: LaneId,
    /// Its number in the lane, from 1.
    pub number: u32,
}

impl fmt::Display for CampaignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.lane, self.number)
    }
}

impl FromStr for CampaignId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let err = || IdError::new("a campaign", text, "`<lane>.<number>`, such as `patch-default.1`");
        let (lane, number) = text.rsplit_once('.').ok_or_else(err)?;
        Ok(Self { lane: lane.parse().map_err(|_| err())?, number: plain_number(number).ok_or_else(err)? })
    }
}
written_as_text!(CampaignId, "^[a-z0-9-]+\\.[0-9]+$");

/// One wave of a campaign: `<campaign>.w<index>`, counted from 0 (the canary).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaveId {
    /// The campaign.
    pub campaign: CampaignId,
    /// The wave's place, from 0.
    pub index: u16,
}

impl fmt::Display for WaveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.w{}", self.campaign, self.index)
    }
}

impl FromStr for WaveId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let err = || IdError::new("a wave", text, "`<campaign>.w<index>`, such as `patch-default.1.w0`");
        let (campaign, index) = text.rsplit_once(".w").ok_or_else(err)?;
        let index = plain_number(index).and_then(|n| u16::try_from(n).ok()).ok_or_else(err)?;
        Ok(Self { campaign: campaign.parse().map_err(|_| err())?, index })
    }
}
written_as_text!(WaveId, "^[a-z0-9-]+\\.[0-9]+\\.w[0-9]+$");

/// One wave in one account and Region (in parts where it is large): `<wave>/<account>/<region>/<part>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId {
    /// The wave.
    pub wave: WaveId,
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: Region,
    /// Part number, from 0: a roster is split so that its item stays far below DynamoDB's 400 KB.
    pub part: u16,
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.wave, self.account, self.region, self.part)
    }
}

impl FromStr for CellId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let err = || IdError::new("a cell", text, "`<wave>/<account>/<region>/<part>`");
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(wave), Some(account), Some(region), Some(part), None) => Ok(Self {
                wave: wave.parse()?,
                account: account.parse()?,
                region: region.parse()?,
                part: plain_number(part).and_then(|n| u16::try_from(n).ok()).ok_or_else(err)?,
            }),
            _ => Err(err()),
        }
    }
}
written_as_text!(CellId, "^[a-z0-9-]+\\.[0-9]+\\.w[0-9]+/[0-9]{12}/[a-z0-9-]+/[0-9]+$");

/// One SSM command's worth of a cell: `<cell>/<n>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    /// The cell.
    pub cell: CellId,
    /// Its number in the cell, from 0.
    pub number: u32,
}

impl BatchId {
    /// The target of this batch's account and Region with this instance id.
    pub fn target(&self, instance: &InstanceId) -> TargetKey {
        self.cell.target(instance)
    }
}

impl CellId {
    /// The target of this cell's account and Region with this instance id.
    pub fn target(&self, instance: &InstanceId) -> TargetKey {
        TargetKey { account: self.account, region: self.region.clone(), instance: instance.clone() }
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cell, self.number)
    }
}

impl FromStr for BatchId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let err = || IdError::new("a batch", text, "`<cell>/<number>`");
        let (cell, number) = text.rsplit_once('/').ok_or_else(err)?;
        Ok(Self { cell: cell.parse()?, number: plain_number(number).ok_or_else(err)? })
    }
}
written_as_text!(BatchId, "^[a-z0-9-]+\\.[0-9]+\\.w[0-9]+/[0-9]{12}/[a-z0-9-]+/[0-9]+/[0-9]+$");

/// Digits without sign or leading zeros, so that an id has exactly one written form.
fn plain_number(text: &str) -> Option<u32> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// A SHA-256 over canonical bytes; 64 hex digits when written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these parts, each length-prefixed so that no two lists of parts share bytes.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        use sha2::Digest as _;
        let mut hasher = sha2::Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The digest of one byte string.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts([bytes])
    }

    /// A digest that was stored as raw bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight bytes as a number: a stable place on a ring, not a secret.
    pub fn prefix(&self) -> u64 {
        self.0.iter().take(8).fold(0, |n, b| (n << 8) | u64::from(*b))
    }

    /// The first twelve hex digits, for people.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }

    /// A UUID (version 8, RFC 9562) made of these bytes: the same content gives the same id.
    pub fn as_uuid(&self) -> String {
        let mut b = self.0;
        if let Some(x) = b.get_mut(6) {
            *x = (*x & 0x0f) | 0x80;
        }
        if let Some(x) = b.get_mut(8) {
            *x = (*x & 0x3f) | 0x80;
        }
        let hex: String = b.iter().take(16).map(|x| format!("{x:02x}")).collect();
        let cut = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
        [cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32)].join("-")
    }

    /// A snapshot id made of these bytes.
    pub fn as_snapshot(&self) -> SnapshotId {
        SnapshotId(Arc::from(self.as_uuid()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
            }
        }
        f.write_str(&text)
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let err = || IdError::new("a digest", text, "64 hex digits");
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(err());
        }
        let mut bytes = [0u8; 32];
        for (slot, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| err())?;
            *slot = u8::from_str_radix(pair, 16).map_err(|_| err())?;
        }
        Ok(Self(bytes))
    }
}
written_as_text!(Digest, "^[0-9a-f]{64}$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_written_form() {
        for text in ["111122223333/us-east-1/i-0a1b2c3d4e5f67890", "000000000001/us-gov-west-1/mi-0123456789abcdef0"] {
            assert_eq!(text.parse::<TargetKey>().unwrap().to_string(), text);
        }
        let batch = "patch-default.12.w3/111122223333/eu-west-1/0/7";
        assert_eq!(batch.parse::<BatchId>().unwrap().to_string(), batch);
        assert!("patch-default.012".parse::<CampaignId>().is_err());
        assert!("patch-default.+1".parse::<CampaignId>().is_err());
    }

    #[test]
    fn wrong_ids_are_refused_with_what_was_expected() {
        let error = "i-dev123456789abcdef0".parse::<InstanceId>().unwrap_err().to_string();
        assert!(error.contains("`i-dev123456789abcdef0` is not an instance id"), "{error}");
        for wrong in ["", "i-", "i-0A1B2C3D", "i-123456789", "mi-0123", "x-12345678"] {
            assert!(wrong.parse::<InstanceId>().is_err(), "{wrong}");
        }
        for wrong in ["", "us", "us-east", "us-east-", "US-EAST-1", "us--1", "us-east-123", "us-east-1/x"] {
            assert!(wrong.parse::<Region>().is_err(), "{wrong}");
        }
        for wrong in ["1", "11112222333", "1111222233334", "11112222333x"] {
            assert!(wrong.parse::<AccountId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn digest_parts_are_framed() {
        assert_ne!(Digest::of_parts([b"ab".as_slice(), b"c"]), Digest::of_parts([b"a".as_slice(), b"bc"]));
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.as_uuid().len(), 36);
    }
}
