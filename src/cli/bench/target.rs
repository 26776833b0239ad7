//! What is measured: a server of our own on temporary data, or a running system.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tempfile::TempDir;
use url::Url;

use super::process::Usage;
use crate::{
    cli::{Places, serve::PORT_VARIABLE},
    config::Config,
    documents::SharedDocuments,
    local::engine,
};

pub(super) struct Target {
    url: Url,
    config: Config,
    data: PathBuf,
    server: Option<Server>,
}

/// A child process, and where it keeps its data; both go when this is dropped. The process goes first: it is declared first.
struct Server {
    process: Process,
    folder: TempDir,
}

/// Killed when dropped: nobody needs what it has.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What decides where a system keeps its things: a server of our own is embedded, whatever the configuration says.
const EMBEDDED: [&str; 3] = ["SLUICE_BUS", "SLUICE_DOCUMENTS", "SLUICE_BLOBS"];
/// How long a server may take to answer its first request.
const START: Duration = Duration::from_secs(30);

impl Target {
    /// The running system at `url`, or a new server, ready.
    ///
    /// # Errors
    /// The server does not start, or the URL or the configuration is unusable.
    pub async fn new(url: Option<Url>, places: &Places) -> anyhow::Result<Self> {
        if let Some(url) = url {
            if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
                bail!("--url {url}: must be an http or https URL without query");
            }
            return Ok(Self { url, config: places.load_config()?, data: places.data.clone(), server: None });
        }
        let config = places.load_config_with(&|name| match EMBEDDED.contains(&name) {
            true => Some("embedded".to_owned()),
            false => std::env::var(name).ok().filter(|value| !value.is_empty()),
        })?;
        let beside = std::path::absolute(&places.data)?;
        let beside = beside.parent().filter(|folder| folder.is_dir()).with_context(|| {
            format!("--data {}: there is no folder to keep temporary data beside it", places.data.display())
        })?;
        let folder = tempfile::Builder::new().prefix(".sluice-bench.").tempdir_in(beside);
        let folder = folder.with_context(|| format!("{} cannot be written to", beside.display()))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let data = folder.path().join("data");
        let process = start(places, &data, port, &folder.path().join("log"))?;
        let mut server = Server { process, folder };
        let url: Url = format!("http://127.0.0.1:{port}").parse()?;
        server.until_ready(&url).await?;
        Ok(Self { url, config, data, server: Some(server) })
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The ledger.
    ///
    /// # Errors
    /// There is none that can be read: what was acknowledged could not be verified.
    pub fn documents(&self) -> anyhow::Result<SharedDocuments> {
        engine::open_read_only(&self.data, &self.config)
            .context("--data must be the data folder of the system at --url")
    }

    /// What the server has used so far; nothing is known of one that somebody else started.
    pub fn usage(&self) -> Usage {
        self.server.as_ref().map(|server| Usage::of(server.process.0.id())).unwrap_or_default()
    }

    /// # Errors
    /// The server has ended, with what it said.
    pub fn alive(&mut self) -> anyhow::Result<()> {
        match &mut self.server {
            Some(server) => server.alive(),
            None => Ok(()),
        }
    }
}

fn start(places: &Places, data: &Path, port: u16, log: &Path) -> anyhow::Result<Process> {
    let log = File::create(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--root").arg(places.root()).arg("--config").arg(places.config_path()).arg("--data").arg(data);
    command.args(["--port", &port.to_string()]).envs(EMBEDDED.map(|name| (name, "embedded")));
    // With it set the program would be the handler of a Functions host; with these, listen where another does.
    command.env_remove(PORT_VARIABLE).env_remove("SLUICE_AMQP");
    if std::env::var_os("RUST_LOG").is_none() {
        command.env("RUST_LOG", "warn");
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(Process(command.spawn().context("the server cannot be started")?))
}

impl Server {
    async fn until_ready(&mut self, url: &Url) -> anyhow::Result<()> {
        let health = url.join("health")?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let began = Instant::now();
        while began.elapsed() < START {
            self.alive()?;
            if client.get(health.clone()).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the server is not ready after {START:?}: {}", self.said())
    }

    fn alive(&mut self) -> anyhow::Result<()> {
        match self.process.0.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server has ended ({status}): {}", self.said()),
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
