# The variables that the original documents had, under the names that they had there.

variable "region" {
  description = "The hub's Region. The zip's bucket is in it."
  type        = string
}

variable "orchestrator_account_id" {
  description = "The hub's account. Nothing is deployed with the credentials of another."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.orchestrator_account_id))
    error_message = "An account has 12 digits, in quotes."
  }
}

variable "name_prefix" {
  description = "The beginning of every name."
  type        = string
  default     = "ec2patch"
}

variable "bedrock_agent_id" {
  description = "An agent of Bedrock that is named in the runs of wave_rules. Advisory: nothing waits for it."
  type        = string
  default     = ""
}

variable "bedrock_agent_alias_id" {
  description = "The alias of bedrock_agent_id. Both or neither."
  type        = string
  default     = ""
}

variable "sns_email_subscriptions" {
  description = "Who gets alarms and notices by mail. No approval links: these are approval_email's."
  type        = list(string)
  default     = []
}

variable "wave_pause_seconds" {
  description = "How long a wave that has ended is watched before the next begins, in the runs of wave_rules."
  type        = number
  default     = 300
}

variable "abort_on_issues" {
  description = "Whether a wave over its failure budget halts its run, in the runs of wave_rules."
  type        = bool
  default     = true
}

variable "wave_rules" {
  description = "Runs by the calendar: each is one wave over these accounts and Regions, at these times."
  type = list(object({
    name                = string
    schedule_expression = string
    accounts            = list(string)
    regions             = list(string)
  }))
  default = []

  validation {
    condition     = alltrue([for rule in var.wave_rules : can(regex("^[0-9A-Za-z._-]{1,38}$", rule.name))])
    error_message = "A name has 1 to 38 letters, digits, and any of . _ -"
  }

  validation {
    condition     = length(distinct([for rule in var.wave_rules : rule.name])) == length(var.wave_rules)
    error_message = "Each of wave_rules has a name of its own."
  }

  validation {
    condition     = alltrue([for rule in var.wave_rules : length(rule.accounts) > 0 && length(rule.regions) > 0])
    error_message = "Each of wave_rules names at least one account and one Region: an empty list could mean nobody, or everybody."
  }

  validation {
    condition     = alltrue(flatten([for rule in var.wave_rules : [for account in rule.accounts : can(regex("^[0-9]{12}$", account))]]))
    error_message = "An account has 12 digits, in quotes."
  }
}

# Beside them: what a wave is scheduled by, and what hub.yaml cannot do without.

variable "tag_key" {
  description = "The tag that instances of wave_rules have. Empty, with tag_value: every instance of the accounts and Regions."
  type        = string
  default     = "PatchGroup"
}

variable "tag_value" {
  description = "The value of tag_key."
  type        = string
  default     = "default"
}

variable "schedule_timezone" {
  description = "The time zone of wave_rules and of the daily report, as the IANA names it."
  type        = string
  default     = "UTC"
}

variable "organization_id" {
  description = "The organization whose accounts may send events, and whose roles may be assumed."
  type        = string
}

variable "artifact_bucket" {
  description = "The bucket, in this Region, that holds the functions' zip. The template is put beside it, since CloudFormation takes no larger one from a file."
  type        = string
}

variable "artifact_key" {
  description = "The zip's key. Give every build a key of its own, such as ec2patch/<commit>/lambda.zip."
  type        = string
}

variable "cross_account_external_id" {
  description = "What spokes ask of whoever assumes their roles. Choose it once for this hub."
  type        = string
  sensitive   = true
}

variable "aggregator_name" {
  description = "The Config aggregator of this account and Region (the folder organization makes one). Without it there is no inventory, and campaigns hold."
  type        = string
  default     = "ec2patch-organization"
}

variable "approval_email" {
  description = "Who gets approval links; nobody if left empty."
  type        = string
  default     = ""
}

variable "approver_name" {
  description = "The approver that approval_email belongs to, as the policy names them."
  type        = string
  default     = ""
}

variable "policy_name" {
  description = "A built-in policy (default, accelerated, slow-roll, emergency), or a policy file of the zip."
  type        = string
  default     = "default"
}

variable "max_wave_concurrency" {
  description = "Accounts that commands are sent to at the same time."
  type        = number
  default     = 5
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 90
}

variable "parameters" {
  description = "Any other parameter of hub.yaml, under its own name there."
  type        = map(string)
  default     = {}
}
