output "role_arn" {
  description = "The role that commands are sent with; null where another Region made it."
  value       = lookup(aws_cloudformation_stack.spoke.outputs, "RoleArn", null)
}

output "verify_role_arn" {
  description = "The role that results are read with; null where another Region made it."
  value       = lookup(aws_cloudformation_stack.spoke.outputs, "VerifyRoleArn", null)
}

output "undelivered_queue_url" {
  description = "What EventBridge could not deliver to the hub."
  value       = aws_cloudformation_stack.spoke.outputs["UndeliveredQueueUrl"]
}
