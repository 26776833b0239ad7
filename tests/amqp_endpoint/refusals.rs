//! What the endpoint refuses, and what it survives.

use std::time::Duration;

use fe2o3_amqp::{Connection, Receiver, Sender, connection::OpenError, sasl_profile::SaslProfile};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::client::{PATIENCE, SMS, World, id, message, receive};

/// This client may answer a refusal twice and lose its session over it, and whether it learns the reason depends on how
/// fast it is: a session for each attempt, and the reason is looked at in a test of the state machine.
#[tokio::test]
async fn links_that_cannot_be_had_are_refused() {
    let world = World::system().await;
    for address in ["nowhere", "callbacks/Subscriptions/nobody", "nowhere/$management", "$management", SMS] {
        let mut client = world.client().await;
        assert!(Sender::attach(&mut client.session, "s", address).await.is_err(), "{address}");
    }
    for address in ["nowhere", "callbacks/Subscriptions/nobody", "nowhere/$management", "callbacks"] {
        let mut client = world.client().await;
        assert!(Receiver::attach(&mut client.session, "r", address).await.is_err(), "{address}");
    }
    let mut client = world.client().await;
    client.sender("callbacks").await.send(message("a")).await.unwrap().accepted_or("accepted").unwrap();
}

#[tokio::test]
async fn every_way_to_introduce_oneself_is_taken() {
    let world = World::system().await;
    for profile in [SaslProfile::Anonymous, SaslProfile::Plain { username: "local".into(), password: "local".into() }] {
        let url = format!("amqp://{}", world.address);
        let connection = Connection::builder().container_id("test").sasl_profile(profile).open(url.as_str()).await;
        connection.unwrap().close().await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_wants_to_hear_something_does() {
    let world = World::system().await;
    let url = format!("amqp://{}", world.address);
    let builder = Connection::builder().container_id("test").idle_time_out(1000_u32);
    let mut connection = builder.open(url.as_str()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!connection.is_closed());
    connection.close().await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_amqp_end_their_connection_and_no_other() {
    let world = World::system().await;
    let mut client = world.client().await;
    let mut receiver = client.receiver(SMS).await;
    let amqp = b"AMQP\x00\x01\x00\x00";
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"AMQP\x02\x01\x00\x00",
        b"AMQP\x00\x09\x00\x00",
        &[&amqp[..], &[0xff; 64]].concat(),
        &[&amqp[..], &[0, 0, 0, 9, 2, 0, 0, 0, 0x00]].concat(),
        &[&amqp[..], &[0, 0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 12, 2, 0, 0, 0, 0, 0x53, 0x11, 0x45]].concat(),
    ] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{nonsense:02x?}");
    }
    client.sender("callbacks").await.send(message("a")).await.unwrap().accepted_or("accepted").unwrap();
    assert_eq!(id(&receive(&mut receiver).await), "a");
}

#[tokio::test]
async fn a_client_that_stalls_in_mid_frame_holds_nobody_up() {
    let world = World::system().await;
    let mut stalled = TcpStream::connect(world.address).await.unwrap();
    stalled.write_all(b"AMQP\x00\x01\x00\x00\x00\x00\xff\xff\x02\x00").await.unwrap();
    let mut client = world.client().await;
    let mut sender = client.sender("callbacks").await;
    timeout(PATIENCE, sender.send(message("a"))).await.expect("not held up").unwrap().accepted_or("accepted").unwrap();
}

#[tokio::test]
async fn a_stopped_endpoint_tells_its_clients_and_frees_the_port() {
    let mut world = World::system().await;
    let mut client = world.client().await;
    let mut sender = client.sender("callbacks").await;
    world.stop().await;
    assert!(timeout(PATIENCE, client.connection.on_close()).await.is_ok(), "the connection ends");
    assert!(sender.send(message("a")).await.is_err());
    let url = format!("amqp://{}", world.address);
    let refused = Connection::builder().container_id("test").open(url.as_str()).await;
    assert!(matches!(refused, Err(OpenError::Io(_))), "{refused:?}");
}
