//! Canonical events: the facts that callbacks of every vendor are turned into.

mod people;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

/// A way to reach people, processed apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Sms,
    Email,
    Voice,
}

impl Channel {
    pub const ALL: [Channel; 3] = [Channel::Sms, Channel::Email, Channel::Voice];

    /// The name in configuration, bus properties and subscriptions.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Sms => "sms",
            Channel::Email => "email",
            Channel::Voice => "voice",
        }
    }

    /// The channel of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }
}

macro_rules! event_types {
    ($($variant:ident = $name:literal : $meaning:literal),* $(,)?) => {
        /// What happened. The text form is stable: it is stored and sent to partners.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum EventType {
            $(#[doc = concat!("`", $name, "`: ", $meaning)] #[serde(rename = $name)] $variant,)*
        }

        impl EventType {
            /// Every type.
            pub const ALL: &'static [EventType] = &[$(EventType::$variant),*];

            /// The stable text form, for example `message.delivered`.
            pub fn name(self) -> &'static str {
                match self { $(EventType::$variant => $name),* }
            }

            /// What has happened then, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(EventType::$variant => $meaning),* }
            }
        }
    };
}

event_types! {
    MessageAccepted = "message.accepted": "The vendor has taken the message.",
    MessageQueued = "message.queued": "The message waits at the vendor.",
    MessageSending = "message.sending": "The vendor is passing the message on.",
    MessageSent = "message.sent": "The vendor has passed the message on to the carrier or the mail server.",
    MessageDelivered = "message.delivered": "The message has arrived: at the handset, or at the recipient's mail server.",
    MessageRead = "message.read": "The recipient has read the message, where the channel tells.",
    MessageDeferred = "message.deferred": "The message could not be delivered yet; the vendor tries again by itself.",
    MessageUndelivered = "message.undelivered": "The carrier could not deliver the message.",
    MessageFailed = "message.failed": "The vendor could not send the message.",
    MessageRejected = "message.rejected": "The vendor or the carrier refused the message.",
    MessageExpired = "message.expired": "The message was not delivered within its time.",
    MessageCanceled = "message.canceled": "The message was taken back before it was sent.",
    MessageBounced = "message.bounced": "The recipient's mail server refused the message; `bounce_class` tells how final that is.",
    MessageComplained = "message.complained": "The recipient reported the message as spam; that opts out, unless configured otherwise.",
    MessageOpened = "message.opened": "Somebody opened the e-mail. Counted beside the status.",
    MessageClicked = "message.clicked": "Somebody followed a link in the message, which `url` tells. Counted beside the status.",
    MessageReceived = "message.received": "A person wrote to us; `text` is what.",
    RecipientOptedOut = "recipient.opted_out": "The recipient wants no more messages on this channel. Recorded as consent.",
    RecipientOptedIn = "recipient.opted_in": "The recipient wants messages on this channel again. Recorded as consent.",
    RecipientHelp = "recipient.help": "The recipient asked for help with a keyword.",
    RecipientUnsubscribed = "recipient.unsubscribed": "The recipient wants no more e-mail, or none of the list that `unsubscribe_group` names. Recorded as consent.",
    RecipientResubscribed = "recipient.resubscribed": "The recipient wants e-mail again. Recorded as consent.",
    RecipientSuppressed = "recipient.suppressed": "The vendor sends nothing to this recipient any more, of its own accord.",
    CallInitiated = "call.initiated": "The vendor has begun the call.",
    CallRinging = "call.ringing": "The phone rings.",
    CallAnswered = "call.answered": "Somebody, or something, answered.",
    CallCompleted = "call.completed": "The call has ended; `duration_s` tells how long it was, where the vendor does.",
    CallBusy = "call.busy": "The line was busy.",
    CallNoAnswer = "call.no_answer": "Nobody answered.",
    CallFailed = "call.failed": "The call could not be made.",
    CallCanceled = "call.canceled": "The call was ended before anybody answered.",
    CallMachineDetected = "call.machine_detected": "The vendor tells whether a person or a machine answered.",
    CallRecordingAvailable = "call.recording_available": "A recording can be fetched from `url`.",
    Unknown = "unknown": "The vendor used a word that this program has no meaning for; `provider_status` is that word. Kept, and changes no status.",
}

impl EventType {
    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event_type| event_type.name() == name)
    }
}

impl std::fmt::Display for EventType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How final a bounce is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BounceClass {
    /// The address does not exist: it becomes an opt-out.
    Hard,
    /// May heal.
    Soft,
    /// Blocked by policy or reputation.
    Block,
}

/// In bytes. Real ids have up to about 200; a partition key of Cosmos DB may have 2,048.
const LONGEST_ID: usize = 1024;

/// One canonical fact found in a callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    #[serde(rename = "type")]
    pub event_type: EventType,
    pub channel: Channel,
    /// The vendor's name in `sluice.toml`.
    pub provider: String,
    /// The vendor's id of the message or call.
    pub provider_message_id: String,
    /// Equal for two callbacks that report the same fact; starts with `{provider}:`.
    pub dedupe_key: String,
    /// When it happened by the vendor's word; absent where the payload has no trustworthy time (then the time of
    /// receipt counts).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    /// The vendor's own word for the status, unchanged.
    pub provider_status: String,
    /// Whom the message or the call went to; of an inbound message, who we are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Whom it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The vendor's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// The vendor's error text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounce_class: Option<BounceClass>,
    /// The text of an inbound message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The link that was clicked, or the recording's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The vendor's own order of the events of one message or call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Length of a call or recording in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<u64>,
    /// The list (SendGrid: suppression group) that an unsubscribe is limited to; absent: all mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribe_group: Option<i64>,
}

impl Event {
    /// An event with the fields that every event has.
    pub fn new(event_type: EventType, channel: Channel, provider: &str, message_id: &str, dedupe_key: String) -> Self {
        Self {
            event_type,
            channel,
            provider: provider.to_owned(),
            provider_message_id: message_id.to_owned(),
            dedupe_key,
            occurred_at: None,
            provider_status: String::new(),
            recipient: None,
            sender: None,
            reason_code: None,
            reason: None,
            bounce_class: None,
            text: None,
            url: None,
            sequence: None,
            duration_s: None,
            unsubscribe_group: None,
        }
    }

    /// The ledger's partition key: `{provider}:{provider message id}`. An id that is longer than a key may be (anybody can
    /// send a mail with such a Message-ID) is replaced by its digest.
    pub fn message_key(&self) -> String {
        let id = &self.provider_message_id;
        match id.len() {
            0..=LONGEST_ID => format!("{}:{id}", self.provider),
            _ => format!("{}:sha256-{}", self.provider, hex::encode(Sha256::digest(id))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_too_long_for_a_key_keeps_one_of_its_own() {
        let key = |id: &str| Event::new(EventType::Unknown, Channel::Email, "acme", id, "acme:1".into()).message_key();
        assert_eq!(key("m-1"), "acme:m-1");
        let long = "x".repeat(3000);
        assert_eq!(key(&long), key(&long));
        assert_ne!(key(&long), key(&format!("{long}y")));
        assert!(key(&long).len() < 100);
    }
}
