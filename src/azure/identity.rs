//! Who the program is to Azure.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_identity::{
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};

/// Who [`credential`] would be, in words.
pub(crate) fn describe(client_id: Option<&str>) -> String {
    match client_id {
        Some(id) => format!("the user-assigned managed identity with client id {id}"),
        None if is_developer(client_id) => "the developer's login (az or azd)".to_owned(),
        None => "the system-assigned managed identity".to_owned(),
    }
}

fn is_developer(client_id: Option<&str>) -> bool {
    std::env::var_os("IDENTITY_ENDPOINT").is_none() && client_id.is_none()
}

/// In Azure the app's managed identity (`client_id` names a user-assigned one), elsewhere the developer who is logged in
/// (`az login`, `azd auth login`). Azure Functions sets `IDENTITY_ENDPOINT` for an app that has an identity:
/// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.
///
/// # Errors
/// The environment has an identity of a kind that the SDK does not know.
pub(crate) fn credential(client_id: Option<&str>) -> azure_core::Result<Arc<dyn TokenCredential>> {
    if is_developer(client_id) {
        return Ok(DeveloperToolsCredential::new(None)?);
    }
    let user_assigned_id = client_id.map(|id| UserAssignedId::ClientId(id.to_owned()));
    let options = ManagedIdentityCredentialOptions { user_assigned_id, ..Default::default() };
    Ok(ManagedIdentityCredential::new(Some(options))?)
}
