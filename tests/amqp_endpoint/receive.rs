//! Receiving: locks and how they are settled, dead letters, credit, what happens to messages of clients that leave.

use std::{sync::Arc, time::Duration};

use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp_types::{
    definitions::{Error, ErrorCondition, Fields, SenderSettleMode},
    messaging::Modified,
    primitives::{SimpleValue, Value},
};
use sluice::local::broker::Depth;
use tokio::time::timeout;

use crate::{
    client::{LOCK, PATIENCE, SMS, World, annotation, id, message, property, receive, sms},
    clock::ManualClock,
};

const DEAD_LETTERS: &str = "callbacks/Subscriptions/sms/$DeadLetterQueue";

async fn publish(world: &World, ids: &[&str]) {
    let mut sender = world.client().await;
    let mut sender = sender.sender("callbacks").await;
    for id in ids {
        sender.send(message(id)).await.unwrap().accepted_or("accepted").unwrap();
    }
}

/// Active, locked and dead-lettered messages of `sms`, once they are as expected: dispositions have no answer to wait for.
async fn depth(world: &World, expected: (u64, u64, u64)) {
    let current = async || -> (u64, u64, u64) {
        let depths = world.broker.depths().await.unwrap();
        let Depth { active, locked, dead_letters, .. } =
            depths.into_iter().find(|depth| depth.entity == sms()).unwrap();
        (active, locked, dead_letters)
    };
    let reached = timeout(PATIENCE, async {
        while current().await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(reached.await.is_ok(), "expected {expected:?}, found {:?}", current().await);
}

fn abandoned() -> Modified {
    Modified { delivery_failed: Some(true), undeliverable_here: None, message_annotations: None }
}

fn dead_letter(reason: &str, description: &str) -> Error {
    let mut info = Fields::new();
    info.insert("DeadLetterReason".into(), Value::from(reason));
    info.insert("DeadLetterErrorDescription".into(), Value::from(description));
    Error::new(ErrorCondition::Custom("com.microsoft:dead-letter".into()), None, info)
}

#[tokio::test]
async fn a_received_message_is_locked_and_completing_it_removes_it() {
    let world = World::system().await;
    publish(&world, &["a"]).await;
    let mut client = world.client().await;
    let mut receiver = client.receiver(SMS).await;
    let received = receive(&mut receiver).await;
    depth(&world, (0, 1, 0)).await;
    receiver.accept(&received).await.unwrap();
    depth(&world, (0, 0, 0)).await;
}

#[tokio::test]
async fn a_message_published_later_reaches_a_receiver_that_waits() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut receiver = client.receiver(SMS).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    publish(&world, &["a"]).await;
    assert_eq!(id(&receive(&mut receiver).await), "a");
}

#[tokio::test]
async fn abandoning_raises_the_delivery_count_until_the_message_is_dead_lettered() {
    let world = World::system().await;
    publish(&world, &["a"]).await;
    let mut client = world.client().await;
    let mut receiver = client.receiver(SMS).await;
    for earlier in 0..3 {
        let received = receive(&mut receiver).await;
        assert_eq!(received.message().header.as_ref().unwrap().delivery_count, earlier);
        receiver.modify(&received, abandoned()).await.unwrap();
    }
    depth(&world, (0, 0, 1)).await;
    let mut dead_letters = client.receiver(DEAD_LETTERS).await;
    let received = receive(&mut dead_letters).await;
    assert_eq!(property(&received, "DeadLetterReason"), Some(&SimpleValue::String("MaxDeliveryCountExceeded".into())));
}

#[tokio::test]
async fn releasing_leaves_the_delivery_count_as_it_was() {
    let world = World::system().await;
    publish(&world, &["a"]).await;
    let mut client = world.client().await;
    let mut receiver = client.receiver(SMS).await;
    for _ in 0..5 {
        let received = receive(&mut receiver).await;
        assert_eq!(received.message().header.as_ref().unwrap().delivery_count, 0);
        receiver.release(&received).await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_letter_tells_why_and_where_it_comes_from() {
    let world = World::system().await;
    publish(&world, &["a"]).await;
    let mut client = world.client().await;
    let mut receiver = client.receiver(SMS).await;
    let received = receive(&mut receiver).await;
    receiver.reject(&received, dead_letter("unreadable", "not JSON")).await.unwrap();

    let mut dead_letters = client.receiver(DEAD_LETTERS).await;
    let received = receive(&mut dead_letters).await;
    assert_eq!(id(&received), "a");
    assert_eq!(property(&received, "DeadLetterReason"), Some(&SimpleValue::String("unreadable".into())));
    assert_eq!(property(&received, "DeadLetterErrorDescription"), Some(&SimpleValue::String("not JSON".into())));
    assert_eq!(annotation(&received, "x-opt-deadletter-source"), Some(&Value::String(SMS.into())));
    dead_letters.accept(&received).await.unwrap();
    depth(&world, (0, 0, 0)).await;
}

#[tokio::test]
async fn receive_and_delete_leaves_nothing_to_settle() {
    let world = World::system().await;
    publish(&world, &["a", "b", "c"]).await;
    let mut client = world.client().await;
    let mut receiver = client.receiver_with(SMS, SenderSettleMode::Settled, CreditMode::Manual).await;
    receiver.set_credit(2).await.unwrap();
    assert_eq!(id(&receive(&mut receiver).await), "a");
    assert_eq!(id(&receive(&mut receiver).await), "b");
    depth(&world, (1, 0, 0)).await;
}

#[tokio::test]
async fn no_more_messages_come_than_credit_was_granted() {
    let world = World::system().await;
    publish(&world, &["a", "b", "c"]).await;
    let mut client = world.client().await;
    let mut receiver = client.receiver_with(SMS, SenderSettleMode::Unsettled, CreditMode::Manual).await;
    assert!(timeout(Duration::from_millis(200), receiver.recv::<Value>()).await.is_err());
    receiver.set_credit(1).await.unwrap();
    let received = receive(&mut receiver).await;
    depth(&world, (2, 1, 0)).await;
    receiver.accept(&received).await.unwrap();
    depth(&world, (2, 0, 0)).await;
    receiver.set_credit(5).await.unwrap();
    assert_eq!(id(&receive(&mut receiver).await), "b");
    assert_eq!(id(&receive(&mut receiver).await), "c");
}

#[tokio::test]
async fn a_drain_takes_credit_back_at_once() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut receiver = client.receiver_with(SMS, SenderSettleMode::Unsettled, CreditMode::Manual).await;
    receiver.set_credit(5).await.unwrap();
    receiver.drain().await.unwrap();
    // This client tells nobody when a drain has ended.
    tokio::time::sleep(Duration::from_millis(200)).await;
    publish(&world, &["a"]).await;
    assert!(timeout(Duration::from_millis(200), receiver.recv::<Value>()).await.is_err(), "the credit is used up");
    depth(&world, (1, 0, 0)).await;
    receiver.set_credit(1).await.unwrap();
    assert_eq!(id(&receive(&mut receiver).await), "a");
}

#[tokio::test]
async fn two_receivers_never_hold_the_same_message() {
    let world = World::system().await;
    let ids: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    publish(&world, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut received = Vec::new();
    let (mut one, mut two) = (world.client().await, world.client().await);
    let (mut first, mut second) = (one.receiver(SMS).await, two.receiver(SMS).await);
    while received.len() < 200 {
        let (receiver, message) = tokio::select! {
            message = first.recv() => (&mut first, message.unwrap()),
            message = second.recv() => (&mut second, message.unwrap()),
            () = tokio::time::sleep(PATIENCE) => panic!("only {} came", received.len()),
        };
        received.push(id(&message));
        receiver.accept(&message).await.unwrap();
    }
    received.sort_by_key(|id| id.parse::<u32>().unwrap());
    assert_eq!(received, ids);
    depth(&world, (0, 0, 0)).await;
}

#[tokio::test]
async fn a_lock_that_ran_out_settles_nothing_and_the_message_comes_again() {
    let clock = Arc::new(ManualClock::new());
    let world = World::start(clock.clone()).await;
    publish(&world, &["a"]).await;
    let mut client = world.client().await;
    let mut receiver = client.receiver(SMS).await;
    let first = receive(&mut receiver).await;
    clock.advance(LOCK);
    let second = receive(&mut receiver).await;
    assert_eq!((id(&second), second.message().header.as_ref().unwrap().delivery_count), ("a".to_owned(), 1));

    receiver.accept(&first).await.unwrap();
    depth(&world, (0, 1, 0)).await;
    receiver.accept(&second).await.unwrap();
    depth(&world, (0, 0, 0)).await;
}

#[tokio::test]
async fn what_a_client_had_not_received_when_it_left_is_there_for_the_next() {
    let world = World::system().await;
    let mut client = world.client().await;
    let receiver = client.receiver(SMS).await;
    receiver.close().await.unwrap();
    publish(&world, &["a"]).await;
    depth(&world, (1, 0, 0)).await;
    let waiting = client.receiver(SMS).await;
    drop((client, waiting));
    let mut next = world.client().await;
    let mut receiver =
        next.receiver_with("deliveries/Subscriptions/deliver", SenderSettleMode::Unsettled, CreditMode::Auto(1)).await;
    next.sender("deliveries").await.send(message("b")).await.unwrap().accepted_or("accepted").unwrap();
    assert_eq!(id(&receive(&mut receiver).await), "b");
}

#[tokio::test]
async fn a_large_message_of_many_frames_is_received_whole() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut sender = client.sender("callbacks").await;
    for number in 0..20 {
        let body = fe2o3_amqp_types::messaging::Data(vec![number; 200_000].into());
        let large = fe2o3_amqp_types::messaging::Message { body, ..message(&number.to_string()) };
        sender.send(large).await.unwrap().accepted_or("accepted").unwrap();
    }
    let mut receiver = client.receiver(SMS).await;
    for number in 0..20 {
        let received = receive(&mut receiver).await;
        assert_eq!(crate::client::bytes(&received), vec![number; 200_000]);
        receiver.accept(&received).await.unwrap();
    }
    depth(&world, (0, 0, 0)).await;
}
