//! The operations that are answered.

use super::answer::{Answer, Asked};
use super::{Service, aggregator, alarms, calendar, config, exceptions, organizations, setup, ssm, ssm_automation, ssm_nodes, tagging};

/// One operation.
pub(super) struct Operation {
    pub service: Service,
    /// Its name on the wire.
    name: &'static str,
    /// Its name in counts: `ssm:SendCommand`.
    pub call: &'static str,
    pub act: fn(&mut Asked<'_>, &[u8]) -> Answer,
}

impl Operation {
    /// What starts something draws faults of its own, which know about marker or token.
    pub fn is_send(&self) -> bool {
        matches!(self.name, "SendCommand" | "StartAutomationExecution")
    }
}

macro_rules! operations {
    ($($service:ident $scope:literal $name:ident $act:path;)*) => {
        [$(Operation { service: Service::$service, name: stringify!($name), call: concat!($scope, ":", stringify!($name)), act: $act }),*]
    };
}

static OPERATIONS: [Operation; 44] = operations! {
    Ssm "ssm" SendCommand ssm::send_command;
    Ssm "ssm" ListCommands ssm::list_commands;
    Ssm "ssm" ListCommandInvocations ssm::list_command_invocations;
    Ssm "ssm" GetCommandInvocation ssm::get_command_invocation;
    Ssm "ssm" CancelCommand ssm::cancel_command;
    Ssm "ssm" StartAutomationExecution ssm_automation::start_automation_execution;
    Ssm "ssm" GetAutomationExecution ssm_automation::get_automation_execution;
    Ssm "ssm" DescribeAutomationExecutions ssm_automation::describe_automation_executions;
    Ssm "ssm" StopAutomationExecution ssm_automation::stop_automation_execution;
    Ssm "ssm" DescribeInstanceInformation ssm_nodes::describe_instance_information;
    Ssm "ssm" DescribeInstancePatchStates ssm_nodes::describe_instance_patch_states;
    Ssm "ssm" DescribeInstancePatches ssm_nodes::describe_instance_patches;
    Ssm "ssm" ListComplianceItems ssm_nodes::list_compliance_items;
    Ssm "ssm" GetCalendarState calendar::get_calendar_state;
    Ssm "ssm" DescribePatchBaselines setup::describe_patch_baselines;
    Ssm "ssm" ListAssociations setup::list_associations;
    Ssm "ssm" DescribeAssociation setup::describe_association;
    Ssm "ssm" DescribeMaintenanceWindows setup::describe_maintenance_windows;
    Ssm "ssm" DescribeMaintenanceWindowTasks setup::describe_maintenance_window_tasks;
    Ssm "ssm" GetMaintenanceWindowTask setup::get_maintenance_window_task;
    Config "config" DescribeConfigurationRecorders setup::describe_configuration_recorders;
    Config "config" DescribeConfigurationRecorderStatus setup::describe_configuration_recorder_status;
    Config "config" StartConfigRulesEvaluation config::start_config_rules_evaluation;
    Config "config" DescribeConfigRules config::describe_config_rules;
    Config "config" DescribeConfigRuleEvaluationStatus config::describe_config_rule_evaluation_status;
    Config "config" DescribeComplianceByConfigRule config::describe_compliance_by_config_rule;
    Config "config" GetComplianceDetailsByConfigRule config::get_compliance_details_by_config_rule;
    Config "config" GetComplianceDetailsByResource config::get_compliance_details_by_resource;
    Config "config" PutRemediationExceptions exceptions::put_remediation_exceptions;
    Config "config" DeleteRemediationExceptions exceptions::delete_remediation_exceptions;
    Config "config" DescribeRemediationExceptions exceptions::describe_remediation_exceptions;
    Config "config" DescribeConfigurationAggregators aggregator::describe_configuration_aggregators;
    Config "config" DescribeAggregateComplianceByConfigRules aggregator::describe_aggregate_compliance_by_config_rules;
    Config "config" GetAggregateComplianceDetailsByConfigRule aggregator::get_aggregate_compliance_details_by_config_rule;
    Config "config" SelectAggregateResourceConfig aggregator::select_aggregate_resource_config;
    Config "config" BatchGetAggregateResourceConfig aggregator::batch_get_aggregate_resource_config;
    Organizations "organizations" DescribeOrganization organizations::describe_organization;
    Organizations "organizations" ListRoots organizations::list_roots;
    Organizations "organizations" ListOrganizationalUnitsForParent organizations::list_organizational_units_for_parent;
    Organizations "organizations" ListAccountsForParent organizations::list_accounts_for_parent;
    Organizations "organizations" ListAccounts organizations::list_accounts;
    Organizations "organizations" DescribeAccount organizations::describe_account;
    Tagging "tag" GetResources tagging::get_resources;
    CloudWatch "cloudwatch" DescribeAlarms alarms::describe_alarms;
};

/// The service that `X-Amz-Target` names, and the operation.
pub(super) fn find(target: &str) -> (Option<Service>, Option<&'static Operation>) {
    let Some((prefix, name)) = target.split_once('.') else { return (None, None) };
    let service = match prefix {
        "AmazonSSM" => Service::Ssm,
        "StarlingDoveService" => Service::Config,
        "AWSOrganizationsV20161128" => Service::Organizations,
        "GraniteServiceVersion20100801" => Service::CloudWatch,
        "ResourceGroupsTaggingAPI_20170126" => Service::Tagging,
        _ => return (None, None),
    };
    (Some(service), OPERATIONS.iter().find(|operation| operation.service == service && operation.name == name))
}
