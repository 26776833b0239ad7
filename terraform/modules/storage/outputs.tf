output "ids" {
  description = "Resource ids by purpose: host, overflow."
  value       = { for purpose, account in azurerm_storage_account.this : purpose => account.id }
}

output "host_account" {
  description = "Name of the account of the Functions host."
  value       = azurerm_storage_account.this["host"].name
}

output "overflow_account" {
  description = "Name of the account of bodies that exceed the bus's limit."
  value       = azurerm_storage_account.this["overflow"].name
}

output "overflow_container" {
  description = "Name of their container."
  value       = azurerm_storage_container.overflow.name
}

output "deployment_urls" {
  description = "By app: the container that its package is uploaded to."
  value = {
    for app, container in azurerm_storage_container.deployment :
    app => "${azurerm_storage_account.this["host"].primary_blob_endpoint}${container.name}"
  }
}

output "ready" {
  description = "Depend on this before an app starts."
  value       = concat(values(azurerm_role_assignment.host)[*].id, values(azurerm_role_assignment.overflow)[*].id)
}
