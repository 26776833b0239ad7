//! Receiving, for tools: peek-lock, settlement, dead letters, renewal and peeking.

use std::time::Duration;

use sluice::{
    azure::service_bus::{ServiceBusError, SubQueue},
    bus::{Message, Property},
    clock::{Clock, SystemClock},
};

use crate::world::{TOPIC, World, dead_letters, ids, message, receive, receive_some, receiver};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_comes_back_as_it_was_sent() {
    let world = World::start().await;
    let sent = Message {
        content_type: Some("application/cloudevents+json".into()),
        correlation_id: Some("0195-corr".into()),
        subject: Some("SM'123".into()),
        session_id: Some("session 1".into()),
        properties: [
            ("channel".into(), Property::from("sms")),
            ("attempt".into(), Property::Integer(i64::MAX)),
            ("share".into(), Property::Float(0.1)),
            ("truth".into(), Property::Bool(false)),
        ]
        .into(),
        time_to_live: Some(Duration::from_millis(90_500)),
        body: (0..=255).collect::<Vec<u8>>().into(),
        ..message("id \"1\" ü")
    };
    world.client.create_sender(TOPIC).send_message(sent.clone()).await.unwrap();
    let mut receiver = receiver(&world.client);
    let received = receive_some(&mut receiver, 10).await.remove(0);
    assert_eq!(received.message, sent);
    assert_eq!(received.delivery_count, 1);
    assert_eq!(received.expires_at, Some(received.enqueued_at + Duration::from_millis(90_500)));
    let locked = received.locked_until.unwrap() - SystemClock.now();
    assert!(locked > chrono::TimeDelta::seconds(3) && locked <= chrono::TimeDelta::seconds(5), "{locked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completed_is_gone_abandoned_comes_again_and_unsettled_when_its_lock_ends() {
    let world = World::start().await;
    world.publish(&["done", "again", "forgotten"]).await;
    let mut receiver = receiver(&world.client);
    let received = receive_some(&mut receiver, 10).await;
    assert_eq!(ids(&received), ["done", "again", "forgotten"]);
    assert!(received.windows(2).all(|pair| pair[0].sequence_number < pair[1].sequence_number));

    receiver.complete_message(&received[0]).await.unwrap();
    receiver.abandon_message(&received[1]).await.unwrap();

    let second = receive_some(&mut receiver, 10).await;
    assert_eq!(ids(&second), ["again"]);
    assert_eq!(second[0].delivery_count, 2);
    receiver.complete_message(&second[0]).await.unwrap();
    let third = receiver.receive_messages(10, Duration::from_secs(10)).await.unwrap();
    assert_eq!(ids(&third), ["forgotten"]);
    assert_eq!(third[0].delivery_count, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_tells_its_reason_and_a_copy_of_it_can_be_sent_again() {
    let world = World::start().await;
    let sent = Message { properties: [("attempt".into(), Property::Integer(1))].into(), ..message("bad") };
    world.client.create_sender(TOPIC).send_message(sent.clone()).await.unwrap();
    let mut live = receiver(&world.client);
    let received = receive_some(&mut live, 1).await.remove(0);
    live.dead_letter_message(&received, "no such vendor", "nobody knows \"acme\"").await.unwrap();

    let mut dead = dead_letters(&world.client);
    let letter = receive_some(&mut dead, 10).await.remove(0);
    assert_eq!(letter.dead_letter_reason.as_deref(), Some("no such vendor"));
    assert_eq!(letter.dead_letter_error_description.as_deref(), Some("nobody knows \"acme\""));
    let copy = Message { message_id: "bad:2".into(), time_to_live: None, ..letter.message.clone() };
    assert_eq!(copy.properties, sent.properties);
    world.client.create_sender(TOPIC).send_message(copy).await.unwrap();
    dead.complete_message(&letter).await.unwrap();

    assert_eq!(ids(&receive_some(&mut live, 10).await), ["bad:2"]);
    assert!(receive(&mut dead, 10).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_lock_holds_and_a_lost_one_says_so() {
    let world = World::start().await;
    world.publish(&["1"]).await;
    let mut receiver = receiver(&world.client);
    let mut received = receive_some(&mut receiver, 1).await.remove(0);
    let before = received.locked_until.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        receiver.renew_message_lock(&mut received).await.unwrap();
    }
    assert!(received.locked_until.unwrap() > before);
    assert!(receive(&mut receiver, 1).await.is_empty(), "6 s later the lock of 5 s still holds");

    receiver.complete_message(&received).await.unwrap();
    let lost = receiver.renew_message_lock(&mut received).await.unwrap_err();
    assert!(matches!(lost, ServiceBusError::LockLost { .. }), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peek_shows_everything_and_locks_nothing() {
    let world = World::start().await;
    let mut receiver = receiver(&world.client);
    assert!(receiver.peek_messages(0, 10).await.unwrap().is_empty());
    world.publish(&["1", "2"]).await;
    let due = SystemClock.now() + Duration::from_secs(3600);
    let later = Message { scheduled_enqueue_time: Some(due), ..message("later") };
    world.client.create_sender(TOPIC).send_message(later).await.unwrap();

    let peeked = receiver.peek_messages(0, 10).await.unwrap();
    assert_eq!(ids(&peeked), ["1", "2", "later"]);
    assert_eq!((peeked[0].delivery_count, peeked[0].locked_until), (0, None));
    let rest = receiver.peek_messages(peeked[0].sequence_number + 1, 1).await.unwrap();
    assert_eq!(ids(&rest), ["2"]);

    let error = receiver.complete_message(&peeked[0]).await.unwrap_err();
    assert!(matches!(error, ServiceBusError::LockLost { .. }), "{error:?}");
    assert_eq!(ids(&receive_some(&mut receiver, 10).await), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_message_comes_when_it_is_due() {
    let world = World::start().await;
    let due = SystemClock.now() + Duration::from_secs(2);
    let later = Message { scheduled_enqueue_time: Some(due), ..message("later") };
    world.client.create_sender(TOPIC).send_message(later).await.unwrap();
    let mut receiver = receiver(&world.client);
    assert!(receive(&mut receiver, 1).await.is_empty());
    let received = receiver.receive_messages(1, Duration::from_secs(5)).await.unwrap();
    assert_eq!(ids(&received), ["later"]);
    assert!(SystemClock.now() >= due);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_did_not_take_is_there_for_the_next() {
    let world = World::start().await;
    let mut first = receiver(&world.client);
    assert!(receive(&mut first, 10).await.is_empty());
    world.publish(&["1", "2", "3"]).await;
    // The first one's credit was taken back: nothing lies in its hands.
    let mut second = receiver(&world.client);
    assert_eq!(ids(&receive_some(&mut second, 2).await), ["1", "2"]);
    assert_eq!(ids(&receive_some(&mut first, 10).await), ["3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_subscription_is_named() {
    let world = World::start().await;
    let mut receiver = world.client.create_receiver_for_subscription(TOPIC, "nobody", SubQueue::None);
    let error = receiver.receive_messages(1, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(&error, ServiceBusError::NotFound { entity, .. } if entity.contains("nobody")), "{error:?}");
}
