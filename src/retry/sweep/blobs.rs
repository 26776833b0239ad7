//! The spool's last resort: callbacks in blobs, moved one at a time, since each may be as large as a vendor may send.

use futures_util::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, path::Path};

use super::{SPOOL_PREFIX, Sweep, SweepError, relay::Moving};
use crate::{deadline::within, lease::Lease, retry::records::SpoolRecord};

impl Sweep<'_> {
    pub(super) async fn relay_spooled_blobs(&self, lease: &mut Lease, moved: &mut usize) -> Result<(), SweepError> {
        let (blobs, limit) = (self.ports.blobs, self.config.dependencies.timeout);
        let prefix = Path::from(SPOOL_PREFIX);
        let found = blobs.list(Some(&prefix)).take(self.config.retry.sweep_limit).try_collect::<Vec<_>>();
        for blob in within(limit, found).await? {
            let _turn = self.turn().await;
            if !self.holds(lease).await? || self.budget.take(1) == 0 {
                return Ok(());
            }
            let outcome = self.relay_blob(&blob.location, lease).await;
            match outcome {
                Ok(true) => *moved += 1,
                Ok(false) | Err(_) => self.budget.give_back(1),
            }
            outcome?;
        }
        Ok(())
    }

    async fn relay_blob(&self, location: &Path, lease: &Lease) -> Result<bool, SweepError> {
        let (blobs, limit) = (self.ports.blobs, self.config.dependencies.timeout);
        let bytes = match within(limit, async { blobs.get(location).await?.bytes().await }).await {
            Ok(bytes) => bytes,
            // Gone since it was listed.
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let Ok(record) = serde_json::from_slice::<SpoolRecord>(&bytes) else {
            tracing::error!(blob = %location, "a spooled callback cannot be read and stays where it is");
            return Ok(false);
        };
        self.budget.pace(1).await;
        if !self.forward(&record.topic, record.message, &Moving::new(lease)).await? {
            return Ok(false);
        }
        match within(limit, blobs.delete(location)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
