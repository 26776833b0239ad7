//! What Twilio's callbacks say. Parameters are added by Twilio without notice; unknown values become `unknown`.

use chrono::DateTime;

use crate::{
    event::{Event, EventType},
    vendors::{
        Callback, Unreadable,
        form::{self, Parameters},
        mapping::digest,
    },
};

pub(super) fn normalise(provider: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let parameters = parameters(callback)?;
    let reader = Reader { provider, callback, parameters: &parameters };
    if parameters.get("RecordingSid").is_some() {
        return Ok(vec![reader.recording()]);
    }
    if let Some(call) = parameters.get("CallSid") {
        return Ok(vec![match parameters.get("CallStatus") {
            Some(status) => reader.call_status(call, status),
            None => reader.machine_detection(call),
        }]);
    }
    let message = ["MessageSid", "SmsSid", "SmsMessageSid"].into_iter().find_map(|name| parameters.get(name));
    let status = parameters.get("MessageStatus").or_else(|| parameters.get("SmsStatus"));
    Ok(match (message, status) {
        (Some(message), Some(status)) if status.eq_ignore_ascii_case("received") => reader.inbound(message, status),
        (Some(message), Some(status)) => vec![reader.message_status(message, status)],
        _ => vec![reader.unrecognised(message)],
    })
}

fn parameters(callback: &Callback) -> Result<Parameters, Unreadable> {
    let body = callback.body.as_ref();
    let announced_form = callback.content_type.as_deref().is_none_or(form::is_form);
    let parameters = if body.is_empty() {
        Parameters::parse(callback.query.as_bytes())
    } else if announced_form {
        Parameters::parse(body)
    } else {
        match serde_json::from_slice(body) {
            Ok(serde_json::Value::Object(object)) => Parameters::from_json(&object),
            Ok(_) => return Err(Unreadable("the body is JSON, but no object".into())),
            Err(error) => return Err(Unreadable(format!("neither a form nor JSON: {error}"))),
        }
    };
    if parameters.is_empty() {
        return Err(Unreadable("the callback has no parameters".into()));
    }
    Ok(parameters)
}

struct Reader<'a> {
    provider: &'a str,
    callback: &'a Callback,
    parameters: &'a Parameters,
}

impl Reader<'_> {
    fn event(&self, event_type: EventType, id: &str, rest_of_key: &str, status: &str) -> Event {
        let key = format!("{}:{id}:{rest_of_key}", self.provider);
        let mut event = Event::new(event_type, self.callback.channel, self.provider, id, key);
        event.provider_status = status.to_owned();
        event.recipient = self.parameters.owned("To");
        event.sender = self.parameters.owned("From");
        event.reason_code = self.parameters.get("ErrorCode").filter(|code| *code != "0").map(str::to_owned);
        event.reason = self.parameters.owned("ErrorMessage");
        event
    }

    fn message_status(&self, id: &str, status: &str) -> Event {
        let event_type = match status {
            "accepted" | "scheduled" => EventType::MessageAccepted,
            "queued" => EventType::MessageQueued,
            "sending" => EventType::MessageSending,
            "sent" => EventType::MessageSent,
            "delivered" => EventType::MessageDelivered,
            "read" => EventType::MessageRead,
            "undelivered" => EventType::MessageUndelivered,
            "failed" => EventType::MessageFailed,
            "canceled" => EventType::MessageCanceled,
            _ => EventType::Unknown,
        };
        self.event(event_type, id, status, status)
    }

    fn inbound(&self, id: &str, status: &str) -> Vec<Event> {
        let mut received = self.event(EventType::MessageReceived, id, status, status);
        received.text = self.parameters.owned("Body");
        let mut events = vec![received];
        // Advanced Opt-Out names what the text meant.
        let wish = match self.parameters.get("OptOutType") {
            Some("STOP") => Some((EventType::RecipientOptedOut, "optout", "STOP")),
            Some("START") => Some((EventType::RecipientOptedIn, "optin", "START")),
            Some("HELP") => Some((EventType::RecipientHelp, "help", "HELP")),
            _ => None,
        };
        if let Some((event_type, key, word)) = wish {
            let mut wish = self.event(event_type, id, key, word);
            // The person is the one who wrote.
            std::mem::swap(&mut wish.recipient, &mut wish.sender);
            events.push(wish);
        }
        events
    }

    fn call_status(&self, id: &str, status: &str) -> Event {
        let event_type = match status {
            // `queued` comes before a call is dialled.
            "queued" | "initiated" => EventType::CallInitiated,
            "ringing" => EventType::CallRinging,
            "in-progress" | "answered" => EventType::CallAnswered,
            "completed" => EventType::CallCompleted,
            "busy" => EventType::CallBusy,
            "no-answer" => EventType::CallNoAnswer,
            "failed" => EventType::CallFailed,
            "canceled" => EventType::CallCanceled,
            _ => EventType::Unknown,
        };
        let sequence = self.parameters.get("SequenceNumber");
        let key = sequence.map_or_else(|| status.to_owned(), |sequence| format!("{sequence}:{status}"));
        let mut event = self.event(event_type, id, &key, status);
        event.occurred_at = self.time("Timestamp");
        event.sequence = sequence.and_then(|sequence| sequence.parse().ok());
        // `Duration` is in minutes.
        event.duration_s = self.parameters.get("CallDuration").and_then(|seconds| seconds.parse().ok());
        event
    }

    fn machine_detection(&self, call: &str) -> Event {
        let Some(answered_by) = self.parameters.get("AnsweredBy") else { return self.unrecognised(Some(call)) };
        let machine = answered_by.starts_with("machine") || answered_by == "fax";
        let event_type = if machine { EventType::CallMachineDetected } else { EventType::Unknown };
        self.event(event_type, call, &format!("amd:{answered_by}"), answered_by)
    }

    fn recording(&self) -> Event {
        let recording = self.parameters.get("RecordingSid").unwrap_or_default();
        let status = self.parameters.get("RecordingStatus").unwrap_or_default();
        let event_type = match status {
            "completed" => EventType::CallRecordingAvailable,
            _ => EventType::Unknown,
        };
        let call = self.parameters.get("CallSid").unwrap_or(recording);
        let mut event = self.event(event_type, call, &format!("{recording}:{status}"), status);
        event.url = self.parameters.owned("RecordingUrl");
        event.duration_s = self.parameters.get("RecordingDuration").and_then(|seconds| seconds.parse().ok());
        event
    }

    /// A callback of a kind that this version does not know: kept, so that nothing is lost.
    fn unrecognised(&self, id: Option<&str>) -> Event {
        let digest = digest(&[self.callback.query.as_bytes(), &self.callback.body]);
        self.event(EventType::Unknown, id.unwrap_or(&digest), &digest, "")
    }

    fn time(&self, name: &str) -> Option<crate::clock::Timestamp> {
        let text = self.parameters.get(name)?;
        DateTime::parse_from_rfc2822(text).ok().map(|time| time.to_utc())
    }
}
