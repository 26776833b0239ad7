output "id" {
  description = "Resource id."
  value       = azurerm_cosmosdb_account.this.id
}

output "endpoint" {
  description = "The account's URL."
  value       = azurerm_cosmosdb_account.this.endpoint
}

output "database" {
  description = "Name of the database."
  value       = azurerm_cosmosdb_sql_database.this.name
}

output "ready" {
  description = "Depend on this before an app starts."
  value       = concat(values(azurerm_cosmosdb_sql_role_assignment.this)[*].id, values(azurerm_cosmosdb_sql_container.this)[*].id)
}
