//! Publishing: who gets a copy, what a copy holds, and what is refused.

use std::time::Duration;

use bytes::Bytes;
use sluice::bus::{Message, Property, PublishError};

use crate::{
    adapters::{Exchange, on_every_exchange},
    test_broker::{message, properties},
};

on_every_exchange!(
    every_matching_subscription_gets_a_copy,
    a_filter_demands_the_text_of_every_property_it_names,
    a_message_that_nobody_wants_is_accepted_and_vanishes,
    every_field_comes_back_as_it_was_sent,
    numbers_in_properties_come_back_exactly,
    messages_arrive_in_the_order_of_publication,
    an_unknown_topic_is_refused,
    a_message_over_256_kb_is_refused,
    a_message_id_has_one_to_128_characters,
    a_session_id_is_data_of_up_to_128_characters,
    a_message_published_twice_arrives_once,
    concurrent_publishers_lose_nothing,
);

fn with(id: &str, list: &[(&'static str, Property)]) -> Message {
    Message { properties: properties(list), ..message(id) }
}

async fn drain_ids(exchange: &dyn Exchange, subscription: &str) -> Vec<String> {
    exchange.drain("callbacks", subscription).await.into_iter().map(|message| message.message_id).collect()
}

async fn every_matching_subscription_gets_a_copy(exchange: &dyn Exchange) {
    let bus = exchange.bus();
    bus.publish("callbacks", with("1", &[("channel", "sms".into())])).await.unwrap();
    bus.publish("callbacks", with("2", &[("channel", "email".into())])).await.unwrap();
    bus.publish("callbacks", with("3", &[("channel", "sms".into()), ("priority", "high".into())])).await.unwrap();
    bus.publish("deliveries", with("4", &[])).await.unwrap();

    assert_eq!(drain_ids(exchange, "sms").await, ["1", "3"]);
    assert_eq!(drain_ids(exchange, "email").await, ["2"]);
    assert_eq!(drain_ids(exchange, "urgent-sms").await, ["3"]);
    assert_eq!(exchange.drain("deliveries", "deliver").await.len(), 1);
}

async fn a_filter_demands_the_text_of_every_property_it_names(exchange: &dyn Exchange) {
    let bus = exchange.bus();
    let others: [&[(&'static str, Property)]; 7] = [
        &[],
        &[("channel", "SMS".into())],
        &[("channel", "sms ".into())],
        &[("channel", "".into())],
        &[("channel", 5.into())],
        &[("channel", Property::Bool(true))],
        &[("other", "sms".into())],
    ];
    for (n, list) in others.into_iter().enumerate() {
        bus.publish("callbacks", with(&format!("other {n}"), list)).await.unwrap();
    }
    bus.publish("callbacks", with("half", &[("channel", "sms".into()), ("priority", 1.into())])).await.unwrap();
    bus.publish("callbacks", with("more", &[("channel", "sms".into()), ("priority", "high".into()), ("x", 1.into())]))
        .await
        .unwrap();

    assert_eq!(drain_ids(exchange, "sms").await, ["half", "more"]);
    assert_eq!(drain_ids(exchange, "urgent-sms").await, ["more"]);
    assert_eq!(drain_ids(exchange, "email").await, [""; 0]);
}

async fn a_message_that_nobody_wants_is_accepted_and_vanishes(exchange: &dyn Exchange) {
    exchange.bus().publish("callbacks", with("1", &[("channel", "pigeon".into())])).await.unwrap();
    for subscription in ["sms", "email", "urgent-sms"] {
        assert_eq!(drain_ids(exchange, subscription).await, [""; 0]);
    }
}

async fn every_field_comes_back_as_it_was_sent(exchange: &dyn Exchange) {
    let full = Message {
        message_id: "id with \"quotes\" and ümlauts".into(),
        content_type: Some("application/cloudevents+json; charset=utf-8".into()),
        correlation_id: Some("0195-corr".into()),
        subject: Some("SM'123".into()),
        session_id: Some("session \"7\" ü".into()),
        properties: properties(&[
            ("channel", "sms".into()),
            ("text", "日本 \u{1f4e8} \"'\\ \n".into()),
            ("empty", "".into()),
            ("looks like a number", "5".into()),
            ("truth", Property::Bool(true)),
            ("falsehood", Property::Bool(false)),
        ]),
        time_to_live: Some(Duration::from_secs(3600)),
        scheduled_enqueue_time: None,
        body: (0..=255).collect::<Vec<u8>>().into(),
    };
    let bare = Message { time_to_live: Some(Duration::from_secs(60)), body: Bytes::new(), ..message("bare") };
    for message in [&full, &bare] {
        exchange.bus().publish("callbacks", message.clone()).await.unwrap();
    }
    assert_eq!(exchange.drain("callbacks", "sms").await, [full, bare]);
}

async fn numbers_in_properties_come_back_exactly(exchange: &dyn Exchange) {
    let integers = [0, 1, -1, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1];
    let mut reals = vec![0.5, 1.0, -0.0, 1e300, f64::MIN_POSITIVE, f64::MAX, f64::EPSILON, 1e15, 123456789.12345679];
    reals.extend((1..200).map(|n| f64::from(n) * 0.1 + 1e-7 / f64::from(n)));
    for (n, value) in
        integers.map(Property::Integer).into_iter().chain(reals.into_iter().map(Property::Float)).enumerate()
    {
        let sent = with(&format!("{n}"), &[("channel", "sms".into()), ("number", value.clone())]);
        exchange.bus().publish("callbacks", sent).await.unwrap();
        let received = exchange.drain("callbacks", "sms").await;
        assert_eq!(received[0].properties["number"], value);
    }
}

async fn messages_arrive_in_the_order_of_publication(exchange: &dyn Exchange) {
    let ids: Vec<_> = (0..150).map(|n| format!("{}", (n * 7919) % 1000)).collect();
    for id in &ids {
        exchange.bus().publish("callbacks", message(id)).await.unwrap();
    }
    assert_eq!(drain_ids(exchange, "sms").await, ids);
}

async fn refused(exchange: &dyn Exchange, topic: &str, message: Message) {
    let error = exchange.bus().publish(topic, message).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused(_)), "{error:?}");
    assert_eq!(drain_ids(exchange, "sms").await, [""; 0]);
}

async fn an_unknown_topic_is_refused(exchange: &dyn Exchange) {
    for topic in ["nowhere", "", "callbacks/sms", "Callbacks "] {
        refused(exchange, topic, message("1")).await;
    }
}

async fn a_message_over_256_kb_is_refused(exchange: &dyn Exchange) {
    let limit = 256 * 1024;
    refused(exchange, "callbacks", Message { body: vec![b'x'; limit].into(), ..message("1") }).await;
    let long = || "x".repeat(limit);
    refused(exchange, "callbacks", with("1", &[("channel", "sms".into()), ("long", long().into())])).await;
    refused(exchange, "callbacks", Message { subject: Some(long()), ..message("1") }).await;
    refused(exchange, "callbacks", Message { correlation_id: Some(long()), ..message("1") }).await;
    let large = Message { body: vec![b'x'; limit - 4096].into(), ..message("2") };
    exchange.bus().publish("callbacks", large).await.unwrap();
    assert_eq!(exchange.drain("callbacks", "sms").await[0].body.len(), limit - 4096);
}

async fn a_message_id_has_one_to_128_characters(exchange: &dyn Exchange) {
    refused(exchange, "callbacks", message("")).await;
    refused(exchange, "callbacks", message(&"x".repeat(129))).await;
    let longest = "é".repeat(128);
    exchange.bus().publish("callbacks", message(&longest)).await.unwrap();
    assert_eq!(drain_ids(exchange, "sms").await, [longest]);
}

async fn a_session_id_is_data_of_up_to_128_characters(exchange: &dyn Exchange) {
    let in_session = |id: &str, session: &str| Message { session_id: Some(session.to_owned()), ..message(id) };
    refused(exchange, "callbacks", in_session("1", &"x".repeat(129))).await;
    let longest = "é".repeat(128);
    let sessions = ["b", "a", "", "b", &longest, "a"];
    for (n, session) in sessions.iter().enumerate() {
        exchange.bus().publish("callbacks", in_session(&n.to_string(), session)).await.unwrap();
    }
    exchange.bus().publish("callbacks", in_session("0", "other")).await.unwrap();
    let received = exchange.drain("callbacks", "sms").await;
    let found: Vec<_> = received.iter().map(|message| message.session_id.as_deref().unwrap()).collect();
    assert_eq!(found, sessions, "neither the order nor duplicate detection goes by it");
}

async fn a_message_published_twice_arrives_once(exchange: &dyn Exchange) {
    for _ in 0..3 {
        exchange.bus().publish("callbacks", message("1")).await.unwrap();
    }
    assert_eq!(drain_ids(exchange, "sms").await, ["1"]);
    exchange.bus().publish("callbacks", message("1")).await.unwrap();
    assert_eq!(drain_ids(exchange, "sms").await, [""; 0], "nor once the first was dealt with");
    exchange.pass(Duration::from_secs(1)).await;
    exchange.bus().publish("callbacks", message("2")).await.unwrap();
    assert_eq!(drain_ids(exchange, "sms").await, ["2"]);
}

async fn concurrent_publishers_lose_nothing(exchange: &dyn Exchange) {
    let publishers = (0..16).map(|publisher| {
        let bus = exchange.bus();
        tokio::spawn(async move {
            for n in 0..20 {
                bus.publish("callbacks", message(&format!("{publisher:02}:{n:02}"))).await.unwrap();
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    let received = drain_ids(exchange, "sms").await;
    for publisher in 0..16 {
        let own = received.iter().filter(|id| id.starts_with(&format!("{publisher:02}:")));
        let expected: Vec<_> = (0..20).map(|n| format!("{publisher:02}:{n:02}")).collect();
        assert!(own.eq(&expected), "each publisher's messages arrive in its order");
    }
    assert_eq!(received.len(), 16 * 20);
}
