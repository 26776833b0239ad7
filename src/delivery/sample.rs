//! A sample event, sent at once: does the endpoint answer, and can it verify the signature?

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    Courier, Partner,
    attempt::{self, Verdict},
    client::Exchange,
    partner::matches,
    wire::Announced,
};
use crate::{
    clock::Timestamp,
    event::{Channel, Event, EventType},
};

/// What came of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "SampleReport")]
pub struct Report {
    pub event_id: String,
    pub event_type: String,
    /// Whether it would count as delivered.
    pub ok: bool,
    /// What would become of a delivery that fared so.
    pub outcome: String,
    pub status: Option<u16>,
    pub latency_ms: u64,
    pub response: Option<String>,
}

impl Courier {
    /// Sends a signed sample, whatever the breaker, the limits or the partner's state say. Nothing is counted or recorded.
    ///
    /// # Errors
    /// Something is missing on this side: its key, or the variable of a header.
    pub async fn sample(&self, partner: &Partner) -> Result<Report, attempt::Unprepared> {
        let now = self.clock.now();
        let event_id = format!("evt_test{}", Uuid::now_v7().simple());
        let event_type = wanted(partner);
        let channel = partner.settings.channels.first().copied().unwrap_or(Channel::Sms);
        let mut event = Event::new(event_type, channel, "sluice", "test", "sluice:test".into());
        event.provider_status = "test".into();
        event.occurred_at = Some(now);
        let whole = json!({
            "specversion": "1.0", "id": event_id, "type": event_type.name(), "source": "sluice", "subject": "sluice:test",
            "time": now, "datacontenttype": "application/json", "data": event,
        });
        let whole = Bytes::from(whole.to_string());
        let announced = Announced::read(&whole).expect("it is an announcement");
        let content = announced.content(partner.settings.format, &whole);
        let request = self.prepare(partner, &event_id, content, now)?;
        let settings = &partner.settings;
        let sent = self.client.post(
            request.endpoint,
            settings.allow_internal,
            settings.timeout,
            request.headers,
            request.body,
        );
        Ok(report(event_id, event_type, sent.await, now))
    }
}

fn report(event_id: String, event_type: EventType, exchange: Exchange, now: Timestamp) -> Report {
    let outcome = match attempt::judge(&exchange, now) {
        Verdict::Delivered => "delivered".to_owned(),
        Verdict::Retry { reason, .. } => format!("{reason}; a delivery would be tried again"),
        Verdict::Park(reason) => format!("{reason}; a delivery would be parked"),
        Verdict::Gone => "answered 410; a delivery would be parked, and the partner disabled".to_owned(),
    };
    let answer = exchange.result.ok();
    Report {
        event_id,
        event_type: event_type.name().to_owned(),
        ok: outcome == "delivered",
        outcome,
        status: answer.as_ref().map(|answer| answer.status),
        latency_ms: u64::try_from(exchange.took.as_millis()).unwrap_or(u64::MAX),
        response: answer.map(|answer| answer.body).filter(|body| !body.is_empty()),
    }
}

/// A type that the partner asked for.
fn wanted(partner: &Partner) -> EventType {
    let wants = |event_type: &EventType| {
        let patterns = &partner.settings.events;
        patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, event_type.name()))
    };
    let usual = [EventType::MessageDelivered];
    usual.iter().chain(EventType::ALL).copied().find(wants).unwrap_or(EventType::MessageDelivered)
}
