//! Blob Storage that refuses; one that works is Azurite, in `tests/azure`. And the clock.

use std::net::Ipv4Addr;

use axum::{Router, http::StatusCode};

use crate::world::doctor;

/// A storage account that answers everything alike, with a date of its own.
async fn storage(status: StatusCode, seconds_ago: i64) -> String {
    let answer = move || async move {
        let date = chrono::Utc::now() - chrono::TimeDelta::seconds(seconds_ago);
        (status, [("date", date.format("%a, %d %b %Y %H:%M:%S GMT").to_string())], "")
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    format!("AccountName=acme;AccountKey=a2V5;BlobEndpoint=http://{address}/acme")
}

#[tokio::test]
async fn blobs_that_are_refused_and_a_clock_that_is_wrong_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let connection = storage(StatusCode::FORBIDDEN, 90).await;
    let told = doctor(&[("SLUICE_BLOBS", "azure"), ("BlobConnection", &connection)], folder.path()).await;
    told.is_ill();
    told.has(&["FAIL", "blobs", "container", "sluice"], "access denied");
    told.has_advice("Correct the connection string's key");
    told.has(&["warn", "clock", "skew"], "s ahead of Blob Storage");
    told.has_advice("NTP");

    let connection = storage(StatusCode::NOT_FOUND, 0).await;
    let told = doctor(&[("SLUICE_BLOBS", "azure"), ("BlobConnection", &connection)], folder.path()).await;
    told.has(&["FAIL", "blobs", "container", "sluice"], "does not exist");
    told.has_advice("sluice init-azure");
    told.has(&["ok", "clock", "skew"], "Blob Storage");
}
