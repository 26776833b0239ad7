//! Where Azure's services are and who we are to them: named by the environment alone, as the Functions host reads it.

use super::{ConfigError, Environment, Secret};

/// The setting that triggers name as their `connection`.
const SERVICE_BUS: &str = "ServiceBusConnection";
const SERVICE_BUS_NAMESPACE: &str = "ServiceBusConnection__fullyQualifiedNamespace";
/// The client id of a user-assigned identity. `AZURE_CLIENT_ID` is not read: it would silently apply to every other
/// connection of the app.
const CLIENT_ID: &str = "IDENTITY_CLIENT_ID";
/// What App Service and Azure Functions set where an app has an identity:
/// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.
const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";

/// Who the program is to Azure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The app runs where there is a managed identity; elsewhere the developer's sign-in is used.
    pub managed: bool,
    /// A user-assigned identity; `None` means the system's.
    pub client_id: Option<String>,
}

impl Identity {
    pub(super) fn read(environment: Environment) -> Self {
        let client_id = environment(CLIENT_ID);
        Self { managed: client_id.is_some() || environment(IDENTITY_ENDPOINT).is_some(), client_id }
    }
}

/// How to reach a Service Bus namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceBus {
    /// With a key.
    ConnectionString(Secret),
    /// With an identity: a name like `contoso.servicebus.windows.net`.
    FullyQualifiedNamespace(String),
}

impl ServiceBus {
    /// # Errors
    /// Neither variable is set. As in the Functions host, the connection string comes first.
    pub(super) fn read(environment: Environment) -> Result<Self, ConfigError> {
        match (environment(SERVICE_BUS), environment(SERVICE_BUS_NAMESPACE)) {
            // What the Functions host leaves behind when Key Vault refused: the reference itself.
            (Some(text), _) if text.starts_with("@Microsoft.KeyVault(") => Err(ConfigError::Variable {
                name: SERVICE_BUS,
                problem: "is an unresolved Key Vault reference".to_owned(),
            }),
            (Some(text), _) => Ok(Self::ConnectionString(Secret::new(text))),
            (None, Some(namespace)) => Ok(Self::FullyQualifiedNamespace(namespace)),
            (None, None) => Err(ConfigError::Variable {
                name: SERVICE_BUS,
                problem: format!(
                    "is not set, nor is {SERVICE_BUS_NAMESPACE}: with bus.kind = \"service-bus\" one of them names the \
                     namespace"
                ),
            }),
        }
    }
}
