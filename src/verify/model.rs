//! The judges' own idea of a status, written from the vendors' documentation.
//!
//! It is deliberately naive (a table and a maximum) and shares no code with the product: two implementations that agree
//! are worth more than one that is tested against itself.

use chrono::TimeDelta;

use crate::{clock::Timestamp, event::EventType};

/// How far along a message or call is by this event; `None` for what is only counted beside the status.
pub fn rank(event_type: EventType) -> Option<u8> {
    use EventType::*;
    Some(match event_type {
        MessageAccepted | CallInitiated => 1,
        MessageQueued | CallRinging => 2,
        MessageSending | CallAnswered => 3,
        MessageSent => 4,
        MessageDeferred => 5,
        MessageDelivered | MessageUndelivered | MessageFailed | MessageRejected | MessageBounced | MessageExpired
        | MessageCanceled | MessageReceived => 6,
        MessageRead => 7,
        CallCompleted | CallBusy | CallNoAnswer | CallFailed | CallCanceled => 6,
        MessageOpened
        | MessageClicked
        | MessageComplained
        | RecipientOptedOut
        | RecipientOptedIn
        | RecipientHelp
        | RecipientUnsubscribed
        | RecipientResubscribed
        | RecipientSuppressed
        | CallMachineDetected
        | CallRecordingAvailable
        | Unknown => return None,
    })
}

/// The statuses that a message with these events may have; empty where there are no events.
///
/// The highest rank decides, among equals the latest. More than one remains where the payloads do not tell which came
/// last, or where nothing decides at all.
pub fn possible_statuses(events: &[(EventType, Option<Timestamp>)]) -> Vec<EventType> {
    let highest = events.iter().filter_map(|(event_type, _)| rank(*event_type)).max();
    let Some(highest) = highest else {
        return events.iter().map(|(event_type, _)| *event_type).collect();
    };
    let deciding: Vec<_> = events.iter().filter(|(event_type, _)| rank(*event_type) == Some(highest)).collect();
    let latest = if deciding.iter().all(|(_, at)| at.is_some()) {
        deciding.iter().map(|(_, at)| *at).max().flatten()
    } else {
        None
    };
    deciding
        .into_iter()
        .filter(|(_, at)| latest.is_none() || *at == latest)
        .map(|(event_type, _)| *event_type)
        .collect()
}

/// What is known of one event, when all that its message has are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub event_type: EventType,
    /// By the vendor's word.
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
    /// Its place in the vendor's own order.
    pub sequence: Option<u64>,
    /// What the world outside knows it by ([`crate::ledger::records::public_id`]).
    pub public_id: String,
}

impl Known {
    /// When it counts as having happened: by the vendor's word, unless that lies more than a day after the receipt; to
    /// 100 ns.
    pub fn happened_at(&self) -> Timestamp {
        let at = match self.occurred_at {
            Some(told) if told - self.received_at <= TimeDelta::hours(24) => told,
            _ => self.received_at,
        };
        at - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos() % 100))
    }
}

/// The event that decides: of the highest rank the latest, then the vendor's last, then the one with the last public id.
/// What is only counted ranks below all others. `None` where there are no events.
pub fn deciding(events: &[Known]) -> Option<&Known> {
    let place = |event: &Known| {
        (rank(event.event_type).unwrap_or(0), event.happened_at(), event.sequence.unwrap_or(0), event.public_id.clone())
    };
    events.iter().max_by_key(|event| place(event))
}
