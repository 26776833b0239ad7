//! A JSON array of `{"msys": {class: {...}}}`: <https://developers.sparkpost.com/api/webhooks/>. Received e-mails come
//! in the same form: <https://developers.sparkpost.com/api/relay-webhooks/>.

use serde_json::{Map, Value, value::RawValue};

use crate::{
    event::{BounceClass, Event, EventType},
    vendors::{Callback, Unreadable, digest, json},
};

/// A ping is 11 bytes, and one is sent at a time.
const LONGEST_PINGS: usize = 1024;

fn event_type(name: &str) -> EventType {
    match name {
        "injection" => EventType::MessageAccepted,
        "delivery" => EventType::MessageDelivered,
        "delay" => EventType::MessageDeferred,
        "bounce" | "out_of_band" => EventType::MessageBounced,
        "policy_rejection" | "generation_rejection" => EventType::MessageRejected,
        "generation_failure" => EventType::MessageFailed,
        "spam_complaint" => EventType::MessageComplained,
        "open" | "initial_open" | "amp_open" | "amp_initial_open" => EventType::MessageOpened,
        "click" | "amp_click" => EventType::MessageClicked,
        "list_unsubscribe" | "link_unsubscribe" => EventType::RecipientUnsubscribed,
        _ => EventType::Unknown,
    }
}

/// What a bounce was, by <https://support.sparkpost.com/docs/deliverability/bounce-classification-codes>.
fn bounce(class: Option<&str>) -> (EventType, Option<BounceClass>) {
    let bounced = |class| (EventType::MessageBounced, Some(class));
    match class {
        Some("10" | "30") => bounced(BounceClass::Hard),
        Some("1" | "20" | "21" | "22" | "23" | "24" | "40" | "70") => bounced(BounceClass::Soft),
        Some("25" | "26" | "50" | "51" | "52" | "53" | "54") => bounced(BounceClass::Block),
        Some("90") => (EventType::RecipientUnsubscribed, None),
        // Automatic replies are no bounces. A request to subscribe (80) is guessed from an e-mail that came back: as a
        // consent it is too little.
        Some("60" | "80" | "100") => (EventType::Unknown, None),
        _ => (EventType::MessageBounced, None),
    }
}

/// The state of a text message, in the words of SMPP.
fn sms_type(state: &str) -> EventType {
    match state.to_ascii_lowercase().as_str() {
        "enroute" => EventType::MessageSent,
        "accepted" => EventType::MessageAccepted,
        "delivered" => EventType::MessageDelivered,
        "undeliverable" => EventType::MessageUndelivered,
        "expired" => EventType::MessageExpired,
        "rejected" => EventType::MessageRejected,
        "deleted" => EventType::MessageCanceled,
        _ => EventType::Unknown,
    }
}

/// Whether a batch holds nothing but pings.
pub(super) fn only_pings(body: &[u8]) -> bool {
    if body.len() > LONGEST_PINGS {
        return false;
    }
    let batch: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
    !batch.is_empty() && batch.iter().all(is_ping)
}

fn is_ping(element: &Value) -> bool {
    element.get("msys").and_then(Value::as_object).is_some_and(Map::is_empty)
}

/// The events of a batch, without its pings. An element that cannot be read is an `unknown` event: nothing in a batch is
/// passed over.
///
/// # Errors
/// The body is not a JSON array.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let elements: Vec<&RawValue> =
        serde_json::from_slice(&callback.body).map_err(|error| json::unreadable("a JSON array", &error))?;
    let mut events = Vec::with_capacity(elements.len());
    for element in elements {
        let mut value: Value = serde_json::from_str(element.get()).unwrap_or_default();
        if is_ping(&value) {
            continue;
        }
        // One class in each element, as far as is known.
        let class = match value.get_mut("msys").and_then(Value::as_object_mut) {
            Some(classes) => std::mem::take(classes).into_iter().next(),
            None => None,
        };
        let (class, fields) = match class {
            Some((class, Value::Object(fields))) => (class, fields),
            Some((class, _)) => (class, Map::new()),
            None => (String::new(), Map::new()),
        };
        let entry = Entry { vendor, callback, element: element.get(), fields };
        events.push(if class == "relay_message" { entry.received() } else { entry.event(&class) });
    }
    Ok(events)
}

struct Entry<'a> {
    vendor: &'a str,
    callback: &'a Callback,
    /// The element's own text, for a digest.
    element: &'a str,
    fields: Map<String, Value>,
}

impl Entry<'_> {
    fn text(&self, name: &str) -> Option<String> {
        json::field(&self.fields, name)
    }

    fn event(&self, class: &str) -> Event {
        let name = self.text("type").unwrap_or_else(|| class.to_owned());
        let digest = || digest::of(self.element.as_bytes());
        let message_id = self.text("transmission_id").or_else(|| self.text("message_id")).unwrap_or_else(digest);
        let event_id = self.text("event_id").unwrap_or_else(digest);
        let event = Event {
            occurred_at: self.fields.get("timestamp").and_then(json::time),
            recipient: self.text("rcpt_to"),
            // The address that people see. `msg_from` is where bounces go.
            sender: self.text("friendly_from"),
            ..self.new_event(event_type(&name), &message_id, &event_id)
        };
        let event = match name.as_str() {
            "bounce" | "out_of_band" => {
                let (event_type, bounce_class) = bounce(self.text("bounce_class").as_deref());
                Event { event_type, bounce_class, ..self.with_reason(event) }
            }
            "delay" | "policy_rejection" | "generation_rejection" | "generation_failure" => self.with_reason(event),
            "spam_complaint" => Event { reason_code: self.text("fbtype"), ..event },
            "click" | "amp_click" | "link_unsubscribe" => Event { url: self.text("target_link_url"), ..event },
            "sms_status" => return self.sms(event),
            _ => event,
        };
        Event { provider_status: name, ..event }
    }

    fn with_reason(&self, event: Event) -> Event {
        let reason = self.text("raw_reason").or_else(|| self.text("reason"));
        Event { reason_code: self.text("error_code"), reason, ..event }
    }

    fn sms(&self, event: Event) -> Event {
        let state = self.text("stat_state").unwrap_or_default();
        Event {
            event_type: sms_type(&state),
            recipient: self.text("sms_dst").or(event.recipient.clone()),
            sender: self.text("sms_src").or(event.sender.clone()),
            provider_status: state,
            ..self.with_reason(event)
        }
    }

    /// A received e-mail has neither an id of SparkPost's nor a time.
    fn received(&self) -> Event {
        let digest = digest::of(self.element.as_bytes());
        let content = |name| self.fields.get("content").and_then(|content| content.get(name));
        // Not the key: strangers choose it. In its angle brackets it stays apart from the ids of our own messages.
        let message_id = content("headers").and_then(Value::as_array).and_then(|headers| {
            let mut lines = headers.iter().filter_map(Value::as_object).flatten();
            let (_, id) = lines.find(|(name, _)| name.eq_ignore_ascii_case("message-id"))?;
            let id = id.as_str()?.trim().trim_matches(['<', '>']);
            (!id.is_empty()).then(|| format!("<{id}>"))
        });
        let event_type = EventType::MessageReceived;
        Event {
            provider_status: "relay_message".into(),
            recipient: self.text("rcpt_to"),
            // The envelope's address: what the headers show may have a name around it, or lie.
            sender: self.text("msg_from").or_else(|| self.text("friendly_from")),
            text: content("text").and_then(json::text).or_else(|| content("html").and_then(json::text)),
            ..self.new_event(event_type, message_id.as_deref().unwrap_or(&digest), &digest)
        }
    }

    fn new_event(&self, event_type: EventType, message_id: &str, event_id: &str) -> Event {
        let key = format!("{}:{event_id}", self.vendor);
        Event::new(event_type, self.callback.channel, self.vendor, message_id, key)
    }
}
