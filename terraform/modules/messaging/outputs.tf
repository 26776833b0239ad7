output "id" {
  description = "Resource id."
  value       = azurerm_servicebus_namespace.this.id
}

output "fully_qualified_namespace" {
  description = "Host name, as the triggers' and the program's settings take it."
  value       = "${azurerm_servicebus_namespace.this.name}.servicebus.windows.net"
}

# An app that starts before its roles are there is refused for up to ten minutes.
output "ready" {
  description = "Depend on this before an app starts."
  value       = concat(values(azurerm_role_assignment.sender)[*].id, values(azurerm_role_assignment.receiver)[*].id, values(azurerm_servicebus_subscription_rule.this)[*].id)
}
