output "app_subnet_ids" {
  description = "Subnets by app."
  value       = { for app, subnet in azurerm_subnet.app : app => subnet.id }
}

output "ready" {
  description = "Depend on this before an app starts."
  value       = values(azurerm_private_endpoint.this)[*].id
}
