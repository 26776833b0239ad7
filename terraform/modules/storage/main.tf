# Two accounts: the Functions host's own (locks, keys, packages), and one for bodies that are too large for the bus, so that
# a role on one says nothing about the other.

locals {
  accounts = { host = var.names.host, overflow = var.names.overflow }

  # What the host does with its account: leases and keys as blobs, diagnostic events in a table.
  host_roles = ["Storage Blob Data Owner", "Storage Table Data Contributor"]
}

resource "azurerm_storage_account" "this" {
  for_each = local.accounts

  name                     = each.value
  resource_group_name      = var.resource_group_name
  location                 = var.location
  account_tier             = "Standard"
  account_replication_type = var.replication
  tags                     = var.tags

  shared_access_key_enabled       = false
  default_to_oauth_authentication = true
  allow_nested_items_to_be_public = false
  https_traffic_only_enabled      = true
  min_tls_version                 = "TLS1_2"
  local_user_enabled              = false
  public_network_access_enabled   = var.public

  blob_properties {
    delete_retention_policy {
      days = 7
    }
    container_delete_retention_policy {
      days = 7
    }
  }
}

resource "azurerm_storage_container" "deployment" {
  for_each = var.apps

  name               = "deploy-${each.key}"
  storage_account_id = azurerm_storage_account.this["host"].id
}

resource "azurerm_storage_container" "overflow" {
  name               = var.overflow_container
  storage_account_id = azurerm_storage_account.this["overflow"].id
}

resource "azurerm_storage_management_policy" "overflow" {
  storage_account_id = azurerm_storage_account.this["overflow"].id

  rule {
    name    = "bodies-end"
    enabled = true

    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["${var.overflow_container}/"]
    }
    actions {
      base_blob {
        delete_after_days_since_creation_greater_than = var.overflow_days
      }
    }
  }
}

resource "azurerm_role_assignment" "host" {
  for_each = merge([for app in var.apps : { for role in local.host_roles : "${app}:${role}" => { app = app, role = role } }]...)

  scope                = azurerm_storage_account.this["host"].id
  role_definition_name = each.value.role
  principal_id         = var.principals[each.value.app]
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "overflow" {
  for_each = var.blob_roles

  scope                = azurerm_storage_container.overflow.id
  role_definition_name = each.value
  principal_id         = var.principals[each.key]
  principal_type       = "ServicePrincipal"
}
