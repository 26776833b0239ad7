# The apps' settings. What is secret is a reference to the vault; where services are is no secret.

locals {
  # The door verifies signatures, processors only read bodies. Whoever signs deliveries has the key for that; the keyed
  # tokens that stand for people in logs and consent records are needed everywhere.
  secrets = {
    for app in keys(module.topology.apps) : app => setunion(
      ["SLUICE_PRIVACY_KEY"],
      app == "ingest" ? var.vendor_secrets : [],
      contains(["delivery", "ops"], app) ? setunion(["SLUICE_DELIVERY_KEY"], var.partner_secrets) : [],
    )
  }

  connections = {
    ServiceBusConnection__fullyQualifiedNamespace = module.messaging.fully_qualified_namespace
    CosmosConnection__accountEndpoint             = module.data.endpoint
    BlobConnection__accountName                   = module.storage.overflow_account
    AzureWebJobsStorage__accountName              = module.storage.host_account
  }

  settings = {
    for app in keys(module.topology.apps) : app => merge(
      local.connections,
      {
        # The host's own connections name the identity each.
        AzureWebJobsStorage__credential  = "managedidentity"
        AzureWebJobsStorage__clientId    = module.identity.client_ids[app]
        ServiceBusConnection__credential = "managedidentity"
        ServiceBusConnection__clientId   = module.identity.client_ids[app]
        IDENTITY_CLIENT_ID               = module.identity.client_ids[app]

        APPLICATIONINSIGHTS_CONNECTION_STRING     = module.observability.insights_destination
        APPLICATIONINSIGHTS_AUTHENTICATION_STRING = "ClientId=${module.identity.client_ids[app]};Authorization=AAD"
        OTEL_TRACES_SAMPLER                       = "parentbased_traceidratio"
        OTEL_TRACES_SAMPLER_ARG                   = tostring(var.sampling_ratio)
        OTEL_SERVICE_NAME                         = "sluice-${app}"

        SLUICE_PROFILE         = "production"
        SLUICE_PUBLIC_URL      = coalesce(var.public_url, "https://${module.naming.apps["ingest"]}.azurewebsites.net")
        SLUICE_BUS             = "service-bus"
        SLUICE_DOCUMENTS       = "cosmos"
        SLUICE_COSMOS_DATABASE = module.data.database
        SLUICE_BLOBS           = "azure"
        SLUICE_BLOB_CONTAINER  = module.storage.overflow_container
        SLUICE_LOG_FORMAT      = "json"
      },
      module.topology.topic_settings,
      module.vault.settings[app],
      var.sql == null && contains(keys(module.topology.apps[app].functions), "project-sql") ? { "AzureWebJobs.project-sql.Disabled" = "true" } : {},
      var.sql != null && app == "delivery" ? { SqlConnection = module.sql[0].setting } : {},
      var.hosting == "dedicated" ? { FUNCTIONS_WORKER_RUNTIME = "custom" } : {},
    )
  }
}
