# The hub: stacksets/hub.yaml as it is, and a schedule for each of wave_rules.

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.orchestrator_account_id]
}

data "aws_partition" "current" {}

locals {
  template     = "${path.module}/../../hub.yaml"
  template_key = "${dirname(var.artifact_key)}/hub-${substr(filesha256(local.template), 0, 12)}.yaml"

  parameters = {
    NamePrefix             = var.name_prefix
    ArtifactBucket         = var.artifact_bucket
    ArtifactKey            = var.artifact_key
    OrganizationId         = var.organization_id
    AggregatorName         = var.aggregator_name
    CrossAccountExternalId = var.cross_account_external_id
    PolicyName             = var.policy_name
    MaxWaveConcurrency     = tostring(var.max_wave_concurrency)
    NotificationsTopicName = "${var.name_prefix}-notifications"
    AlertsTopicName        = "${var.name_prefix}-PatchAlerts"
    ApprovalEmail          = var.approval_email
    ApproverName           = var.approver_name
    ScheduleTimezone       = var.schedule_timezone
    LogRetentionDays       = tostring(var.log_retention_days)
    BedrockAgent           = var.bedrock_agent_id == "" ? "" : "${var.bedrock_agent_id}/${var.bedrock_agent_alias_id}"
    BedrockAgentAliasArns  = var.bedrock_agent_id == "" ? "" : "arn:${data.aws_partition.current.partition}:bedrock:${var.region}:${var.orchestrator_account_id}:agent-alias/${var.bedrock_agent_id}/${var.bedrock_agent_alias_id}"
  }

  scheduler_role_name = lookup(var.parameters, "SchedulerRoleName", "SchedulerInvokeRole")

  # One wave each, in the form that the original documents gave to their schedules. What is not asked for is left out: null is refused.
  runs = {
    for rule in var.wave_rules : rule.name => {
      for key, value in {
        accountWaves     = [{ name = rule.name, accounts = rule.accounts, regions = rule.regions }]
        ec2              = var.tag_key == "" ? null : { tagKey = var.tag_key, tagValue = var.tag_value }
        bedrock          = var.bedrock_agent_id == "" ? null : { agentId = var.bedrock_agent_id, agentAliasId = var.bedrock_agent_alias_id }
        wavePauseSeconds = var.wave_pause_seconds
        abortOnIssues    = var.abort_on_issues
      } : key => value if value != null
    }
  }

  # Words in angle brackets are Scheduler's own, filled in when it fires. Its name and time name the run, so that a second delivery is a duplicate.
  scheduled = {
    for name, run in local.runs : name => {
      source      = "tidegate"
      detail-type = "Tidegate Scheduled Run"
      time        = "<aws.scheduler.scheduled-time>"
      id          = "<aws.scheduler.execution-id>"
      detail      = { schedule = "<aws.scheduler.schedule-arn>", run = run }
    }
  }

  # jsonencode writes angle brackets as escapes, which Scheduler would not know for its words.
  inputs = {
    for name, event in local.scheduled : name => replace(replace(jsonencode(event), "\\u003c", "<"), "\\u003e", ">")
  }
}

resource "aws_s3_object" "template" {
  bucket      = var.artifact_bucket
  key         = local.template_key
  source      = local.template
  source_hash = filesha256(local.template)
}

resource "aws_cloudformation_stack" "hub" {
  name         = "${var.name_prefix}-hub"
  template_url = "https://${var.artifact_bucket}.s3.${var.region}.${data.aws_partition.current.dns_suffix}/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_NAMED_IAM"]
  parameters   = merge(local.parameters, var.parameters)
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = toset(var.sns_email_subscriptions)

  topic_arn = aws_cloudformation_stack.hub.outputs["NotificationsTopicArn"]
  protocol  = "email"
  endpoint  = each.value
}

# Links decide, so these mails have none.
resource "aws_sns_topic_subscription" "notices" {
  for_each = toset(var.sns_email_subscriptions)

  topic_arn     = aws_cloudformation_stack.hub.outputs["AlertsTopicArn"]
  protocol      = "email"
  endpoint      = each.value
  filter_policy = jsonencode({ NotificationType = ["Notice"] })
}

# The work queue and SchedulerInvokeRole are the stack's; that role may send to this queue and to the one of what is refused.
resource "aws_scheduler_schedule" "wave" {
  for_each = { for rule in var.wave_rules : rule.name => rule }

  name                         = "${var.name_prefix}-${each.key}"
  description                  = "Asks for the run of ${each.key}. Waits at every gate of the policy."
  schedule_expression          = each.value.schedule_expression
  schedule_expression_timezone = var.schedule_timezone

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:${data.aws_partition.current.partition}:sqs:${var.region}:${var.orchestrator_account_id}:${var.name_prefix}-work"
    role_arn = "arn:${data.aws_partition.current.partition}:iam::${var.orchestrator_account_id}:role/${local.scheduler_role_name}"
    input    = local.inputs[each.key]

    dead_letter_config {
      arn = "arn:${data.aws_partition.current.partition}:sqs:${var.region}:${var.orchestrator_account_id}:${var.name_prefix}-refused"
    }

    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 5
    }
  }

  lifecycle {
    precondition {
      condition     = (var.bedrock_agent_id == "") == (var.bedrock_agent_alias_id == "") && (var.tag_key == "") == (var.tag_value == "")
      error_message = "bedrock_agent_id and bedrock_agent_alias_id go together, and so do tag_key and tag_value: both or neither."
    }

    precondition {
      condition     = length("${var.name_prefix}-${each.key}") <= 40
      error_message = "name_prefix, a hyphen and the name of one of wave_rules have at most 40 characters together: they name the runs."
    }
  }

  depends_on = [aws_cloudformation_stack.hub]
}
