//! Blobs in Azure Blob Storage, or in Azurite. `object_store` is the adapter; here is how it gets its account, its
//! credential ([`token`]) and its limits. [`create()`] makes the container in Azurite; in Azure, Terraform does.

mod create;
mod token;

use std::{sync::Arc, time::Duration};

use object_store::{BackoffConfig, ClientOptions, RetryConfig, azure::MicrosoftAzureBuilder};
use url::Url;

pub use create::{CreateError, create};

use super::{connection_string::ConnectionString, identity};
use crate::{blobs::SharedBlobs, config::Connection};
use token::IdentityToken;

/// How often a request is sent again (the library's default is 10 times in 3 minutes).
const RETRIES: usize = 3;
/// What Azurite answers to, by convention: <https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>.
const DEVELOPMENT_ACCOUNT: &str = "devstoreaccount1";
const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const DEVELOPMENT_URL: &str = "http://127.0.0.1:10000/devstoreaccount1";

/// Why the settings name no container.
#[derive(Debug, thiserror::Error)]
pub enum BlobsError {
    #[error("the storage connection string lacks {0}")]
    Incomplete(&'static str),
    #[error("the storage account's address is no URL")]
    Address,
    #[error("no credential for Blob Storage: {0}")]
    Credential(#[from] azure_core::Error),
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// Opens a container. Nothing is contacted before the first call.
///
/// # Errors
/// The settings name no container.
pub fn open(connection: &Connection, container: &str, limit: Duration) -> Result<SharedBlobs, BlobsError> {
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: limit, backoff: BackoffConfig::default() };
    let builder = MicrosoftAzureBuilder::new().with_container_name(container).with_retry(retry);
    let options = ClientOptions::new().with_timeout(limit);
    let builder = match connection {
        Connection::Identity { address, client_id } => {
            let token = IdentityToken::new(identity::credential(client_id.as_deref())?);
            builder.with_account(address).with_credentials(Arc::new(token)).with_client_options(options)
        }
        Connection::Key(text) => {
            let Keyed { account, key, url } = Keyed::parse(&ConnectionString::parse(text))?;
            let options = options.with_allow_http(url.starts_with("http://"));
            builder.with_account(account).with_access_key(key).with_endpoint(url).with_client_options(options)
        }
    };
    Ok(Arc::new(builder.build()?))
}

/// Where the account's blobs are.
///
/// # Errors
/// The settings name no account.
pub fn url(connection: &Connection) -> Result<Url, BlobsError> {
    let address = match connection {
        Connection::Identity { address, .. } => format!("https://{address}.blob.core.windows.net"),
        Connection::Key(text) => Keyed::parse(&ConnectionString::parse(text))?.url,
    };
    Url::parse(&address).map_err(|_| BlobsError::Address)
}

/// An account by its key.
struct Keyed {
    account: String,
    key: String,
    /// The blob service's URL, without a slash at its end.
    url: String,
}

impl Keyed {
    fn parse(text: &ConnectionString) -> Result<Self, BlobsError> {
        if text.get("UseDevelopmentStorage").is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
            return Ok(Self {
                account: DEVELOPMENT_ACCOUNT.into(),
                key: DEVELOPMENT_KEY.into(),
                url: DEVELOPMENT_URL.into(),
            });
        }
        let part = |name| text.get(name).ok_or(BlobsError::Incomplete(name));
        let (account, key) = (part("AccountName")?.to_owned(), part("AccountKey")?.to_owned());
        let url = match text.get("BlobEndpoint") {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let protocol = text.get("DefaultEndpointsProtocol").unwrap_or("https");
                let suffix = text.get("EndpointSuffix").unwrap_or("core.windows.net");
                format!("{protocol}://{account}.blob.{suffix}")
            }
        };
        Ok(Self { account, key, url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn parse(text: &str) -> Result<Keyed, BlobsError> {
        Keyed::parse(&ConnectionString::parse(&Secret::new(text)))
    }

    #[test]
    fn the_short_and_the_long_connection_string_of_azurite_mean_the_same() {
        let long = format!(
            "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={DEVELOPMENT_KEY};\
             BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1/;"
        );
        let (short, long) = (parse("UseDevelopmentStorage=true").unwrap(), parse(&long).unwrap());
        assert_eq!((short.account, short.key, short.url), (long.account, long.key, long.url));
    }

    #[test]
    fn an_account_without_an_endpoint_is_in_azure() {
        let keyed = parse("AccountName=acme;AccountKey=a2V5").unwrap();
        assert_eq!(keyed.url, "https://acme.blob.core.windows.net");
        assert!(matches!(parse("AccountName=acme"), Err(BlobsError::Incomplete("AccountKey"))));
    }
}
