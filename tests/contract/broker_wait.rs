//! Waiting: an empty subscription holds its receivers until there is something, and no longer.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use sluice::{
    bus::{Bus, Message},
    clock::{Clock, SystemClock},
    local::broker::{Broker, Received},
};
use tokio::task::JoinHandle;

use crate::{
    folder::quick_folder,
    test_broker::{MAX_DELIVERIES, TestBroker, ids, message, sms, topology},
};

/// Far below the second after which a waiting receiver looks by itself.
const PROMPTLY: Duration = Duration::from_millis(500);

fn wait_for(broker: &Broker, max: usize) -> JoinHandle<Vec<Received>> {
    let broker = broker.clone();
    tokio::spawn(async move { broker.receive(&sms(), max, Duration::from_secs(10)).await.unwrap() })
}

async fn settle_down() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn a_receiver_waits_for_a_publication_and_wakes_promptly() {
    let test = TestBroker::open();
    let waiting = wait_for(&test.broker, 10);
    settle_down().await;
    assert!(!waiting.is_finished());

    let published = Instant::now();
    test.publish(&["a"]).await;

    assert_eq!(ids(&waiting.await.unwrap()), ["a"]);
    assert!(published.elapsed() < PROMPTLY, "{:?}", published.elapsed());
}

#[tokio::test]
async fn a_receiver_waits_for_an_abandoned_message() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let first = test.receive_one().await;
    let waiting = wait_for(&test.broker, 10);
    settle_down().await;

    let abandoned = Instant::now();
    test.abandon(&first).await;

    assert_eq!(waiting.await.unwrap()[0].delivery_count, 2);
    assert!(abandoned.elapsed() < PROMPTLY);
}

#[tokio::test]
async fn a_wait_ends_when_its_time_is_over() {
    let test = TestBroker::open();
    let started = Instant::now();
    assert!(test.broker.receive(&sms(), 1, Duration::from_millis(50)).await.unwrap().is_empty());
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(50) && waited < PROMPTLY, "{waited:?}");
}

#[tokio::test]
async fn a_wait_may_be_endless() {
    let test = TestBroker::open();
    let broker = test.broker.clone();
    let waiting = tokio::spawn(async move { broker.receive(&sms(), 1, Duration::MAX).await.unwrap() });
    settle_down().await;
    test.publish(&["a"]).await;
    assert_eq!(ids(&waiting.await.unwrap()), ["a"]);
}

#[tokio::test]
async fn a_wait_for_another_subscription_is_not_disturbed() {
    let test = TestBroker::open();
    let waiting = wait_for(&test.broker, 1);
    let mut email = message("e");
    email.properties.insert("channel".into(), "email".into());
    test.broker.publish("callbacks", email).await.unwrap();
    settle_down().await;
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_waiting_receivers_share_what_arrives_at_once() {
    let test = TestBroker::open();
    let waiting: Vec<_> = (0..16).map(|_| wait_for(&test.broker, 1)).collect();
    settle_down().await;
    let published = Instant::now();
    // Together, so that some of them share a transaction and its one wake-up.
    let publishers: Vec<_> = (0..16)
        .map(|n| {
            let broker = test.broker.clone();
            tokio::spawn(async move { broker.publish("callbacks", message(&n.to_string())).await.unwrap() })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let mut received = HashSet::new();
    for waiting in waiting {
        received.extend(waiting.await.unwrap().into_iter().map(|received| received.message.message_id));
    }
    assert_eq!(received.len(), 16);
    assert!(published.elapsed() < PROMPTLY, "{:?}", published.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_takes_a_large_batch_passes_the_word_on() {
    let test = TestBroker::open();
    let early = test.receive(1).await;
    assert!(early.is_empty());
    for turn in 0..3 {
        let waiting: Vec<_> = (0..3).map(|_| wait_for(&test.broker, 100_000)).collect();
        settle_down().await;
        let publishers: Vec<_> = (0..2_000)
            .map(|n| {
                let broker = test.broker.clone();
                tokio::spawn(async move { broker.publish("callbacks", message(&format!("{turn} {n}"))).await.unwrap() })
            })
            .collect();
        for publisher in publishers {
            publisher.await.unwrap();
        }
        let published = Instant::now();
        for waiting in waiting {
            assert!(!waiting.await.unwrap().is_empty());
        }
        assert!(published.elapsed() < PROMPTLY, "{:?}", published.elapsed());
        while !test.receive(1_000).await.is_empty() {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_stops_waiting_takes_no_message_with_it() {
    let test = Arc::new(TestBroker::open());
    let publisher = tokio::spawn({
        let test = Arc::clone(&test);
        async move {
            for n in 0..200 {
                test.publish(&[&format!("{n}")]).await;
            }
        }
    });
    let mut turn = 0;
    while !publisher.is_finished() {
        let waiting = wait_for(&test.broker, 3);
        tokio::time::sleep(Duration::from_micros(turn % 7 * 200)).await;
        waiting.abort();
        if let Ok(received) = waiting.await {
            // It was quicker than the abort: these did reach somebody, who gives them back.
            for received in received {
                if received.delivery_count < MAX_DELIVERIES {
                    test.abandon(&received).await;
                } else {
                    test.complete(&received).await;
                    test.publish(&[&format!("{} again", received.message.message_id)]).await;
                }
            }
        }
        turn += 1;
    }
    publisher.await.unwrap();
    // No lock runs out on a clock that stands still: what is missing now, nobody gave back.
    let mut available = HashSet::new();
    while available.len() < 200 {
        let received = test.broker.receive(&sms(), 1_000, Duration::from_secs(5)).await.unwrap();
        assert!(!received.is_empty(), "{} of 200 are available", available.len());
        available.extend(received.into_iter().map(|received| received.message.message_id));
    }
    assert!(test.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_scheduled_message_wakes_its_receiver_when_it_is_due() {
    let folder = quick_folder();
    let broker = Broker::open(&folder.path().join("broker.sqlite"), &topology(), Arc::new(SystemClock)).unwrap();
    let waiting = wait_for(&broker, 1);
    let due = SystemClock.now() + Duration::from_millis(150);
    broker.publish("callbacks", Message { scheduled_enqueue_time: Some(due), ..message("a") }).await.unwrap();

    assert_eq!(ids(&waiting.await.unwrap()), ["a"]);
    let late = SystemClock.now() - due;
    assert!(late >= chrono::TimeDelta::zero(), "early by {late}");
    assert!(late < chrono::TimeDelta::milliseconds(400), "late by {late}");
}
