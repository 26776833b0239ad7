//! Who the program is to Azure: a managed identity where there is one, else whoever is signed in on this machine.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_identity::{
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};

use crate::config::Identity;

/// The managed identity in Azure, user-assigned or the system's; elsewhere the developer's own sign-in (`az login`,
/// `azd auth login`).
///
/// # Errors
/// The identity cannot be used in this environment.
pub fn credential(identity: &Identity) -> azure_core::Result<Arc<dyn TokenCredential>> {
    if !identity.managed {
        return Ok(DeveloperToolsCredential::new(None)?);
    }
    let user_assigned_id = identity.client_id.clone().map(UserAssignedId::ClientId);
    let options = ManagedIdentityCredentialOptions { user_assigned_id, ..Default::default() };
    Ok(ManagedIdentityCredential::new(Some(options))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_managed_identity_is_used_where_there_is_one_and_the_developers_sign_in_elsewhere() {
        let debug = |managed, client_id: Option<&str>| {
            let identity = Identity { managed, client_id: client_id.map(str::to_owned) };
            format!("{:?}", credential(&identity).unwrap())
        };
        assert!(debug(false, None).contains("DeveloperToolsCredential"));
        assert!(debug(true, None).contains("ManagedIdentityCredential"));
        let user_assigned = Some("11111111-2222-3333-4444-555555555555");
        assert!(debug(true, user_assigned).contains("ManagedIdentityCredential"));
    }
}
