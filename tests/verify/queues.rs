//! What the broker's queues show.

use std::time::Duration;

use sluice::{
    clock::Timestamp,
    verify::{
        CheckOptions, Kind, Report, Sample,
        queues::{Queue, check},
    },
};

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn queue(name: &str) -> Queue {
    let is_deliveries = name.starts_with("deliveries");
    Queue { name: name.into(), waiting: 0, scheduled: 0, oldest: None, dead_letters: 0, is_deliveries }
}

fn checked(queue: Queue, missing: bool) -> Report {
    let mut report = Report { judged_at: now(), took: Duration::from_secs(120), ..Report::default() };
    if missing {
        report.add(Kind::DeliveryMissing, Sample { what: "lost".into(), command: None });
    }
    check(&[queue], &CheckOptions::new(now()), &mut report);
    report
}

#[test]
fn dead_letters_and_messages_that_nobody_takes_are_found() {
    let report = checked(Queue { dead_letters: 3, ..queue("callbacks/sms") }, false);
    assert_eq!(report.count(Kind::DeadLetters), 3);
    assert!(report.to_string().contains("sluice dead-letters list --subscription callbacks/sms"), "{report}");

    let minutes_ago = |minutes: u64| Some(now() - Duration::from_secs(60 * minutes));
    let report = checked(Queue { waiting: 7, oldest: minutes_ago(10), ..queue("callbacks/sms") }, false);
    assert_eq!(report.count(Kind::MessagesOld), 7);
    assert!(report.to_string().contains("the oldest since 2026-11-20T09:50:00.000Z"), "{report}");

    assert!(checked(Queue { waiting: 7, oldest: minutes_ago(1), ..queue("callbacks/sms") }, false).is_clean());
}

#[test]
fn what_is_missing_does_not_count_as_lost_while_the_queue_of_deliveries_may_have_it() {
    let in_it = [
        Queue { waiting: 1, oldest: Some(now() - Duration::from_secs(1)), ..queue("deliveries/deliver") },
        Queue { scheduled: 1, ..queue("deliveries/deliver") },
    ];
    for queue in in_it {
        let report = checked(queue, true);
        assert!(report.is_clean() && report.unjudged.len() == 1, "{report}");
        assert!(report.to_string().contains("consistent, as far as it could be judged"), "{report}");
    }
    let cannot_be_in_it = [
        queue("deliveries/deliver"),
        // Enqueued while it was looked for already.
        Queue { waiting: 1, oldest: Some(now() + Duration::from_secs(1)), ..queue("deliveries/deliver") },
        Queue { waiting: 1, oldest: Some(now() - Duration::from_secs(1)), ..queue("callbacks/sms") },
    ];
    for queue in cannot_be_in_it {
        assert_eq!(checked(queue, true).count(Kind::DeliveryMissing), 1);
    }
}
