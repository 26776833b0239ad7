//! What Service Bus refuses, takes away or throttles, as it says so on the wire.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fe2o3_amqp_types::{
    definitions::{AmqpError, Error, ErrorCondition, LinkError},
    messaging::{DeliveryState, Rejected},
    performatives::{Detach, Performative},
};
use sluice::azure::service_bus::ServiceBusError;

use crate::{
    meddler::{DISPOSITION, Meddler, TRANSFER, body},
    outage::{every_message_is_there_once, publish_all},
    world::{PATIENT, TOPIC, World, client_with, drain_ids, message},
};

fn condition(name: &str) -> ErrorCondition {
    ErrorCondition::Custom(name.into())
}

/// The first outcome becomes a rejection; the others pass.
fn reject_once(condition: ErrorCondition, description: &'static str) -> impl FnMut(u8, Vec<u8>) -> Vec<Vec<u8>> {
    let mut error = Some(Error::new(condition, description.to_owned(), None));
    move |code, frame| match error.take_if(|_| code == DISPOSITION) {
        Some(error) => {
            let Performative::Disposition(mut outcome) = serde_amqp::from_slice(&frame).unwrap() else { panic!() };
            outcome.state = Some(DeliveryState::Rejected(Rejected { error: Some(error) }));
            vec![body(&Performative::Disposition(outcome))]
        }
        None => vec![frame],
    }
}

/// In the place of the next outcome the link is taken away: that of the only sender, the first in its session.
fn detach_once(condition: ErrorCondition, description: &'static str) -> impl FnMut(u8, Vec<u8>) -> Vec<Vec<u8>> {
    let mut error = Some(Error::new(condition, description.to_owned(), None));
    move |code, frame| match error.take_if(|_| code == DISPOSITION) {
        Some(error) => vec![body(&Performative::Detach(Detach { handle: 0.into(), closed: true, error: Some(error) }))],
        None => vec![frame],
    }
}

/// The answer to put-token says 401 instead of 202.
fn refuse_tokens(code: u8, mut frame: Vec<u8>) -> Vec<Vec<u8>> {
    const ACCEPTED: [u8; 5] = [0x71, 0, 0, 0, 202];
    const UNAUTHORIZED: [u8; 5] = [0x71, 0, 0, 0x01, 0x91];
    if code == TRANSFER
        && let Some(at) = frame.windows(5).position(|bytes| bytes == ACCEPTED)
    {
        frame[at..at + 5].copy_from_slice(&UNAUTHORIZED);
    }
    vec![frame]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_busy_is_left_alone_for_two_seconds() {
    let world = World::start().await;
    let meddler = Meddler::start(world.address).await;
    let sender = client_with(meddler.address, PATIENT).create_sender(TOPIC);
    sender.send_message(message("before")).await.unwrap();

    meddler.rule(reject_once(condition("com.microsoft:server-busy"), "The request was terminated (50009)."));
    let error = sender.send_message(message("throttled")).await.unwrap_err();
    assert!(matches!(error, ServiceBusError::Busy { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(TOPIC) && text.contains("50009") && text.contains("raise the namespace's tier"), "{text}");

    let began = Instant::now();
    assert_eq!(sender.send_message(message("throttled")).await, Err(error), "it is told at once");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    while sender.send_message(message("throttled")).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "the namespace is left alone for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pause = began.elapsed();
    assert!(pause > Duration::from_millis(1_500) && pause < Duration::from_secs(6), "{pause:?}");
    assert_eq!(drain_ids(&world.client).await, ["before", "throttled"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_full_says_who_must_receive() {
    let world = World::start().await;
    let meddler = Meddler::start(world.address).await;
    let sender = client_with(meddler.address, PATIENT).create_sender(TOPIC);
    sender.send_message(message("before")).await.unwrap();
    meddler.rule(reject_once(AmqpError::ResourceLimitExceeded.into(), "The maximum entity size has been reached."));
    let error = sender.send_message(message("1")).await.unwrap_err();
    assert!(matches!(error, ServiceBusError::Full { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(TOPIC) && text.contains("Check that its subscriptions are received"), "{text}");
    sender.send_message(message("2")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_taken_away_in_mid_batch_loses_and_doubles_nothing() {
    const EACH: usize = 100;
    let world = World::start().await;
    let meddler = Meddler::start(world.address).await;
    let client = client_with(meddler.address, PATIENT);
    client.create_sender(TOPIC).send_message(message("before")).await.unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let publishing = tokio::spawn({
        let (client, answered) = (Arc::clone(&client), Arc::clone(&answered));
        async move { publish_all(&client, EACH, &answered).await }
    });
    let detached = Arc::new(AtomicUsize::new(0));
    for _ in 0..5 {
        let (mut detach, detached) =
            (detach_once(LinkError::DetachForced.into(), "The link was moved."), detached.clone());
        meddler.rule(move |code, frame| {
            let sent = detach(code, frame.clone());
            detached.fetch_add(usize::from(sent[0] != frame), Ordering::SeqCst);
            sent
        });
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    publishing.await.unwrap();
    let detached = detached.load(Ordering::SeqCst);
    assert!(detached >= 1, "the link was never taken away");
    println!("taken away {detached} times");
    every_message_is_there_once(&world.client, EACH).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_names_the_topic_and_the_role_and_a_good_one_is_taken_later() {
    let world = World::start().await;
    let meddler = Meddler::start(world.address).await;
    meddler.rule(refuse_tokens);
    let sender = client_with(meddler.address, PATIENT).create_sender(TOPIC);
    let error = sender.send_message(message("1")).await.unwrap_err();
    assert!(matches!(error, ServiceBusError::Denied { .. }), "{error:?}");
    assert!(error.is_transient(), "ingest spools: a role or a key can be given");
    let text = error.to_string();
    assert!(text.contains(TOPIC) && text.contains("Azure Service Bus Data Sender"), "{text}");

    meddler.heal();
    let began = Instant::now();
    while sender.send_message(message("1")).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "the good token is not tried");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(drain_ids(&world.client).await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_whose_token_ran_out_says_so_and_is_made_anew() {
    let world = World::start().await;
    let meddler = Meddler::start(world.address).await;
    let sender = client_with(meddler.address, PATIENT).create_sender(TOPIC);
    sender.send_message(message("before")).await.unwrap();
    meddler.rule(detach_once(AmqpError::UnauthorizedAccess.into(), "ExpiredToken: The token is expired."));
    let error = sender.send_message(message("1")).await.unwrap_err();
    assert!(matches!(error, ServiceBusError::Denied { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(TOPIC) && text.contains("ExpiredToken"), "{text}");
    let began = Instant::now();
    while sender.send_message(message("1")).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "the link is not made anew");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(drain_ids(&world.client).await, ["before", "1"], "the first attempt had its effect, and is not doubled");
}
