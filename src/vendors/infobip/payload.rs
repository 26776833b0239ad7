//! `{"results": [...]}` with reports (by default up to 100) or received messages, in the same form for every channel:
//! <https://www.infobip.com/docs/api/channels/sms/sms-messaging/logs-and-status-reports/receive-outbound-sms-message-report>.
//! What people do with an e-mail comes as one object without `results`:
//! <https://www.infobip.com/docs/api/channels/email/receive-email-tracking-reports>.

use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{
    clock::Timestamp,
    event::{Channel, Event, EventType},
    vendors::{Callback, Identity, Unreadable, digest, json},
};

/// A report is about 700 bytes: more than this are several, which have no common identity.
const LONGEST_LOOK: usize = 4096;

/// What a status group means to a message: <https://www.infobip.com/docs/essentials/response-status-and-error-codes>
fn message_type(group: Option<i64>) -> EventType {
    match group {
        Some(0) => EventType::MessageAccepted,
        Some(1) => EventType::MessageSent,
        Some(2) => EventType::MessageUndelivered,
        Some(3) => EventType::MessageDelivered,
        Some(4) => EventType::MessageExpired,
        Some(5) => EventType::MessageRejected,
        _ => EventType::Unknown,
    }
}

/// What a status group means to a call. The error tells why nobody was reached.
fn call_type(group: Option<i64>, error: &str) -> EventType {
    match group {
        Some(0 | 1) => EventType::CallInitiated,
        Some(3) => EventType::CallCompleted,
        Some(2 | 4 | 5) if error.contains("BUSY") => EventType::CallBusy,
        Some(2 | 4 | 5) if error.contains("NO_ANSWER") => EventType::CallNoAnswer,
        Some(2 | 4 | 5) => EventType::CallFailed,
        _ => EventType::Unknown,
    }
}

fn report_key(vendor: &str, message_id: &str, status: &str) -> String {
    format!("{vendor}:{message_id}:{status}")
}

/// RFC 3339, or the same without the colon in its offset.
fn time(text: &str) -> Option<Timestamp> {
    let compact = || DateTime::parse_from_str(text.trim(), "%Y-%m-%dT%H:%M:%S%.f%z").ok();
    json::time_of_text(text).or_else(|| compact().map(|time| time.to_utc()))
}

#[derive(Deserialize)]
struct Look<'a> {
    #[serde(borrow)]
    results: Vec<LookReport<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LookReport<'a> {
    message_id: &'a str,
    #[serde(borrow)]
    status: Option<LookStatus<'a>>,
}

#[derive(Deserialize)]
struct LookStatus<'a> {
    name: &'a str,
}

/// The subject and the dedupe key of a callback with a single report.
pub(super) fn identify(vendor: &str, body: &[u8]) -> Identity {
    if body.len() > LONGEST_LOOK {
        return Identity::default();
    }
    let Ok(Look { results }) = serde_json::from_slice(body) else { return Identity::default() };
    let [LookReport { message_id, status }] = results.as_slice() else { return Identity::default() };
    if message_id.is_empty() {
        return Identity::default();
    }
    let status = status.as_ref().map(|status| status.name).filter(|name| !name.is_empty());
    let dedupe_key = status.map(|status| report_key(vendor, message_id, status));
    Identity { subject: Some((*message_id).to_owned()), dedupe_key }
}

/// The events of a callback. A report that cannot be read is an `unknown` event: nothing in a batch is passed over.
///
/// # Errors
/// The body is neither an object with an array `results` nor a notification about an e-mail.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        #[serde(borrow)]
        results: Option<Vec<&'a RawValue>>,
        #[serde(borrow)]
        notification_type: Option<&'a RawValue>,
    }
    let body: Body<'_> = serde_json::from_slice(&callback.body)
        .map_err(|error| json::unreadable("an object with an array `results`", &error))?;
    let entry = |text: &str| Entry::of(vendor, callback, text);
    match body {
        Body { results: Some(results), .. } => {
            Ok(results.into_iter().map(|element| entry(element.get()).result()).collect())
        }
        Body { notification_type: Some(_), .. } => {
            // It was JSON a moment ago, and JSON is UTF-8.
            Ok(vec![entry(&String::from_utf8_lossy(&callback.body)).notification()])
        }
        _ => Err(Unreadable("the body has neither `results` nor `notificationType`".into())),
    }
}

struct Entry<'a> {
    vendor: &'a str,
    callback: &'a Callback,
    fields: Map<String, Value>,
    digest: String,
}

impl<'a> Entry<'a> {
    fn of(vendor: &'a str, callback: &'a Callback, text: &str) -> Self {
        let fields = serde_json::from_str(text).unwrap_or_default();
        Self { vendor, callback, fields, digest: digest::of(text.as_bytes()) }
    }

    fn text(&self, name: &str) -> Option<String> {
        json::field(&self.fields, name)
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.text(name).as_deref().and_then(time)
    }

    fn result(&self) -> Event {
        if self.fields.contains_key("status") {
            self.report()
        } else if self.fields.contains_key("receivedAt") || self.fields.contains_key("text") {
            self.received()
        } else {
            self.event(EventType::Unknown, None, "")
        }
    }

    fn report(&self) -> Event {
        let part = |object: &str, name: &str| self.fields.get(object).and_then(|object| object.get(name));
        let text = |object: &str, name: &str| part(object, name).and_then(json::text);
        let group = part("status", "groupId").and_then(json::integer);
        let name = text("status", "name");
        let key = self.text("messageId").zip(name.as_deref()).map(|(id, name)| report_key(self.vendor, &id, name));
        let voice = self.callback.channel == Channel::Voice;
        let event_type = match voice {
            true => call_type(group, &text("error", "name").unwrap_or_default()),
            false => message_type(group),
        };
        let status = text("status", "groupName").or(name).unwrap_or_default();
        let duration = || part("voiceCall", "duration").and_then(json::integer).and_then(|s| u64::try_from(s).ok());
        Event {
            occurred_at: self.time("doneAt"),
            recipient: self.text("to"),
            sender: self.text("from").or_else(|| self.text("sender")),
            // 0 is no error.
            reason_code: text("error", "id").filter(|code| code != "0"),
            duration_s: voice.then(duration).flatten(),
            ..self.event(event_type, key, &status)
        }
    }

    fn received(&self) -> Event {
        Event {
            occurred_at: self.time("receivedAt"),
            recipient: self.text("to"),
            sender: self.text("from"),
            text: self.text("text"),
            ..self.event(
                EventType::MessageReceived,
                self.text("messageId").map(|id| format!("{}:{id}:received", self.vendor)),
                "received",
            )
        }
    }

    /// What somebody did with an e-mail. Its only time is when that was sent.
    fn notification(&self) -> Event {
        let name = self.text("notificationType").unwrap_or_default();
        let event_type = match name.as_str() {
            "OPENED" => EventType::MessageOpened,
            "CLICKED" => EventType::MessageClicked,
            "COMPLAINED" => EventType::MessageComplained,
            "UNSUBSCRIBED" => EventType::RecipientUnsubscribed,
            _ => EventType::Unknown,
        };
        Event {
            recipient: self.text("recipient"),
            sender: self.text("sender"),
            url: self.text("url"),
            ..self.event(event_type, self.text("eventId").map(|id| format!("{}:{id}", self.vendor)), &name)
        }
    }

    /// Where an event has no key or message id of its own, a digest of it takes the place.
    fn event(&self, event_type: EventType, key: Option<String>, status: &str) -> Event {
        let message_id = self.text("messageId").unwrap_or_else(|| self.digest.clone());
        let key = key.unwrap_or_else(|| format!("{}:{}", self.vendor, self.digest));
        Event {
            provider_status: status.to_owned(),
            ..Event::new(event_type, self.callback.channel, self.vendor, &message_id, key)
        }
    }
}
