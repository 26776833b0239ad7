//! Making a callback durable while the vendor waits: on the bus, else in the spool.

use bytes::Bytes;
use object_store::{ObjectStoreExt, path::Path};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    app::App,
    bus::{Message, Properties, Property},
    documents::{Container, Operation},
    envelope::{CONTENT_TYPE, Envelope, RECEIVED_V1, check_in},
    event::Channel,
    retry::{
        records::{SpoolRecord, StoredMessage, bucket_of},
        sweep::SPOOL_PREFIX,
    },
    telemetry::{PROPERTY, Topic},
};

/// Where a callback is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    Published,
    Spooled,
}

/// Neither the broker nor the spool took the callback: the vendor must try again.
#[derive(Debug, thiserror::Error)]
#[error("broker: {broker}; spool: {documents}; last resort: {blobs}")]
pub struct NotDurable {
    broker: String,
    documents: String,
    blobs: String,
}

/// Publishes a callback, or spools it when the broker does not answer within its budget.
///
/// A publish that was given up on may still happen: the sweep then relays a copy under the same message id, and the
/// ledger sees to the rest.
///
/// # Errors
/// The callback is durable nowhere.
pub async fn publish(app: &App, envelope: Envelope<'_>, channel: Channel, body: &Bytes) -> Result<Durable, NotDurable> {
    let limits = &app.config.ingest;
    let topic = &app.config.bus.callbacks_topic;
    let mut asked = Instant::now();
    let deadline = asked + limits.publish_timeout;
    let mut envelope = envelope.with_body(body);
    let mut encoded = envelope.encode();

    let mut broker = None;
    if encoded.len() as u64 > limits.claim_check_above.as_u64() {
        // In a box, like the spool below: what is rarely gone through must not make every request's future larger.
        let checked_in = Box::pin(check_in(app.blobs.as_ref(), &envelope.id, envelope.time, body.clone()));
        match timeout_at(deadline, checked_in).await {
            Ok(Ok(name)) => {
                asked = Instant::now();
                (envelope.data, envelope.data_base64) = (None, None);
                envelope.dataref = Some(name.into());
                encoded = envelope.encode();
            }
            Ok(Err(error)) => broker = Some(format!("the blob store failed: {error}")),
            Err(_) => broker = Some("the blob store did not answer in time".to_owned()),
        }
    }
    if broker.is_none() {
        let message = message_of(&envelope, channel, encoded.clone());
        let answer = timeout_at(deadline, app.ingest_bus.publish(topic, message)).await;
        app.meter.sent_to(Topic::Callbacks, asked.elapsed());
        broker = match answer {
            Ok(Ok(())) => return Ok(Durable::Published),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no acknowledgement within {:?}", limits.publish_timeout)),
        };
    }
    let broker = broker.unwrap_or_default();
    if let Some(left_out) = app.spooling.now() {
        tracing::warn!(envelope = envelope.id, problem = broker, left_out, "a callback goes to the spool");
    }
    Box::pin(spool(app, topic, &envelope, &message_of(&envelope, channel, encoded), broker)).await
}

async fn spool(
    app: &App,
    topic: &str,
    envelope: &Envelope<'_>,
    message: &Message,
    broker: String,
) -> Result<Durable, NotDurable> {
    // Half of the budget for each of the two places.
    let limit = app.config.ingest.spool_timeout / 2;
    let record = SpoolRecord {
        id: envelope.id.clone(),
        bucket: bucket_of(&envelope.id),
        due_at: envelope.time,
        topic: topic.to_owned(),
        message: StoredMessage::from_message(message),
    };
    let write = Operation::upsert(record.id.clone(), &record);
    let documents = match timeout(limit, app.documents.commit(Container::Spool, &record.bucket, vec![write])).await {
        Ok(Ok(_)) => return Ok(Durable::Spooled),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {limit:?}"),
    };
    let json = serde_json::to_vec(&record).expect("a spool record serialises to JSON");
    let path = Path::from(format!("{SPOOL_PREFIX}/{}.json", record.id));
    let blobs = match timeout(limit, app.blobs.put(&path, json.into())).await {
        Ok(Ok(_)) => return Ok(Durable::Spooled),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {limit:?}"),
    };
    Err(NotDurable { broker, documents, blobs })
}

fn message_of(envelope: &Envelope, channel: Channel, body: Bytes) -> Message {
    let mut properties = Properties::new();
    properties.insert("vendor".into(), Property::from(envelope.vendor.to_string()));
    properties.insert("channel".into(), channel.name().into());
    properties.insert("type".into(), RECEIVED_V1.into());
    if let Some(traceparent) = &envelope.traceparent {
        properties.insert(PROPERTY.into(), Property::from(traceparent.to_string()));
    }
    Message {
        message_id: envelope.dedupekey.clone(),
        content_type: Some(CONTENT_TYPE.into()),
        correlation_id: Some(envelope.id.clone()),
        subject: envelope.subject.clone(),
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body,
    }
}
