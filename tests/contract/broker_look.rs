//! Looking: peeks and depths, which change nothing.

use std::time::Duration;

use sluice::{
    bus::{Bus, Message},
    clock::Clock,
    local::broker::{Depth, Entity, Settlement},
};

use crate::test_broker::{LOCK, TestBroker, deliver, ids, message, sms};

const MINUTE: Duration = Duration::from_secs(60);

/// One message in each state: `ready`, `locked`, `again` (abandoned), `later` (scheduled), `dead`.
async fn one_of_each() -> TestBroker {
    let test = TestBroker::open();
    test.publish(&["dead", "locked", "again"]).await;
    let mut received = test.receive(3).await;
    test.abandon(&received.remove(2)).await;
    test.broker.dead_letter(&[received.remove(0).lock], "r", "d").await.unwrap();
    let later = Message { scheduled_enqueue_time: Some(test.clock.now() + MINUTE), ..message("later") };
    test.broker.publish("callbacks", later).await.unwrap();
    test.publish(&["ready"]).await;
    test
}

#[tokio::test]
async fn a_peek_shows_every_state_in_order_and_changes_nothing() {
    let test = one_of_each().await;
    for _ in 0..2 {
        let peeked = test.broker.peek(&sms(), 0, 10).await.unwrap();
        assert_eq!(ids(&peeked), ["locked", "again", "later", "ready"]);
        assert_eq!(peeked.iter().map(|peeked| peeked.delivery_count).collect::<Vec<_>>(), [1, 1, 0, 0]);
    }
    let dead = test.broker.peek(&sms().dead_letters(), 0, 10).await.unwrap();
    assert_eq!((ids(&dead), dead[0].dead_letter_reason.as_deref()), (vec!["dead"], Some("r")));
    assert_eq!(ids(&test.receive(10).await), ["again", "ready"]);
}

#[tokio::test]
async fn peeks_page_by_sequence_number() {
    let test = one_of_each().await;
    let mut seen = Vec::new();
    let mut from = 0;
    loop {
        let page = test.broker.peek(&sms(), from, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        from = last.sequence_number + 1;
        seen.extend(page.into_iter().map(|peeked| peeked.message.message_id));
    }
    assert_eq!(seen, ["locked", "again", "later", "ready"]);
    assert!(test.broker.peek(&sms(), 0, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_peek_gives_no_right_to_settle() {
    let test = one_of_each().await;
    for entity in [sms(), sms().dead_letters()] {
        for peeked in test.broker.peek(&entity, 0, 10).await.unwrap() {
            let id = &peeked.message.message_id;
            assert_eq!(test.broker.renew(&peeked.lock).await.unwrap(), Settlement::LockLost, "{id}");
            assert_eq!(test.abandon(&peeked).await, Settlement::LockLost, "{id}");
            let lock = std::slice::from_ref(&peeked.lock);
            assert_eq!(test.broker.dead_letter(lock, "r", "d").await.unwrap(), [Settlement::LockLost], "{id}");
            assert_eq!(test.complete(&peeked).await, Settlement::LockLost, "{id}");
        }
    }
    assert_eq!(test.broker.peek(&sms(), 0, 10).await.unwrap().len(), 4);
    assert_eq!(ids(&test.receive(10).await), ["again", "ready"]);
}

#[tokio::test]
async fn depths_tell_how_much_is_in_which_state() {
    let test = one_of_each().await;
    let oldest = Some(test.clock.now());
    let empty =
        Depth { entity: deliver(), active: 0, scheduled: 0, locked: 0, dead_letters: 0, oldest_enqueued_at: None };
    let expected =
        Depth { entity: sms(), active: 2, scheduled: 1, locked: 1, dead_letters: 1, oldest_enqueued_at: oldest };
    assert_eq!(test.depth(&sms()).await, expected);
    assert_eq!(test.depth(&deliver()).await, empty);

    test.clock.advance(MINUTE.max(LOCK));
    let expected = Depth { active: 4, scheduled: 0, locked: 0, ..expected };
    assert_eq!(test.depth(&sms()).await, expected);
    let all: Vec<_> = test.broker.depths().await.unwrap().into_iter().map(|depth| depth.entity).collect();
    let subscription = |name| Entity::subscription("callbacks", name);
    assert_eq!(all, [subscription("email"), sms(), subscription("urgent-sms"), deliver()]);
}

#[tokio::test]
async fn the_oldest_message_is_the_one_that_waits_longest() {
    let test = TestBroker::open();
    let first = test.clock.now();
    test.publish(&["a"]).await;
    test.clock.advance(MINUTE);
    test.publish(&["b"]).await;
    assert_eq!(test.depth(&sms()).await.oldest_enqueued_at, Some(first));
    let a = test.receive_one().await;
    assert_eq!(test.depth(&sms()).await.oldest_enqueued_at, Some(first), "locked");
    test.complete(&a).await;
    assert_eq!(test.depth(&sms()).await.oldest_enqueued_at, Some(first + MINUTE));
}

#[tokio::test]
async fn entities_read_like_service_bus_paths() {
    assert_eq!(sms().to_string(), "callbacks/sms");
    assert_eq!(sms().dead_letters().to_string(), "callbacks/sms/$DeadLetterQueue");
}
