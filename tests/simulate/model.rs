//! The judge's idea of a status, as a table.

use chrono::TimeDelta;
use sluice::{
    event::EventType::{self, *},
    simulate::model::possible_statuses,
};

use crate::started;

#[test]
fn the_status_follows_from_the_events_whatever_their_order() {
    let cases: &[(&[EventType], &[EventType])] = &[
        (&[], &[]),
        (&[MessageQueued], &[MessageQueued]),
        (&[MessageDelivered, MessageSent, MessageQueued], &[MessageDelivered]),
        (&[MessageSent, MessageSending, MessageAccepted], &[MessageSent]),
        (&[MessageSent, MessageDeferred], &[MessageDeferred]),
        (&[MessageDeferred, MessageBounced, MessageAccepted], &[MessageBounced]),
        (&[MessageRead, MessageDelivered], &[MessageRead]),
        (&[MessageReceived, RecipientOptedOut], &[MessageReceived]),
        (&[MessageDelivered, MessageOpened, MessageClicked, MessageComplained], &[MessageDelivered]),
        (&[MessageOpened, RecipientUnsubscribed], &[MessageOpened, RecipientUnsubscribed]),
        (&[RecipientHelp], &[RecipientHelp]),
        (&[MessageFailed, MessageUndelivered, MessageSent], &[MessageFailed, MessageUndelivered]),
        (&[CallInitiated, CallRinging, CallAnswered, CallMachineDetected], &[CallAnswered]),
        (&[CallCompleted, CallAnswered, CallRecordingAvailable], &[CallCompleted]),
        (&[CallNoAnswer, CallRinging], &[CallNoAnswer]),
    ];
    for (events, expected) in cases {
        let mut events: Vec<_> = events.iter().map(|event| (*event, None)).collect();
        assert_eq!(possible_statuses(&events), *expected);
        events.reverse();
        let mut reversed = possible_statuses(&events);
        reversed.reverse();
        assert_eq!(reversed, *expected);
    }
}

#[test]
fn among_equal_ranks_the_latest_decides_where_all_have_a_time() {
    let at = |seconds| Some(started() + TimeDelta::seconds(seconds));
    let delivered_first = [(MessageDelivered, at(1)), (MessageBounced, at(2))];
    let bounced_first = [(MessageDelivered, at(3)), (MessageBounced, at(2))];
    let at_once = [(MessageDelivered, at(2)), (MessageBounced, at(2))];
    let one_without = [(MessageDelivered, at(3)), (MessageBounced, None)];
    assert_eq!(possible_statuses(&delivered_first), [MessageBounced]);
    assert_eq!(possible_statuses(&bounced_first), [MessageDelivered]);
    assert_eq!(possible_statuses(&at_once), [MessageDelivered, MessageBounced]);
    assert_eq!(possible_statuses(&one_without), [MessageDelivered, MessageBounced]);
    let later_but_lower = [(MessageDelivered, at(1)), (MessageSent, at(9))];
    assert_eq!(possible_statuses(&later_but_lower), [MessageDelivered]);
}
