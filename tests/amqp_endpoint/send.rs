//! Sending: one message, many at once, large ones, batches.

use fe2o3_amqp::Sendable;
use fe2o3_amqp_types::{
    definitions::{ErrorCondition, LinkError},
    messaging::{ApplicationProperties, Data, Header, Message, MessageAnnotations, Outcome, Properties},
    primitives::{SimpleValue, Symbol, Timestamp, Value},
};
use futures_util::future::join_all;
use sluice::{bus::Property, local::broker::Entity};

use crate::client::{SMS, World, annotation, bytes, id, message, property, receive, sms};

#[tokio::test]
async fn what_is_sent_is_received_as_it_was() {
    let world = World::system().await;
    let mut client = world.client().await;
    let sent = Message::builder()
        .header(Header { ttl: Some(60_000), ..Header::default() })
        .properties(
            Properties::builder()
                .message_id("a".to_owned())
                .correlation_id("c".to_owned())
                .subject("receipt")
                .content_type("application/json")
                .build(),
        )
        .application_properties(
            ApplicationProperties::builder()
                .insert("channel", "sms")
                .insert("attempt", 3_i32)
                .insert("large", i64::MAX)
                .insert("share", 0.25_f64)
                .insert("urgent", true)
                .insert("text", "naïve ☎")
                .build(),
        )
        .data(b"{\"a\":\xff}".to_vec())
        .build();
    client.sender("callbacks").await.send(sent).await.unwrap().accepted_or("accepted").unwrap();

    let mut receiver = client.receiver(SMS).await;
    let received = receive(&mut receiver).await;
    let message = received.message();
    let properties = message.properties.as_ref().unwrap();
    assert_eq!(id(&received), "a");
    assert_eq!(properties.correlation_id, Some("c".to_owned().into()));
    assert_eq!(properties.subject.as_deref(), Some("receipt"));
    assert_eq!(properties.content_type, Some("application/json".into()));
    assert_eq!(bytes(&received), b"{\"a\":\xff}");
    for (name, value) in [
        ("channel", SimpleValue::String("sms".into())),
        ("attempt", SimpleValue::Long(3)),
        ("large", SimpleValue::Long(i64::MAX)),
        ("share", SimpleValue::Double(0.25.into())),
        ("urgent", SimpleValue::Bool(true)),
        ("text", SimpleValue::String("naïve ☎".into())),
    ] {
        assert_eq!(property(&received, name), Some(&value), "{name}");
    }
    let header = message.header.as_ref().unwrap();
    assert_eq!((header.ttl, header.delivery_count), (Some(60_000), 0));
    assert!(matches!(annotation(&received, "x-opt-sequence-number"), Some(Value::Long(number)) if *number > 0));
    assert!(matches!(annotation(&received, "x-opt-enqueued-time"), Some(Value::Timestamp(_))));
    assert!(matches!(annotation(&received, "x-opt-locked-until"), Some(Value::Timestamp(_))));
    assert_eq!(received.delivery_tag().len(), 16, "the tag is a lock token");
}

#[tokio::test]
async fn sixty_four_sends_at_once_on_one_link_arrive_in_order() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut sender = client.sender("callbacks").await;
    let mut outcomes = Vec::new();
    for number in 0..640 {
        outcomes.push(sender.send_batchable(message(&number.to_string())).await.unwrap());
        if outcomes.len() == 64 {
            for outcome in join_all(outcomes.drain(..)).await {
                outcome.unwrap().accepted_or("accepted").unwrap();
            }
        }
    }
    let peeked = world.broker.peek(&sms(), 0, 1000).await.unwrap();
    let ids: Vec<_> = peeked.iter().map(|peeked| peeked.message.message_id.clone()).collect();
    assert_eq!(ids, (0..640).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batch_becomes_its_messages_all_of_them_or_none() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut sender = client.sender("callbacks").await;
    sender.send(batch(&[message("a"), message("b"), message("c")])).await.unwrap().accepted_or("accepted").unwrap();
    let one_too_large = batch(&[message("d"), Message { body: Data(vec![0; 300_000].into()), ..message("e") }]);
    let outcome = sender.send(one_too_large).await.unwrap();

    assert_eq!(condition(&outcome), ErrorCondition::LinkError(LinkError::MessageSizeExceeded));
    let ids = ids(&world, &sms()).await;
    assert_eq!(ids, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_message_of_many_frames_arrives_whole() {
    let world = World::system().await;
    let mut client = world.client().await;
    let body: Vec<u8> = (0..250_000_u32).map(|number| number as u8).collect();
    let large = Message { body: Data(body.clone().into()), ..message("a") };
    client.sender("callbacks").await.send(large).await.unwrap().accepted_or("accepted").unwrap();
    let mut receiver = client.receiver(SMS).await;
    assert_eq!(bytes(&receive(&mut receiver).await), body);
}

#[tokio::test]
async fn a_batch_of_a_mebibyte_arrives_and_the_link_lives_on() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut sender = client.sender("callbacks").await;
    let messages: Vec<_> =
        (0..10).map(|number| Message { body: Data(vec![7; 100_000].into()), ..message(&number.to_string()) }).collect();
    sender.send(batch(&messages)).await.unwrap().accepted_or("accepted").unwrap();
    sender.send(message("after")).await.unwrap().accepted_or("accepted").unwrap();
    assert_eq!(ids(&world, &sms()).await.len(), 11);
}

#[tokio::test]
async fn a_repeated_message_id_is_accepted_and_dropped() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut sender = client.sender("callbacks").await;
    for _ in 0..2 {
        sender.send(message("a")).await.unwrap().accepted_or("accepted").unwrap();
    }
    assert_eq!(ids(&world, &sms()).await, ["a"]);
}

#[tokio::test]
async fn a_message_for_later_is_scheduled_by_its_annotation() {
    let world = World::system().await;
    let mut client = world.client().await;
    let due = chrono::Utc::now() + chrono::Duration::hours(1);
    let due = chrono::DateTime::from_timestamp_millis(due.timestamp_millis()).unwrap();
    let at = Value::Timestamp(Timestamp::from_milliseconds(due.timestamp_millis()));
    let annotations = MessageAnnotations::builder().insert(Symbol::from("x-opt-scheduled-enqueue-time"), at).build();
    let later = Message { message_annotations: Some(annotations), ..message("a") };
    client.sender("callbacks").await.send(later).await.unwrap().accepted_or("accepted").unwrap();

    let peeked = world.broker.peek(&sms(), 0, 10).await.unwrap();
    assert_eq!(peeked[0].message.scheduled_enqueue_time, Some(due));
    let depths = world.broker.depths().await.unwrap();
    let depth = depths.iter().find(|depth| depth.entity == sms()).unwrap();
    assert_eq!((depth.active, depth.scheduled), (0, 1));
}

#[tokio::test]
async fn a_message_that_the_broker_cannot_keep_whole_is_refused_with_the_reason() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut sender = client.sender("callbacks").await;
    let with_reply = Message {
        properties: Some(Properties::builder().message_id("a".to_owned()).reply_to("r".to_owned()).build()),
        ..message("a")
    };
    let with_reply_session = Message {
        properties: Some(Properties::builder().message_id("a".to_owned()).reply_to_group_id("r".to_owned()).build()),
        ..message("a")
    };
    let with_uuid = Message {
        application_properties: Some(
            ApplicationProperties::builder().insert("u", SimpleValue::Uuid([0; 16].into())).build(),
        ),
        ..message("b")
    };
    for (refused, what) in [(with_reply, "`reply-to`"), (with_reply_session, "`reply-to-group-id`"), (with_uuid, "`u`")]
    {
        let Outcome::Rejected(rejected) = sender.send(refused).await.unwrap() else { panic!("taken") };
        let description = rejected.error.unwrap().description.unwrap();
        assert!(description.contains(what), "{description}");
    }
    assert!(ids(&world, &sms()).await.is_empty());
}

#[tokio::test]
async fn a_session_id_is_kept_and_given_back_though_there_are_no_sessions() {
    let world = World::system().await;
    let mut client = world.client().await;
    let in_session = Message {
        properties: Some(Properties::builder().message_id("a".to_owned()).group_id("session 1".to_owned()).build()),
        ..message("a")
    };
    client.sender("callbacks").await.send(in_session).await.unwrap().accepted_or("accepted").unwrap();
    let peeked = world.broker.peek(&sms(), 0, 10).await.unwrap();
    assert_eq!(peeked[0].message.session_id.as_deref(), Some("session 1"));
}

#[tokio::test]
async fn messages_go_where_the_filters_say() {
    let world = World::system().await;
    let mut client = world.client().await;
    let urgent = ApplicationProperties::builder().insert("channel", "sms").insert("priority", "high").build();
    let urgent = Message { application_properties: Some(urgent), ..message("a") };
    client.sender("callbacks").await.send(urgent).await.unwrap().accepted_or("accepted").unwrap();
    let peeked = world.broker.peek(&Entity::subscription("callbacks", "urgent"), 0, 10).await.unwrap();
    assert_eq!(peeked[0].message.properties["priority"], Property::Text("high".into()));
    assert_eq!(ids(&world, &sms()).await, ["a"]);
}

fn batch(messages: &[Message<Data>]) -> Sendable<fe2o3_amqp_types::messaging::Batch<Data>> {
    use fe2o3_amqp_types::messaging::message::__private::Serializable;
    let sections: Vec<_> =
        messages.iter().map(|message| Data(serde_amqp::to_vec(&Serializable(message)).unwrap().into())).collect();
    let outer = Message::builder().data_batch(sections).build();
    Sendable::builder().message(outer).message_format(0x8001_3700).build()
}

fn condition(outcome: &Outcome) -> ErrorCondition {
    match outcome {
        Outcome::Rejected(rejected) => rejected.error.clone().unwrap().condition,
        other => panic!("not rejected: {other:?}"),
    }
}

async fn ids(world: &World, entity: &Entity) -> Vec<String> {
    let peeked = world.broker.peek(entity, 0, 1000).await.unwrap();
    peeked.into_iter().map(|peeked| peeked.message.message_id).collect()
}
