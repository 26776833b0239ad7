//! Finding records, page by page, in the order of time.

use serde::Serialize;

use super::{Filter, Record, RecoveryError, Source};
use crate::{
    app::{App, topology},
    clock::{Timestamp, millis},
    dead_letters::DeadLetterQueue,
    documents::{
        Comparison, Document, Query,
        continuation::{self, Place, SortKey},
    },
    retry::records::{PARTNER_PARTITION, bucket_of},
};

/// Bodies in memory at once, of each search: a page of large ones ends early.
const PAGE_BYTES: usize = 8 << 20;

/// A page of a source, filtered.
#[derive(Debug, Default)]
pub struct Page {
    /// What matches, and the position behind each.
    pub found: Vec<(Record, String)>,
    /// Records that were looked at.
    pub scanned: u64,
    /// Records that this version of the program cannot read. They stay where they are.
    pub unreadable: u64,
    /// Where the next page starts; `None` at the end.
    pub position: Option<String>,
}

/// How many records there are, as far as was looked.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counted {
    pub matched: u64,
    pub scanned: u64,
    pub unreadable: u64,
}

/// A search: the same one from page to page.
#[derive(Debug, Clone)]
pub struct Search {
    pub source: Source,
    pub filter: Filter,
    /// Records that were made later are passed over.
    pub made_until: Option<Timestamp>,
}

impl Search {
    /// The page that starts at a position, with at most `size` records looked at.
    ///
    /// # Errors
    /// The store or the broker failed, or the position is malformed.
    pub async fn page(&self, app: &App, position: Option<&str>, size: usize) -> Result<Page, RecoveryError> {
        match (self.source.container(), &self.filter.id) {
            (None, _) => self.dead_letters(app, position, size).await,
            (Some(_), Some(id)) => self.one(app, id).await,
            (Some(_), None) => self.documents(app, position, size).await,
        }
    }

    /// All that match, where the store can tell without looking at each: otherwise `None`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn count(&self, app: &App) -> Result<Option<u64>, RecoveryError> {
        match self.source.container() {
            Some((container, field)) if self.filter.is_time_only() && self.source == Source::Parked => {
                Ok(Some(app.documents.count(container, &self.query(field)).await?))
            }
            _ => Ok(None),
        }
    }

    /// Whether a record is one that is searched for.
    pub(super) fn is_meant(&self, record: &Record) -> bool {
        self.made_until.is_none_or(|until| record.made_at <= until) && self.filter.matches(record)
    }

    /// Only time is left to the store: with conditions that no index serves it could look for long, and answer nothing
    /// within its time limit.
    fn query(&self, field: &'static str) -> Query {
        let mut query = Query::all().order_by(field);
        let until = match self.source {
            Source::Parked => self.filter.until.into_iter().chain(self.made_until).min(),
            _ => self.filter.until,
        };
        if let Some(since) = self.filter.since {
            query = query.filter(field, Comparison::GreaterOrEqual, millis::text(since));
        }
        if let Some(until) = until {
            query = query.filter(field, Comparison::LessOrEqual, millis::text(until));
        }
        query
    }

    async fn documents(&self, app: &App, position: Option<&str>, size: usize) -> Result<Page, RecoveryError> {
        let Some((container, field)) = self.source.container() else { return Ok(Page::default()) };
        let mut query = self.query(field).page_size(size).page_bytes(PAGE_BYTES);
        query.continuation = position.map(str::to_owned);
        let fingerprint = continuation::fingerprint(container, &query);
        let read = app.documents.query(container, &query).await?;
        let mut page = Page { position: read.continuation, ..Page::default() };
        for document in read.documents {
            page.scanned += 1;
            match Record::from_document(self.source, document) {
                Ok(record) if self.is_meant(&record) => {
                    let super::record::Origin::Document { partition, .. } = &record.origin else { continue };
                    let key = SortKey::Text(millis::text(record.summary.at));
                    let place = Place(Some(key), partition.clone(), record.summary.id.clone());
                    let behind = continuation::write(&fingerprint, place);
                    page.found.push((record, behind));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a record cannot be read and is passed over");
                    page.unreadable += 1;
                }
            }
        }
        Ok(page)
    }

    async fn one(&self, app: &App, id: &str) -> Result<Page, RecoveryError> {
        let mut page = Page::default();
        if let Some(document) = self.read(app, id).await? {
            page.scanned = 1;
            match Record::from_document(self.source, document) {
                Ok(record) if self.is_meant(&record) => page.found.push((record, String::new())),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a record cannot be read and is passed over");
                    page.unreadable += 1;
                }
            }
        }
        Ok(page)
    }

    async fn read(&self, app: &App, id: &str) -> Result<Option<Document>, RecoveryError> {
        let Some((container, _)) = self.source.container() else { return Ok(None) };
        let found = app.documents.read(container, &bucket_of(id), id).await?;
        if found.is_some() || self.source != Source::Retries {
            return Ok(found);
        }
        // A delivery's retry is in its partner's partition, and its id does not tell the partner.
        let mut next = Query::all().after_partition(PARTNER_PARTITION).page_size(1);
        loop {
            let page = app.documents.query(container, &next).await?;
            let Some(Document { partition, .. }) = page.documents.into_iter().next() else { return Ok(None) };
            if let Some(found) = app.documents.read(container, &partition, id).await? {
                return Ok(Some(found));
            }
            next = next.after_partition(partition);
        }
    }

    async fn dead_letters(&self, app: &App, position: Option<&str>, size: usize) -> Result<Page, RecoveryError> {
        let queues = self.queues(app)?;
        let (index, from) = match position {
            None => (0, self.first_sequence_number()?),
            Some(position) => read_position(position)?,
        };
        let mut page = Page::default();
        let Some(queue) = queues.get(index) else { return Ok(page) };
        let mut receiver = app.dead_letters.open(queue).await?;
        let letters = receiver.peek(from, size).await;
        receiver.close().await?;
        let letters = letters?;
        let next_queue = || (index + 1 < queues.len()).then(|| position_of(index + 1, 0));
        page.position = match letters.last() {
            _ if self.filter.id.is_some() => None,
            Some(last) => Some(position_of(index, last.sequence_number + 1)),
            None => next_queue(),
        };
        for letter in &letters {
            page.scanned += 1;
            let record = Record::from_dead_letter(queue, letter);
            if self.is_meant(&record) {
                page.found.push((record, position_of(index, letter.sequence_number + 1)));
            }
        }
        Ok(page)
    }

    /// The sub-queues that are meant, in order.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn queues(&self, app: &App) -> Result<Vec<DeadLetterQueue>, RecoveryError> {
        let mut queues = Vec::new();
        for topic in topology(&app.config).topics {
            for subscription in topic.subscriptions {
                queues.push(DeadLetterQueue { topic: topic.name.clone(), subscription: subscription.name });
            }
        }
        let named = match (&self.filter.id, &self.filter.subscription) {
            (Some(id), _) => Some(read_id(id)?.0),
            (None, subscription) => subscription.clone(),
        };
        let Some(named) = named else { return Ok(queues) };
        let names: Vec<String> = queues.iter().map(DeadLetterQueue::to_string).collect();
        queues.retain(|queue| queue.to_string() == named);
        if queues.is_empty() {
            return Err(RecoveryError::Malformed(format!("there is no subscription {named}: {}", names.join(", "))));
        }
        Ok(queues)
    }

    fn first_sequence_number(&self) -> Result<i64, RecoveryError> {
        self.filter.id.as_deref().map_or(Ok(0), |id| Ok(read_id(id)?.1))
    }
}

/// `{topic}:{subscription}:{sequence number}` as subscription and number.
fn read_id(id: &str) -> Result<(String, i64), RecoveryError> {
    let malformed = || RecoveryError::Malformed("a dead letter's id is like callbacks:sms:123".to_owned());
    let (queue, number) = id.rsplit_once(':').ok_or_else(malformed)?;
    let (topic, subscription) = queue.split_once(':').ok_or_else(malformed)?;
    Ok((format!("{topic}/{subscription}"), number.parse().map_err(|_| malformed())?))
}

fn position_of(queue: usize, sequence_number: i64) -> String {
    format!("{queue}:{sequence_number}")
}

fn read_position(position: &str) -> Result<(usize, i64), RecoveryError> {
    let parts = position.split_once(':').and_then(|(queue, number)| Some((queue.parse().ok()?, number.parse().ok()?)));
    parts.ok_or_else(|| RecoveryError::Malformed("the continuation is malformed".to_owned()))
}
