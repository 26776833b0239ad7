//! The status lattice: which of a message's events decides where it stands.
//!
//! Rank decides, so that time never runs backwards: a late `sent` loses against `delivered`. Between events of one rank
//! the later one decides (by the vendor's time, else by receipt), then the vendor's own sequence, then the event's public
//! id, so that the result does not depend on the order of arrival. The view of the SQL projection
//! ([`crate::projection`]) orders by the same four.

use chrono::{SubsecRound, TimeDelta};

use crate::{
    clock::Timestamp,
    event::{Event, EventType},
    ledger::records::{StatusRecord, public_id},
};

/// The rank of an event type. Rank 0 never displaces anything: engagement, complaints and wishes are kept beside the
/// status.
pub fn rank(event_type: EventType) -> u8 {
    use EventType::*;
    match event_type {
        MessageAccepted | CallInitiated => 1,
        MessageQueued | CallRinging => 2,
        MessageSending | CallAnswered => 3,
        MessageSent => 4,
        MessageDeferred => 5,
        MessageDelivered | MessageUndelivered | MessageFailed | MessageRejected | MessageExpired | MessageCanceled
        | MessageBounced | MessageReceived | CallCompleted | CallBusy | CallNoAnswer | CallFailed | CallCanceled => 6,
        MessageRead => 7,
        MessageComplained
        | MessageOpened
        | MessageClicked
        | RecipientOptedOut
        | RecipientOptedIn
        | RecipientHelp
        | RecipientUnsubscribed
        | RecipientResubscribed
        | RecipientSuppressed
        | CallMachineDetected
        | CallRecordingAvailable
        | Unknown => 0,
    }
}

/// A vendor's time this far after the receipt is a mistake; it must not decide for ever.
const FUTURE: TimeDelta = TimeDelta::days(1);

/// Digits of a second that count: as many as the time types of databases keep.
const DIGITS: u16 = 7;

/// When an event counts as having happened, to 100 ns.
pub fn effective_time(event: &Event, received_at: Timestamp) -> Timestamp {
    event.occurred_at.filter(|at| *at <= received_at + FUTURE).unwrap_or(received_at).trunc_subsecs(DIGITS)
}

/// Whether an event displaces the one that decides a status now.
pub fn displaces(event: &Event, received_at: Timestamp, status: &StatusRecord) -> bool {
    let candidate = (rank(event.event_type), effective_time(event, received_at), event.sequence.unwrap_or(0));
    let current = (rank(status.status), status.status_at, status.sequence.unwrap_or(0));
    // The dedupe key itself may hold an address, and is not told to those who have to decide alike.
    let by_id = || public_id(&event.dedupe_key).cmp(&public_id(&status.decided_by));
    candidate.cmp(&current).then_with(by_id).is_gt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Channel;

    fn event(event_type: EventType, key: &str, second: u32) -> Event {
        let mut event = Event::new(event_type, Channel::Sms, "twilio", "SM1", key.into());
        event.occurred_at = Some(format!("2026-11-20T10:00:{second:02}Z").parse().unwrap());
        event
    }

    /// The deciding type after these events, folded in order.
    fn fold(events: &[Event]) -> EventType {
        let received_at = "2026-11-20T11:00:00Z".parse().unwrap();
        let mut status: Option<StatusRecord> = None;
        for event in events {
            match &mut status {
                Some(status) if !displaces(event, received_at, status) => {}
                Some(status) => {
                    status.status = event.event_type;
                    status.status_at = effective_time(event, received_at);
                    status.sequence = event.sequence;
                    status.decided_by = event.dedupe_key.clone();
                }
                None => status = Some(StatusRecord::first(event, received_at, received_at)),
            }
        }
        status.unwrap().status
    }

    #[test]
    fn a_late_sent_never_reverts_delivered() {
        let delivered = event(EventType::MessageDelivered, "d", 1);
        let sent = event(EventType::MessageSent, "s", 59);
        assert_eq!(fold(&[delivered, sent]), EventType::MessageDelivered);
    }

    #[test]
    fn among_outcomes_the_later_one_by_event_time_decides() {
        let delivered = event(EventType::MessageDelivered, "d", 1);
        let bounced = event(EventType::MessageBounced, "b", 30);
        assert_eq!(fold(&[delivered.clone(), bounced.clone()]), EventType::MessageBounced);
        assert_eq!(fold(&[bounced, delivered]), EventType::MessageBounced);
    }

    #[test]
    fn a_time_in_the_far_future_does_not_decide_for_ever() {
        let mut wrong = event(EventType::MessageUndelivered, "u", 1);
        wrong.occurred_at = Some("2126-11-20T10:00:00Z".parse().unwrap());
        let received_at = "2026-11-20T10:00:00Z".parse().unwrap();
        assert_eq!(effective_time(&wrong, received_at), received_at);
        assert_eq!(
            effective_time(&event(EventType::MessageSent, "s", 1), received_at).to_rfc3339(),
            "2026-11-20T10:00:01+00:00"
        );
    }

    #[test]
    fn every_order_of_arrival_gives_the_same_status() {
        let events = [
            event(EventType::MessageQueued, "q", 5),
            event(EventType::MessageSent, "s", 5),
            event(EventType::MessageUndelivered, "u", 5),
            event(EventType::MessageDelivered, "d", 5),
            event(EventType::MessageOpened, "o", 9),
        ];
        let expected = fold(&events);
        // Heap's algorithm over all 120 orders.
        fn permute(events: &mut [Event], k: usize, visit: &mut impl FnMut(&[Event])) {
            if k <= 1 {
                return visit(events);
            }
            for i in 0..k {
                permute(events, k - 1, visit);
                events.swap(if k.is_multiple_of(2) { i } else { 0 }, k - 1);
            }
        }
        permute(&mut events.clone(), 5, &mut |order| assert_eq!(fold(order), expected));
    }
}
