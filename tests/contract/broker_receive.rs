//! Receiving: peek-lock. A received message is hidden from everybody else until it is settled or its lock runs out.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::try_join_all;
use sluice::{
    bus::{Bus, Message},
    clock::Clock,
    local::broker::{BrokerError, Entity, Settlement},
};

use crate::test_broker::{LOCK, TestBroker, deliver, ids, message, sms};

#[tokio::test]
async fn a_received_message_is_hidden_and_counted() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;

    let received = test.receive_one().await;

    assert_eq!(received.delivery_count, 1);
    assert_eq!(received.enqueued_at, test.clock.now());
    assert_eq!(received.lock.expires_at(), test.clock.now() + LOCK);
    assert_eq!((received.dead_letter_reason, received.dead_letter_description), (None, None));
    assert!(test.receive(10).await.is_empty());
}

#[tokio::test]
async fn messages_come_first_in_first_out_and_no_more_than_asked_for() {
    let test = TestBroker::open();
    test.publish(&["a", "b", "c", "d", "e"]).await;

    assert!(test.receive(0).await.is_empty());
    assert_eq!(ids(&test.receive(2).await), ["a", "b"]);
    assert_eq!(ids(&test.receive(1).await), ["c"]);
    assert_eq!(ids(&test.receive(100).await), ["d", "e"]);
}

#[tokio::test]
async fn a_batch_of_large_messages_is_cut_short_and_the_next_one_goes_on() {
    const LARGE: usize = 200 * 1024;
    let test = TestBroker::open();
    for n in 0..30 {
        let large = Message { body: vec![b'x'; LARGE].into(), ..message(&n.to_string()) };
        test.broker.publish("callbacks", large).await.unwrap();
    }
    let mut received = Vec::new();
    while received.len() < 30 {
        let batch = test.receive(256).await;
        assert!((1..=21).contains(&batch.len()), "{} messages at once", batch.len());
        received.extend(batch);
    }
    assert_eq!(ids(&received), (0..30).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn sequence_numbers_ascend_across_topics_and_subscriptions() {
    let test = TestBroker::open();
    let mut last = 0;
    for n in 0..6 {
        let (topic, entity) = [("callbacks", sms()), ("deliveries", deliver())][n % 2].clone();
        test.broker.publish(topic, message(&n.to_string())).await.unwrap();
        let received = test.receive_from(&entity, 1).await.remove(0);
        assert!(received.sequence_number > last);
        last = received.sequence_number;
    }
}

#[tokio::test]
async fn copies_of_one_message_are_settled_apart() {
    let test = TestBroker::open();
    let urgent = Entity::subscription("callbacks", "urgent-sms");
    let mut both = message("a");
    both.properties.insert("priority".into(), "high".into());
    sluice::bus::Bus::publish(&test.broker, "callbacks", both).await.unwrap();

    let copy = test.receive_one().await;
    assert_eq!(test.complete(&copy).await, Settlement::Done);

    let other = test.receive_from(&urgent, 1).await.remove(0);
    assert_eq!(other.message, copy.message);
    assert_eq!(test.complete(&other).await, Settlement::Done);
}

#[tokio::test]
async fn a_lock_that_runs_out_lets_the_next_receiver_have_the_message() {
    let test = TestBroker::open();
    test.publish(&["a", "b"]).await;
    let first = test.receive_one().await;

    test.clock.advance(LOCK - Duration::from_micros(1));
    assert_eq!(ids(&test.receive(1).await), ["b"]);
    test.clock.advance(Duration::from_micros(1));
    let again = test.receive_one().await;

    assert_eq!(again.message, first.message);
    assert_eq!(again.sequence_number, first.sequence_number);
    assert_eq!((first.delivery_count, again.delivery_count), (1, 2));
}

#[tokio::test]
async fn what_comes_back_is_not_starved_by_a_backlog() {
    let test = TestBroker::open();
    for n in 0..50 {
        test.publish(&[&format!("{n:02}")]).await;
    }
    let first = test.receive(2).await;
    test.abandon(&first[0]).await;
    assert_eq!(ids(&test.receive(1).await), ["00"], "abandoned: at once, in its old place");
    test.clock.advance(LOCK);
    let next = test.receive(3).await;
    assert!(ids(&next).contains(&"00") && ids(&next).contains(&"01"), "{:?}", ids(&next));
}

#[tokio::test]
async fn an_unknown_entity_is_an_error() {
    let test = TestBroker::open();
    for entity in [Entity::subscription("callbacks", "pigeon"), Entity::subscription("nowhere", "sms")] {
        let error = test.broker.receive(&entity, 1, Duration::ZERO).await.unwrap_err();
        assert!(matches!(&error, BrokerError::UnknownEntity(unknown) if *unknown == entity), "{error:?}");
        assert!(matches!(test.broker.peek(&entity, 0, 1).await, Err(BrokerError::UnknownEntity(_))));
    }
}

#[tokio::test]
async fn a_batch_of_any_size_is_served() {
    let test = TestBroker::open();
    let publishers = (0..1200).map(|n| {
        let broker = test.broker.clone();
        tokio::spawn(async move {
            sluice::bus::Bus::publish(&broker, "callbacks", message(&n.to_string())).await.unwrap();
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    let mut taken = HashSet::new();
    while taken.len() < 1200 {
        let received = test.receive(usize::MAX).await;
        assert!(!received.is_empty());
        taken.extend(received.into_iter().map(|received| received.message.message_id));
    }
    assert!(test.receive(1).await.is_empty());
}

/// What each receiver believes to hold. Only what was settled may be held again.
#[derive(Default)]
struct Held(Mutex<HashMap<i64, u32>>);

impl Held {
    fn take(&self, sequence: i64, deliveries: u32) {
        let before = self.0.lock().unwrap().insert(sequence, deliveries);
        assert_eq!(before, None, "two receivers hold message {sequence}");
    }

    fn give_back(&self, sequence: i64) {
        self.0.lock().unwrap().remove(&sequence).expect("it was held");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_in_two_hands_at_once_and_each_is_completed_once() {
    const MESSAGES: usize = 600;
    let test = Arc::new(TestBroker::open());
    let (held, completed) = (Arc::new(Held::default()), Arc::new(AtomicUsize::new(0)));
    let receivers = (0..8).map(|receiver| {
        let (test, held, completed) = (Arc::clone(&test), Arc::clone(&held), Arc::clone(&completed));
        tokio::spawn(async move {
            while completed.load(Ordering::SeqCst) < MESSAGES {
                let received = test.broker.receive(&sms(), 1 + receiver, Duration::from_millis(20)).await.unwrap();
                for received in received {
                    held.take(received.sequence_number, received.delivery_count);
                    tokio::task::yield_now().await;
                    held.give_back(received.sequence_number);
                    // Every seventh goes round once more.
                    if received.sequence_number % 7 == 0 && received.delivery_count == 1 {
                        assert_eq!(test.abandon(&received).await, Settlement::Done);
                    } else {
                        assert_eq!(test.complete(&received).await, Settlement::Done);
                        completed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        })
    });
    let receivers: Vec<_> = receivers.collect();
    let publishers = (0..8).map(|publisher| {
        let test = Arc::clone(&test);
        tokio::spawn(async move {
            for n in 0..MESSAGES / 8 {
                test.publish(&[&format!("{publisher}:{n}")]).await;
            }
        })
    });
    // All at once: where one fails the others would go on for ever.
    try_join_all(publishers.collect::<Vec<_>>().into_iter().chain(receivers)).await.unwrap();
    assert_eq!(completed.load(Ordering::SeqCst), MESSAGES);
    let depth = test.depth(&sms()).await;
    assert_eq!((depth.active, depth.locked, depth.dead_letters), (0, 0, 0));
}
