# The optional SQL database that the function project-sql writes events to. Nobody logs in with a password.

variable "name" {
  description = "Name of the server."
  type        = string
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

variable "tenant_id" {
  description = "The Entra ID tenant."
  type        = string
}

variable "administrator" {
  description = "The Entra ID group that administers the server: it runs sql/events.sql and creates the app's user."
  type        = object({ name = string, object_id = string })
}

variable "public" {
  description = "Whether the server can be reached from outside the virtual network."
  type        = bool
}

variable "workspace_id" {
  description = "Resource id of the Log Analytics workspace."
  type        = string
}

variable "client_id" {
  description = "Client id of the identity that writes."
  type        = string
}

resource "azurerm_mssql_server" "this" {
  name                          = var.name
  resource_group_name           = var.resource_group_name
  location                      = var.location
  version                       = "12.0"
  minimum_tls_version           = "1.2"
  public_network_access_enabled = var.public
  tags                          = var.tags

  azuread_administrator {
    login_username              = var.administrator.name
    object_id                   = var.administrator.object_id
    tenant_id                   = var.tenant_id
    azuread_authentication_only = true
  }
}

# Who did what, in the workspace with everything else.
resource "azurerm_mssql_server_extended_auditing_policy" "this" {
  server_id              = azurerm_mssql_server.this.id
  log_monitoring_enabled = true
  retention_in_days      = 91
}

resource "azurerm_monitor_diagnostic_setting" "audit" {
  name                       = "audit"
  target_resource_id         = "${azurerm_mssql_server.this.id}/databases/master"
  log_analytics_workspace_id = var.workspace_id

  enabled_log {
    category = "SQLSecurityAuditEvents"
  }
}

resource "azurerm_mssql_database" "this" {
  name                        = "sluice"
  server_id                   = azurerm_mssql_server.this.id
  sku_name                    = "GP_S_Gen5_1"
  min_capacity                = 0.5
  auto_pause_delay_in_minutes = 60
  max_size_gb                 = 32
  tags                        = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

# Function Apps on public networking come from addresses of Azure's own.
resource "azurerm_mssql_firewall_rule" "azure" {
  count = var.public ? 1 : 0

  name             = "azure"
  server_id        = azurerm_mssql_server.this.id
  start_ip_address = "0.0.0.0"
  end_ip_address   = "0.0.0.0"
}

output "id" {
  description = "Resource id."
  value       = azurerm_mssql_server.this.id
}

output "setting" {
  description = "`SqlConnection` of the app that writes: it names an identity, and holds no secret."
  value = join(";", [
    "Server=tcp:${azurerm_mssql_server.this.fully_qualified_domain_name},1433",
    "Database=${azurerm_mssql_database.this.name}",
    "Authentication=Active Directory Managed Identity",
    "User Id=${var.client_id}",
    "Encrypt=True",
  ])
}
