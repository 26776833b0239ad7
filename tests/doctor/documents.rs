//! Cosmos DB, on the emulator of its own driver behind HTTP.

use std::{net::Ipv4Addr, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use sluice::documents::{Container, Documents, Query};

use crate::{
    cosmos_emulator::{Emulator, Fault},
    world::{doctor, nobody},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cosmos_db_is_looked_at_and_what_is_written_is_taken_back() {
    let emulator = Emulator::http().with_containers();
    let folder = tempfile::tempdir().unwrap();
    let settings = [("SLUICE_DOCUMENTS", "cosmos"), ("CosmosConnection", &emulator.connection_string())];
    let told = doctor(&settings, folder.path()).await;
    told.is_healthy();
    for container in Container::ALL {
        told.has(&["ok", "documents", "container", container.name()], "can be read");
    }
    told.has(&["ok", "documents", "database", "sluice"], "");
    told.has(&["ok", "documents", "write"], "written and deleted");
    told.has(&["ok", "clock", "skew"], "Cosmos DB");
    let left = emulator.documents().count(Container::Registry, &Query::all()).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_or_a_database_that_does_not_exist_is_named() {
    let emulator = Emulator::http().with_some_containers(&[Container::Ledger, Container::Registry]);
    let folder = tempfile::tempdir().unwrap();
    let connection = emulator.connection_string();
    let settings = [("SLUICE_DOCUMENTS", "cosmos"), ("CosmosConnection", connection.as_str())];
    let told = doctor(&settings, folder.path()).await;
    told.is_ill();
    told.has(&["ok", "documents", "container", "ledger"], "");
    told.has(&["FAIL", "documents", "container", "retries"], "does not exist");
    told.has_advice("sluice init-azure");

    let elsewhere = [settings[0], settings[1], ("SLUICE_COSMOS_DATABASE", "elsewhere")];
    let told = doctor(&elsewhere, folder.path()).await;
    told.is_ill();
    told.has(&["FAIL", "documents", "database", "elsewhere"], "does not exist");
}

/// Gives tokens, as an app's identity endpoint does.
async fn identity_endpoint() -> String {
    let answer = || async {
        let expires = chrono::Utc::now().timestamp() + 3600;
        format!(r#"{{"access_token":"a-token","expires_on":"{expires}","resource":"r","token_type":"Bearer"}}"#)
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/msi/token", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/msi/token", get(answer))).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_without_its_role_is_told_which_one_to_assign() {
    let emulator = Emulator::http().with_containers();
    let always = |path, status| Fault { path, status, after: false, delay: Duration::ZERO, times: u32::MAX };
    emulator.fail(always("/docs", StatusCode::FORBIDDEN));
    let (identity, folder) = (identity_endpoint().await, tempfile::tempdir().unwrap());
    let settings = [
        ("SLUICE_DOCUMENTS", "cosmos"),
        ("CosmosConnection__accountEndpoint", emulator.url.as_str()),
        ("IDENTITY_ENDPOINT", identity.as_str()),
        ("IDENTITY_HEADER", "a-header"),
        ("IDENTITY_CLIENT_ID", "a-client"),
    ];
    let told = doctor(&settings, folder.path()).await;
    told.is_ill();
    told.has(&["ok", "documents", "Cosmos", "DB"], "user-assigned managed identity with client id a-client");
    told.has(&["ok", "documents", "token"], "");
    told.has(&["FAIL", "documents", "container", "ledger"], "access denied");
    told.has_advice("Cosmos DB Built-in Data Contributor");
    told.has_advice("scope <account id>/dbs/sluice");
    assert!(!told.page.contains("a-token"), "{}", told.page);

    let nobody = format!("http://{}/msi/token", nobody());
    let mut settings = settings;
    settings[2].1 = &nobody;
    let told = doctor(&settings, folder.path()).await;
    told.is_ill();
    told.has(&["FAIL", "documents", "token"], "");
    told.has_advice("IDENTITY_CLIENT_ID");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_wrong_is_told() {
    let emulator = Emulator::http().with_containers();
    emulator.fail(Fault {
        path: "/",
        status: StatusCode::UNAUTHORIZED,
        after: false,
        delay: Duration::ZERO,
        times: u32::MAX,
    });
    let folder = tempfile::tempdir().unwrap();
    let settings = [("SLUICE_DOCUMENTS", "cosmos"), ("CosmosConnection", &emulator.connection_string())];
    let told = doctor(&settings, folder.path()).await;
    told.is_ill();
    told.has(&["ok", "documents", "HTTP"], "answers");
    told.has(&["FAIL", "documents", "account"], "no valid token or key");
    told.has_advice("Correct the connection string's key");
}
