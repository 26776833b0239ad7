//! The judge's own idea of a status, written from the vendors' documentation.
//!
//! It is deliberately naive (a table and a maximum) and shares no code with the product: two implementations that agree
//! are worth more than one that is tested against itself.

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
