# One app. On Flex Consumption through azapi: azurerm 5 still writes an `AzureWebJobsStorage` with an empty key beside the
# identity, which the host cannot use, and has no identity for Key Vault references
# (hashicorp/terraform-provider-azurerm#29693, #31439).

locals {
  flex = var.hosting == "flex"
}

resource "azurerm_service_plan" "this" {
  name                = var.plan_name
  resource_group_name = var.resource_group_name
  location            = var.location
  os_type             = "Linux"
  sku_name            = local.flex ? "FC1" : var.size.dedicated_sku
  worker_count        = local.flex ? null : var.size.workers
  tags                = var.tags
}

resource "azapi_resource" "flex" {
  count = local.flex ? 1 : 0

  type      = "Microsoft.Web/sites@2024-11-01"
  name      = var.name
  parent_id = var.resource_group_id
  location  = var.location
  tags      = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity.id]
  }

  body = {
    kind = "functionapp,linux"
    properties = {
      serverFarmId              = azurerm_service_plan.this.id
      httpsOnly                 = true
      publicNetworkAccess       = var.public ? "Enabled" : "Disabled"
      keyVaultReferenceIdentity = var.identity.id
      virtualNetworkSubnetId    = var.subnet_id
      functionAppConfig = {
        deployment = {
          storage = {
            type  = "blobContainer"
            value = var.deployment_url
            authentication = {
              type                           = "UserAssignedIdentity"
              userAssignedIdentityResourceId = var.identity.id
            }
          }
        }
        runtime = {
          name    = "custom"
          version = "1.0"
        }
        scaleAndConcurrency = {
          instanceMemoryMB     = var.size.memory_mb
          maximumInstanceCount = var.size.max_instances
          alwaysReady          = [for group, count in var.size.always_ready : { name = group, instanceCount = count }]
        }
      }
      siteConfig = {
        minTlsVersion = "1.2"
        ftpsState     = "Disabled"
        appSettings   = [for name, value in var.settings : { name = name, value = value }]
      }
    }
  }

  response_export_values = ["properties.defaultHostName"]
}

# Publishing with a password is off, as everything with a password.
resource "azapi_resource" "no_password" {
  for_each = local.flex ? toset(["ftp", "scm"]) : toset([])

  type      = "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01"
  name      = each.key
  parent_id = azapi_resource.flex[0].id
  body      = { properties = { allow = false } }
}

resource "azurerm_linux_function_app" "dedicated" {
  count = local.flex ? 0 : 1

  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  service_plan_id     = azurerm_service_plan.this.id
  tags                = var.tags

  storage_account_name          = var.settings["AzureWebJobsStorage__accountName"]
  storage_uses_managed_identity = true
  functions_extension_version   = "~4"

  https_only                                     = true
  public_network_access_enabled                  = var.public
  virtual_network_subnet_id                      = var.subnet_id
  key_vault_reference_identity_id                = var.identity.id
  ftp_publish_basic_authentication_enabled       = false
  webdeploy_publish_basic_authentication_enabled = false

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity.id]
  }

  site_config {
    always_on           = true
    ftps_state          = "Disabled"
    minimum_tls_version = "1.2"
    http2_enabled       = true

    application_stack {
      use_custom_runtime = true
    }
  }

  app_settings = merge(var.settings, {
    WEBSITE_RUN_FROM_PACKAGE                     = "${var.deployment_url}/package.zip"
    WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID = var.identity.id
  })
}
