# One spoke by hand: stacksets/spoke.yaml as it is, in the account and Region of these credentials. The folder organization does
# the same for every account at once, and for those that come later.

provider "aws" {
  region = var.region
}

locals {
  parameters = {
    HubAccountId   = var.orchestrator_account_id
    HubRegion      = coalesce(var.hub_region, var.region)
    NamePrefix     = var.name_prefix
    OrganizationId = var.organization_id
    ExternalId     = var.external_id
    RolesRegion    = coalesce(var.roles_region, var.region)
    RoleName       = var.role_name
  }
}

resource "aws_cloudformation_stack" "spoke" {
  name          = "${var.name_prefix}-spoke"
  template_body = file("${path.module}/../../spoke.yaml")
  capabilities  = ["CAPABILITY_NAMED_IAM"]
  parameters    = merge(local.parameters, var.parameters)
}
