//! Service Bus's dead letters: they cannot be changed, but taken out. What names the person is parked instead, without the
//! person. The embedded broker's are among its messages.

use std::{collections::HashSet, time::Duration};

use super::{
    EraseError,
    message::Erased,
    walk::{Page, Walk},
};
use crate::{
    app::topology,
    dead_letters::{DeadLetter, DeadLetterQueue, Receiver},
    documents::{CommitError, Container, Operation},
    recovery::Record,
    retry::records::{ParkedRecord, bucket_of},
};

/// Letters in memory at once.
const PAGE: usize = 100;
/// How long to wait for what somebody else may just have let go.
const WAIT: Duration = Duration::from_millis(200);

impl Walk<'_> {
    /// One sub-queue a page.
    pub(super) async fn dead_letters(&self, position: Option<&str>) -> Result<Page, EraseError> {
        if self.app.bus.shelf().is_some() {
            return Ok(Page::default());
        }
        let index: usize = match position {
            None => 0,
            Some(position) => {
                position.parse().map_err(|_| EraseError::Malformed("the continuation is malformed".to_owned()))?
            }
        };
        let topics = topology(&self.app.config).topics;
        let queues: Vec<DeadLetterQueue> = topics
            .into_iter()
            .flat_map(|topic| {
                let name = topic.name;
                let queue = move |subscription| DeadLetterQueue { topic: name.clone(), subscription };
                topic.subscriptions.into_iter().map(|subscription| subscription.name).map(queue)
            })
            .collect();
        let Some(queue) = queues.get(index) else { return Ok(Page::default()) };
        let mut page = Page { position: Some((index + 1).to_string()), ..Page::default() };
        let mut receiver = self.app.dead_letters.open(queue).await?;
        let passed = self.pass(queue, receiver.as_mut(), &mut page).await;
        receiver.close().await?;
        passed?;
        Ok(page)
    }

    async fn pass(
        &self,
        queue: &DeadLetterQueue,
        receiver: &mut dyn Receiver,
        page: &mut Page,
    ) -> Result<(), EraseError> {
        let found = self.peek(receiver, page).await?;
        if found == 0 || self.is_looking() {
            page.counts.tokenised += found;
            return Ok(());
        }
        let (mut held, mut moved) = (HashSet::new(), 0);
        while moved < found {
            let letters = receiver.receive(PAGE, WAIT).await?;
            // The rest is locked by somebody else; or the locks of what was passed over ran out, and it comes again.
            if letters.is_empty() || letters.iter().any(|letter| !held.insert(letter.sequence_number)) {
                break;
            }
            for letter in letters {
                if self.is_in_message(&letter.message).await? {
                    self.park(queue, &letter).await?;
                    receiver.complete(letter.sequence_number).await?;
                    moved += 1;
                }
            }
        }
        page.counts.tokenised += moved;
        // The next pass finds them again, unless somebody replays or discards what is before them.
        page.again = moved < found;
        if page.again {
            tracing::warn!(%queue, left = found - moved, "dead letters of a person who is being erased are out of reach now");
        }
        Ok(())
    }

    async fn peek(&self, receiver: &mut dyn Receiver, page: &mut Page) -> Result<u64, EraseError> {
        let (mut from, mut found) = (0, 0);
        loop {
            let letters = receiver.peek(from, PAGE).await?;
            let Some(last) = letters.last() else { return Ok(found) };
            from = last.sequence_number + 1;
            for letter in &letters {
                page.counts.looked_at += 1;
                found += u64::from(self.is_in_message(&letter.message).await?);
            }
        }
    }

    /// Killed behind this, the letter is parked again under the same id.
    async fn park(&self, queue: &DeadLetterQueue, letter: &DeadLetter) -> Result<(), EraseError> {
        let Erased { message, obsolete } = self.erase_message(&letter.message).await?;
        let letter = DeadLetter { message, ..letter.clone() };
        let Record { summary, message, .. } = Record::from_dead_letter(queue, &letter);
        let id = format!("{}:{}:{}", queue.subscription, letter.sequence_number, message.record_id());
        let reason = format!("a dead letter, parked when a person in it was erased: {}", summary.reason);
        let record = ParkedRecord {
            bucket: bucket_of(&id),
            id,
            parked_at: self.app.clock.now(),
            reason: self.person.replaced(&reason, &self.app.tokens).unwrap_or(reason),
            vendor: summary.vendor,
            channel: summary.channel,
            partner: summary.partner,
            topic: summary.topic,
            message_key: summary.message_key,
            history: summary.history,
            message,
        };
        let create = Operation::create(record.id.clone(), &record);
        match self.app.documents.commit(Container::Parked, &record.bucket, vec![create]).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.discard(obsolete).await
    }
}
