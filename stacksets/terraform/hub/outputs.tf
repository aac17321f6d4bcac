output "api_url" {
  description = "Where the approval page and /v1 are."
  value       = aws_cloudformation_stack.hub.outputs["ApiUrl"]
}

output "event_bus_arn" {
  description = "What spokes forward to."
  value       = aws_cloudformation_stack.hub.outputs["EventBusArn"]
}

output "patch_role_arn" {
  description = "What spokes trust to send commands."
  value       = aws_cloudformation_stack.hub.outputs["PatchRoleArn"]
}

output "reevaluate_role_arn" {
  description = "What spokes trust to read results."
  value       = aws_cloudformation_stack.hub.outputs["ReevaluateRoleArn"]
}

output "notifications_topic_arn" {
  description = "Alarms."
  value       = aws_cloudformation_stack.hub.outputs["NotificationsTopicArn"]
}

output "alerts_topic_arn" {
  description = "Notices and approval requests. Filter on the attribute approver."
  value       = aws_cloudformation_stack.hub.outputs["AlertsTopicArn"]
}

output "dashboard_name" {
  description = "The dashboard."
  value       = aws_cloudformation_stack.hub.outputs["DashboardName"]
}

output "evidence_bucket_name" {
  description = "Reports and journals, locked."
  value       = aws_cloudformation_stack.hub.outputs["EvidenceBucketName"]
}

output "outputs" {
  description = "All outputs of the stack, under their own names."
  value       = aws_cloudformation_stack.hub.outputs
}

output "wave_schedules" {
  description = "The schedule of each of wave_rules."
  value       = { for name, schedule in aws_scheduler_schedule.wave : name => schedule.arn }
}
