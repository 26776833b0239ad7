# The whole, with providers that only pretend: `terraform -chdir=terraform test`. Needs the providers' plugins, not Azure.

mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = {
      tenant_id = "11111111-1111-1111-1111-111111111111"
    }
  }
  mock_resource "azurerm_key_vault" {
    defaults = {
      id        = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv"
      vault_uri = "https://kv.vault.azure.net/"
    }
  }
}

mock_provider "azapi" {
  mock_resource "azapi_resource" {
    defaults = {
      output = { properties = { defaultHostName = "app.azurewebsites.net" } }
    }
  }
}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000000"
  workload        = "contoso"
  environment     = "test"
  location        = "westeurope"
  location_short  = "weu"
  service_bus     = { sku = "Standard" }
  cosmos          = { serverless = true }
  vendor_secrets  = ["TWILIO_AUTH_TOKEN"]
}

run "the_smallest" {
  command = plan

  assert {
    condition     = length(module.app) == 6
    error_message = "apps: ${join(", ", keys(module.app))}"
  }
  assert {
    condition = alltrue(flatten([
      for settings in values(local.settings) : [for value in values(settings) : !can(regex("(?i)(AccountKey|SharedAccessKey)=", value))]
    ]))
    error_message = "a setting holds a key"
  }
  assert {
    condition     = !contains(keys(local.settings["sms"]), "TWILIO_AUTH_TOKEN") && startswith(local.settings["ingest"]["TWILIO_AUTH_TOKEN"], "@Microsoft.KeyVault(")
    error_message = "only the door reads vendors' secrets, and from the vault"
  }
  assert {
    condition     = local.settings["delivery"]["AzureWebJobs.project-sql.Disabled"] == "true"
    error_message = "without a database project-sql must be off"
  }
}

run "premium_with_a_private_network" {
  command = plan

  variables {
    service_bus = { sku = "Premium", capacity = 1, partitions = 1 }
    cosmos      = { serverless = false, max_throughput = 20000 }
    network     = { address_space = "10.20.0.0/22" }
    sql         = { administrator = { name = "dba", object_id = "22222222-2222-2222-2222-222222222222" } }
  }

  assert {
    condition     = length(module.network) == 1 && length(module.sql) == 1
    error_message = "network and database belong to it"
  }
  assert {
    condition     = contains(keys(local.settings["delivery"]), "SqlConnection")
    error_message = "project-sql needs its connection"
  }
}

run "dedicated_plans" {
  command = plan

  variables {
    hosting = "dedicated"
  }

  assert {
    condition     = local.settings["ingest"]["FUNCTIONS_WORKER_RUNTIME"] == "custom"
    error_message = "a plan has to be told the runtime by a setting"
  }
}

run "what_cannot_be_is_refused" {
  command = plan

  variables {
    service_bus = { sku = "Basic" }
    cosmos      = { serverless = true, max_throughput = 1000 }
    network     = { address_space = "10.20.0.0/22" }
    public_url  = "http://hooks.contoso.com/"
  }

  expect_failures = [var.service_bus, var.cosmos, var.network, var.public_url]
}
