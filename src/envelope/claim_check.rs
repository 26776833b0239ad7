//! The claim check: a body too large for the bus waits in a blob, and the envelope carries its name.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};

use super::Envelope;
use crate::clock::Timestamp;

/// Why a stored callback's body cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The envelope contradicts itself, or its blob is gone: park it.
    #[error("the body is lost: {0}")]
    Lost(String),
    /// The blob store does not answer: try again later.
    #[error("the blob store is unavailable: {0}")]
    Unavailable(String),
}

/// Stores a body as a blob and returns its name, `payloads/yyyy/mm/dd/{id}`. Storing the same id again is a success.
///
/// # Errors
/// The blob store failed.
pub async fn check_in(
    blobs: &dyn ObjectStore,
    id: &str,
    time: Timestamp,
    body: Bytes,
) -> Result<String, object_store::Error> {
    let name = format!("payloads/{}/{id}", time.format("%Y/%m/%d"));
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match blobs.put_opts(&Path::from(name.as_str()), body.into(), options).await {
        // The id is ours alone: an existing blob is this one, from an attempt whose answer was lost.
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(name),
        Err(error) => Err(error),
    }
}

impl Envelope<'_> {
    /// The raw body, from the envelope or from its blob.
    ///
    /// # Errors
    /// The body is lost for good, or the blob store does not answer.
    pub async fn body(&self, blobs: &dyn ObjectStore) -> Result<Bytes, BodyError> {
        if let Some(text) = &self.data {
            return Ok(Bytes::copy_from_slice(text.as_bytes()));
        }
        if let Some(text) = &self.data_base64 {
            let bytes = BASE64_STANDARD.decode(text.as_bytes());
            return bytes.map(Bytes::from).map_err(|error| BodyError::Lost(format!("data_base64: {error}")));
        }
        let Some(name) = &self.dataref else { return Ok(Bytes::new()) };
        let fetched = async { blobs.get(&blob_path(name)?).await?.bytes().await }.await;
        fetched.map_err(|error| match error {
            object_store::Error::NotFound { .. } | object_store::Error::InvalidPath { .. } => {
                BodyError::Lost(format!("blob {name} does not exist"))
            }
            other => BodyError::Unavailable(other.to_string()),
        })
    }
}

pub(super) fn blob_path(name: &str) -> Result<Path, object_store::Error> {
    Path::parse(name).map_err(object_store::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn checking_in_twice_is_one_blob() {
        let blobs = object_store::memory::InMemory::new();
        let time = "2026-11-20T18:39:58Z".parse().unwrap();
        for _ in 0..2 {
            let name = check_in(&blobs, "id-1", time, Bytes::from_static(b"body")).await.unwrap();
            assert_eq!(name, "payloads/2026/11/20/id-1");
        }
    }
}
