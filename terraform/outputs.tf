output "resource_group" {
  description = "Name of the resource group."
  value       = azurerm_resource_group.this.name
}

output "apps" {
  description = "Function Apps by app: name, host name, and the container for the package."
  value = {
    for app, instance in module.app : app => {
      name           = module.naming.apps[app]
      host_name      = instance.host_name
      deployment_url = module.storage.deployment_urls[app]
    }
  }
}

output "vendor_url" {
  description = "What vendors' consoles are given, before /incoming/{vendor}/{servicetype}/..."
  value       = local.settings["ingest"]["SLUICE_PUBLIC_URL"]
}

output "key_vault" {
  description = "The vault, and the secrets that somebody has to put into it before the apps start."
  value       = { name = module.naming.key_vault, secrets = module.vault.secrets }
}

output "hosting" {
  description = "How packages are deployed: flex takes a zip, dedicated runs it from its container."
  value       = var.hosting
}

output "reachable" {
  description = "Host names of the apps that can be called from outside."
  value       = [for app in sort(keys(module.app)) : module.app[app].host_name if contains(["ingest", "ops"], app) || !local.private]
}

output "overflow_account" {
  description = "Storage account of bodies that exceed the bus's limit."
  value       = module.storage.overflow_account
}

output "service_bus" {
  description = "Host name of the namespace."
  value       = module.messaging.fully_qualified_namespace
}

output "cosmos" {
  description = "URL of the account."
  value       = module.data.endpoint
}

output "client_ids" {
  description = "Identities by app."
  value       = module.identity.client_ids
}
