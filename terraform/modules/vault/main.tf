# Secrets are put into the vault by people (`az keyvault secret set`) and read by apps. No value passes through Terraform: its
# state would keep it.

variable "name" {
  description = "Name of the resource."
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

variable "public" {
  description = "Whether the vault can be reached from outside the virtual network."
  type        = bool
}

variable "secrets" {
  description = "By app: environment variables whose values are secrets, e.g. TWILIO_AUTH_TOKEN."
  type        = map(set(string))
}

variable "principals" {
  description = "Principal ids of the apps' identities, by app."
  type        = map(string)
}

locals {
  # A vault takes no underscores: TWILIO_AUTH_TOKEN is the secret twilio-auth-token.
  grants = merge([
    for app, variables in var.secrets : {
      for variable in variables :
      "${app}:${variable}" => { app = app, variable = variable, secret = lower(replace(variable, "_", "-")) }
    }
  ]...)
}

resource "azurerm_key_vault" "this" {
  name                          = var.name
  resource_group_name           = var.resource_group_name
  location                      = var.location
  tenant_id                     = var.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = var.public
  tags                          = var.tags

  network_acls {
    # Function Apps have no addresses of their own to allow; who may read is a matter of roles.
    default_action = var.public ? "Allow" : "Deny"
    bypass         = "AzureServices"
  }
}

# On the one secret: the app that answers vendors must not read partners' headers.
resource "azurerm_role_assignment" "reader" {
  for_each = local.grants

  scope                = "${azurerm_key_vault.this.id}/secrets/${each.value.secret}"
  role_definition_name = "Key Vault Secrets User"
  principal_id         = var.principals[each.value.app]
  principal_type       = "ServicePrincipal"
}

output "id" {
  description = "Resource id."
  value       = azurerm_key_vault.this.id
}

output "settings" {
  description = "By app: app settings that the platform replaces by the secrets' values."
  value = {
    for app in keys(var.secrets) : app => {
      for grant in values(local.grants) :
      grant.variable => "@Microsoft.KeyVault(SecretUri=${azurerm_key_vault.this.vault_uri}secrets/${grant.secret}/)" if grant.app == app
    }
  }
}

output "secrets" {
  description = "Names of the secrets that somebody has to put into the vault."
  value       = sort(distinct(values(local.grants)[*].secret))
}

output "ready" {
  description = "Depend on this before an app starts."
  value       = values(azurerm_role_assignment.reader)[*].id
}
