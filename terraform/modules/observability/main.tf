# Where logs, traces and metrics go. Nobody sends with a key: each app's identity may publish.

variable "names" {
  description = "Names of the resources."
  type        = object({ workspace = string, insights = string })
}

variable "resource_group_name" {
  description = "Name of the resource group."
  type        = string
}

variable "location" {
  description = "Azure region."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
}

variable "retention_days" {
  description = "Days that logs are kept: 30 to 730."
  type        = number
}

variable "daily_quota_gb" {
  description = "Gigabytes of logs a day, at the most; -1: no limit."
  type        = number
}

variable "principals" {
  description = "Principal ids of the apps' identities, by app."
  type        = map(string)
}

resource "azurerm_log_analytics_workspace" "this" {
  name                         = var.names.workspace
  resource_group_name          = var.resource_group_name
  location                     = var.location
  sku                          = "PerGB2018"
  retention_in_days            = var.retention_days
  daily_quota_gb               = var.daily_quota_gb
  local_authentication_enabled = false
  tags                         = var.tags
}

resource "azurerm_application_insights" "this" {
  name                         = var.names.insights
  resource_group_name          = var.resource_group_name
  location                     = var.location
  application_type             = "other"
  workspace_id                 = azurerm_log_analytics_workspace.this.id
  local_authentication_enabled = false
  tags                         = var.tags
}

resource "azurerm_role_assignment" "publisher" {
  for_each = var.principals

  scope                = azurerm_application_insights.this.id
  role_definition_name = "Monitoring Metrics Publisher"
  principal_id         = each.value
  principal_type       = "ServicePrincipal"
}

output "workspace_id" {
  description = "Resource id of the workspace."
  value       = azurerm_log_analytics_workspace.this.id
}

output "insights_id" {
  description = "Resource id of the component."
  value       = azurerm_application_insights.this.id
}

output "insights_destination" {
  description = "Connection string. With local authentication off it says only where to send to; who may send is a matter of roles."
  value       = azurerm_application_insights.this.connection_string
  sensitive   = true
}

output "ready" {
  description = "Depend on this before an app starts."
  value       = values(azurerm_role_assignment.publisher)[*].id
}
