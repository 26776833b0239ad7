//! The broker stopped, killed and started again while messages are published.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sluice::azure::service_bus::{ServiceBusClient, ServiceBusError};

use crate::{
    support::folder::quick_folder,
    world::{BrokerProcess, OPTIONS, TOPIC, client_with, drain_ids, message},
};

const PUBLISHERS: usize = 16;

/// Each publisher sends its messages one after another, and each until it is taken, as ingest and the sweep do.
pub async fn publish_all(client: &Arc<ServiceBusClient>, each: usize, answered: &Arc<AtomicUsize>) {
    let publishers = (0..PUBLISHERS).map(|publisher| {
        let (sender, answered) = (client.create_sender(TOPIC), Arc::clone(answered));
        tokio::spawn(async move {
            for n in 0..each {
                let id = format!("{publisher}:{n}");
                let began = Instant::now();
                while let Err(error) = sender.send_message(message(&id)).await {
                    assert!(error.is_transient() && began.elapsed() < Duration::from_secs(60), "{error}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                answered.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
}

async fn reached(answered: &AtomicUsize, count: usize) {
    let began = Instant::now();
    while answered.load(Ordering::SeqCst) < count {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is answered any more");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub async fn every_message_is_there_once(client: &ServiceBusClient, each: usize) {
    let mut found = BTreeMap::new();
    for id in drain_ids(client).await {
        *found.entry(id).or_insert(0) += 1;
    }
    for publisher in 0..PUBLISHERS {
        for n in 0..each {
            assert_eq!(found.get(&format!("{publisher}:{n}")), Some(&1), "{publisher}:{n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_and_started_again_loses_and_doubles_nothing_that_was_answered() {
    const EACH: usize = 300;
    let data = quick_folder();
    let broker = BrokerProcess::start(data.path()).await;
    let address = broker.address;
    let client = client_with(address, OPTIONS);
    let answered = Arc::new(AtomicUsize::new(0));
    let publishing = tokio::spawn({
        let (client, answered) = (Arc::clone(&client), Arc::clone(&answered));
        async move { publish_all(&client, EACH, &answered).await }
    });
    reached(&answered, PUBLISHERS * EACH / 4).await;
    broker.kill();

    // Once that is known, failing takes no time: ingest spools at once.
    let known = Instant::now();
    let error = loop {
        let started = Instant::now();
        let error = client.create_sender(TOPIC).send_message(message("during the outage")).await.unwrap_err();
        if matches!(&error, ServiceBusError::Unreachable { .. }) {
            assert!(started.elapsed() < OPTIONS.send_timeout / 2, "{:?}", started.elapsed());
            break error;
        }
        assert!(known.elapsed() < Duration::from_secs(10), "{error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(error.to_string().contains(&address.to_string()), "{error}");

    let broker = BrokerProcess::start_at(data.path(), address).await;
    publishing.await.unwrap();
    every_message_is_there_once(&client, EACH).await;
    drop(broker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_is_given_up_within_the_limit_and_used_again_when_it_runs_on() {
    const EACH: usize = 100;
    let data = quick_folder();
    let broker = BrokerProcess::start(data.path()).await;
    let client = client_with(broker.address, OPTIONS);
    let sender = client.create_sender(TOPIC);
    sender.send_message(message("before")).await.unwrap();

    broker.signal("-STOP");
    let started = Instant::now();
    let error = sender.send_message(message("while it hangs")).await.unwrap_err();
    assert!(matches!(error, ServiceBusError::TimedOut { .. }), "{error:?}");
    let took = started.elapsed();
    assert!(took >= OPTIONS.send_timeout && took < OPTIONS.send_timeout * 2, "{took:?}");

    // Silence is known by now: nobody waits for it again, nor for the connections that are tried meanwhile.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        assert!(sender.send_message(message("while it hangs")).await.is_err());
        assert!(asked.elapsed() < OPTIONS.send_timeout / 2, "{:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    broker.signal("-CONT");
    let answered = Arc::new(AtomicUsize::new(0));
    publish_all(&client, EACH, &answered).await;
    every_message_is_there_once(&client, EACH).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_from_the_beginning_is_not_waited_for_beyond_the_limits() {
    let data = quick_folder();
    let broker = BrokerProcess::start(data.path()).await;
    let client = client_with(broker.address, OPTIONS);
    let mut used = crate::world::receiver(&client);
    assert!(crate::world::receive(&mut used, 1).await.is_empty());
    broker.signal("-STOP");

    // The kernel still takes connections for it, and nobody ever answers on them.
    let limit = OPTIONS.connect_timeout.max(OPTIONS.send_timeout) * 2;
    let began = Instant::now();
    let error = client.create_sender(TOPIC).send_message(message("1")).await.unwrap_err();
    assert!(matches!(error, ServiceBusError::Unreachable { .. } | ServiceBusError::TimedOut { .. }), "{error:?}");
    assert!(began.elapsed() < limit, "to publish: {:?}", began.elapsed());
    let began = Instant::now();
    let error = crate::world::receiver(&client).receive_messages(1, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(&error, ServiceBusError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&broker.address.to_string()), "{error}");
    assert!(began.elapsed() < limit, "to receive: {:?}", began.elapsed());
    let began = Instant::now();
    let error = used.peek_messages(0, 1).await.unwrap_err();
    assert!(
        matches!(&error, ServiceBusError::Lost { problem, .. } if problem.contains("no answer within")),
        "{error:?}"
    );
    assert!(began.elapsed() < limit, "to peek: {:?}", began.elapsed());

    broker.signal("-CONT");
    let answered = Arc::new(AtomicUsize::new(0));
    publish_all(&client, 1, &answered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_was_never_there_is_told_at_once_and_used_when_it_comes() {
    let data = quick_folder();
    let broker = BrokerProcess::start(data.path()).await;
    let address = broker.address;
    broker.kill();
    let sender = client_with(address, OPTIONS).create_sender(TOPIC);
    let started = Instant::now();
    assert!(matches!(sender.send_message(message("1")).await, Err(ServiceBusError::Unreachable { .. })));
    assert!(started.elapsed() < OPTIONS.connect_timeout);

    let _broker = BrokerProcess::start_at(data.path(), address).await;
    let started = Instant::now();
    while sender.send_message(message("1")).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "the broker is not found again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_connects_again_and_its_old_locks_are_lost() {
    let data = quick_folder();
    let broker = BrokerProcess::start(data.path()).await;
    let address = broker.address;
    let client = client_with(address, OPTIONS);
    client.create_sender(TOPIC).send_message(message("1")).await.unwrap();
    let mut receiver = crate::world::receiver(&client);
    let first = crate::world::receive_some(&mut receiver, 1).await.remove(0);
    broker.kill();
    let _broker = BrokerProcess::start_at(data.path(), address).await;

    let began = Instant::now();
    let second = loop {
        match receiver.receive_messages(1, Duration::from_secs(2)).await {
            Ok(mut received) if !received.is_empty() => break received.remove(0),
            other => assert!(began.elapsed() < Duration::from_secs(60), "{other:?}"),
        }
    };
    assert_eq!((second.message.message_id.as_str(), second.delivery_count), ("1", 2));
    let lost = receiver.complete_message(&first).await.unwrap_err();
    assert!(matches!(lost, ServiceBusError::LockLost { .. }), "{lost:?}");
    receiver.complete_message(&second).await.unwrap();
    assert!(crate::world::receive(&mut receiver, 1).await.is_empty());
}
