//! What is deployed: a broker, instances of the handler, the stand-in for the Functions host of each; processes to kill.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::Client;
use sluice::{
    azure::service_bus::{ConnectionString, ReceivedMessage, ServiceBusClient, ServiceBusClientOptions, SubQueue},
    clock::SystemClock,
    documents::{Container, Query, SharedDocuments},
    local::{amqp::connection_string, broker::read_depths, engine::open_read_only},
};
use tempfile::TempDir;
use tokio::{net::TcpStream, task::JoinSet};

use crate::support::{
    bus::invocation_of_amqp,
    config,
    cosmos::Emulator,
    folder::quick_folder,
    server::{Process, ROOT, SLUICE, free_port},
};

/// Also for what was held by several brokers that were killed: it waits for its lock, 60 s.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often the timer of functions/sweep-retries fires.
const SWEEP: Duration = Duration::from_secs(5);

/// Where the handler's documents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In Cosmos DB's emulator, which copies a whole physical partition for each commit: too slow for great load.
    InCosmos,
    /// In the handler's data folder.
    Embedded,
}

/// Everything that a callback passes on its way.
pub struct World {
    pub emulator: Option<Emulator>,
    instances: Vec<Instance>,
    /// The configuration of all processes.
    config: PathBuf,
    broker: SocketAddr,
    broker_process: Option<Process>,
    folder: TempDir,
    /// The host's triggers.
    triggers: JoinSet<()>,
}

/// A handler.
struct Instance {
    port: u16,
    process: Option<Process>,
}

impl Instance {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl World {
    pub async fn start(documents: Kept) -> Self {
        Self::with(documents, 1, &Path::new(ROOT).join("sluice.toml")).await
    }

    /// So many instances of the handler, each with triggers and a timer of its own. Documents in a folder are one
    /// instance's alone.
    pub async fn with(documents: Kept, instances: usize, config: &Path) -> Self {
        let folder = quick_folder();
        // The broker's process must not process anything: its host finds no function but this one.
        let functions = folder.path().join("root/functions/health");
        std::fs::create_dir_all(&functions).unwrap();
        for file in ["host.json", "functions/health/function.json"] {
            std::fs::copy(Path::new(ROOT).join(file), folder.path().join("root").join(file)).unwrap();
        }
        let mut world = Self {
            emulator: match documents {
                Kept::InCosmos => Some(Emulator::http().with_containers()),
                Kept::Embedded => None,
            },
            instances: (0..instances).map(|_| Instance { port: free_port(), process: None }).collect(),
            config: config.to_owned(),
            broker: (Ipv4Addr::LOCALHOST, free_port()).into(),
            broker_process: None,
            folder,
            triggers: JoinSet::new(),
        };
        world.start_broker().await;
        for instance in 0..instances {
            world.start_handler(instance).await;
            for function in ["process-sms", "process-email", "process-voice"] {
                world.triggers.spawn(trigger(function, world.client(), world.handler(instance)));
            }
            world.triggers.spawn(timer(world.handler(instance)));
        }
        world
    }

    pub fn kill_broker(&mut self) {
        self.broker_process.take().expect("it runs");
    }

    pub async fn start_broker(&mut self) {
        let mut command = Command::new(SLUICE);
        command.args(["--port", "0", "--root"]).arg(self.folder.path().join("root"));
        command.arg("--config").arg(&self.config);
        command.args(["--amqp", &self.broker.to_string()]).arg("--data").arg(self.broker_data());
        self.broker_process = Some(Process::start(quiet(&mut command)));
        let began = Instant::now();
        while TcpStream::connect(self.broker).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "the broker does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Where vendors send to.
    pub fn handler(&self, instance: usize) -> String {
        self.instances[instance].url()
    }

    /// The process of an instance that runs.
    pub fn process(&self, instance: usize) -> &Process {
        self.instances[instance].process.as_ref().expect("it runs")
    }

    pub fn kill_handler(&mut self, instance: usize) {
        self.instances[instance].process.take().expect("it runs").kill();
    }

    pub async fn start_handler(&mut self, instance: usize) {
        let port = self.instances[instance].port;
        let mut command = Command::new(SLUICE);
        command.args(["serve", "--port", &port.to_string(), "--root", ROOT]);
        command.envs(self.settings());
        self.instances[instance].process = Some(Process::start(quiet(&mut command)));
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "the handler does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What a process needs to know of bus and documents.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("SLUICE_BUS", "service-bus".to_owned()),
            ("ServiceBusConnection", connection_string(self.broker)),
            ("SLUICE_DATA", self.handler_data().display().to_string()),
            ("SLUICE_CONFIG", self.config.display().to_string()),
        ];
        if let Some(emulator) = &self.emulator {
            settings.push(("SLUICE_DOCUMENTS", "cosmos".to_owned()));
            settings.push(("CosmosConnection", emulator.connection_string()));
        }
        settings
    }

    /// What the handler wrote.
    pub fn documents(&self) -> SharedDocuments {
        match &self.emulator {
            Some(emulator) => Arc::new(emulator.documents()),
            None => open_read_only(&self.handler_data(), &config(&[])).unwrap(),
        }
    }

    pub async fn spooled(&self) -> u64 {
        self.documents().count(Container::Spool, &Query::all()).await.unwrap()
    }

    fn client(&self) -> ServiceBusClient {
        let connection = ConnectionString::parse(&connection_string(self.broker)).unwrap();
        let options =
            ServiceBusClientOptions { connect_timeout: Duration::from_secs(2), send_timeout: Duration::from_secs(2) };
        ServiceBusClient::from_connection_string(connection, Arc::new(SystemClock), options)
    }

    fn handler_data(&self) -> PathBuf {
        self.folder.path().join("handler")
    }

    fn broker_data(&self) -> PathBuf {
        self.folder.path().join("broker")
    }

    /// Stops everything; nothing may be left in the broker, nor among its dead letters.
    pub async fn nothing_is_left_in_the_broker(mut self) {
        let began = Instant::now();
        loop {
            let depths = read_depths(&self.broker_data().join("broker.sqlite")).unwrap();
            let left = |count: fn(&sluice::local::broker::Depth) -> u64| depths.iter().map(count).sum::<u64>();
            let (waiting, dead) =
                (left(|depth| depth.active + depth.locked + depth.scheduled), left(|d| d.dead_letters));
            assert_eq!(dead, 0, "{depths:?}");
            if waiting == 0 {
                println!("left in the broker 0, dead letters 0");
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{depths:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.triggers.shutdown().await;
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command.env("RUST_LOG", "off").stdout(Stdio::null())
}

/// A Service Bus trigger, as the Functions host has it: what was received is completed after a 200 and abandoned after
/// anything else, and a handler that is gone is waited for before more is received.
async fn trigger(function: &'static str, client: ServiceBusClient, handler: String) {
    let channel = function.strip_prefix("process-").expect("the functions with triggers are called so");
    let mut receiver = client.create_receiver_for_subscription("callbacks", channel, SubQueue::None);
    let http = Client::new();
    loop {
        let Ok(received) = receiver.receive_messages(32, Duration::from_millis(500)).await else {
            // The broker is gone, and the locks with it.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if received.is_empty() {
            continue;
        }
        let request = http.post(format!("{handler}/{function}")).header("content-type", "application/json");
        let answer = request.body(invocation_of_amqp(function, &received)).send().await;
        let done = answer.as_ref().is_ok_and(|answer| answer.status() == 200);
        let settle = async |message: &ReceivedMessage| match done {
            true => receiver.complete_message(message).await,
            false => receiver.abandon_message(message).await,
        };
        for message in &received {
            // A lock that is lost brings the message back: what was done for it must not be done twice.
            settle(message).await.ok();
        }
        while answer.is_err() && http.get(format!("{handler}/health")).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The timer trigger.
async fn timer(handler: String) {
    let http = Client::new();
    let body = include_str!("../golden/g05_timer_trigger.json");
    loop {
        tokio::time::sleep(SWEEP).await;
        // A sweep that fails, or is killed, is followed by the next one.
        let request = http.post(format!("{handler}/sweep-retries")).header("content-type", "application/json");
        request.body(body).send().await.ok();
    }
}
