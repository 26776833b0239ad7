//! The executable with its stores in Azure, as far as that can be shown without Azure.

mod blob_silence;
#[path = "../support/cosmos.rs"]
mod cosmos_emulator;
mod secrets_in_errors;

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::Request, http::Uri, routing::get};
use bytes::Bytes;
use cosmos_emulator::Emulator;
use futures_util::TryStreamExt;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, path::Path as Name};
use sluice::{
    azure,
    blobs::{self, SharedBlobs},
    config::{Connection, Secret},
};

const AZURITE: &str = "azurite@3.35.0";

/// Runs the executable beside the servers of the test.
async fn sluice(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).args(["--root", env!("CARGO_MANIFEST_DIR")]).envs(settings.iter().copied());
    command.env_remove("FUNCTIONS_CUSTOMHANDLER_PORT");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An endpoint as Azure Functions gives one to an app: returns its URL, and what it was asked.
async fn identity_endpoint() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let questions = Arc::clone(&asked);
    let answer = move |uri: Uri, request: Request| {
        let header = request.headers().get("x-identity-header").map(|value| value.to_str().unwrap().to_owned());
        questions.lock().unwrap().push(format!("{uri} {}", header.unwrap_or_default()));
        let expires = chrono::Utc::now().timestamp() + 3600;
        async move {
            format!(r#"{{"access_token":"a-token","expires_on":"{expires}","resource":"r","token_type":"Bearer"}}"#)
        }
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/msi/token", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/msi/token", get(answer))).await.unwrap() });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cosmos_db_is_reached_with_the_apps_managed_identity() {
    let emulator = Emulator::http().with_containers();
    let (endpoint, asked) = identity_endpoint().await;
    let settings = [
        ("SLUICE_DOCUMENTS", "cosmos"),
        ("CosmosConnection__accountEndpoint", emulator.url.as_str()),
        ("IDENTITY_ENDPOINT", endpoint.as_str()),
        ("IDENTITY_HEADER", "a-header"),
        ("IDENTITY_CLIENT_ID", "a-client"),
    ];

    let output = sluice(&["show", "twilio:SM1"], &settings).await;

    assert!(text(&output.stderr).contains("nothing is known of twilio:SM1"), "{}", text(&output.stderr));
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|question| question.contains("resource=https%3A%2F%2Fcosmos.azure.com")), "{asked:?}");
    assert!(asked.iter().all(|question| question.contains("client_id=a-client")), "{asked:?}");
    assert!(!asked.is_empty() && asked.iter().all(|question| question.ends_with(" a-header")), "{asked:?}");
    let seen = emulator.authorizations.lock().unwrap();
    assert!(
        !seen.is_empty() && seen.iter().all(|header| header.contains("aad") && header.contains("a-token")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn an_identity_that_gets_no_token_is_told_with_what_to_do() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let endpoint = format!("http://{nobody}/msi/token");
    let settings = [
        ("SLUICE_DOCUMENTS", "cosmos"),
        ("CosmosConnection__accountEndpoint", "https://127.0.0.1:1/"),
        ("IDENTITY_ENDPOINT", endpoint.as_str()),
        ("IDENTITY_HEADER", "a-header"),
    ];
    let started = Instant::now();
    let output = sluice(&["show", "twilio:SM1"], &settings).await;
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("container ledger") && error.contains("managed identity"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[tokio::test]
async fn init_azure_says_why_it_creates_nothing() {
    let output = sluice(&["init-azure"], &[]).await;
    assert!(text(&output.stderr).contains("nothing to create"), "{}", text(&output.stderr));

    let identity = [("SLUICE_BLOBS", "azure"), ("BlobConnection__accountName", "acme")];
    let output = sluice(&["init-azure"], &identity).await;
    assert!(text(&output.stderr).contains("made by Terraform"), "{}", text(&output.stderr));

    let output = sluice(&["init-azure"], &[("SLUICE_DOCUMENTS", "cosmos")]).await;
    let missing = "documents.connection: environment variable CosmosConnection__accountEndpoint is not set";
    assert!(text(&output.stderr).contains(missing), "{}", text(&output.stderr));
}

/// Azurite, which stops with the test.
struct Azurite(Child);

impl Drop for Azurite {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Azurite {
    fn start(port: u16) -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("azurite");
        let main = home.join("node_modules/azurite/dist/src/blob/main.js");
        if !main.exists() {
            std::fs::create_dir_all(&home).unwrap();
            let install = ["install", "--no-audit", "--no-fund", "--silent", "--prefix", ".", AZURITE];
            let installed = Command::new("npm").args(install).current_dir(&home).status();
            assert!(installed.expect("this test needs npm").success());
        }
        let child = Command::new("node")
            .arg(main)
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--inMemoryPersistence"])
            .args(["--skipApiVersionCheck", "--disableTelemetry", "--silent"])
            .stdout(Stdio::null())
            .spawn()
            .expect("this test needs node");
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "Azurite does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self(child)
    }
}

#[tokio::test]
#[ignore = "installs Azurite from npm: cargo test --test azure -- --ignored"]
async fn blobs_in_azurite_are_as_blobs_on_the_disk() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let _azurite = Azurite::start(port);
    let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    let connection =
        format!("AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;");
    let settings = [("SLUICE_BLOBS", "azure"), ("BlobConnection", connection.as_str())];
    for report in ["blob container sluice: created\n", "blob container sluice: exists\n"] {
        let output = sluice(&["init-azure"], &settings).await;
        assert_eq!(text(&output.stdout), report, "{}", text(&output.stderr));
    }
    let output = sluice(&["doctor"], &settings).await;
    let page = text(&output.stdout);
    assert!(output.status.success() && page.contains("a blob was written and deleted"), "{page}");

    let connection = Connection::Key(Secret::new(connection));
    let azurite = azure::blobs::open(&connection, "sluice", Duration::from_secs(9)).unwrap();
    let left: Vec<_> = azurite.list(None).try_collect().await.unwrap();
    assert_eq!(left, [], "the doctor took back what it wrote");
    keeps_blobs(&azurite).await;

    let missing = azure::blobs::open(&connection, "nobody-made-this", Duration::from_secs(9)).unwrap();
    let error = missing.put(&Name::from("a"), Bytes::new().into()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn blobs_on_the_disk_are_as_blobs_in_azurite() {
    let folder = tempfile::tempdir().unwrap();
    keeps_blobs(&blobs::open_folder(folder.path()).unwrap()).await;
}

/// What the program relies on.
async fn keeps_blobs(blobs: &SharedBlobs) {
    let name = Name::from("payloads/2026/11/21/01936f00-0000-7000-8000-00000000000a");
    let bytes = Bytes::from(vec![0xff; 3 << 20]);
    blobs.put_opts(&name, bytes.clone().into(), PutMode::Create.into()).await.unwrap();
    let again = blobs.put_opts(&name, Bytes::from_static(b"other").into(), PutMode::Create.into()).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
    assert_eq!(blobs.get(&name).await.unwrap().bytes().await.unwrap(), bytes);

    for n in 0..3 {
        blobs.put(&Name::from(format!("spool/{n}")), Bytes::from_static(b"{}").into()).await.unwrap();
    }
    let spooled: Vec<_> = blobs.list(Some(&Name::from("spool"))).try_collect().await.unwrap();
    assert_eq!(spooled.len(), 3);
    for blob in spooled {
        blobs.delete(&blob.location).await.unwrap();
    }
    let left: Vec<_> = blobs.list(Some(&Name::from("spool"))).try_collect().await.unwrap();
    assert_eq!(left, []);
    assert!(matches!(blobs.delete(&Name::from("spool/0")).await, Err(Error::NotFound { .. })));
    assert!(matches!(blobs.get(&Name::from("spool/0")).await, Err(Error::NotFound { .. })));
}
