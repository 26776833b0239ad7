//! `sluice doctor`, as somebody reads it whose system does not work.

#[path = "support/cosmos.rs"]
mod cosmos_emulator;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode, routing::get};
use bytes::Bytes;
use cosmos_emulator::{Emulator, Fault};
use serde_json::Value;
use sluice::{
    app::topology,
    azure::service_bus::{ConnectionString, ServiceBusClient, ServiceBusClientOptions, SubQueue},
    bus::{Bus, Message, Properties, Topology},
    clock::SystemClock,
    config::Config,
    documents::{Container, Documents, Query},
    local::{
        amqp::{Endpoint, connection_string},
        broker::Broker,
        host::FunctionApp,
    },
};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn config() -> Config {
    let path = Path::new(ROOT).join("sluice.toml");
    Config::parse(&path, &std::fs::read_to_string(&path).unwrap(), &|_| None).unwrap()
}

/// What a Function App has for its functions, whichever there are.
fn function_settings() -> BTreeMap<String, String> {
    let topics = |name: &str| config().topic_setting(name);
    let app = FunctionApp::load(Path::new(ROOT), &topics).unwrap();
    let mut settings: BTreeMap<_, _> = app
        .functions
        .iter()
        .flat_map(|function| &function.connections)
        .map(|name| (name.clone(), "set".into()))
        .collect();
    settings.insert("AzureWebJobsStorage".into(), "UseDevelopmentStorage=true".into());
    for name in ["CALLBACKS_TOPIC", "DELIVERIES_TOPIC"] {
        settings.insert(name.into(), topics(name).unwrap());
    }
    settings
}

/// What somebody reads, and the exit code.
struct Told {
    code: i32,
    page: String,
    errors: String,
}

impl Told {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap(), page: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// A line that begins with all these words, whatever is between them.
    #[track_caller]
    fn has(&self, words: &[&str], rest: &str) {
        let fits =
            |line: &str| line.split_whitespace().zip(words).all(|(left, right)| left == *right) && line.contains(rest);
        assert!(self.page.lines().any(fits), "no line {words:?} {rest:?} in\n{}{}", self.page, self.errors);
    }

    #[track_caller]
    fn has_advice(&self, text: &str) {
        let mut lines = self.page.lines();
        assert!(lines.any(|line| line.starts_with("        ") && line.contains(text)), "no {text:?} in\n{}", self.page);
    }

    #[track_caller]
    fn is_healthy(&self) {
        assert_eq!(self.code, 0, "{}{}", self.page, self.errors);
        assert!(!self.page.contains("FAIL") && self.page.contains("\nhealthy: 0 failed"), "{}", self.page);
    }

    #[track_caller]
    fn is_ill(&self) {
        assert_eq!(self.code, 1, "{}{}", self.page, self.errors);
        assert!(self.page.contains("not healthy: "), "{}", self.page);
    }
}

/// Nothing of the tester's own environment but where programs are.
fn command(settings: impl IntoIterator<Item = (String, String)>, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(settings);
    command.args(["doctor", "--root", ROOT, "--data"]).arg(data);
    command
}

async fn run(mut command: Command) -> Told {
    Told::of(tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap())
}

async fn doctor(settings: &[(&str, &str)], data: &Path) -> Told {
    run(command(owned(settings), data)).await
}

/// In a Function App, where settings are for all functions.
async fn doctor_of_an_app(settings: &[(&str, &str)]) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let mut all = function_settings();
    all.extend(owned(settings));
    run(command(all, folder.path())).await
}

fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_new_folder_is_healthy_and_nothing_is_made_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let told = doctor(&[], folder.path()).await;
    told.is_healthy();
    told.has(&["ok", "data", "folder"], "can be written");
    told.has(&["ok", "data", "disk"], "free");
    told.has(&["ok", "functions", "folders"], "process-sms");
    told.has(&["warn", "config", "profile"], "public");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let told = doctor(&[], &folder.path().join("not/yet")).await;
    told.is_healthy();
    told.has(&["ok", "data", "folder"], "does not exist yet");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn it_runs_beside_a_server_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_sluice"));
    server.args(["--root", ROOT, "--port", "0", "--data"]).arg(folder.path()).env("RUST_LOG", "warn");
    let mut server = Server(server.env_remove("FUNCTIONS_CUSTOMHANDLER_PORT").stdout(Stdio::piped()).spawn().unwrap());
    // It prints where it listens once everything is in place.
    let mut line = String::new();
    let mut printed = BufReader::new(server.0.stdout.take().unwrap());
    printed.read_line(&mut line).unwrap();
    let url = line.split_whitespace().last().unwrap().to_owned();

    let told = doctor(&[], folder.path()).await;
    told.is_healthy();
    let owner = format!("in use by a running server (process {})", server.0.id());
    told.has(&["ok", "data", "broker.sqlite"], &owner);
    told.has(&["ok", "data", "documents.sqlite"], &owner);
    told.has(&["ok", "data", "broker"], "subscriptions, 0 messages wait");
    told.has(&["ok", "data", "documents"], "can be read");
    assert_eq!(reqwest::get(format!("{url}/health")).await.unwrap().status(), StatusCode::OK);

    drop((server, printed));
    let told = doctor(&[], folder.path()).await;
    told.is_healthy();
    told.has(&["ok", "data", "broker.sqlite"], "not in use");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told() {
    // Nobody can make a file there, not even root.
    let told = doctor(&[], Path::new("/proc")).await;
    told.is_ill();
    told.has(&["FAIL", "data", "folder"], "/proc cannot be written");
    told.has_advice("another folder with --data");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let told = doctor(&[], &file).await;
    told.is_ill();
    told.has(&["FAIL", "data", "folder"], "cannot be written");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("documents.sqlite"), "no database at all, but long enough to be one".repeat(40))
        .unwrap();
    let told = doctor(&[], folder.path()).await;
    told.is_ill();
    told.has(&["FAIL", "data", "documents"], "");
    told.has_advice("damaged, or from a newer version");
}

#[tokio::test]
async fn a_disk_that_hangs_is_told_in_time() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broker.sqlite"), "").unwrap();
    // Whoever opens it waits for a writer that never comes.
    let made = Command::new("mkfifo").arg(folder.path().join("broker.sqlite.lock")).status().unwrap();
    assert!(made.success());
    let started = Instant::now();
    let told = doctor(&[], folder.path()).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    told.is_ill();
    told.has(&["FAIL", "data", "folder"], "no answer within 4 s");
}

#[tokio::test]
async fn settings_are_taken_from_the_file_that_func_start_takes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local.settings.json");
    let with = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let mut doctor = command([], folder.path());
        doctor.arg("--settings").arg(&path);
        run(doctor)
    };
    let told = with(&std::fs::read_to_string(Path::new(ROOT).join("local.settings.json.example")).unwrap()).await;
    // Whether or not the emulators are there.
    told.has(&["ok", "bus", "Service", "Bus"], "localhost:5672 (plain TCP, an emulator)");
    told.has(&["ok", "documents", "Cosmos", "DB"], "https://localhost:8081");
    told.has(&["ok", "blobs", "Blob", "Storage"], "http://127.0.0.1:10000");
    told.has(&["ok", "triggers", "AzureWebJobsStorage"], "");
    assert!(!told.page.contains("FAIL  config") && !told.page.contains("FAIL  functions"), "{}", told.page);
    assert!(!told.page.contains("FAIL  triggers"), "{}", told.page);

    let told = with(r#"{"IsEncrypted":true,"Values":{}}"#).await;
    assert_eq!(told.code, 2);
    assert!(told.errors.contains("func settings decrypt"), "{}", told.errors);
    let told = with(r#"{"Values":{"TWILIO_AUTH_TOKEN":["topsecret"]}}"#).await;
    assert_eq!(told.code, 2);
    assert!(told.errors.contains("line 1") && !told.errors.contains("topsecret"), "{}", told.errors);
}

#[tokio::test]
async fn secrets_that_are_missing_are_named_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("SLUICE_PROFILE", "production"), ("TWILIO_AUTH_TOKEN", "topsecret")];
    let told = doctor(&settings, folder.path()).await;
    told.is_ill();
    told.has(&["FAIL", "config", "secret"], "SENDGRID_PUBLIC_KEY is not set");
    told.has_advice("app setting with a Key Vault reference");
    assert!(!told.page.contains("TWILIO_AUTH_TOKEN") && !told.page.contains("topsecret"), "{}", told.page);

    let settings = [("SENDGRID_PUBLIC_KEY", "@Microsoft.KeyVault(SecretUri=https://v/secrets/s/)")];
    let told = doctor(&settings, folder.path()).await;
    told.has(&["FAIL", "config", "secret"], "unresolved Key Vault reference");
    told.has_advice("Key Vault Secrets User");
}

#[tokio::test]
async fn without_a_configuration_it_says_why_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let mut missing = command([], folder.path());
    missing.args(["--config", "/nowhere/sluice.toml"]);
    let told = run(missing).await;
    assert_eq!((told.code, told.page.as_str()), (2, ""), "{}", told.errors);
    assert!(told.errors.contains("/nowhere/sluice.toml"), "{}", told.errors);
}

#[tokio::test]
async fn a_script_gets_json_with_the_same_steps() {
    let folder = tempfile::tempdir().unwrap();
    let mut json = command(owned(&[("SLUICE_PROFILE", "production")]), folder.path());
    json.arg("--json");
    let told = run(json).await;
    assert_eq!(told.code, 1);
    let report: Value = serde_json::from_str(&told.page).unwrap();
    assert_eq!(report["healthy"], false);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let steps = report["steps"].as_array().unwrap();
    let failed: Vec<_> = steps.iter().filter(|step| step["outcome"] == "fail").collect();
    assert!(!failed.is_empty() && failed.iter().all(|step| step["advice"].is_string()), "{failed:?}");
    assert!(steps.iter().any(|step| step["part"] == "data" && step["outcome"] == "ok"), "{steps:?}");
}

/// The embedded broker, as an emulator of Service Bus.
struct Served {
    connection: String,
    _folder: TempDir,
}

async fn service_bus(topology: &Topology) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::open(&folder.path().join("broker.sqlite"), topology, Arc::new(SystemClock)).unwrap();
    let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), broker, Arc::new(SystemClock)).await.unwrap();
    let connection = connection_string(endpoint.local_addr().unwrap());
    tokio::spawn(endpoint.run(std::future::pending()));
    Served { connection, _folder: folder }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_bus_is_looked_at_and_nothing_is_taken() {
    let bus = service_bus(&topology(&config())).await;
    let connection = ConnectionString::parse(&bus.connection).unwrap();
    let options = ServiceBusClientOptions::default();
    let client = ServiceBusClient::from_connection_string(connection, Arc::new(SystemClock), options);
    let properties: Properties = [("channel".into(), "sms".into())].into();
    let message = Message {
        message_id: "m".into(),
        content_type: None,
        correlation_id: None,
        subject: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: Bytes::from_static(b"{}"),
    };
    client.publish("callbacks", message).await.unwrap();

    let told = doctor_of_an_app(&[("SLUICE_BUS", "service-bus"), ("ServiceBusConnection", &bus.connection)]).await;
    told.is_healthy();
    told.has(&["ok", "bus", "Service", "Bus"], "plain TCP, an emulator), with the key of a connection string");
    told.has(&["ok", "bus", "topic", "callbacks"], "nothing was sent");
    told.has(&["ok", "bus", "topic", "deliveries"], "");
    for subscription in ["callbacks/sms", "callbacks/email", "callbacks/voice", "deliveries/deliver"] {
        told.has(&["ok", "bus", "subscription", subscription], "nothing was taken");
    }
    told.has(&["ok", "triggers", "ServiceBusConnection"], "process-sms");
    told.has(&["ok", "triggers", "AzureWebJobsStorage"], "");

    let mut receiver = client.create_receiver_for_subscription("callbacks", "sms", SubQueue::None);
    let received = receiver.receive_messages(10, Duration::from_millis(500)).await.unwrap();
    assert_eq!(received.len(), 1, "one message, and nothing of the doctor's");
    assert_eq!(received[0].delivery_count, 1, "it was never given to anybody before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_or_a_subscription_that_does_not_exist_is_named() {
    let mut topology = topology(&config());
    topology.topics.retain(|topic| topic.name == "callbacks");
    topology.topics[0].subscriptions.retain(|subscription| subscription.name != "voice");
    let bus = service_bus(&topology).await;
    let told = doctor_of_an_app(&[("SLUICE_BUS", "service-bus"), ("ServiceBusConnection", &bus.connection)]).await;
    told.is_ill();
    told.has(&["ok", "bus", "subscription", "callbacks/sms"], "");
    told.has(&["FAIL", "bus", "subscription", "callbacks/voice"], "does not exist");
    told.has(&["FAIL", "bus", "topic", "deliveries"], "does not exist");
    told.has_advice("terraform apply");
}

#[tokio::test]
async fn a_bus_that_nobody_serves_is_told() {
    let connection = connection_string(nobody());
    let told = doctor_of_an_app(&[("SLUICE_BUS", "service-bus"), ("ServiceBusConnection", &connection)]).await;
    told.is_ill();
    told.has(&["FAIL", "bus", "reach"], "refuses a connection");
    told.has_advice("Nothing listens there");

    let nowhere = "Endpoint=sb://no-such-host.invalid;SharedAccessKeyName=n;SharedAccessKey=topsecret";
    let told = doctor_of_an_app(&[("SLUICE_BUS", "service-bus"), ("ServiceBusConnection", nowhere)]).await;
    told.is_ill();
    told.has(&["FAIL", "bus", "reach"], "no-such-host.invalid");
    assert!(!told.page.contains("topsecret"), "{}", told.page);
}

#[tokio::test]
async fn services_that_take_connections_and_never_answer_are_told_in_time() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = silent.local_addr().unwrap();
    let cosmos = format!("AccountEndpoint=http://{address}/;AccountKey=a2V5");
    let blobs = format!("AccountName=a;AccountKey=a2V5;BlobEndpoint=http://{address}/a");
    let started = Instant::now();
    let told = doctor_of_an_app(&[
        ("SLUICE_BUS", "service-bus"),
        ("ServiceBusConnection", &connection_string(address)),
        ("SLUICE_DOCUMENTS", "cosmos"),
        ("CosmosConnection", &cosmos),
        ("SLUICE_BLOBS", "azure"),
        ("BlobConnection", &blobs),
    ])
    .await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    told.is_ill();
    told.has(&["ok", "bus", "reach"], "connects");
    told.has(&["FAIL", "bus", "AMQP"], "takes the connection and then gives no answer within 4 s");
    told.has(&["FAIL", "documents", "HTTP"], "no answer within 4 s");
    told.has(&["FAIL", "blobs", "HTTP"], "no answer within 4 s");
}

#[tokio::test]
async fn a_connection_that_only_the_triggers_lack_is_named_with_its_functions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sluice.toml");
    let text = std::fs::read_to_string(Path::new(ROOT).join("sluice.toml")).unwrap();
    std::fs::write(&path, text.replace("connection = \"ServiceBusConnection\"", "connection = \"OtherConnection\""))
        .unwrap();
    let mut settings = function_settings();
    settings.remove("ServiceBusConnection");
    settings.remove("AzureWebJobsStorage");
    settings.insert("CALLBACKS_TOPIC".into(), "elsewhere".into());
    settings.extend(owned(&[("SLUICE_BUS", "service-bus"), ("OtherConnection", &connection_string(nobody()))]));
    let mut other = command(settings, folder.path());
    other.arg("--config").arg(&path);
    let told = run(other).await;
    told.is_ill();
    told.has(&["FAIL", "triggers", "ServiceBusConnection"], "process-email, process-sms, process-voice");
    told.has_advice("ServiceBusConnection__fullyQualifiedNamespace");
    told.has(&["FAIL", "triggers", "AzureWebJobsStorage"], "the host itself");
    told.has(&["FAIL", "triggers", "subscription"], "listens to elsewhere/sms");
}

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
