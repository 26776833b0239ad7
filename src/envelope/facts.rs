//! A callback without its body: the events that were found in it, where somebody in the body was erased. The other people
//! in it lose nothing, and every event keeps the ids that the body gave it.
//!
//! The envelope's type is then [`FACTS_V1`], and its data is the JSON of the events. Where the body is in a blob, theirs is
//! the blob beside it, [`facts_of`]; other copies of the message, which still name the body, find it there.

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};

use super::{BodyError, Envelope, claim_check::blob_path};
use crate::{documents::without_values, event::Event};

/// The type of an envelope whose data is events.
pub const FACTS_V1: &str = "sluice.callback.facts.v1";
const SUFFIX: &str = ".facts";

/// What an envelope carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// As the vendor sent it.
    Body(Bytes),
    Facts(Vec<Event>),
}

/// The name of the blob that takes the place of a body's.
pub(crate) fn facts_of(body: &str) -> String {
    format!("{body}{SUFFIX}")
}

impl Envelope<'_> {
    /// The body, or what is left of it.
    ///
    /// # Errors
    /// It is lost for good, or the blob store does not answer.
    pub async fn content(&self, blobs: &dyn ObjectStore) -> Result<Content, BodyError> {
        let body = self.body(blobs).await;
        if self.event_type == FACTS_V1 {
            return facts(&body?).map(Content::Facts);
        }
        match (body, &self.dataref) {
            (Err(lost @ BodyError::Lost(_)), Some(name)) => {
                let fetched = async { blobs.get(&blob_path(&facts_of(name))?).await?.bytes().await }.await;
                match fetched {
                    Ok(bytes) => facts(&bytes).map(Content::Facts),
                    Err(object_store::Error::NotFound { .. } | object_store::Error::InvalidPath { .. }) => Err(lost),
                    Err(error) => Err(BodyError::Unavailable(error.to_string())),
                }
            }
            (body, _) => body.map(Content::Body),
        }
    }
}

fn facts(json: &[u8]) -> Result<Vec<Event>, BodyError> {
    serde_json::from_slice(json).map_err(|error| BodyError::Lost(format!("its events: {}", without_values(&error))))
}
