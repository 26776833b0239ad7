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

/// A connection that the file names and the environment lacks, or has in a form that cannot be used. Never repeats what a
/// variable holds: it may be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingConnection {
    /// `key` is the key in the file.
    #[error("{key}: environment variable {name}{suffix} is not set, nor {name} (a connection string, for emulators)")]
    NotSet { key: &'static str, name: String, suffix: &'static str },
    #[error(
        "{key}: environment variable {name}{suffix} holds a connection string, and takes an address: put it into {name}"
    )]
    Misplaced { key: &'static str, name: String, suffix: &'static str },
    /// What the Functions host leaves behind when Key Vault refused.
    #[error(
        "{key}: environment variable {variable} is an unresolved Key Vault reference: let the app's identity read it"
    )]
    Unresolved { key: &'static str, variable: String },
}

pub(super) fn resolve(
    key: &'static str,
    name: &str,
    suffix: &'static str,
    environment: Environment,
) -> Result<Connection, MissingConnection> {
    let set = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    let resolved = |variable: &str| match set(variable) {
        Some(value) if value.starts_with("@Microsoft.KeyVault(") => {
            Err(MissingConnection::Unresolved { key, variable: variable.to_owned() })
        }
        value => Ok(value),
    };
    if let Some(address) = resolved(&format!("{name}{suffix}"))? {
        if address.contains('=') {
            return Err(MissingConnection::Misplaced { key, name: name.to_owned(), suffix });
        }
        let client_id = set(&format!("{name}__clientId")).or_else(|| set("IDENTITY_CLIENT_ID"));
        return Ok(Connection::Identity { address, client_id });
    }
    let missing = || MissingConnection::NotSet { key, name: name.to_owned(), suffix };
    resolved(name)?.map(|text| Connection::Key(Secret::new(text))).ok_or_else(missing)
}
