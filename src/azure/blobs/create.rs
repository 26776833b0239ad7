//! Creates a container with an account key: `object_store` has no call for it. The signature is described at
//! <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use sha2::Sha256;
use url::Url;

use super::{BlobsError, Keyed};
use crate::{azure::connection_string::ConnectionString, config::Secret};

/// The oldest version of the protocol that has what is used here: every Azurite knows it.
const VERSION: &str = "2021-08-06";

/// Why there is no container now.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error(transparent)]
    Settings(#[from] BlobsError),
    #[error("the storage connection string's {0} is malformed")]
    Malformed(&'static str),
    #[error("Blob Storage cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("Blob Storage answered {0}")]
    Refused(StatusCode),
}

/// Creates a container, unless it exists; tells whether it is new. Waits for an answer up to `limit`.
///
/// # Errors
/// The connection string is incomplete, or the account cannot be reached, does not answer or refuses.
pub async fn create(
    connection_string: &Secret,
    container: &str,
    now: DateTime<Utc>,
    limit: Duration,
) -> Result<bool, CreateError> {
    let Keyed { account, key, url } = Keyed::parse(&ConnectionString::parse(connection_string))?;
    let url = Url::parse(&format!("{url}/{container}?restype=container"))
        .map_err(|_| CreateError::Malformed("BlobEndpoint"))?;
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let signed = format!(
        "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{VERSION}\n/{account}{}\nrestype:container",
        url.path()
    );
    let key = BASE64_STANDARD.decode(key).map_err(|_| CreateError::Malformed("AccountKey"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let answer = reqwest::Client::new()
        .put(url)
        .timeout(limit)
        .header("x-ms-date", date)
        .header("x-ms-version", VERSION)
        .header("authorization", format!("SharedKey {account}:{signature}"))
        .header("content-length", 0)
        .send()
        .await?;
    match answer.status() {
        StatusCode::CREATED => Ok(true),
        StatusCode::CONFLICT => Ok(false),
        status => Err(CreateError::Refused(status)),
    }
}
