//! Commands that mend what was found. Names that AWS gave are other people's texts: they are quoted for the shell, and shown
//! without what a terminal would obey.

use serde_json::json;

use super::Topic;
use super::facts::SpokeFacts;

/// Characters of a name that are shown.
const SHOWN_MAX: usize = 300;

/// A text of bounded length on one line, without control characters.
pub fn shown(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    let mut short: String = line.chars().take(SHOWN_MAX).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// One word for a shell, whatever is in it.
pub fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Makes the role's trust what it has to be. The external id stays where it is kept: in a variable of the shell.
pub fn trust(facts: &SpokeFacts) -> Vec<String> {
    let hub = &facts.hub;
    let principal = hub.principal.as_deref().unwrap_or("<ARN of the hub's role>");
    // Taken apart where the external id goes, which the shell puts in.
    let id = "EXTERNAL-ID";
    let mut condition = json!({ "StringLike": { "sts:SourceIdentity": "wave-*" } });
    if let (true, Some(condition)) = (hub.says_external_id, condition.as_object_mut()) {
        condition.insert("StringEquals".to_owned(), json!({ "sts:ExternalId": id }));
    }
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": principal }, "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], "Condition": condition,
    }] });
    let policy = quoted(&policy.to_string()).replace(id, "'\"$TIDEGATE_EXTERNAL_ID\"'");
    let role = quoted(&hub.spoke_role);
    vec![
        format!("aws iam get-role --role-name {role} --query Role.AssumeRolePolicyDocument"),
        "# not there: deploy stacksets/spoke.yaml; there, and it says something else:".to_owned(),
        format!("aws iam update-assume-role-policy --role-name {role} --policy-document {policy}"),
    ]
}

/// Lets the role read what a check needs.
pub fn permission(facts: &SpokeFacts, name: Topic) -> Vec<String> {
    let actions: &[&str] = match name {
        Topic::Trust | Topic::ExternalId | Topic::Clock => return trust(facts),
        Topic::Rule => &["config:DescribeConfigRules"],
        Topic::Recorder | Topic::Frequency => &["config:DescribeConfigurationRecorders", "config:DescribeConfigurationRecorderStatus"],
        Topic::Agents => &["ssm:DescribeInstanceInformation"],
        Topic::Baselines => &["ssm:DescribeInstanceInformation", "ssm:DescribePatchBaselines"],
        Topic::PatchPolicies | Topic::Associations => &["ssm:ListAssociations", "ssm:DescribeAssociation"],
        Topic::MaintenanceWindows => &["ssm:DescribeMaintenanceWindows", "ssm:DescribeMaintenanceWindowTasks", "ssm:GetMaintenanceWindowTask"],
    };
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }] });
    let role = quoted(&facts.hub.spoke_role);
    vec![format!(
        "aws iam put-role-policy --role-name {role} --policy-name tidegate-doctor-{} --policy-document {}",
        name.name().replace('_', "-"),
        quoted(&policy.to_string())
    )]
}

/// Ends a patch policy: what Quick Setup made it makes anew, where only that is deleted.
pub fn patch_policy(facts: &SpokeFacts) -> Vec<String> {
    let query = "ConfigurationManagersList[?ConfigurationDefinitionSummaries[?Type==`AWSQuickSetupType-PatchPolicy`]].[ManagerArn,Name]";
    vec![
        "# in the account and home Region of Quick Setup:".to_owned(),
        format!("aws ssm-quicksetup list-configuration-managers --query {} --output text", quoted(query)),
        format!("# leave account {} and Region {} out of that policy's targets, or end it:", facts.account, facts.region),
        "aws ssm-quicksetup delete-configuration-manager --manager-arn ARN".to_owned(),
    ]
}

/// Ends an association.
pub fn association(facts: &SpokeFacts, id: &str) -> Vec<String> {
    vec![format!("aws ssm delete-association --region {} --association-id {}", facts.region, quoted(id))]
}

/// Takes a task out of a maintenance window.
pub fn task(facts: &SpokeFacts, window: &str, task: &str) -> Vec<String> {
    vec![format!("aws ssm deregister-task-from-maintenance-window --region {} --window-id {} --window-task-id {}", facts.region, quoted(window), quoted(task))]
}
