//! Tests of a connection's state, without a socket: what it answers, and that no bytes can break it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fe2o3_amqp_types::{
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::{DeliveryState, Rejected, Source, Target},
    performatives::{Attach, Begin, Flow, Open, Performative, Transfer},
};
use proptest::{collection::vec, prelude::*};

use super::{
    connection::Connection,
    frame::{self, Incoming, ProtocolHeader, write_parts},
    locks::Locks,
    message, sections,
    work::{Done, Work, Workshop},
};
use crate::{
    bus::{Subscription, Topic, Topology},
    clock::SystemClock,
    local::broker::Broker,
};

fn broker(folder: &std::path::Path) -> Broker {
    let second = std::time::Duration::from_secs(1);
    let subscription = Subscription {
        name: "s".into(),
        filter: Default::default(),
        lock_duration: 60 * second,
        max_delivery_count: 10,
        dead_letter_on_expiration: true,
    };
    let topic = Topic {
        name: "t".into(),
        duplicate_detection_window: 60 * second,
        default_time_to_live: 600 * second,
        subscriptions: vec![subscription],
    };
    Broker::open(&folder.join("broker.sqlite"), &Topology { topics: vec![topic] }, Arc::new(SystemClock)).unwrap()
}

fn feed(connection: &mut Connection, bytes: &[u8]) {
    let mut arrived = BytesMut::from(bytes);
    connection.read(&mut arrived, |_| false);
    connection.receive();
}

/// What the connection has written so far, without the protocol header.
fn written(connection: &mut Connection) -> Vec<Performative> {
    let mut bytes = std::mem::take(&mut connection.out().bytes);
    let mut found = Vec::new();
    while let Some(incoming) = frame::next(&mut bytes).unwrap() {
        if let Incoming::Frame { performative, .. } = incoming {
            found.push(*performative);
        }
    }
    found
}

fn bytes(channel: u16, performative: Performative, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    frame::write(&mut out, channel, &performative, payload);
    out
}

fn begin() -> Begin {
    Begin {
        remote_channel: None,
        next_outgoing_id: 0,
        incoming_window: 100,
        outgoing_window: 100,
        handle_max: Default::default(),
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    }
}

fn attach(handle: u32, role: Role, address: &str) -> Attach {
    Attach {
        name: format!("link-{handle}"),
        handle: handle.into(),
        role,
        snd_settle_mode: Default::default(),
        rcv_settle_mode: Default::default(),
        source: Some(Box::new(Source::from(address))),
        target: Some(Box::new(Target::from(address).into())),
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: None,
        max_message_size: None,
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    }
}

fn credit(handle: u32, credit: u32) -> Flow {
    Flow {
        next_incoming_id: Some(0),
        incoming_window: 100,
        next_outgoing_id: 0,
        outgoing_window: 100,
        handle: Some(handle.into()),
        delivery_count: None,
        link_credit: Some(credit),
        available: None,
        drain: false,
        echo: false,
        properties: None,
    }
}

fn transfer(handle: u32, id: u32) -> Transfer {
    Transfer {
        handle: handle.into(),
        delivery_id: Some(id),
        delivery_tag: Some(vec![0].into()),
        message_format: Some(0),
        settled: None,
        more: false,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    }
}

/// A connection with a session on channel 0, whose frames so far are read.
fn opened(broker: &Broker) -> Connection {
    let mut connection = Connection::new(broker.clone());
    let open = Open {
        container_id: "test".into(),
        hostname: None,
        max_frame_size: 512.into(),
        channel_max: 10.into(),
        idle_time_out: None,
        outgoing_locales: None,
        incoming_locales: None,
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    };
    feed(&mut connection, ProtocolHeader::AMQP_BYTES);
    feed(&mut connection, &bytes(0, Performative::Open(open), &[]));
    feed(&mut connection, &bytes(0, Performative::Begin(begin()), &[]));
    assert!(matches!(written(&mut connection).as_slice(), [Performative::Open(_), Performative::Begin(_)]));
    connection
}

#[test]
fn a_refused_link_is_detached_with_the_reason_and_the_session_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path());
    for (role, address, expected) in [
        (Role::Sender, "nowhere", AmqpError::NotFound),
        (Role::Receiver, "nowhere/Subscriptions/s", AmqpError::NotFound),
        (Role::Receiver, "t", AmqpError::NotAllowed),
        (Role::Sender, "t/Subscriptions/s", AmqpError::NotAllowed),
    ] {
        let mut connection = opened(&broker);
        feed(&mut connection, &bytes(0, Performative::Attach(attach(3, role.clone(), address)), &[]));
        let frames = written(&mut connection);
        let [Performative::Attach(answer), Performative::Detach(detach)] = frames.as_slice() else {
            panic!("{address}: {frames:?}");
        };
        let terminus_is_null = match role {
            Role::Sender => answer.target.is_none(),
            Role::Receiver => answer.source.is_none(),
        };
        assert!(terminus_is_null && detach.closed, "{address}");
        let error = detach.error.as_ref().unwrap();
        assert_eq!(error.condition, ErrorCondition::AmqpError(expected));
        assert!(error.description.as_ref().unwrap().contains(address));

        feed(&mut connection, &bytes(0, Performative::Attach(attach(3, Role::Sender, "t")), &[]));
        let frames = written(&mut connection);
        assert!(matches!(frames.as_slice(), [Performative::Attach(_), Performative::Flow(_)]), "{frames:?}");
    }
}

#[tokio::test]
async fn a_window_that_is_used_up_holds_frames_back_until_it_opens() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path());
    let message = super::message::decode(&Bytes::from_static(&[0x00, 0x53, 0x75, 0xa0, 1, 7])).unwrap();
    let large = crate::bus::Message { body: vec![7; 2000].into(), ..message };
    broker.publish_all("t", vec![large]).await.unwrap();
    let workshop = Workshop { broker: broker.clone(), locks: Arc::new(Locks::default()), clock: Arc::new(SystemClock) };

    let mut connection = opened(&broker);
    feed(&mut connection, &bytes(0, Performative::Attach(attach(0, Role::Receiver, "t/Subscriptions/s")), &[]));
    feed(&mut connection, &bytes(0, Performative::Flow(Flow { incoming_window: 2, ..credit(0, 5) }), &[]));
    written(&mut connection);
    let work = connection.out().work.pop().unwrap();
    assert!(matches!(work, Work::Receive { max: 5, .. }));
    let done = workshop.perform(work).await;
    assert!(matches!(&done, Done::Received { result: Ok(found), .. } if found.len() == 1));
    connection.done(done);
    assert_eq!(written(&mut connection).len(), 2, "two frames of at most 512 bytes");

    let more = Flow { next_incoming_id: Some(2), incoming_window: 100, ..credit(0, 5) };
    feed(&mut connection, &bytes(0, Performative::Flow(more), &[]));
    let frames = written(&mut connection);
    let Some(Performative::Transfer(last)) = frames.last() else { panic!("{frames:?}") };
    assert!(frames.len() >= 3 && !last.more, "{frames:?}");
}

#[test]
fn a_client_that_waits_to_hear_of_a_settlement_is_told_what_became_of_each_message() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path());
    let mut connection = opened(&broker);
    let rejected = DeliveryState::Rejected(Rejected { error: None });
    let deliveries = vec![(0, true), (1, false)];
    connection.done(Done::Settled { channel: 0, deliveries, outcome: Some(rejected.clone()) });
    let frames = written(&mut connection);
    let [Performative::Disposition(done), Performative::Disposition(lost)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert_eq!((done.first, done.settled, done.state.as_ref()), (0, true, Some(&rejected)));
    let Some(DeliveryState::Rejected(Rejected { error: Some(error) })) = &lost.state else { panic!("{lost:?}") };
    assert_eq!(error.condition, ErrorCondition::Custom(super::condition::LOCK_LOST.into()));

    connection.done(Done::Settled { channel: 0, deliveries: vec![(2, true)], outcome: None });
    assert!(written(&mut connection).is_empty(), "a client that settled by itself hears nothing");
}

/// Frames as a client could send them, in any order and with any content.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let role = prop_oneof![Just(Role::Sender), Just(Role::Receiver)];
    let address = prop_oneof![Just("t"), Just("t/Subscriptions/s"), Just("t/$management"), Just("$cbs"), Just("x")];
    let payload = prop_oneof![
        vec(any::<u8>(), 0..64),
        Just(vec![0x00, 0x53, 0x75, 0xa0, 1, 7]),
        vec(any::<u8>(), 0..16).prop_map(|rest| [&[0x00, 0x53, 0x74, 0xc1][..], &rest].concat()),
    ];
    let performative = prop_oneof![
        Just(Performative::Begin(begin())),
        (0..4_u32, role, address)
            .prop_map(|(handle, role, address)| Performative::Attach(attach(handle, role, address))),
        (0..4_u32, any::<u32>(), any::<Option<u32>>(), any::<u32>(), any::<bool>(), any::<bool>()).prop_map(
            |(handle, link_credit, delivery_count, incoming_window, drain, echo)| {
                Performative::Flow(Flow { delivery_count, incoming_window, drain, echo, ..credit(handle, link_credit) })
            }
        ),
        (0..4_u32, any::<u32>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(handle, id, more, batch, settled)| {
                let message_format = Some(if batch { message::BATCH_FORMAT } else { 0 });
                Performative::Transfer(Transfer {
                    more,
                    message_format,
                    settled: Some(settled),
                    ..transfer(handle, id)
                })
            }
        ),
        (any::<u32>(), any::<Option<u32>>(), any::<bool>()).prop_map(|(first, last, settled)| {
            Performative::Disposition(fe2o3_amqp_types::performatives::Disposition {
                role: Role::Receiver,
                first,
                last,
                settled,
                state: Some(fe2o3_amqp_types::messaging::Accepted {}.into()),
                batchable: false,
            })
        }),
        (0..4_u32, any::<bool>()).prop_map(|(handle, closed)| {
            let detach = fe2o3_amqp_types::performatives::Detach { handle: handle.into(), closed, error: None };
            Performative::Detach(detach)
        }),
        Just(Performative::End(fe2o3_amqp_types::performatives::End { error: None })),
    ];
    let proper = (0..2_u16, performative, payload)
        .prop_map(|(channel, performative, payload)| bytes(channel, performative, &payload).to_vec());
    let damaged = (vec(any::<u8>(), 0..48), 0..2_u8).prop_map(|(body, kind)| {
        let mut out = BytesMut::new();
        write_parts(&mut out, kind, 0, &body, &[]);
        out.to_vec()
    });
    let flipped = (proper.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, with)| {
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        bytes
    });
    vec(prop_oneof![8 => proper, 1 => damaged, 2 => flipped], 0..24).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn no_bytes_break_the_codec(bytes in vec(any::<u8>(), 0..512)) {
        let mut arrived = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = frame::next(&mut arrived) {}
        let encoded = Bytes::from(bytes);
        let _ = message::decode(&encoded);
        let _ = message::unpack(&encoded);
        let _ = sections::split(&encoded);
    }

    #[test]
    fn no_performative_breaks_the_codec(code in 0x10..0x19_u8, list in vec(any::<u8>(), 0..200)) {
        let size = u8::try_from(list.len()).unwrap();
        let body = [&[0x00, 0x53, code, 0xc0, size][..], &list].concat();
        let mut arrived = BytesMut::new();
        write_parts(&mut arrived, 0, 0, &body, &[]);
        let _ = frame::next(&mut arrived);
    }
}

#[test]
fn no_sequence_of_frames_breaks_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path());
    proptest!(|(bytes in frames(), answers in vec(any::<bool>(), 0..16))| {
        let mut connection = opened(&broker);
        feed(&mut connection, &bytes);
        // The answers come late, early or never.
        for (work, answered) in std::mem::take(&mut connection.out().work).into_iter().zip(answers) {
            match work {
                Work::Publish { from, delivery, .. } if answered => {
                    connection.done(Done::Published { from, delivery, result: Ok(()) });
                }
                Work::Receive { to, .. } if answered => {
                    connection.done(Done::Received { to, result: Ok(Vec::new()) });
                }
                Work::Manage { to, .. } if answered => {
                    connection.done(Done::Managed { to, reply: Bytes::from_static(&[0x00, 0x53, 0x77, 0x40]) });
                }
                _ => {}
            }
        }
        connection.receive();
        connection.close(None);
        written(&mut connection);
    });
}
