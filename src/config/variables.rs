//! Every variable of the environment that the program looks at, beside the secrets that `sluice.toml` names.

/// A variable, and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    pub name: &'static str,
    pub meaning: &'static str,
}

const fn variable(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, meaning }
}

/// Every one of them.
pub const VARIABLES: &[Variable] = &[
    variable("SLUICE_PROFILE", "`demo` or `production`; overrides `profile`"),
    variable("SLUICE_PUBLIC_URL", "the URL that vendors were given; overrides `public_url`"),
    variable("SLUICE_BUS", "`embedded`, `service-bus` or `service-bus-https`; overrides `kind` of `[bus]`"),
    variable("SLUICE_DOCUMENTS", "`embedded` or `cosmos`; overrides `kind` of `[documents]`"),
    variable("SLUICE_COSMOS_DATABASE", "overrides `database` of `[documents]`"),
    variable("SLUICE_BLOBS", "`embedded` or `azure`; overrides `kind` of `[blobs]`"),
    variable("SLUICE_BLOB_CONTAINER", "overrides `container` of `[blobs]`"),
    variable(
        "ServiceBusConnection__fullyQualifiedNamespace",
        "the Service Bus namespace, for `connection` of `[bus]` as shipped; reached with the app's managed identity, or the \
         developer's login",
    ),
    variable(
        "ServiceBusConnection",
        "instead, a connection string with a key; `UseDevelopmentEmulator=true` in it means plain TCP",
    ),
    variable(
        "CosmosConnection__accountEndpoint",
        "the URL of the Cosmos DB account, for `connection` of `[documents]`",
    ),
    variable("CosmosConnection", "instead, a connection string with a key, for emulators"),
    variable("BlobConnection__accountName", "the storage account, for `connection` of `[blobs]`"),
    variable("BlobConnection", "instead, a connection string, for Azurite: `UseDevelopmentStorage=true`"),
    variable(
        "ServiceBusConnection__clientId, CosmosConnection__clientId, BlobConnection__clientId",
        "a user-assigned identity for this connection",
    ),
    variable("IDENTITY_CLIENT_ID", "a user-assigned identity for all connections without one of their own"),
    variable(
        "PARTNER_...",
        "values of headers that partners want, as `env:PARTNER_...` in `sluice partners add --header`",
    ),
    variable("SLUICE_CONFIG", "the configuration file, as `--config`; by default sluice.toml in the root"),
    variable("SLUICE_DATA", "the folder of the embedded engine's data, as `--data`"),
    variable("SLUICE_PORT", "the one-machine system's port on 127.0.0.1, as `--port`"),
    variable("SLUICE_AMQP", "where clients of Service Bus are served, as `--amqp`"),
    variable("SLUICE_ADMIN_URL", "where operators' commands find the system, as `--url`"),
    variable(
        "SLUICE_ADMIN_KEY",
        "the operators' key, which their commands bring; `key` of `[admin]` as shipped names it, too",
    ),
    variable("USER", "who an operator is, unless `--as` says so: it is in the audit log"),
    variable("RUST_LOG", "which log lines are written, by default `info`"),
    variable("SLUICE_LOG_FORMAT", "`json` writes log lines as JSON"),
    variable("FUNCTIONS_CUSTOMHANDLER_PORT", "set by the Functions host: be the custom handler on this port"),
    variable(
        "FUNCTIONS_APP_ROOT_PATH, AzureWebJobsScriptRoot",
        "set by the Functions host: the folder with host.json, unless `--root` says so",
    ),
    variable(
        "WEBSITE_SITE_NAME, WEBSITE_INSTANCE_ID, WEBSITE_POD_NAME, CONTAINER_APP_NAME",
        "set by Azure: the program runs in a Function App, where the demo profile and the embedded engine are refused",
    ),
    variable(
        "CALLBACKS_TOPIC, DELIVERIES_TOPIC",
        "what `%CALLBACKS_TOPIC%` and `%DELIVERIES_TOPIC%` in functions/ stand for; they must say the same as `[bus]`",
    ),
    variable(
        "AzureWebJobs.NAME.Disabled",
        "`true` switches the function of this name off; `project-sql` is off by itself on one machine unless `[outbox]` names it",
    ),
    variable("SqlConnection", "the database that the function `project-sql` writes to, in Azure"),
    variable("AzureWebJobsStorage", "the Functions host's own storage"),
];
