//! The judge's model and the product, written apart, agree on every set of events; and the model alone on the hard ones.

use chrono::{TimeDelta, Utc};
use proptest::prelude::*;
use sluice::{
    clock::Timestamp,
    event::{Channel, Event, EventType},
    ledger::records::{StatusRecord, public_id},
    verify::model::{Known, deciding},
};

fn received() -> Timestamp {
    "2026-11-20T10:00:00.123456789Z".parse::<Timestamp>().unwrap().with_timezone(&Utc)
}

fn known(event: &Event, received_at: Timestamp) -> Known {
    Known {
        event_type: event.event_type,
        occurred_at: event.occurred_at,
        received_at,
        sequence: event.sequence,
        public_id: public_id(&event.dedupe_key),
    }
}

/// Few times and types, so that ties are common.
fn events() -> impl Strategy<Value = Vec<(usize, Option<i64>, i64, Option<u64>)>> {
    let times = prop::sample::select(vec![-7_200, -1, 0, 1, 86_399, 86_400, 86_401, 900_000]);
    let one = (0..EventType::ALL.len(), prop::option::of(times), 0..3_i64, prop::option::of(0..3_u64));
    prop::collection::vec(one, 1..12)
}

proptest! {
    #[test]
    fn the_model_and_the_ledger_agree_whatever_the_events(drawn in events()) {
        let mut status: Option<StatusRecord> = None;
        let mut all = Vec::new();
        for (number, (event_type, at, later, sequence)) in drawn.into_iter().enumerate() {
            let key = format!("v:{number}");
            let mut event = Event::new(EventType::ALL[event_type], Channel::Sms, "v", "m", key);
            let received_at = received() + TimeDelta::seconds(later);
            event.occurred_at = at.map(|seconds| received() + TimeDelta::seconds(seconds));
            event.sequence = sequence;
            match &mut status {
                Some(status) => status.fold(&event, received_at, received_at),
                None => status = Some(StatusRecord::first(&event, received_at, received_at)),
            }
            all.push(known(&event, received_at));
        }
        let (status, expected) = (status.unwrap(), deciding(&all).unwrap());
        prop_assert_eq!(public_id(&status.decided_by), expected.public_id.clone());
        prop_assert_eq!(status.status_at, expected.happened_at());
        prop_assert_eq!(Some(status.first_event_at), all.iter().map(Known::happened_at).min());
    }
}

#[test]
fn a_vendor_that_lives_in_the_future_does_not_decide_for_ever() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let event = |event_type, told: &str, id: &str| Known {
        event_type,
        occurred_at: Some(at(told)),
        received_at: at("2026-11-20T10:00:00Z"),
        sequence: None,
        public_id: id.into(),
    };
    let wrong = event(EventType::MessageFailed, "2126-11-20T10:00:00Z", "a");
    let right = event(EventType::MessageDelivered, "2026-11-20T10:00:01Z", "b");
    assert_eq!(deciding(&[wrong, right]).unwrap().public_id, "b");
    assert_eq!(deciding(&[]), None);
}
