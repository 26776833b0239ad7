//! Nobody sends us to what is inside: not by a literal address, not by a name that leads there.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::{HeaderMap, Method, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::{Value, json};
use sluice::delivery::client::{Client, Failed};
use tokio::net::TcpListener;

use crate::{
    support::partner_double::PartnerDouble,
    world::{World, until},
};

/// Names that lead where a test says.
#[derive(Debug, Clone)]
struct Names(Arc<Mutex<Vec<IpAddr>>>);

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let found = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs) })
    }
}

async fn post(client: &Client, url: &str) -> Result<u16, Failed> {
    let body = axum::body::Bytes::from_static(b"{}");
    let exchange = client.post(url.parse().unwrap(), false, Duration::from_secs(2), HeaderMap::new(), body).await;
    exchange.result.map(|answer| answer.status)
}

const INSIDE: [&str; 24] = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "172.20.1.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "168.63.129.16",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
];

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_when_it_is_connected_to() {
    let names = Names(Arc::default());
    let client = Client::resolving(Arc::new(names.clone()));
    for address in INSIDE {
        *names.0.lock().unwrap() = vec![address.parse().unwrap()];
        let refused = post(&client, "https://partner.example.com/events").await;
        assert!(matches!(refused, Err(Failed::Inside(_))), "{address}: {refused:?}");
    }
}

#[tokio::test]
async fn a_literal_address_inside_is_refused_though_no_resolver_is_asked_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Client::default();
    for address in INSIDE {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let refused = post(&client, &format!("https://{host}:{port}/events")).await;
        assert!(matches!(refused, Err(Failed::Inside(_))), "{address}: {refused:?}");
    }
    // Spellings that a browser understands.
    for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::ffff:7f00:1]"] {
        let refused = post(&client, &format!("https://{host}:{port}/events")).await;
        assert!(matches!(refused, Err(Failed::Inside(_))), "{host}: {refused:?}");
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "nobody connected");
}

#[tokio::test]
async fn plain_http_is_refused_to_partners_outside() {
    let refused = post(&Client::default(), "http://partner.example.com/events").await;
    assert!(matches!(refused, Err(Failed::Broken(_) | Failed::Connect(_))), "{refused:?}");
}

#[tokio::test]
async fn what_leads_inside_is_parked_with_what_to_do_and_allowed_where_a_person_said_so() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    let (status, body) =
        world.ask(Method::PUT, "partners/literal", json!({ "endpoint": "https://169.254.169.254/" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["detail"].as_str().unwrap().contains("link-local address"), "{body}");

    let port = partner.url.split(':').nth(2).unwrap().split('/').next().unwrap();
    let endpoint = format!("https://localhost:{port}/events");
    let (status, body) = world.ask(Method::PUT, "partners/named", json!({ "endpoint": endpoint })).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    world.apply("SM1").await;
    world.deliver().await;
    let parked = world.parked().await;
    assert!(parked[0]["reason"].as_str().unwrap().contains("leads to a loopback address"), "{parked:?}");
    assert!(partner.seen().is_empty());

    let changes = json!({ "allow_internal": true, "endpoint": format!("http://localhost:{port}/events") });
    assert_eq!(world.ask(Method::PATCH, "partners/named", changes).await.0, StatusCode::OK);
    world.apply("SM2").await;
    world.deliver().await;
    until("the event arrives", async || partner.seen().len() == 1).await;
    assert_eq!(world.ask(Method::GET, "partners/named", Value::Null).await.1["state"], "enabled");
}
