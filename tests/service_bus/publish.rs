//! Publishing: what is refused, what travels together, and tokens.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    time::OffsetDateTime,
};
use sluice::{
    azure::service_bus::{Credential, Endpoint, ServiceBusClient, ServiceBusError},
    bus::{Bus, Message, Property, PublishError},
    clock::SystemClock,
};

use crate::world::{OPTIONS, PATIENT, TOPIC, World, drain_ids, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_topic_is_named_with_what_to_do_and_disturbs_no_other() {
    let world = World::start().await;
    let error = world.client.create_sender("nowhere").send_message(message("1")).await.unwrap_err();
    assert!(matches!(&error, ServiceBusError::NotFound { entity, .. } if entity == "nowhere"), "{error:?}");
    assert!(error.to_string().contains("terraform apply"), "{error}");
    let started = Instant::now();
    assert_eq!(world.client.create_sender("nowhere").send_message(message("2")).await, Err(error));
    assert!(started.elapsed() < Duration::from_secs(1), "what is known is answered at once");

    world.publish(&["3"]).await;
    assert_eq!(drain_ids(&world.client).await, ["3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_is_refused_before_it_travels_and_the_link_lives_on() {
    let world = World::start().await;
    let large = Message { body: vec![b'x'; 3 << 20].into(), ..message("large") };
    let error = world.client.publish(TOPIC, large).await.unwrap_err();
    assert!(matches!(&error, PublishError::Refused(text) if text.contains(TOPIC)), "{error}");
    world.publish(&["next"]).await;
    assert_eq!(drain_ids(&world.client).await, ["next"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_messages_travel_together_and_each_arrives_once() {
    let world = World::start().await;
    let sends = (0..2000).map(|n| {
        let sender = world.client.create_sender(TOPIC);
        tokio::spawn(async move { sender.send_message(message(&n.to_string())).await })
    });
    for send in sends.collect::<Vec<_>>() {
        send.await.unwrap().unwrap();
    }
    let received = drain_ids(&world.client).await;
    assert_eq!(received.len(), 2000);
    assert_eq!(received.iter().collect::<BTreeSet<_>>().len(), 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_broker_minds_takes_no_neighbour_with_it() {
    let world = World::start().await;
    // The embedded broker counts properties as JSON, where each of these takes six bytes: small enough for a batch, and
    // over the limit there.
    let bad = |n: usize| Message {
        properties: [("long".into(), Property::from("\u{1}".repeat(50_000)))].into(),
        ..message(&format!("bad {n}"))
    };
    let sends = (0..400).map(|n| {
        let sender = world.client.create_sender(TOPIC);
        let message = if n % 100 == 50 { bad(n) } else { message(&n.to_string()) };
        tokio::spawn(async move { sender.send_message(message).await })
    });
    let mut refused = 0;
    for send in sends.collect::<Vec<_>>() {
        match send.await.unwrap() {
            Ok(()) => {}
            Err(error) => {
                assert!(!error.is_transient(), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 4);
    assert_eq!(drain_ids(&world.client).await.into_iter().collect::<BTreeSet<_>>().len(), 396);
}

/// Gives tokens that run out soon, or none.
#[derive(Debug, Default)]
struct TestCredential {
    lifetime: Option<Duration>,
    given: AtomicUsize,
}

#[async_trait]
impl TokenCredential for TestCredential {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://servicebus.azure.net/.default"]);
        let Some(lifetime) = self.lifetime else {
            return Err(azure_core::Error::with_message(ErrorKind::Credential, "nobody is signed in"));
        };
        self.given.fetch_add(1, Ordering::SeqCst);
        Ok(AccessToken::new("token", OffsetDateTime::now_utc() + lifetime))
    }
}

fn client(world: &World, credential: &Arc<TestCredential>) -> ServiceBusClient {
    let endpoint = Endpoint { host: world.address.ip().to_string(), port: world.address.port(), tls: false };
    ServiceBusClient::new(endpoint, Credential::Entra(credential.clone()), Arc::new(SystemClock), PATIENT)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_renewed_before_it_runs_out_while_messages_flow() {
    let world = World::start().await;
    let credential = Arc::new(TestCredential { lifetime: Some(Duration::from_secs(2)), ..Default::default() });
    let sender = client(&world, &credential).create_sender(TOPIC);
    let started = Instant::now();
    let mut sent = 0;
    while started.elapsed() < Duration::from_secs(5) {
        sender.send_message(message(&sent.to_string())).await.unwrap();
        sent += 1;
    }
    let given = credential.given.load(Ordering::SeqCst);
    assert!((3..=6).contains(&given), "{given} tokens in 5 s for a lifetime of 2 s");
    assert_eq!(drain_ids(&world.client).await.len(), sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_nothing_is_sent_and_the_error_says_whom_to_ask() {
    let world = World::start().await;
    let credential = Arc::new(TestCredential::default());
    let error = client(&world, &credential).publish(TOPIC, message("1")).await.unwrap_err();
    let PublishError::Unavailable(text) = error else { panic!("{error:?}") };
    assert!(text.contains("nobody is signed in") && text.contains("az login"), "{text}");
    assert_eq!(drain_ids(&world.client).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_whose_certificate_nobody_vouches_for_is_told_nothing() {
    use tokio_rustls::{TlsAcceptor, rustls};
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key.into()).unwrap();
    let listener = tokio::net::TcpListener::bind(("localhost", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(server)).accept(stream).await.is_ok()
    });

    let endpoint = Endpoint { host: "localhost".into(), port, tls: true };
    let credential = Arc::new(TestCredential { lifetime: Some(Duration::from_secs(60)), ..Default::default() });
    let client = ServiceBusClient::new(endpoint, Credential::Entra(credential.clone()), Arc::new(SystemClock), OPTIONS);
    let error = client.publish(TOPIC, message("1")).await.unwrap_err();
    let PublishError::Unavailable(text) = error else { panic!("{error:?}") };
    assert!(text.contains("localhost") && text.contains("TLS") && text.contains("certificate"), "{text}");
    assert!(!accepted.await.unwrap(), "the handshake must fail");
    assert_eq!(credential.given.load(Ordering::SeqCst), 0, "no token was asked for, and none was shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_tls_is_not_talked_to_when_tls_was_asked_for() {
    let world = World::start().await;
    let endpoint = Endpoint { host: "localhost".into(), port: world.address.port(), tls: true };
    let credential = Credential::Entra(Arc::new(TestCredential::default()));
    let client = ServiceBusClient::new(endpoint, credential, Arc::new(SystemClock), OPTIONS);
    let error = client.publish(TOPIC, message("1")).await.unwrap_err().to_string();
    assert!(error.contains("TLS") || error.contains("no connection within"), "{error}");
    assert!(error.contains("localhost"), "{error}");
}
