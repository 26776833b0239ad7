# Everything that Sluice needs in Azure: where messages go (messaging), where documents are (data), large bodies and the
# host's own storage (storage), secrets (vault), the apps, and who is told when something is wrong (observability, alerts).

data "azurerm_client_config" "current" {}

module "topology" {
  source = "./modules/topology"
}

module "naming" {
  source = "./modules/naming"

  workload       = var.workload
  environment    = var.environment
  location_short = var.location_short
  instance       = var.instance
  apps           = keys(module.topology.apps)
}

locals {
  tags    = merge({ workload = var.workload, environment = var.environment, managed-by = "terraform" }, var.tags)
  private = var.network != null
  common = {
    resource_group_name = azurerm_resource_group.this.name
    location            = var.location
    tags                = local.tags
  }

  database           = "sluice"
  overflow_container = "sluice"
}

resource "azurerm_resource_group" "this" {
  name     = module.naming.resource_group
  location = var.location
  tags     = local.tags
}

module "identity" {
  source = "./modules/identity"

  names               = module.naming.identities
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
}

module "messaging" {
  source = "./modules/messaging"

  name                = module.naming.service_bus_namespace
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  service_bus         = var.service_bus
  public              = !local.private
  topics              = module.topology.topics
  subscriptions       = module.topology.subscriptions
  senders             = module.topology.senders
  receivers           = module.topology.receivers
  principals          = module.identity.principal_ids
}

module "data" {
  source = "./modules/data"

  name                = module.naming.cosmos_account
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  database            = local.database
  cosmos              = var.cosmos
  public              = !local.private
  containers          = module.topology.containers
  grants              = module.topology.documents
  principals          = module.identity.principal_ids
}

module "storage" {
  source = "./modules/storage"

  names = {
    host     = module.naming.host_storage_account
    overflow = module.naming.overflow_storage_account
  }
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  apps                = keys(module.topology.apps)
  replication         = var.storage_replication
  public              = !local.private
  overflow_container  = local.overflow_container
  overflow_days       = var.overflow_days
  blob_roles          = module.topology.blobs
  principals          = module.identity.principal_ids
}

module "vault" {
  source = "./modules/vault"

  name                = module.naming.key_vault
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  tenant_id           = data.azurerm_client_config.current.tenant_id
  public              = !local.private
  secrets             = local.secrets
  principals          = module.identity.principal_ids
}

module "observability" {
  source = "./modules/observability"

  names = {
    workspace = module.naming.log_analytics_workspace
    insights  = module.naming.application_insights
  }
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  retention_days      = var.log_retention_days
  daily_quota_gb      = var.log_daily_quota_gb
  principals          = module.identity.principal_ids
}

module "sql" {
  source = "./modules/sql"
  count  = var.sql == null ? 0 : 1

  name                = module.naming.sql_server
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  tenant_id           = data.azurerm_client_config.current.tenant_id
  administrator       = var.sql.administrator
  public              = !local.private
  workspace_id        = module.observability.workspace_id
  client_id           = module.identity.client_ids["delivery"]
}

module "network" {
  source = "./modules/network"
  count  = local.private ? 1 : 0

  name                = module.naming.virtual_network
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  address_space       = var.network.address_space
  apps                = keys(module.topology.apps)
  hosting             = var.hosting
  endpoints = merge(
    {
      bus      = { resource_id = module.messaging.id, subresource = "namespace", zone = "privatelink.servicebus.windows.net" }
      data     = { resource_id = module.data.id, subresource = "Sql", zone = "privatelink.documents.azure.com" }
      host     = { resource_id = module.storage.ids["host"], subresource = "blob", zone = "privatelink.blob.core.windows.net" }
      tables   = { resource_id = module.storage.ids["host"], subresource = "table", zone = "privatelink.table.core.windows.net" }
      overflow = { resource_id = module.storage.ids["overflow"], subresource = "blob", zone = "privatelink.blob.core.windows.net" }
      vault    = { resource_id = module.vault.id, subresource = "vault", zone = "privatelink.vaultcore.azure.net" }
    },
    var.sql == null ? {} : { sql = { resource_id = module.sql[0].id, subresource = "sqlServer", zone = "privatelink.database.windows.net" } },
  )
}

module "app" {
  source   = "./modules/function_app"
  for_each = module.topology.apps

  name                = module.naming.apps[each.key]
  plan_name           = module.naming.plans[each.key]
  resource_group_name = local.common.resource_group_name
  resource_group_id   = azurerm_resource_group.this.id
  location            = local.common.location
  tags                = local.common.tags
  hosting             = var.hosting
  size                = try(var.functions[each.key], {})
  identity = {
    id        = module.identity.ids[each.key]
    client_id = module.identity.client_ids[each.key]
  }
  deployment_url = module.storage.deployment_urls[each.key]
  subnet_id      = local.private ? module.network[0].app_subnet_ids[each.key] : null
  # Vendors and operators come from outside; nobody else does.
  public   = contains(["ingest", "ops"], each.key) || !local.private
  settings = local.settings[each.key]

  # Roles take minutes to become effective: an app that starts before them fails, and stays failed for a while.
  depends_on = [module.messaging, module.data, module.storage, module.vault, module.observability, module.network]
}

module "alerts" {
  source = "./modules/alerts"

  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  name                = module.naming.base
  action_group        = module.naming.action_group
  emails              = var.alert_emails
  namespace_id        = module.messaging.id
  insights_id         = module.observability.insights_id
}
