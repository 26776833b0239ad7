//! Documents: what each container's records become.

use std::time::Duration;

use serde_json::Value;

use super::{
    EraseError,
    message::Erased,
    walk::{Page, Walk},
};
use crate::{
    audit,
    channels::opt_out::{Consent, ConsentRecord},
    delivery::{partner, record::DeliveryRecord},
    documents::{Action, CommitError, Container, Document, Operation, Query, query_all},
    ledger::records::{EVENT_PREFIX, EventRecord, OUTBOX_PREFIX, OutboxRecord, event_id, outbox_id},
    recovery::job,
    retry::records::StoredMessage,
};

/// Documents and bytes in memory at once.
const PAGE: usize = 500;
const PAGE_BYTES: usize = 4 << 20;

/// What becomes of a document.
enum Change {
    Become {
        partition: String,
        id: String,
        body: Value,
        obsolete: Option<object_store::path::Path>,
    },
    Remove,
    /// The person is in it, and it is not ours to change.
    Leave,
}

impl Walk<'_> {
    pub(super) async fn documents(&self, container: Container, position: Option<&str>) -> Result<Page, EraseError> {
        let mut query = Query::all().page_size(PAGE).page_bytes(PAGE_BYTES);
        query.written_since = self.written_since;
        query.continuation = position.map(str::to_owned);
        let found = self.app.documents.query(container, &query).await?;
        let mut page = Page { position: found.continuation, ..Page::default() };
        for document in found.documents {
            page.counts.looked_at += 1;
            let Some(change) = self.change(container, &document, &mut page).await? else { continue };
            let counted = match change {
                Change::Become { .. } => &mut page.counts.tokenised,
                Change::Remove => &mut page.counts.removed,
                Change::Leave => &mut page.counts.left,
            };
            *counted += 1;
            if !self.is_looking() {
                page.again |= !self.carry_out(container, &document, change).await?;
            }
        }
        Ok(page)
    }

    async fn change(
        &self,
        container: Container,
        document: &Document,
        page: &mut Page,
    ) -> Result<Option<Change>, EraseError> {
        let Document { partition, id, body, .. } = document;
        let is_in = [partition, id, body].iter().any(|text| self.person.is_in(text));
        Ok(match container {
            Container::Spool | Container::Retries | Container::Parked => self.kept(document, is_in).await?,
            Container::Consent => self.consent(document, is_in, page),
            _ if !is_in => None,
            Container::Registry if partition == partner::PARTITION => Some(Change::Leave),
            Container::Ledger => Some(self.ledger(document)),
            Container::Deliveries => Some(match document.parse::<DeliveryRecord>() {
                Ok(mut record) => {
                    record.attempts.iter_mut().for_each(|attempt| attempt.response = None);
                    self.generic(document, to_value(&record))
                }
                Err(_) => self.plain(document),
            }),
            Container::Registry => Some(self.plain(document)),
        })
    }

    /// An event or an announcement forgets; in anything else the address is replaced.
    fn ledger(&self, document: &Document) -> Change {
        let (person, tokens) = (self.person, &self.app.tokens);
        let become_ = |partition: String, id: String, body: Value| {
            let body = self.replaced(body);
            Change::Become { partition, id, body, obsolete: None }
        };
        if document.id.starts_with(EVENT_PREFIX)
            && let Ok(mut record) = document.parse::<EventRecord>()
        {
            record.event.forget(person, tokens);
            (record.key, record.id) = (record.event.message_key(), event_id(&record.event.dedupe_key));
            return become_(record.key.clone(), record.id.clone(), to_value(&record));
        }
        if document.id.starts_with(OUTBOX_PREFIX)
            && let Ok(mut record) = document.parse::<OutboxRecord>()
        {
            record.event.forget(person, tokens);
            (record.key, record.id) = (record.event.message_key(), outbox_id(&record.event.dedupe_key));
            return become_(record.key.clone(), record.id.clone(), to_value(&record));
        }
        self.plain(document)
    }

    /// A record that keeps a message. Its body may be in a blob.
    async fn kept(&self, document: &Document, is_in: bool) -> Result<Option<Change>, EraseError> {
        let Ok(mut record) = serde_json::from_str::<Value>(&document.body) else { return Ok(None) };
        let message = record.get("message").cloned().and_then(|message| serde_json::from_value(message).ok());
        let Some(message) = message.map(StoredMessage::into_message) else {
            return Ok(is_in.then(|| self.plain(document)));
        };
        if !is_in && !self.is_in_message(&message).await? {
            return Ok(None);
        }
        if self.is_looking() {
            return Ok(Some(self.plain(document)));
        }
        let Erased { message, obsolete } = self.erase_message(&message).await?;
        record["message"] = to_value(&StoredMessage::from_message(&message));
        Ok(Some(match self.generic(document, record) {
            Change::Become { partition, id, body, .. } => Change::Become { partition, id, body, obsolete },
            other => other,
        }))
    }

    /// An opt-out stays, under its token. Whoever opted in and is erased has no wish any more.
    fn consent(&self, document: &Document, is_in: bool, page: &mut Page) -> Option<Change> {
        let tokens = &self.app.tokens;
        let is_theirs = self.person.spellings().iter().any(|spelling| tokens.address(spelling) == document.partition);
        match document.parse::<ConsentRecord>() {
            Ok(record) if is_theirs && record.consent == Consent::OptedIn => return Some(Change::Remove),
            Ok(_) if is_theirs => page.counts.kept += 1,
            _ => {}
        }
        is_in.then(|| self.plain(document))
    }

    fn plain(&self, document: &Document) -> Change {
        match serde_json::from_str(&document.body) {
            Ok(body) => self.generic(document, body),
            // Stores take JSON only.
            Err(_) => Change::Leave,
        }
    }

    fn generic(&self, document: &Document, body: Value) -> Change {
        let text = |text: &String| self.person.replaced(text, &self.app.tokens).unwrap_or_else(|| text.clone());
        let (partition, id) = (text(&document.partition), text(&document.id));
        Change::Become { partition, id, body: self.replaced(body), obsolete: None }
    }

    /// Tokens in every text of a document, also in names; a number that is the person's becomes one.
    fn replaced(&self, value: Value) -> Value {
        let text = |text: String| self.person.replaced(&text, &self.app.tokens).unwrap_or(text);
        match value {
            Value::String(string) => Value::String(text(string)),
            Value::Number(number) => match self.person.replaced(&number.to_string(), &self.app.tokens) {
                Some(token) => Value::String(token),
                None => Value::Number(number),
            },
            Value::Array(values) => values.into_iter().map(|value| self.replaced(value)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (text(name), self.replaced(value))).collect()
            }
            other => other,
        }
    }

    /// `false`: somebody else changed it meanwhile.
    async fn carry_out(&self, container: Container, found: &Document, change: Change) -> Result<bool, EraseError> {
        let delete =
            || Operation { id: found.id.clone(), action: Action::Delete { if_match: Some(found.etag.clone()) } };
        let (partition, id, body, obsolete) = match change {
            Change::Leave => return Ok(true),
            Change::Remove => return self.commit(container, &found.partition, vec![delete()]).await,
            Change::Become { partition, id, body, obsolete } => (partition, id, body, obsolete),
        };
        let ttl = self.ttl(container, &partition, &body);
        let body = body.to_string();
        let written = if partition == found.partition && id == found.id {
            let action = Action::Replace { body, if_match: found.etag.clone(), ttl };
            self.commit(container, &partition, vec![Operation { id, action }]).await?
        } else {
            self.move_to(container, found, &partition, Operation { id, action: Action::Create { body, ttl } }).await?
        };
        if written {
            self.discard(obsolete).await?;
        }
        if container == Container::Ledger && written && !self.is_looking() {
            self.forget_answers(&found.partition).await?;
        }
        Ok(written)
    }

    /// Under another id, in one commit; into another partition, created first: killed in between it is there twice, and the
    /// next pass removes the old one.
    async fn move_to(
        &self,
        container: Container,
        found: &Document,
        partition: &str,
        create: Operation,
    ) -> Result<bool, EraseError> {
        let delete = Operation { id: found.id.clone(), action: Action::Delete { if_match: Some(found.etag.clone()) } };
        if partition != found.partition {
            match self.app.documents.commit(container, partition, vec![create]).await {
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            return self.commit(container, &found.partition, vec![delete]).await;
        }
        match self.app.documents.commit(container, partition, vec![create, delete.clone()]).await {
            Ok(_) => Ok(true),
            // It is there already: a repeat came under its new id.
            Err(CommitError::Conflict { .. }) => self.commit(container, partition, vec![delete]).await,
            Err(CommitError::PreconditionFailed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn commit(&self, container: Container, partition: &str, steps: Vec<Operation>) -> Result<bool, EraseError> {
        match self.app.documents.commit(container, partition, steps).await {
            Ok(_) => Ok(true),
            Err(CommitError::PreconditionFailed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What partners answered to a message's events may tell of the person in other words than the address.
    async fn forget_answers(&self, key: &str) -> Result<(), EraseError> {
        let documents = self.app.documents.as_ref();
        for document in query_all(documents, Container::Deliveries, Query::partition(key)).await? {
            let Ok(mut record) = document.parse::<DeliveryRecord>() else { continue };
            if record.attempts.iter().all(|attempt| attempt.response.is_none()) {
                continue;
            }
            record.attempts.iter_mut().for_each(|attempt| attempt.response = None);
            let replace = Operation::replace(record.id.clone(), &record, document.etag);
            let replace = replace.with_ttl(self.app.config.delivery.keep_records);
            self.commit(Container::Deliveries, key, vec![replace]).await?;
        }
        Ok(())
    }

    /// A document that expires goes on to do so, from now.
    fn ttl(&self, container: Container, partition: &str, body: &Value) -> Option<Duration> {
        match container {
            Container::Deliveries => Some(self.app.config.delivery.keep_records),
            Container::Registry if partition == job::PARTITION && body.get("ended_at").is_some() => Some(job::KEPT),
            Container::Registry if partition != audit::PARTITION && partition != job::PARTITION => Some(job::KEPT),
            _ => None,
        }
    }
}

fn to_value(record: &impl serde::Serialize) -> Value {
    serde_json::to_value(record).expect("records serialise to JSON")
}
