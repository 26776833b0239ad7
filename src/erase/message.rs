//! One message of the bus, wherever it is kept: a callback in its envelope, an announcement, or what nobody can read.

use bytes::Bytes;
use object_store::{ObjectStoreExt, path::Path};

use super::{EraseError, walk::Walk};
use crate::{
    bus::{Message, Property},
    channels::read,
    deadline::within,
    envelope::{Envelope, FACTS_V1, facts_of},
    ledger::announcement::Announcement,
};

/// A message without the person.
pub(super) struct Erased {
    pub message: Message,
    /// Blobs to delete once nothing names them any more.
    pub obsolete: Option<Path>,
}

impl Walk<'_> {
    /// Whether the person is in a message, or in the body that it names.
    pub(super) async fn is_in_message(&self, message: &Message) -> Result<bool, EraseError> {
        if self.is_in_head(message) || self.person.is_in(&message.body) {
            return Ok(true);
        }
        match Envelope::decode(&message.body) {
            Ok(Envelope { dataref: Some(name), .. }) => self.is_in_blob(&name).await,
            _ => Ok(false),
        }
    }

    fn is_in_head(&self, message: &Message) -> bool {
        let Message { message_id, correlation_id, subject, session_id, properties, .. } = message;
        let texts = [Some(message_id), correlation_id.as_ref(), subject.as_ref(), session_id.as_ref()];
        let texts = texts.into_iter().flatten().map(String::as_str);
        texts.chain(properties.values().filter_map(Property::as_str)).any(|text| self.person.is_in(text))
    }

    /// The message without the person: a callback's events take the place of its body, an announcement's event forgets.
    pub(super) async fn erase_message(&self, message: &Message) -> Result<Erased, EraseError> {
        let mut erased = Erased { message: message.clone(), obsolete: None };
        let (person, tokens) = (self.person, &self.app.tokens);
        if let Ok(envelope) = Envelope::decode(&message.body) {
            match self.facts(&envelope).await? {
                Some((facts, obsolete)) => {
                    erased.message.body = facts;
                    erased.obsolete = obsolete;
                }
                // Nobody can read it, so it is not known what belongs to whom: the address goes, wherever it is.
                None => self.replace_in_blob(envelope.dataref.as_deref()).await?,
            }
        } else if let Ok(mut announcement) = Announcement::decode(&message.body)
            && announcement.data.to_mut().forget(person, tokens)
        {
            erased.message.body = announcement.encode();
        }
        let Message { message_id, correlation_id, subject, session_id, properties, body, .. } = &mut erased.message;
        // What else there is: the key as a subject, words in a history.
        if let Some(replaced) = person.replaced_in(body, tokens) {
            *body = replaced.into();
        }
        let texts = [Some(message_id), correlation_id.as_mut(), subject.as_mut(), session_id.as_mut()];
        for text in texts.into_iter().flatten() {
            if let Some(replaced) = person.replaced(text, tokens) {
                *text = replaced;
            }
        }
        for property in properties.values_mut() {
            if let Some(replaced) = property.as_str().and_then(|text| person.replaced(text, tokens)) {
                *property = Property::from(replaced);
            }
        }
        Ok(erased)
    }

    /// The envelope with its events in place of its body, and the blob that is not needed any more. `None`: nobody can read it.
    async fn facts(&self, envelope: &Envelope<'_>) -> Result<Option<(Bytes, Option<Path>)>, EraseError> {
        let services = self.app.config.vendors.get(envelope.vendor.as_ref()).map(|vendor| &vendor.services);
        let Some(&channel) = services.and_then(|services| services.get(envelope.servicetype.as_ref())) else {
            return Ok(None);
        };
        let mut events = match read::events(self.app, channel, envelope).await {
            Ok(events) => events,
            Err(problem) if problem.is_transient() => {
                return Err(crate::documents::DocumentsError::Unavailable(problem.error).into());
            }
            Err(_) => return Ok(None),
        };
        for event in &mut events {
            event.forget(self.person, &self.app.tokens);
        }
        let json = serde_json::to_string(&events).expect("events serialise to JSON");
        let mut facts = envelope.clone();
        (facts.event_type, facts.datacontenttype) = (FACTS_V1.into(), Some("application/json".into()));
        (facts.requestquery, facts.requestheaders) = ("".into(), "".into());
        let mut obsolete = None;
        match &envelope.dataref {
            None => (facts.data, facts.data_base64) = (Some(json.into()), None),
            Some(name) => {
                let is_facts = envelope.event_type == FACTS_V1;
                let place = if is_facts { name.to_string() } else { facts_of(name) };
                self.put(&Path::from(place.as_str()), json.into()).await?;
                obsolete = (!is_facts).then(|| Path::from(name.as_ref()));
                facts.dataref = Some(place.into());
            }
        }
        Ok(Some((facts.encode(), obsolete)))
    }

    /// Deletes what an erased message does not name any more. Other copies of it find the events instead.
    pub(super) async fn discard(&self, obsolete: Option<Path>) -> Result<(), EraseError> {
        let Some(path) = obsolete else { return Ok(()) };
        match within(self.limit(), self.app.blobs.delete(&path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn fetch(&self, path: &Path) -> Result<Option<Bytes>, EraseError> {
        match within(self.limit(), async { self.app.blobs.get(path).await?.bytes().await }).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn put(&self, path: &Path, content: Bytes) -> Result<(), EraseError> {
        within(self.limit(), self.app.blobs.put(path, content.into())).await?;
        Ok(())
    }

    async fn is_in_blob(&self, name: &str) -> Result<bool, EraseError> {
        let Ok(path) = Path::parse(name) else { return Ok(false) };
        Ok(self.fetch(&path).await?.is_some_and(|bytes| self.person.is_in(&bytes)))
    }

    async fn replace_in_blob(&self, name: Option<&str>) -> Result<(), EraseError> {
        let Some(path) = name.and_then(|name| Path::parse(name).ok()) else { return Ok(()) };
        let Some(bytes) = self.fetch(&path).await? else { return Ok(()) };
        match self.person.replaced_in(&bytes, &self.app.tokens) {
            Some(replaced) => self.put(&path, replaced.into()).await,
            None => Ok(()),
        }
    }
}
