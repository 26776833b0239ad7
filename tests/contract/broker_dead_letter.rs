//! Dead letters: how messages get there, what is told about them, and how they leave.

use sluice::local::broker::Settlement;

use crate::test_broker::{LOCK, MAX_DELIVERIES, TestBroker, ids, sms};

const EXCEEDED: Option<&str> = Some("MaxDeliveryCountExceeded");

#[tokio::test]
async fn a_message_abandoned_too_often_is_dead_lettered() {
    let test = TestBroker::open();
    test.publish(&["a", "b"]).await;
    for delivery in 1..=MAX_DELIVERIES {
        let received = test.receive_one().await;
        assert_eq!((received.message.message_id.as_str(), received.delivery_count), ("a", delivery));
        assert_eq!(test.abandon(&received).await, Settlement::Done);
    }

    assert_eq!(ids(&test.receive(10).await), ["b"]);
    let dead = test.dead_letters().await;
    assert_eq!(ids(&dead), ["a"]);
    assert_eq!(dead[0].dead_letter_reason.as_deref(), EXCEEDED);
    assert!(dead[0].dead_letter_description.is_some());
}

#[tokio::test]
async fn a_message_left_to_expire_too_often_is_dead_lettered() {
    let test = TestBroker::open();
    test.publish(&["a", "b"]).await;
    for delivery in 1..=MAX_DELIVERIES {
        let received = test.receive_one().await;
        assert_eq!((received.message.message_id.as_str(), received.delivery_count), ("a", delivery));
        test.clock.advance(LOCK);
    }

    assert_eq!(ids(&test.receive(10).await), ["b"], "what is spent does not stand in the way");
    let dead = test.dead_letters().await;
    assert_eq!(ids(&dead), ["a"]);
    assert_eq!(dead[0].dead_letter_reason.as_deref(), EXCEEDED);
}

#[tokio::test]
async fn many_spent_messages_do_not_hide_a_fresh_one() {
    let test = TestBroker::open();
    for n in 0..20 {
        test.publish(&[&format!("{n}")]).await;
    }
    for _ in 0..MAX_DELIVERIES {
        assert_eq!(test.receive(20).await.len(), 20);
        test.clock.advance(LOCK);
    }
    test.publish(&["fresh"]).await;

    assert_eq!(ids(&test.receive(1).await), ["fresh"]);
    assert_eq!(test.dead_letters().await.len(), 20);
}

#[tokio::test]
async fn the_last_delivery_can_still_be_completed() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    for _ in 1..MAX_DELIVERIES {
        let received = test.receive_one().await;
        test.abandon(&received).await;
    }
    let last = test.receive_one().await;
    assert_eq!(last.delivery_count, MAX_DELIVERIES);
    assert_eq!(test.complete(&last).await, Settlement::Done);
    assert!(test.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_receiver_can_dead_letter_with_a_reason() {
    let test = TestBroker::open();
    test.publish(&["a", "b"]).await;
    let received = test.receive_one().await;
    let lock = std::slice::from_ref(&received.lock);

    let outcome = test.broker.dead_letter(lock, "Unreadable", "the \"body\" is no JSON: é").await.unwrap();

    assert_eq!(outcome, [Settlement::Done]);
    assert_eq!(test.broker.dead_letter(lock, "again", "").await.unwrap(), [Settlement::LockLost]);
    let dead = test.dead_letters().await.remove(0);
    assert_eq!(dead.message, received.message);
    assert_eq!(dead.sequence_number, received.sequence_number);
    assert_eq!(dead.enqueued_at, received.enqueued_at);
    assert_eq!(dead.dead_letter_reason.as_deref(), Some("Unreadable"));
    assert_eq!(dead.dead_letter_description.as_deref(), Some("the \"body\" is no JSON: é"));
    assert_eq!(ids(&test.receive(10).await), ["b"]);
}

async fn one_dead_letter() -> TestBroker {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let received = test.receive_one().await;
    test.broker.dead_letter(&[received.lock], "Unreadable", "no JSON").await.unwrap();
    test
}

#[tokio::test]
async fn a_dead_letter_is_locked_and_completed_like_any_message() {
    let test = one_dead_letter().await;
    let dead = test.dead_letters().await.remove(0);
    assert!(test.dead_letters().await.is_empty(), "it is locked");
    assert_eq!(test.depth(&sms()).await.dead_letters, 1);

    assert_eq!(test.complete(&dead).await, Settlement::Done);

    test.clock.advance(LOCK);
    assert!(test.dead_letters().await.is_empty());
    assert_eq!(test.depth(&sms()).await.dead_letters, 0);
}

#[tokio::test]
async fn dead_letters_wait_for_as_long_and_as_often_as_it_takes() {
    let test = one_dead_letter().await;
    for _ in 0..3 * MAX_DELIVERIES {
        let dead = test.dead_letters().await;
        assert_eq!(ids(&dead), ["a"]);
        test.abandon(&dead[0]).await;
        assert_eq!(ids(&test.dead_letters().await), ["a"]);
        test.clock.advance(LOCK);
    }
    test.clock.advance(crate::test_broker::LIFETIME);
    let dead = test.dead_letters().await;
    assert_eq!(dead[0].dead_letter_reason.as_deref(), Some("Unreadable"));
}

#[tokio::test]
async fn dead_letters_survive_a_restart() {
    let test = one_dead_letter().await.reopen();
    let dead = test.dead_letters().await;
    assert_eq!(dead[0].dead_letter_reason.as_deref(), Some("Unreadable"));
    assert_eq!(dead[0].dead_letter_description.as_deref(), Some("no JSON"));
}

#[tokio::test]
async fn whoever_waits_for_dead_letters_is_woken() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let received = test.receive_one().await;
    let broker = test.broker.clone();
    let waiting = tokio::spawn(async move {
        broker.receive(&sms().dead_letters(), 1, std::time::Duration::from_secs(10)).await.unwrap()
    });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let buried = std::time::Instant::now();
    test.broker.dead_letter(&[received.lock], "r", "d").await.unwrap();
    assert_eq!(ids(&waiting.await.unwrap()), ["a"]);
    assert!(buried.elapsed() < std::time::Duration::from_millis(500));
}
