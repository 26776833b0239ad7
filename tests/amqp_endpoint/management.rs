//! Requests: tokens, peeking, renewing locks, settling, scheduling.

use std::{sync::Arc, time::Duration};

use fe2o3_amqp_cbs::{client::CbsClient, token::CbsToken};
use fe2o3_amqp_types::primitives::{Array, Binary, SimpleValue, Timestamp, Uuid as AmqpUuid, Value};
use sluice::clock::Clock;
use uuid::Uuid;

use crate::{
    client::{Client, LOCK, Received, SMS, World, id, map, message, property, receive, sms},
    clock::ManualClock,
};

async fn send(client: &mut Client, ids: &[&str]) {
    let mut sender = client.sender("callbacks").await;
    for id in ids {
        sender.send(message(id)).await.unwrap().accepted_or("accepted").unwrap();
    }
}

fn token(received: &Received) -> Value {
    let token = Uuid::from_bytes_le(received.delivery_tag().as_slice().try_into().expect("16 bytes"));
    Value::Uuid(AmqpUuid::from(token.into_bytes()))
}

fn tokens(tokens: Vec<Value>) -> (&'static str, Value) {
    ("lock-tokens", Value::Array(Array(tokens)))
}

fn entry<'a>(map: &'a Value, name: &str) -> &'a Value {
    let Value::Map(map) = map else { panic!("not a map: {map:?}") };
    map.get(&Value::from(name)).unwrap_or_else(|| panic!("no {name}"))
}

fn peek(from: i64, count: i32) -> Value {
    map([("from-sequence-number", Value::Long(from)), ("message-count", Value::Int(count))])
}

#[tokio::test]
async fn cbs_takes_a_token() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut cbs = CbsClient::attach(&mut client.session).await.unwrap();
    for _ in 0..3 {
        let token = CbsToken::new("SharedAccessSignature sr=x", "servicebus.windows.net:sastoken", None);
        cbs.put_token(format!("sb://{}/callbacks", world.address), token).await.unwrap();
    }
    cbs.close().await.unwrap();
    send(&mut client, &["a"]).await;
}

#[tokio::test]
async fn peeking_shows_messages_page_by_page_and_locks_none() {
    let world = World::system().await;
    let mut client = world.client().await;
    send(&mut client, &["a", "b", "c"]).await;
    let (status, _, body) = client.request(SMS, "peek-message", peek(1, 2)).await;
    assert_eq!(status, 200);
    let Value::List(messages) = entry(&body, "messages") else { panic!("no list") };
    let Value::Binary(first) = entry(&messages[0], "message") else { panic!("no message") };
    assert_eq!(messages.len(), 2);
    assert!(first.windows(3).any(|bytes| bytes == b"sms"), "a message in full");

    let last = world.broker.peek(&sms(), 0, 10).await.unwrap()[2].sequence_number;
    let (status, _, body) = client.request(SMS, "peek-message", peek(last, 10)).await;
    let Value::List(messages) = entry(&body, "messages") else { panic!("no list") };
    assert_eq!((status, messages.len()), (200, 1));
    let (status, _, _) = client.request(SMS, "peek-message", peek(last + 1, 10)).await;
    assert_eq!(status, 204);

    let mut receiver = client.receiver(SMS).await;
    let received = receive(&mut receiver).await;
    assert_eq!(received.message().header.as_ref().unwrap().delivery_count, 0);
}

#[tokio::test]
async fn a_renewed_lock_holds_for_another_lock_duration() {
    let clock = Arc::new(ManualClock::new());
    let world = World::start(clock.clone()).await;
    let mut client = world.client().await;
    send(&mut client, &["a"]).await;
    let mut receiver = client.receiver(SMS).await;
    let received = receive(&mut receiver).await;
    clock.advance(LOCK / 2);
    let (status, _, body) = client.request(SMS, "renew-lock", map([tokens(vec![token(&received)])])).await;
    assert_eq!(status, 200);
    let until = (clock.now() + LOCK).timestamp_millis();
    let until = Value::Array(Array(vec![Value::Timestamp(Timestamp::from_milliseconds(until))]));
    assert_eq!(entry(&body, "expirations"), &until);

    clock.advance(LOCK / 2 + Duration::from_secs(1));
    receiver.accept(&received).await.unwrap();
    let (status, condition, _) = loop {
        // The disposition may still be on its way.
        let answer = client.request(SMS, "renew-lock", map([tokens(vec![token(&received)])])).await;
        if answer.0 != 200 {
            break answer;
        }
    };
    assert_eq!((status, condition.as_deref()), (410, Some("com.microsoft:message-lock-lost")));
    assert!(world.broker.peek(&sms(), 0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_made_up_lock_token_is_a_lost_lock() {
    let world = World::system().await;
    let mut client = world.client().await;
    let made_up = map([tokens(vec![Value::Uuid([7; 16].into())])]);
    let (status, condition, _) = client.request(SMS, "renew-lock", made_up).await;
    assert_eq!((status, condition.as_deref()), (410, Some("com.microsoft:message-lock-lost")));
}

#[tokio::test]
async fn messages_are_settled_by_their_tokens() {
    let world = World::system().await;
    let mut client = world.client().await;
    send(&mut client, &["completed", "abandoned", "suspended"]).await;
    let mut receiver = client.receiver(SMS).await;
    for _ in 0..3 {
        let received = receive(&mut receiver).await;
        let disposition = map([
            ("disposition-status", Value::String(id(&received))),
            tokens(vec![token(&received)]),
            ("deadletter-reason", Value::from("why")),
            ("deadletter-description", Value::from("what")),
        ]);
        let (status, ..) = client.request(SMS, "update-disposition", disposition.clone()).await;
        assert_eq!(status, 200);
        let (status, ..) = client.request(SMS, "update-disposition", disposition).await;
        assert_eq!(status, 410, "settled before");
    }
    let again = receive(&mut receiver).await;
    assert_eq!((id(&again), again.message().header.as_ref().unwrap().delivery_count), ("abandoned".to_owned(), 1));
    let mut dead_letters = client.receiver(&format!("{SMS}/$DeadLetterQueue")).await;
    let dead = receive(&mut dead_letters).await;
    assert_eq!(property(&dead, "DeadLetterReason"), Some(&SimpleValue::String("why".into())));
    assert_eq!(property(&dead, "DeadLetterErrorDescription"), Some(&SimpleValue::String("what".into())));
}

#[tokio::test]
async fn a_scheduled_message_is_cancelled_by_its_number_in_all_subscriptions() {
    let clock = Arc::new(ManualClock::new());
    let world = World::start(clock.clone()).await;
    let mut client = world.client().await;
    let hour = Duration::from_secs(3600);
    let due = Value::Timestamp(Timestamp::from_milliseconds((clock.now() + hour).timestamp_millis()));
    let scheduled = |name: &str| {
        use fe2o3_amqp_types::messaging::{
            ApplicationProperties, Message, MessageAnnotations, message::__private::Serializable,
        };
        let annotations = MessageAnnotations::builder()
            .insert(fe2o3_amqp_types::primitives::Symbol::from("x-opt-scheduled-enqueue-time"), due.clone())
            .build();
        let properties = ApplicationProperties::builder().insert("channel", "sms").insert("priority", "high").build();
        let message = Message {
            message_annotations: Some(annotations),
            application_properties: Some(properties),
            ..message(name)
        };
        let bytes = Binary::from(serde_amqp::to_vec(&Serializable(message)).unwrap());
        map([("message-id", Value::from(name)), ("message", Value::Binary(bytes))])
    };
    let request = map([("messages", Value::List(vec![scheduled("a"), scheduled("b")]))]);
    let (status, _, body) = client.request("callbacks", "schedule-message", request).await;
    assert_eq!(status, 200);
    let Value::Array(Array(numbers)) = entry(&body, "sequence-numbers") else { panic!("no numbers") };
    assert_eq!(numbers.len(), 2);

    let cancel = map([("sequence-numbers", Value::Array(Array(vec![numbers[0].clone()])))]);
    assert_eq!(client.request("callbacks", "cancel-scheduled-message", cancel.clone()).await.0, 200);
    let (status, condition, _) = client.request("callbacks", "cancel-scheduled-message", cancel).await;
    assert_eq!((status, condition.as_deref()), (404, Some("com.microsoft:message-not-found")));

    clock.advance(hour);
    for address in [SMS, "callbacks/Subscriptions/urgent"] {
        let mut receiver = client.receiver(address).await;
        assert_eq!(id(&receive(&mut receiver).await), "b", "{address}");
    }
    let depths = world.broker.depths().await.unwrap();
    assert!(depths.iter().all(|depth| depth.active + depth.scheduled == 0), "{depths:?}");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_answered_so() {
    let world = World::system().await;
    let mut client = world.client().await;
    for (entity, operation, body, status) in [
        (SMS, "peek-message", Value::Null, 400),
        (SMS, "renew-lock", map([]), 400),
        (SMS, "update-disposition", map([tokens(vec![Value::Int(1)])]), 400),
        (SMS, "receive-by-sequence-number", map([]), 501),
        (SMS, "schedule-message", map([]), 501),
        ("callbacks", "schedule-message", map([("messages", Value::List(vec![Value::Null]))]), 400),
        ("callbacks", "no-such-thing", Value::Null, 501),
    ] {
        let (answered, condition, _) = client.request(entity, operation, body).await;
        assert_eq!(answered, status, "{operation}");
        assert!(condition.is_some(), "{operation}");
    }
}
