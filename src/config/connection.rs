//! Connections to Azure services, named in the file and held by the environment under the names that Azure Functions
//! uses for its own triggers, so that a Function App has one setting for both:
//! <https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection>.

use super::{Environment, Secret};

/// How a service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// With the app's identity. `client_id` names a user-assigned one.
    Identity { address: String, client_id: Option<String> },
    /// By a connection string with a key: for emulators.
    Key(Secret),
}

/// A connection that the file names and the environment lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: environment variable {name}{suffix} is not set, nor {name} (a connection string, for emulators)")]
pub struct MissingConnection {
    /// The key in the file.
    pub key: &'static str,
    pub name: String,
    pub suffix: &'static str,
}

pub(super) fn resolve(
    key: &'static str,
    name: &str,
    suffix: &'static str,
    environment: Environment,
) -> Result<Connection, MissingConnection> {
    let set = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    if let Some(address) = set(&format!("{name}{suffix}")) {
        let client_id = set(&format!("{name}__clientId")).or_else(|| set("IDENTITY_CLIENT_ID"));
        return Ok(Connection::Identity { address, client_id });
    }
    let missing = || MissingConnection { key, name: name.to_owned(), suffix };
    set(name).map(|text| Connection::Key(Secret::new(text))).ok_or_else(missing)
}
