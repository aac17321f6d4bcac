//! Security Hub: what its control SSM.2 says of an instance. It repeats an AWS Config rule's verdict, hours later again.
//!
//! Two services send under one source. Security Hub CSPM has the AWS Security Finding Format, the newer Security Hub has OCSF
//! (class 2003, Compliance Finding). Sources: Security Hub user guide, "EventBridge event formats" and "Control findings";
//! OCSF schema; names of OCSF fields as AWS's own remediation solution reads them.
//!
//! Which findings count, and why so few, is written down in `docs/decisions/0009-security-hub-repeats-it-does-not-judge.md`.

use jiff::Timestamp;
use serde_json::Value;

use crate::event::Event;
use crate::fact::{Compliance, Fact, FactSource};
use crate::id::{AccountId, InstanceId, Region};

use super::envelope::Envelope;
use super::reader::{Object, Stop, kind_of, last_segment, quoted};

/// The control for the rule `ec2-managedinstance-patch-compliance-status-check`. Source: Security Hub user guide, SSM controls.
const CONTROL: &str = "SSM.2";
/// What our own imports are called, as product and as the first part of the generator: written in lower case here, compared so.
const OURS: &str = "tidegate";
/// OCSF's Compliance Finding.
const COMPLIANCE_FINDING: i64 = 2003;

/// What becomes of one finding of an event.
type Finding = Result<Event, Stop>;

/// `Security Hub Findings - Imported`: Security Hub CSPM made or updated a finding, or somebody did in its name.
pub(super) fn imported(envelope: &Envelope<'_>) -> Result<Vec<Finding>, Stop> {
    each(envelope, in_asff)
}

/// `Findings Imported V2`: the same from the newer Security Hub.
pub(super) fn imported_v2(envelope: &Envelope<'_>) -> Result<Vec<Finding>, Stop> {
    each(envelope, in_ocsf)
}

/// AWS sends one finding in an event; the form allows for more, and a broken one must not cost its neighbours.
fn each(envelope: &Envelope<'_>, read: fn(&Envelope<'_>, &Object<'_>) -> Finding) -> Result<Vec<Finding>, Stop> {
    let findings = envelope.detail.array("findings")?;
    if findings.is_empty() {
        return Err(envelope.detail.wrong("findings", "it is empty: expected a finding"));
    }
    let one = |(index, value): (usize, &Value)| {
        let path = format!("{}[{index}]", envelope.detail.path_of("findings"));
        let found = Object::at(path.clone(), value).ok_or_else(|| Stop::Rejected(format!("{path}: expected a finding, got {}", kind_of(value))))?;
        read(envelope, &found)
    };
    Ok(findings.iter().enumerate().map(one).collect())
}

fn in_asff(envelope: &Envelope<'_>, finding: &Object<'_>) -> Finding {
    let product = finding.text("ProductArn")?;
    let Some(home) = home_of_product(product) else { return Err(not_a_control(product, is_ours(finding)?)) };
    let judged = finding.get("Compliance").map(|_| finding.object("Compliance")).transpose()?;
    let named = judged.as_ref().map(|judged| judged.optional_text("SecurityControlId")).transpose()?.flatten();
    is_control(named.map_or_else(|| finding.text("GeneratorId").map(last_segment), Ok)?)?;
    let account = finding.id("AwsAccountId")?;
    for region in [Some(home), finding.optional_text("Region")?].into_iter().flatten() {
        told_at_home(envelope, account, region)?;
    }
    match finding.optional_text("RecordState")? {
        None | Some("ACTIVE") => {}
        Some("ARCHIVED") => return Err(Stop::Ignored("the finding is archived, which says nothing about the instance".into())),
        Some(other) => return Err(finding.unknown("RecordState", other, "ACTIVE or ARCHIVED")),
    }
    if finding.get("Workflow").is_some() && finding.object("Workflow")?.optional_text("Status")? == Some("SUPPRESSED") {
        return Err(suppressed());
    }
    let judged = finding.object("Compliance")?;
    let compliance = match judged.text("Status")? {
        "PASSED" => Compliance::Compliant,
        "FAILED" => Compliance::NonCompliant,
        "WARNING" | "NOT_AVAILABLE" => return Err(no_verdict()),
        other => return Err(judged.unknown("Status", other, "PASSED, WARNING, FAILED or NOT_AVAILABLE")),
    };
    let resources = Resources { list: "Resources", kind: "Type", id: "Id", region: "Region", ours: &["AwsSsmPatchCompliance", "AwsEc2Instance"] };
    copied(envelope, compliance, finding.time("UpdatedAt")?, resources.instance(envelope, finding)?)
}

fn in_ocsf(envelope: &Envelope<'_>, finding: &Object<'_>) -> Finding {
    let class = finding.whole("class_uid")?;
    if class != COMPLIANCE_FINDING {
        return Err(Stop::Ignored(format!("understood, not handled: findings of OCSF class {class}, only {COMPLIANCE_FINDING}")));
    }
    let product = finding.object("metadata")?.object("product")?;
    let (uid, name) = (product.text("uid")?, product.optional_text("name")?);
    let Some(home) = home_of_product(uid) else { return Err(not_a_control(uid, name.is_some_and(is_our_name))) };
    let judged = finding.object("compliance")?;
    is_control(judged.optional_text("control")?.unwrap_or_default())?;
    let cloud = finding.object("cloud")?;
    let account: AccountId = cloud.object("account")?.id("uid")?;
    told_at_home(envelope, account, home)?;
    told_at_home(envelope, account, cloud.text("region")?)?;
    match finding.whole("activity_id")? {
        // Create, Update.
        1 | 2 => {}
        3 => return Err(Stop::Ignored("the finding is closed, which says nothing about the instance".into())),
        other => return Err(finding.unknown("activity_id", &other.to_string(), "1 (create), 2 (update) or 3 (close)")),
    }
    if finding.get("status_id").is_some() && finding.whole("status_id")? == 3 {
        return Err(suppressed());
    }
    let compliance = match judged.whole("status_id")? {
        1 => Compliance::Compliant,
        3 => Compliance::NonCompliant,
        0 | 2 | 99 => return Err(no_verdict()),
        other => return Err(judged.unknown("status_id", &other.to_string(), "1 (pass), 2 (warning) or 3 (fail)")),
    };
    let resources = Resources { list: "resources", kind: "type", id: "uid", region: "region", ours: &["AWS::SSM::PatchCompliance", "AWS::EC2::Instance"] };
    let updated_at = finding.object("finding_info")?.time("modified_time_dt")?;
    copied(envelope, compliance, updated_at, resources.instance(envelope, finding)?)
}

/// The fact. Its time is that of Security Hub's last update, which is later than the capture that Config judged, by an
/// unknown span: good enough to order two copies, not to order a copy and a fact at first hand (`Fact::is_newer_than`).
fn copied(envelope: &Envelope<'_>, compliance: Compliance, updated_at: Timestamp, instance: InstanceId) -> Finding {
    let fact = Fact { compliance, ordering: updated_at, recorded: updated_at, source: FactSource::SecurityHub(CONTROL.to_owned()) };
    Ok(Event::Finding { target: envelope.target(instance)?, fact })
}

/// The Region in the ARN of Security Hub's own controls, as a product; of other products none. Only AWS can import under it.
fn home_of_product(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    match (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?) {
        ("arn", _, "securityhub", region, "", "product/aws/securityhub" | "productv2/aws/securityhub") => Some(region),
        _ => None,
    }
}

fn is_our_name(name: &str) -> bool {
    name.eq_ignore_ascii_case(OURS)
}

/// Whether we have imported it. Every import comes back as an event: taking it would be listening to ourselves.
fn is_ours(finding: &Object<'_>) -> Result<bool, Stop> {
    let generator = finding.optional_text("GeneratorId")?.and_then(|generator| generator.split('/').next());
    let fields = finding.get("ProductFields").map(|_| finding.object("ProductFields")).transpose()?;
    let filled_in = fields.as_ref().map(|fields| fields.optional_text("aws/securityhub/ProductName")).transpose()?.flatten();
    Ok([generator, finding.optional_text("ProductName")?, filled_in].into_iter().flatten().any(is_our_name))
}

fn not_a_control(product: &str, is_ours: bool) -> Stop {
    if is_ours {
        return Stop::Ignored("Tidegate imported this finding itself: it says nothing new".into());
    }
    Stop::Ignored(format!("understood, not handled: findings of product {}, only of Security Hub's own controls", quoted(product)))
}

fn is_control(control: &str) -> Result<(), Stop> {
    if control == CONTROL {
        return Ok(());
    }
    Err(Stop::Ignored(format!("understood, not handled: findings of control {}, only `{CONTROL}`", quoted(control))))
}

fn suppressed() -> Stop {
    Stop::Ignored("somebody suppressed the finding in Security Hub".into())
}

fn no_verdict() -> Stop {
    Stop::Ignored("Security Hub could not judge it, which says nothing".into())
}

/// That the account and Region that the finding is about have sent it themselves. An administrator's account and an
/// aggregation Region send copies of everybody's; EventBridge's stamp does not vouch for whom those name.
fn told_at_home(envelope: &Envelope<'_>, account: AccountId, region: &str) -> Result<(), Stop> {
    let (at_account, at_region) = envelope.place()?;
    if account == at_account && region == at_region.as_str() {
        return Ok(());
    }
    Err(Stop::Ignored(format!(
        "a finding about {account} in {}, sent by {at_account} in {at_region}: only what an account says of itself, in its own Region, counts",
        quoted(region)
    )))
}

/// How one of the two forms calls what a finding is about.
struct Resources {
    list: &'static str,
    kind: &'static str,
    id: &'static str,
    region: &'static str,
    ours: &'static [&'static str],
}

impl Resources {
    /// The instance. Without any instance in the account the control passes on the account itself.
    fn instance(&self, envelope: &Envelope<'_>, finding: &Object<'_>) -> Result<InstanceId, Stop> {
        let (account, region) = envelope.place()?;
        let mut found: Option<InstanceId> = None;
        let mut other = None;
        for (index, value) in finding.array(self.list)?.iter().enumerate() {
            let path = format!("{}[{index}]", finding.path_of(self.list));
            let resource = Object::at(path.clone(), value).ok_or_else(|| Stop::Rejected(format!("{path}: expected a resource, got {}", kind_of(value))))?;
            let kind = resource.text(self.kind)?;
            if !self.ours.contains(&kind) {
                other = Some(kind);
                continue;
            }
            if let Some(said) = resource.optional_text(self.region)? {
                told_at_home(envelope, account, said)?;
            }
            let id = resource.text(self.id)?;
            if !is_in(id, account, &region) {
                return Err(resource.wrong(self.id, format_args!("{} contradicts the envelope, which says {account} and {region}", quoted(id))));
            }
            let instance = resource.instance(self.id)?;
            match &found {
                Some(first) if *first != instance => return Err(finding.wrong(self.list, format_args!("{first} and {instance}: expected one instance"))),
                _ => found = Some(instance),
            }
        }
        found.ok_or_else(|| match other {
            Some(kind) => Stop::Ignored(format!("understood, not handled: a finding about a resource of type {}, no instance", quoted(kind))),
            None => finding.wrong(self.list, "it is empty: expected an instance"),
        })
    }
}

/// Whether an id is an ARN of this account and Region, or no ARN at all.
fn is_in(id: &str, account: AccountId, region: &Region) -> bool {
    if !id.starts_with("arn:") {
        return true;
    }
    let mut parts = id.split(':').skip(3);
    parts.next() == Some(region.as_str()) && parts.next() == Some(account.to_string().as_str())
}
