//! A Blob Storage that takes connections and never answers.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use bytes::Bytes;
use object_store::{ObjectStoreExt, path::Path};
use sluice::{
    azure::blobs,
    config::{Connection, Secret},
};

const LIMIT: Duration = Duration::from_millis(500);

/// The kernel accepts; nobody reads.
fn silent() -> (TcpListener, Secret) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/acme", listener.local_addr().unwrap());
    (listener, Secret::new(format!("AccountName=acme;AccountKey=a2V5;BlobEndpoint={url}")))
}

#[tokio::test]
async fn creating_a_container_is_given_up_in_time() {
    let (_listener, connection) = silent();
    let started = Instant::now();
    let error = blobs::create(&connection, "sluice", chrono::Utc::now(), LIMIT).await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    assert!(started.elapsed() < LIMIT * 6, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_put_and_a_get_are_given_up_in_time() {
    let (_listener, connection) = silent();
    let store = blobs::open(&Connection::Key(connection), "sluice", LIMIT).unwrap();
    let started = Instant::now();
    assert!(store.put(&Path::from("a"), Bytes::from_static(b"a").into()).await.is_err());
    assert!(store.get(&Path::from("a")).await.is_err());
    assert!(started.elapsed() < LIMIT * 12, "{:?}", started.elapsed());
}
