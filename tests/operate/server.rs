//! The executable, as somebody starts it, and its commands.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub const KEY: &str = "demo-admin-key-not-a-secret";

/// A running server; killed when it is dropped.
pub struct Server {
    process: Child,
    pub url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Server {
    /// The one-machine system.
    pub async fn start(data: &Path) -> Self {
        Self::start_with(data, |_| {}).await
    }

    pub async fn start_with(data: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command
            .args(["--root", env!("CARGO_MANIFEST_DIR"), "--port", &port.to_string(), "--data"])
            .arg(data)
            .env("RUST_LOG", "warn")
            .env_remove("FUNCTIONS_CUSTOMHANDLER_PORT")
            .stdout(Stdio::null());
        change(&mut command);
        Self::listening(command, port).await
    }

    /// The custom handler, as `func start` runs it.
    pub async fn serve(data: &Path) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command
            .arg("serve")
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .env("FUNCTIONS_APP_ROOT_PATH", env!("CARGO_MANIFEST_DIR"))
            .env("SLUICE_DATA", data)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null());
        Self::listening(command, port).await
    }

    async fn listening(mut command: Command, port: u16) -> Self {
        let server = Self { process: command.spawn().unwrap(), url: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while reqwest::get(format!("{}/health", server.url)).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "the server does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The most memory that it had so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// `sluice ...` against this server.
    pub async fn sluice(&self, arguments: &[&str]) -> Output {
        sluice(&self.url, arguments).await
    }
}

/// `sluice ... --url URL`, with the demo profile's key.
pub async fn sluice(url: &str, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .args(arguments)
        .args(["--url", url, "--as", "ana", "--root", env!("CARGO_MANIFEST_DIR")])
        .env_remove("SLUICE_ADMIN_KEY")
        .stdin(Stdio::null());
    command.output().await.unwrap()
}

pub fn stdout(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", stderr(output));
    text
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
