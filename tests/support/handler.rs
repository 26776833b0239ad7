//! The executable as the custom handler, in a process of its own.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;

/// A handler that answers; it is killed with this.
pub struct Handler {
    process: Child,
    pub url: String,
    pub client: Client,
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Handler {
    /// As the host starts it: the port in the environment; with or without the argument of host.json.
    pub async fn start(data: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let process = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(arguments)
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .env("FUNCTIONS_APP_ROOT_PATH", env!("CARGO_MANIFEST_DIR"))
            .env("SLUICE_DATA", data)
            .env("RUST_LOG", "error")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let handler = Self { process, url: format!("http://127.0.0.1:{port}"), client: Client::new() };
        let started = Instant::now();
        // The host asks every 25 ms, and takes any answer as "ready".
        while handler.client.get(&handler.url).send().await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "the handler does not answer GET /");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        handler
    }
}
