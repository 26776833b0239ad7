output "id" {
  description = "Resource id."
  value       = local.flex ? azapi_resource.flex[0].id : azurerm_linux_function_app.dedicated[0].id
}

output "host_name" {
  description = "Where the app answers."
  value       = local.flex ? azapi_resource.flex[0].output.properties.defaultHostName : azurerm_linux_function_app.dedicated[0].default_hostname
}
