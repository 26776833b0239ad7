//! Blobs: bodies too large for the bus, and the spool's last resort.
//!
//! Nothing deletes a body once its events are applied. A body that names the person and that nobody needs any more is
//! removed; where a message may still want it, the address in it becomes a token. Messages whose bodies can be read have had
//! theirs replaced by events already: their places come before this one.

use chrono::TimeDelta;
use futures_util::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt, path::Path};
use tokio::time::Instant;

use super::{
    EraseError,
    message::Erased,
    walk::{Page, Walk},
};
use crate::{
    deadline::within,
    documents::Container,
    event::Event,
    retry::{
        records::{SpoolRecord, StoredMessage, bucket_of},
        sweep::SPOOL_PREFIX,
    },
};

/// What becomes of a blob.
enum Fate {
    Rewrite(Vec<u8>),
    /// The blob named with it is not needed any more, either.
    Spooled(Vec<u8>, Option<Path>),
    Remove,
}

impl Walk<'_> {
    /// In the order of their names, as many as there is time for.
    pub(super) async fn blobs(&self, position: Option<&str>, until: Instant) -> Result<Page, EraseError> {
        let mut page = Page::default();
        // Only names are in memory. A store may list them in any order.
        let mut found: Vec<ObjectMeta> = self.app.blobs.list(None).try_collect().await?;
        found.retain(|blob| position.is_none_or(|position| blob.location.as_ref() > position));
        found.retain(|blob| self.written_since.is_none_or(|since| blob.last_modified >= since));
        found.sort_unstable_by(|one, other| one.location.cmp(&other.location));
        for blob in found {
            page.counts.looked_at += 1;
            self.blob(&blob, &mut page).await?;
            page.position = Some(blob.location.to_string());
            if Instant::now() >= until {
                return Ok(page);
            }
        }
        page.position = None;
        Ok(page)
    }

    async fn blob(&self, blob: &ObjectMeta, page: &mut Page) -> Result<(), EraseError> {
        let Some(bytes) = self.fetch(&blob.location).await? else { return Ok(()) };
        if !self.person.is_in(&bytes) {
            return Ok(());
        }
        if self.is_looking() {
            page.counts.tokenised += 1;
            return Ok(());
        }
        match self.fate(blob, &bytes).await? {
            Some(Fate::Rewrite(content)) => {
                self.put(&blob.location, content.into()).await?;
                page.counts.tokenised += 1;
            }
            Some(Fate::Spooled(content, obsolete)) => {
                self.put(&blob.location, content.into()).await?;
                self.discard(obsolete).await?;
                page.counts.tokenised += 1;
            }
            Some(Fate::Remove) => {
                self.discard(Some(blob.location.clone())).await?;
                page.counts.removed += 1;
            }
            None => page.counts.left += 1,
        }
        Ok(())
    }

    async fn fate(&self, blob: &ObjectMeta, bytes: &[u8]) -> Result<Option<Fate>, EraseError> {
        let replaced = || self.person.replaced_in(bytes, &self.app.tokens).map(Fate::Rewrite);
        if blob.location.as_ref().starts_with(&format!("{SPOOL_PREFIX}/")) {
            let Ok(record) = serde_json::from_slice::<SpoolRecord>(bytes) else { return Ok(replaced()) };
            let Erased { message, obsolete } = self.erase_message(&record.message.clone().into_message()).await?;
            let record = SpoolRecord { message: StoredMessage::from_message(&message), ..record };
            let content = serde_json::to_vec(&record).expect("a spool record serialises to JSON");
            return Ok(Some(Fate::Spooled(content, obsolete)));
        }
        if let Ok(mut events) = serde_json::from_slice::<Vec<Event>>(bytes) {
            for event in &mut events {
                event.forget(self.person, &self.app.tokens);
            }
            let content = serde_json::to_vec(&events).expect("events serialise to JSON");
            return Ok(Some(Fate::Rewrite(content)));
        }
        match self.is_needed(blob).await? {
            true => Ok(replaced()),
            false => Ok(Some(Fate::Remove)),
        }
    }

    /// Whether a message may still ask for a body: its name ends with the envelope's id, and so do the records of what failed.
    async fn is_needed(&self, blob: &ObjectMeta) -> Result<bool, EraseError> {
        let Some(id) = blob.location.filename() else { return Ok(true) };
        for container in [Container::Spool, Container::Retries, Container::Parked] {
            if self.app.documents.read(container, &bucket_of(id), id).await?.is_some() {
                return Ok(true);
            }
        }
        let spooled = Path::from(format!("{SPOOL_PREFIX}/{id}.json"));
        match within(self.limit(), self.app.blobs.head(&spooled)).await {
            Ok(_) => return Ok(true),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match self.app.bus.shelf() {
            Some(shelf) => Ok(shelf.holds(id).await?),
            // Nobody can ask Service Bus; but nothing lives there for longer than this.
            None => {
                let lives = TimeDelta::from_std(self.app.config.bus.time_to_live).unwrap_or(TimeDelta::MAX);
                let until = blob.last_modified.checked_add_signed(lives + TimeDelta::days(1));
                Ok(until.is_none_or(|until| until > self.app.clock.now()))
            }
        }
    }
}
