# Spokes in every account: stacksets/organization.yaml as it is, which makes the stack sets. Terraform does not make them one by one, so
# that canaries come first here too, and accounts that come later are spokes without anybody's doing.

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.orchestrator_account_id]
}

data "aws_partition" "current" {}

locals {
  spoke = "${path.module}/../../spoke.yaml"
  # Stack sets do not see that a file has changed: a new text has a new key.
  spoke_key = "${var.artifact_prefix}/spoke-${substr(filesha256(local.spoke), 0, 12)}.yaml"

  parameters = {
    SpokeTemplateUrl            = "https://${var.artifact_bucket}.s3.${var.region}.${data.aws_partition.current.dns_suffix}/${aws_s3_object.spoke.key}"
    NamePrefix                  = var.name_prefix
    HubAccountId                = var.orchestrator_account_id
    HubRegion                   = var.region
    OrganizationId              = var.organization_id
    ExternalId                  = var.external_id
    RoleName                    = var.role_name
    CanaryOrganizationalUnitIds = join(",", var.canary_organizational_unit_ids)
    OrganizationalUnitIds       = join(",", var.organizational_unit_ids)
    SpokeRegions                = join(",", var.spoke_regions)
  }
}

resource "aws_s3_object" "spoke" {
  bucket      = var.artifact_bucket
  key         = local.spoke_key
  source      = local.spoke
  source_hash = filesha256(local.spoke)
}

resource "aws_cloudformation_stack" "organization" {
  name          = "${var.name_prefix}-organization"
  template_body = file("${path.module}/../../organization.yaml")
  capabilities  = ["CAPABILITY_NAMED_IAM"]
  parameters    = merge(local.parameters, var.parameters)
}
