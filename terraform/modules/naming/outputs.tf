output "resource_group" {
  description = "Name of the resource group."
  value       = "rg-${local.base}"
}

output "service_bus_namespace" {
  description = "Name of the namespace: 6 to 50 characters, unique in the world."
  value       = "sbns-${local.base}"
}

output "cosmos_account" {
  description = "3 to 44 characters, unique in the world."
  value       = "cosno-${local.base}"
}

output "host_storage_account" {
  description = "Accounts are named by 3 to 24 letters and digits, unique in the world."
  value       = "sth${local.compact}"
}

output "overflow_storage_account" {
  description = "The account of bodies that exceed the bus's limit."
  value       = "sto${local.compact}"
}

output "key_vault" {
  description = "3 to 24 characters, unique in the world."
  value       = "kv-${local.compact}"
}

output "log_analytics_workspace" {
  description = "Name of the workspace."
  value       = "log-${local.base}"
}

output "application_insights" {
  description = "Name of the component."
  value       = "appi-${local.base}"
}

output "action_group" {
  description = "Name of the action group."
  value       = "ag-${local.base}"
}

output "virtual_network" {
  description = "Name of the network."
  value       = "vnet-${local.base}"
}

output "sql_server" {
  description = "Name of the server, unique in the world."
  value       = "sql-${local.base}"
}

output "apps" {
  description = "Function Apps by app: at most 32 characters, unique in the world."
  value       = local.apps
}

output "plans" {
  description = "Service plans by app."
  value       = { for app in var.apps : app => "asp-${local.base}-${app}" }
}

output "identities" {
  description = "User-assigned identities by app."
  value       = { for app in var.apps : app => "id-${local.base}-${app}" }
}

output "base" {
  description = "What every name has, for names that are made elsewhere."
  value       = local.base
}
