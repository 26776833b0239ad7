//! The Cosmos DB emulator of the SDK's driver: in this process, or behind HTTP with faults. It has no TTL expiry, no
//! authorisation and no durability; nothing else of what the adapter uses is missing.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Response, StatusCode},
};
use azure_data_cosmos::{CosmosRuntime, CosmosRuntimeBuilder, fault_injection::FaultInjectionRule};
use azure_data_cosmos_driver::in_memory_emulator::{
    ConsistencyLevel, InMemoryEmulatorHttpClient, VirtualAccountConfig, VirtualRegion,
};
use sluice::{
    azure::cosmos::{Account, CosmosDocuments, containers::PARTITION_KEY_PATH},
    config::{Connection, Secret},
    documents::Container,
};
use url::Url;

pub const DATABASE: &str = "sluice";
/// What a call may take.
pub const LIMIT: Duration = Duration::from_secs(9);
const REGION: &str = "East US";
/// Nothing is dialled: the driver is given the emulator as its transport.
const IN_PROCESS: &str = "https://eastus.emulator.local/";
const KEY: &str = "ZW11bGF0b3Iga2V5";

/// An account with nothing in it.
#[derive(Debug, Clone)]
pub struct Emulator {
    inner: Arc<InMemoryEmulatorHttpClient>,
    pub url: Url,
    faults: Arc<Mutex<Vec<Fault>>>,
    /// The `authorization` headers that came over HTTP.
    pub authorizations: Arc<Mutex<BTreeSet<String>>>,
}

/// What the HTTP host does to a request instead of answering it well.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Part of the request's path.
    pub path: &'static str,
    pub status: StatusCode,
    /// The request has its effect, and then its answer is lost.
    pub after: bool,
    pub delay: Duration,
    /// How many requests it meets.
    pub times: u32,
}

impl Emulator {
    /// In this process, without a socket.
    pub fn in_process() -> Self {
        Self::at(IN_PROCESS.parse().unwrap())
    }

    /// On a port of the loopback. Needs a Tokio runtime, and lives as long as it.
    pub fn http() -> Self {
        Self::http_behind(|address| address)
    }

    /// The same behind a proxy. The account's description names where clients reach it, so all of them pass there.
    pub fn http_behind(proxy: impl FnOnce(SocketAddr) -> SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let reached = proxy(listener.local_addr().unwrap());
        let emulator = Self::at(format!("http://{reached}/").parse().unwrap());
        let host = Router::new().fallback(answer).with_state(emulator.clone());
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move { axum::serve(listener, host).await.unwrap() });
        emulator
    }

    fn at(url: Url) -> Self {
        let region = VirtualRegion::new(REGION, url.clone());
        let config = VirtualAccountConfig::new(vec![region]).unwrap().with_consistency(ConsistencyLevel::Session);
        Self {
            inner: Arc::new(InMemoryEmulatorHttpClient::new(config)),
            url,
            faults: Arc::default(),
            authorizations: Arc::default(),
        }
    }

    /// Creates the database and the containers behind the SDK's back.
    pub fn with_containers(self) -> Self {
        self.with_some_containers(&Container::ALL)
    }

    pub fn with_some_containers(self, containers: &[Container]) -> Self {
        let store = self.inner.store();
        store.create_database(DATABASE);
        for container in containers {
            store.create_container(DATABASE, container.name(), PARTITION_KEY_PATH.into());
        }
        self
    }

    pub fn fail(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    pub fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub fn connection_string(&self) -> String {
        format!("AccountEndpoint={};AccountKey={KEY}", self.url)
    }

    /// The adapter, connected through a socket.
    pub fn documents(&self) -> CosmosDocuments {
        CosmosDocuments::new(self.account(), DATABASE, LIMIT)
    }

    /// The adapter, with the emulator as its transport and the driver's own faults.
    pub async fn documents_in_process(&self, faults: Vec<Arc<FaultInjectionRule>>) -> CosmosDocuments {
        self.documents().with_runtime(self.runtime(faults).await)
    }

    pub fn account(&self) -> Account {
        Account::from_connection(&Connection::Key(Secret::new(self.connection_string()))).unwrap()
    }

    pub async fn runtime(&self, faults: Vec<Arc<FaultInjectionRule>>) -> CosmosRuntime {
        let builder = if faults.is_empty() {
            self.inner.runtime_builder()
        } else {
            self.inner.runtime_builder_with_fault_rules(faults)
        };
        CosmosRuntimeBuilder::from(builder).build().await.unwrap()
    }

    fn next_fault(&self, path: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let hit = faults.iter().position(|fault| path.contains(fault.path))?;
        let fault = faults[hit].clone();
        faults[hit].times -= 1;
        if faults[hit].times == 0 {
            faults.remove(hit);
        }
        Some(fault)
    }
}

/// What was asked for is carried out also when nobody waits for the answer any more.
async fn answer(State(emulator): State<Emulator>, request: Request) -> Response<Body> {
    tokio::spawn(carry_out(emulator, request)).await.unwrap()
}

async fn carry_out(emulator: Emulator, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // The other side was killed while it sent.
    let Ok(body) = to_bytes(body, 16 << 20).await else { return refusal(StatusCode::BAD_REQUEST) };
    if let Some(Ok(authorization)) = parts.headers.get("authorization").map(|value| value.to_str()) {
        emulator.authorizations.lock().unwrap().insert(authorization.to_owned());
    }
    let fault = emulator.next_fault(parts.uri.path());
    if let Some(fault) = &fault {
        tokio::time::sleep(fault.delay).await;
        if !fault.after && fault.status != StatusCode::OK {
            return refusal(fault.status);
        }
    }
    let url = emulator.url.join(parts.uri.path_and_query().map_or("/", |path| path.as_str())).unwrap();
    let mut forwarded = azure_core::http::Request::new(url, parts.method.as_str().parse().unwrap());
    for (name, value) in &parts.headers {
        if let Ok(value) = value.to_str() {
            forwarded.headers_mut().insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    if !body.is_empty() {
        forwarded.set_body(body.to_vec());
    }
    let answer = emulator.inner.execute_request(&forwarded).await.unwrap();
    let answer = answer.try_into_raw_response().await.unwrap();
    if let Some(fault) = fault.filter(|fault| fault.after) {
        return refusal(fault.status);
    }
    let mut response = Response::builder().status(u16::from(answer.status()));
    for (name, value) in answer.headers().iter() {
        response = response.header(name.as_str(), value.as_str());
    }
    response.body(Body::from(answer.body().as_ref().to_vec())).unwrap()
}

fn refusal(status: StatusCode) -> Response<Body> {
    let body = r#"{"code":"Injected","message":"injected"}"#;
    Response::builder().status(status).header("content-type", "application/json").body(body.into()).unwrap()
}
