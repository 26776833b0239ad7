//! The executable with limits that a test can reach, and vendors who press it.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sluice::{
    clock::{Clock, SystemClock},
    config::{Config, Priority},
    local::documents::LocalDocuments,
    simulate::{Cast, LoadOptions, Outcome, Plan, Progress, Shape, VerifyOptions, send, verify},
};
use tokio::{sync::watch, time::Instant};

const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// A debug build on a machine that is busy with other trials.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the executable is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    OneMachine,
    /// As the Functions host starts it. Nobody triggers its processors.
    Handler,
}

/// A folder with a configuration and data, and perhaps a process that uses them. It is killed with this.
pub struct System {
    folder: tempfile::TempDir,
    process: Option<Child>,
    pub config: Config,
    pub port: u16,
}

impl System {
    /// With the shipped configuration, but for `in_flight` and a vendor of low priority.
    pub fn new(in_flight: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shipped = std::fs::read_to_string(format!("{ROOT}/sluice.toml")).unwrap();
        let text = shipped
            .replace("in_flight = 512", &format!("in_flight = {in_flight}"))
            .replace("[vendors.acme-sms]\n", "[vendors.acme-sms]\npriority = \"low\"\n");
        let path = folder.path().join("sluice.toml");
        std::fs::write(&path, &text).unwrap();
        let config = Config::parse(&path, &text, &|_| None).unwrap();
        assert_eq!((config.ingest.in_flight, config.vendors["acme-sms"].priority()), (in_flight, Priority::Low));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self { folder, process: None, config, port }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub async fn start(&mut self, role: Role) {
        let mut command = self.command();
        match role {
            Role::OneMachine => command.args(["--root", ROOT, "--port", &self.port.to_string()]),
            Role::Handler => command.env("FUNCTIONS_CUSTOMHANDLER_PORT", self.port.to_string()),
        };
        self.process = Some(command.env("RUST_LOG", "error").stdout(Stdio::null()).spawn().unwrap());
        let (client, began) = (reqwest::Client::new(), Instant::now());
        let health = format!("{}/health", self.url());
        while !client.get(&health).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(began.elapsed() < PATIENCE, "it does not answer");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        let pid = process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(process.wait().unwrap().success());
    }

    fn command(&self) -> Command {
        let mut command = Command::new(SLUICE);
        command.env_remove("FUNCTIONS_CUSTOMHANDLER_PORT").env("SLUICE_DATA", self.data());
        command.env("SLUICE_CONFIG", self.folder.path().join("sluice.toml"));
        command
    }

    /// What `sluice status --json` says.
    pub fn status(&self) -> serde_json::Value {
        let output = self.command().args(["status", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.as_ref().unwrap().id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// A vendor's callbacks, in a seeded order.
    pub fn plan(&self, vendor: &str, callbacks: u32, seed: u64) -> Arc<Plan> {
        let cast = Cast::new(&self.config, &[vendor.to_owned()], &|_| None).unwrap();
        let shape = Shape { callbacks, duplicates: 0.0, shuffle: true, seed, started: SystemClock.now() };
        Arc::new(Plan::new(cast.generators, shape))
    }

    /// Sends a plan until it is done or `stop` says so; nothing is sent twice.
    pub async fn press(
        &self,
        plan: &Arc<Plan>,
        connections: usize,
        rate: Option<f64>,
        stop: &watch::Receiver<bool>,
    ) -> Outcome {
        let options = LoadOptions { connections, rate, retries: 0, ..LoadOptions::default() };
        let target = self.url().parse().unwrap();
        let progress = Arc::new(Progress::default());
        send(plan.clone(), &target, &options, Arc::new(SystemClock), progress, stop.clone()).await.unwrap()
    }

    /// Every acknowledged callback has exactly one effect, and what was refused has none.
    pub async fn verify(&self, plan: &Plan, outcome: &Outcome) {
        let documents =
            LocalDocuments::open_read_only(&self.data().join("documents.sqlite"), Arc::new(SystemClock)).unwrap();
        let options = VerifyOptions { timeout: PATIENCE, ..VerifyOptions::default() };
        let verdict = verify(plan, &outcome.obligations, &documents, &options, &|_, _| {}).await.unwrap();
        assert!(verdict.is_clean(), "seed {}: {verdict:?}", plan.shape().seed);
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// The share of requests that were answered 503. Nothing else but 2xx is expected.
pub fn shed(outcome: &Outcome) -> f64 {
    let refused = outcome.refused.get(&503).copied().unwrap_or_default();
    assert_eq!(outcome.acked + refused, outcome.sent, "{:?} {:?}", outcome.refused, outcome.failed);
    refused as f64 / outcome.sent as f64
}
