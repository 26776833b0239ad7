//! Who the program is to Azure.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_identity::{
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};

/// In Azure the app's managed identity (`client_id` names a user-assigned one), elsewhere the developer who is logged in
/// (`az login`, `azd auth login`). Azure Functions sets `IDENTITY_ENDPOINT` for an app that has an identity:
/// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.
///
/// # Errors
/// The environment has an identity of a kind that the SDK does not know.
pub(super) fn credential(client_id: Option<&str>) -> azure_core::Result<Arc<dyn TokenCredential>> {
    if std::env::var_os("IDENTITY_ENDPOINT").is_none() && client_id.is_none() {
        return Ok(DeveloperToolsCredential::new(None)?);
    }
    let user_assigned_id = client_id.map(|id| UserAssignedId::ClientId(id.to_owned()));
    let options = ManagedIdentityCredentialOptions { user_assigned_id, ..Default::default() };
    Ok(ManagedIdentityCredential::new(Some(options))?)
}
