//! The doctor at work, and what somebody reads.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use sluice::{config::Config, local::host::FunctionApp};

use crate::server::finished;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub fn config() -> Config {
    let path = Path::new(ROOT).join("sluice.toml");
    Config::parse(&path, &std::fs::read_to_string(&path).unwrap(), &|_| None).unwrap()
}

/// What a Function App has for its functions, whichever there are.
pub fn function_settings() -> BTreeMap<String, String> {
    let topics = |name: &str| config().default_setting(name).filter(|_| name.ends_with("_TOPIC"));
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
pub struct Told {
    pub code: i32,
    pub page: String,
    pub errors: String,
}

impl Told {
    pub fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap(), page: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// A line that begins with these words, and has this text in it.
    #[track_caller]
    pub fn has(&self, words: &[&str], rest: &str) {
        let begins = |line: &str| line.split_whitespace().collect::<Vec<_>>().starts_with(words);
        let fits = |line: &str| begins(line) && line.contains(rest);
        assert!(self.page.lines().any(fits), "no line {words:?} {rest:?} in\n{}{}", self.page, self.errors);
    }

    #[track_caller]
    pub fn has_advice(&self, text: &str) {
        let mut lines = self.page.lines();
        assert!(lines.any(|line| line.starts_with("        ") && line.contains(text)), "no {text:?} in\n{}", self.page);
    }

    #[track_caller]
    pub fn is_healthy(&self) {
        assert_eq!(self.code, 0, "{}{}", self.page, self.errors);
        assert!(!self.page.contains("FAIL") && self.page.contains("\nhealthy: 0 failed"), "{}", self.page);
    }

    #[track_caller]
    pub fn is_ill(&self) {
        assert_eq!(self.code, 1, "{}{}", self.page, self.errors);
        assert!(self.page.contains("not healthy: "), "{}", self.page);
    }
}

/// Nothing of the tester's own environment but where programs are.
pub fn command(settings: impl IntoIterator<Item = (String, String)>, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(settings);
    command.args(["doctor", "--root", ROOT, "--data"]).arg(data);
    command
}

/// Longer than all that the doctor waits for.
const LIMIT: Duration = Duration::from_secs(120);

pub async fn run(mut command: Command) -> Told {
    Told::of(tokio::task::spawn_blocking(move || finished(&mut command, LIMIT)).await.unwrap())
}

pub async fn doctor(settings: &[(&str, &str)], data: &Path) -> Told {
    run(command(owned(settings), data)).await
}

/// In a Function App, where settings are for all functions.
pub async fn doctor_of_an_app(settings: &[(&str, &str)]) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let mut all = function_settings();
    all.extend(owned(settings));
    run(command(all, folder.path())).await
}

pub fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
