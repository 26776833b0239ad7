# The documents: a Cosmos DB account without keys, one database, and the containers with the indexes that queries need.

locals {
  # Built into every account.
  reader      = "00000000-0000-0000-0000-000000000001"
  contributor = "00000000-0000-0000-0000-000000000002"
}

resource "azurerm_cosmosdb_account" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  offer_type          = "Standard"
  kind                = "GlobalDocumentDB"
  tags                = var.tags

  local_authentication_enabled       = false
  access_key_metadata_writes_enabled = false
  public_network_access_enabled      = var.public
  minimal_tls_version                = "Tls12"

  consistency_policy {
    # A sweep that reads after its own write must see it.
    consistency_level = "Session"
  }

  geo_location {
    location          = var.location
    failover_priority = 0
    zone_redundant    = var.cosmos.zone_redundant
  }

  dynamic "capabilities" {
    for_each = var.cosmos.serverless ? ["EnableServerless"] : []

    content {
      name = capabilities.value
    }
  }

  backup {
    type = "Continuous"
    tier = "Continuous7Days"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_cosmosdb_sql_database" "this" {
  name                = var.database
  resource_group_name = var.resource_group_name
  account_name        = azurerm_cosmosdb_account.this.name

  dynamic "autoscale_settings" {
    for_each = var.cosmos.serverless ? [] : [var.cosmos.max_throughput]

    content {
      max_throughput = autoscale_settings.value
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_cosmosdb_sql_container" "this" {
  for_each = var.containers

  name                  = each.key
  resource_group_name   = var.resource_group_name
  account_name          = azurerm_cosmosdb_account.this.name
  database_name         = azurerm_cosmosdb_sql_database.this.name
  partition_key_paths   = [each.value.partition_key]
  partition_key_version = 2
  # Documents may have a time to live of their own; there is no default.
  default_ttl = -1

  indexing_policy {
    indexing_mode = "consistent"

    dynamic "included_path" {
      for_each = each.value.included

      content {
        path = included_path.value
      }
    }

    excluded_path {
      path = "/*"
    }

    dynamic "composite_index" {
      for_each = each.value.composite

      content {
        dynamic "index" {
          for_each = composite_index.value

          content {
            path  = index.value
            order = "ascending"
          }
        }
      }
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_cosmosdb_sql_role_assignment" "this" {
  for_each = var.grants

  resource_group_name = var.resource_group_name
  account_name        = azurerm_cosmosdb_account.this.name
  role_definition_id  = "${azurerm_cosmosdb_account.this.id}/sqlRoleDefinitions/${each.value.writes ? local.contributor : local.reader}"
  principal_id        = var.principals[each.value.app]
  scope = join("", [
    "${azurerm_cosmosdb_account.this.id}/dbs/${azurerm_cosmosdb_sql_database.this.name}",
    each.value.container == null ? "" : "/colls/${azurerm_cosmosdb_sql_container.this[each.value.container].name}",
  ])
}
