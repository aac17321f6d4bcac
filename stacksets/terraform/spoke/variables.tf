# The variables that the original documents had, under the names that they had there.

variable "region" {
  description = "The Region that this stack is made in."
  type        = string
  default     = "us-east-1"
}

variable "orchestrator_account_id" {
  description = "The hub's account."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.orchestrator_account_id))
    error_message = "An account has 12 digits, in quotes."
  }
}

variable "role_name" {
  description = "The role that commands are sent with, the hub's SpokeRoleName."
  type        = string
  default     = "PatchExecRole"
}

# Beside them: what spoke.yaml cannot do without.

variable "external_id" {
  description = "The hub's cross_account_external_id."
  type        = string
  sensitive   = true
}

variable "organization_id" {
  description = "The organization that the hub must be of."
  type        = string
}

variable "hub_region" {
  description = "The hub's Region; this one if left out."
  type        = string
  default     = null
}

variable "roles_region" {
  description = "The Region whose stack makes the account's roles, which is deployed first; this one if left out."
  type        = string
  default     = null
}

variable "name_prefix" {
  description = "The hub's name_prefix."
  type        = string
  default     = "ec2patch"
}

variable "parameters" {
  description = "Any other parameter of spoke.yaml, under its own name there."
  type        = map(string)
  default     = {}
}
