//! Messages with a time: not before it (scheduled), not after it (time to live).

use std::time::Duration;

use sluice::{
    bus::{Bus, Message},
    clock::Clock,
};

use crate::test_broker::{LIFETIME, LOCK, TestBroker, deliver, ids, message, sms};

const MINUTE: Duration = Duration::from_secs(60);

async fn publish_scheduled(test: &TestBroker, id: &str, after: Duration) {
    let scheduled = Message { scheduled_enqueue_time: Some(test.clock.now() + after), ..message(id) };
    test.broker.publish("callbacks", scheduled).await.unwrap();
}

async fn publish_mortal(test: &TestBroker, topic: &str, id: &str, lifetime: Duration) {
    test.broker.publish(topic, Message { time_to_live: Some(lifetime), ..message(id) }).await.unwrap();
}

#[tokio::test]
async fn a_scheduled_message_is_invisible_until_it_is_due() {
    let test = TestBroker::open();
    publish_scheduled(&test, "a", MINUTE).await;

    test.clock.advance(MINUTE - Duration::from_micros(1));
    assert!(test.receive(1).await.is_empty());
    test.clock.advance(Duration::from_micros(1));
    let received = test.receive_one().await;

    assert_eq!((received.message.message_id.as_str(), received.delivery_count), ("a", 1));
    assert_eq!(received.enqueued_at, test.clock.now(), "enqueued when it became due");
}

#[tokio::test]
async fn a_message_scheduled_for_the_past_is_available_at_once() {
    let test = TestBroker::open();
    let past = Message { scheduled_enqueue_time: Some(test.clock.now() - MINUTE), ..message("a") };
    test.broker.publish("callbacks", past).await.unwrap();
    let received = test.receive_one().await;
    assert_eq!(received.enqueued_at, test.clock.now());
}

#[tokio::test]
async fn a_received_message_tells_when_it_was_scheduled_for() {
    let test = TestBroker::open();
    let due = test.clock.now() + MINUTE;
    publish_scheduled(&test, "a", MINUTE).await;
    test.publish(&["b"]).await;
    test.clock.advance(MINUTE);
    let received = test.receive(2).await;
    let scheduled: Vec<_> = received.iter().map(|received| received.message.scheduled_enqueue_time).collect();
    assert_eq!(scheduled, [Some(due), None]);
}

#[tokio::test]
async fn scheduled_messages_come_when_due_not_in_order_of_publication() {
    let test = TestBroker::open();
    publish_scheduled(&test, "late", 2 * MINUTE).await;
    publish_scheduled(&test, "early", MINUTE).await;
    test.publish(&["now"]).await;

    assert_eq!(ids(&test.receive(10).await), ["now"]);
    test.clock.advance(MINUTE);
    let received = test.receive(10).await;
    assert!(ids(&received).contains(&"early") && !ids(&received).contains(&"late"));
    test.clock.advance(MINUTE);
    assert!(ids(&test.receive(10).await).contains(&"late"));
}

#[tokio::test]
async fn a_due_message_is_not_starved_by_a_backlog() {
    let test = TestBroker::open();
    publish_scheduled(&test, "due", MINUTE).await;
    for n in 0..50 {
        test.publish(&[&format!("{n}")]).await;
    }
    test.clock.advance(MINUTE);
    assert!(ids(&test.receive(2).await).contains(&"due"));
}

#[tokio::test]
async fn a_scheduled_message_survives_a_restart_as_scheduled() {
    let test = TestBroker::open();
    publish_scheduled(&test, "a", MINUTE).await;
    let test = test.reopen();
    assert!(test.receive(1).await.is_empty());
    assert_eq!(test.depth(&sms()).await.scheduled, 1);
    test.clock.advance(MINUTE);
    assert_eq!(ids(&test.receive(1).await), ["a"]);
}

#[tokio::test]
async fn a_due_message_can_be_abandoned_expire_and_complete_like_any_other() {
    let test = TestBroker::open();
    publish_scheduled(&test, "a", MINUTE).await;
    test.clock.advance(MINUTE);
    let first = test.receive_one().await;
    test.abandon(&first).await;
    let second = test.receive_one().await;
    assert_eq!(second.delivery_count, 2);
    test.clock.advance(LOCK);
    let third = test.receive_one().await;
    assert_eq!(third.delivery_count, 3);
    test.complete(&third).await;
    assert!(test.receive(1).await.is_empty());
}

#[tokio::test]
async fn an_expired_message_goes_to_the_dead_letters_where_the_subscription_says_so() {
    let test = TestBroker::open();
    publish_mortal(&test, "callbacks", "mortal", MINUTE).await;
    test.publish(&["other"]).await;

    test.clock.advance(MINUTE);

    assert_eq!(ids(&test.receive(10).await), ["other"]);
    let dead = test.dead_letters().await;
    assert_eq!(ids(&dead), ["mortal"]);
    assert_eq!(dead[0].dead_letter_reason.as_deref(), Some("TTLExpiredException"));
}

#[tokio::test]
async fn an_expired_message_vanishes_otherwise() {
    let test = TestBroker::open();
    publish_mortal(&test, "deliveries", "mortal", MINUTE).await;
    publish_mortal(&test, "deliveries", "other", 2 * MINUTE).await;
    test.clock.advance(MINUTE);

    assert_eq!(ids(&test.receive_from(&deliver(), 10).await), ["other"]);
    assert!(test.receive_from(&deliver().dead_letters(), 10).await.is_empty());
    assert_eq!(test.depth(&deliver()).await.active, 0);
}

#[tokio::test]
async fn a_message_lives_until_the_last_moment() {
    let test = TestBroker::open();
    publish_mortal(&test, "callbacks", "a", MINUTE).await;
    test.clock.advance(MINUTE - Duration::from_micros(1));
    let received = test.receive_one().await;
    assert_eq!(received.expires_at, Some(test.clock.now() + Duration::from_micros(1)));
    assert_eq!(received.message.time_to_live, Some(MINUTE));
}

#[tokio::test]
async fn a_locked_message_does_not_expire_in_its_receivers_hands() {
    let test = TestBroker::open();
    publish_mortal(&test, "callbacks", "a", MINUTE).await;
    let received = test.receive_one().await;
    for _ in 0..6 {
        test.clock.advance(LOCK - Duration::from_secs(1));
        test.broker.renew(&received.lock).await.unwrap();
        assert!(test.receive(1).await.is_empty());
    }
    assert_eq!(test.complete(&received).await, sluice::local::broker::Settlement::Done);
    assert!(test.dead_letters().await.is_empty());
}

#[tokio::test]
async fn an_abandoned_message_expires_too() {
    let test = TestBroker::open();
    publish_mortal(&test, "callbacks", "a", MINUTE).await;
    let received = test.receive_one().await;
    test.clock.advance(MINUTE);
    test.abandon(&received).await;
    assert!(test.receive(1).await.is_empty());
    assert_eq!(test.dead_letters().await[0].dead_letter_reason.as_deref(), Some("TTLExpiredException"));
}

#[tokio::test]
async fn a_scheduled_message_lives_from_the_moment_it_is_due() {
    let test = TestBroker::open();
    let due = test.clock.now() + 10 * MINUTE;
    let both = Message { scheduled_enqueue_time: Some(due), time_to_live: Some(MINUTE), ..message("a") };
    test.broker.publish("callbacks", both).await.unwrap();
    test.clock.advance(10 * MINUTE);
    assert_eq!(test.receive_one().await.expires_at, Some(due + MINUTE));
}

#[tokio::test]
async fn the_topics_time_to_live_is_the_default_and_the_longest() {
    let test = TestBroker::open();
    test.publish(&["default"]).await;
    publish_mortal(&test, "callbacks", "too long", 2 * LIFETIME).await;
    publish_mortal(&test, "callbacks", "endless", Duration::MAX).await;
    for received in test.receive(3).await {
        assert_eq!(received.expires_at, Some(test.clock.now() + LIFETIME), "{}", received.message.message_id);
    }
    test.clock.advance(LIFETIME);
    assert!(test.receive(1).await.is_empty());
    assert_eq!(test.dead_letters().await.len(), 3);
}

#[tokio::test]
async fn a_long_row_of_expired_messages_does_not_hide_a_living_one() {
    let test = TestBroker::open();
    let publishers = (0..1_500).map(|n| {
        let broker = test.broker.clone();
        let mortal = Message { time_to_live: Some(MINUTE), ..message(&n.to_string()) };
        tokio::spawn(async move { broker.publish("deliveries", mortal).await.unwrap() })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    test.clock.advance(MINUTE);
    test.broker.publish("deliveries", message("living")).await.unwrap();
    assert_eq!(ids(&test.receive_from(&deliver(), 2).await), ["living"]);
}
