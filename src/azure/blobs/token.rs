//! The program's identity as `object_store` asks for it, so that one place decides who the program is to Azure.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use object_store::{CredentialProvider, azure::AzureCredential};

const SCOPE: &str = "https://storage.azure.com/.default";

/// Tokens for Blob Storage. The credential keeps each until shortly before it expires.
pub(super) struct IdentityToken(Arc<dyn TokenCredential>);

impl IdentityToken {
    pub fn new(credential: Arc<dyn TokenCredential>) -> Self {
        Self(credential)
    }
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IdentityToken(..)")
    }
}

#[async_trait]
impl CredentialProvider for IdentityToken {
    type Credential = AzureCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AzureCredential>> {
        let token = self.0.get_token(&[SCOPE], None).await.map_err(|source| object_store::Error::Unauthenticated {
            path: SCOPE.into(),
            source: format!("no token for Blob Storage: {source}").into(),
        })?;
        Ok(Arc::new(AzureCredential::BearerToken(token.token.secret().to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use azure_core::{
        credentials::{AccessToken, TokenRequestOptions},
        time::OffsetDateTime,
    };

    use super::*;

    #[derive(Debug)]
    struct Issuer;

    #[async_trait]
    impl TokenCredential for Issuer {
        async fn get_token(
            &self,
            scopes: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            Ok(AccessToken::new(format!("for {}", scopes.join(" ")), OffsetDateTime::now_utc()))
        }
    }

    #[tokio::test]
    async fn the_token_is_one_for_storage_and_never_printed() {
        let token = IdentityToken::new(Arc::new(Issuer));
        let credential = token.get_credential().await.unwrap();
        assert!(
            matches!(&*credential, AzureCredential::BearerToken(text) if text == "for https://storage.azure.com/.default")
        );
        assert_eq!(format!("{token:?}"), "IdentityToken(..)");
    }
}
