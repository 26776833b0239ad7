# One identity for each app, so that its roles exist before it starts and end with it.

variable "names" {
  description = "Names by app."
  type        = map(string)
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

resource "azurerm_user_assigned_identity" "this" {
  for_each = var.names

  name                = each.value
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

output "ids" {
  description = "Resource ids by app."
  value       = { for app, identity in azurerm_user_assigned_identity.this : app => identity.id }
}

output "client_ids" {
  description = "By app: what settings name an identity by."
  value       = { for app, identity in azurerm_user_assigned_identity.this : app => identity.client_id }
}

output "principal_ids" {
  description = "By app: what roles are assigned to."
  value       = { for app, identity in azurerm_user_assigned_identity.this : app => identity.principal_id }
}
