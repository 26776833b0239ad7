//! Opt-outs: which events change whether a person may be written to.
//!
//! A wish is recorded in container `consent`, in the partition of the address's token, one document per channel (and
//! per suppression group, where the vendor limits an unsubscribe to one). The later wish counts, so that recording one
//! twice, or out of order, changes nothing.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    config::Channels,
    documents::{CommitError, Container, Documents, DocumentsError, Operation},
    event::{BounceClass, Channel, Event, EventType},
    telemetry::Tokens,
};

/// Whether a person may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    OptedOut,
    OptedIn,
}

/// A person's latest wish for one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentRecord {
    pub id: String,
    /// The address's token.
    pub key: String,
    pub channel: Channel,
    pub consent: Consent,
    /// The event type that said so.
    pub because: EventType,
    pub changed_at: Timestamp,
    pub provider: String,
    /// The event's dedupe key.
    pub decided_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribe_group: Option<i64>,
}

/// Why a wish could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    #[error(transparent)]
    Read(#[from] DocumentsError),
    #[error(transparent)]
    Write(#[from] CommitError),
}

/// Adds the opt-out, opt-in or help event that an inbound text means, where the vendor did not name it already.
pub fn infer_keywords(events: &mut Vec<Event>, channels: &Channels) {
    let named = |key: &str, events: &[Event]| {
        events.iter().any(|event| {
            event.provider_message_id == key
                && matches!(
                    event.event_type,
                    EventType::RecipientOptedOut | EventType::RecipientOptedIn | EventType::RecipientHelp
                )
        })
    };
    let mut inferred = Vec::new();
    for event in events.iter() {
        if event.channel != Channel::Sms || event.event_type != EventType::MessageReceived {
            continue;
        }
        let Some(text) = &event.text else { continue };
        let word = text.trim().to_uppercase();
        let sms = &channels.sms;
        let (event_type, suffix) = if sms.stop_keywords.contains(&word) {
            (EventType::RecipientOptedOut, "optout")
        } else if sms.start_keywords.contains(&word) {
            (EventType::RecipientOptedIn, "optin")
        } else if sms.help_keywords.contains(&word) {
            (EventType::RecipientHelp, "help")
        } else {
            continue;
        };
        if named(&event.provider_message_id, events) {
            continue;
        }
        let key = format!("{}:{suffix}", event.message_key());
        let mut wish = Event::new(event_type, event.channel, &event.provider, &event.provider_message_id, key);
        wish.provider_status = word;
        wish.occurred_at = event.occurred_at;
        // The person is the one who wrote.
        wish.recipient = event.sender.clone();
        wish.sender = event.recipient.clone();
        inferred.push(wish);
    }
    events.append(&mut inferred);
}

/// What an event says about consent, if anything.
pub fn wish(event: &Event, channels: &Channels) -> Option<Consent> {
    match event.event_type {
        EventType::RecipientOptedOut | EventType::RecipientUnsubscribed | EventType::RecipientSuppressed => {
            Some(Consent::OptedOut)
        }
        EventType::RecipientOptedIn | EventType::RecipientResubscribed => Some(Consent::OptedIn),
        EventType::MessageBounced
            if channels.email.hard_bounce_opts_out && event.bounce_class == Some(BounceClass::Hard) =>
        {
            Some(Consent::OptedOut)
        }
        EventType::MessageComplained if channels.email.complaint_opts_out => Some(Consent::OptedOut),
        _ => None,
    }
}

/// Records what an event says about consent. Idempotent: the later wish counts whatever the order of the calls.
///
/// # Errors
/// The store failed; the caller tries the event again.
pub async fn record(
    documents: &dyn Documents,
    tokens: &Tokens,
    event: &Event,
    consent: Consent,
    at: Timestamp,
) -> Result<(), ConsentError> {
    let Some(recipient) = event.recipient.as_deref().filter(|recipient| !recipient.is_empty()) else { return Ok(()) };
    let key = tokens.address(recipient);
    let id = match event.unsubscribe_group {
        Some(group) => format!("{}:group:{group}", event.channel.name()),
        None => event.channel.name().to_owned(),
    };
    let record = ConsentRecord {
        id: id.clone(),
        key: key.clone(),
        channel: event.channel,
        consent,
        because: event.event_type,
        changed_at: at,
        provider: event.provider.clone(),
        decided_by: event.dedupe_key.clone(),
        unsubscribe_group: event.unsubscribe_group,
    };
    loop {
        let write = match documents.read(Container::Consent, &key, &id).await? {
            None => Operation::create(id.clone(), &record),
            Some(document) => {
                let current: ConsentRecord = document.parse()?;
                if (current.changed_at, &current.decided_by) >= (record.changed_at, &record.decided_by) {
                    return Ok(());
                }
                Operation::replace(id.clone(), &record, document.etag)
            }
        };
        match documents.commit(Container::Consent, &key, vec![write]).await {
            Ok(_) => return Ok(()),
            // Another wish of the same person came in between: look again.
            Err(CommitError::Conflict { .. } | CommitError::PreconditionFailed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Email, Sms};

    fn channels() -> Channels {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Channels {
            sms: Sms {
                stop_keywords: words(&["STOP"]),
                start_keywords: words(&["START"]),
                help_keywords: words(&["HELP"]),
            },
            email: Email { hard_bounce_opts_out: true, complaint_opts_out: false },
        }
    }

    fn inbound(text: &str) -> Event {
        let key = "v:m1:received".to_owned();
        let mut event = Event::new(EventType::MessageReceived, Channel::Sms, "v", "m1", key);
        event.text = Some(text.into());
        event.sender = Some("+12025550143".into());
        event.recipient = Some("+15017122661".into());
        event
    }

    #[test]
    fn a_keyword_counts_only_as_the_whole_text() {
        for (text, expected) in [
            (" stop\n", Some(EventType::RecipientOptedOut)),
            ("Start", Some(EventType::RecipientOptedIn)),
            ("help", Some(EventType::RecipientHelp)),
            ("please stop", None),
            ("", None),
        ] {
            let mut events = vec![inbound(text)];
            infer_keywords(&mut events, &channels());
            assert_eq!(events.get(1).map(|event| event.event_type), expected, "{text:?}");
            if let Some(wish) = events.get(1) {
                assert_eq!(wish.recipient.as_deref(), Some("+12025550143"), "the person is who wrote");
            }
        }
    }

    #[test]
    fn the_vendors_own_word_is_not_repeated() {
        let key = "v:m1:optout".to_owned();
        let named = Event::new(EventType::RecipientOptedOut, Channel::Sms, "v", "m1", key);
        let mut events = vec![inbound("STOP"), named];
        infer_keywords(&mut events, &channels());
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn bounces_and_complaints_follow_the_configuration() {
        let mut bounce = Event::new(EventType::MessageBounced, Channel::Email, "v", "m", "k".into());
        assert_eq!(wish(&bounce, &channels()), None, "an unclassified bounce may heal");
        bounce.bounce_class = Some(BounceClass::Hard);
        assert_eq!(wish(&bounce, &channels()), Some(Consent::OptedOut));
        let complaint = Event::new(EventType::MessageComplained, Channel::Email, "v", "m", "k".into());
        assert_eq!(wish(&complaint, &channels()), None, "switched off above");
    }
}
