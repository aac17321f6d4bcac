variable "region" {
  description = "The hub's Region."
  type        = string
}

variable "orchestrator_account_id" {
  description = "The hub's account, a delegated administrator of StackSets and Config. Nothing is deployed with the credentials of another."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.orchestrator_account_id))
    error_message = "An account has 12 digits, in quotes."
  }
}

variable "name_prefix" {
  description = "The hub's name_prefix."
  type        = string
  default     = "ec2patch"
}

variable "role_name" {
  description = "The role that commands are sent with, the hub's SpokeRoleName."
  type        = string
  default     = "PatchExecRole"
}

variable "external_id" {
  description = "The hub's cross_account_external_id."
  type        = string
  sensitive   = true
}

variable "organization_id" {
  description = "The organization."
  type        = string
}

variable "artifact_bucket" {
  description = "The bucket that spoke.yaml is put in, where every account of the organization may read it."
  type        = string
}

variable "artifact_prefix" {
  description = "The beginning of its key."
  type        = string
  default     = "ec2patch"
}

variable "canary_organizational_unit_ids" {
  description = "Organizational units whose accounts become spokes first. If one of them fails, nothing follows."
  type        = list(string)
}

variable "organizational_unit_ids" {
  description = "All other organizational units. No account may be in both lists, also not by a unit within a unit."
  type        = list(string)
}

variable "spoke_regions" {
  description = "Regions in the order of deployment. The first makes the roles."
  type        = list(string)

  validation {
    condition     = length(var.spoke_regions) > 0
    error_message = "At least one Region: the first makes the roles."
  }
}

variable "parameters" {
  description = "Any other parameter of organization.yaml, under its own name there."
  type        = map(string)
  default     = {}
}
