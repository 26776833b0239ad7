//! What a page's reader has at hand: a one-machine system with something of everything in it, and a folder that looks like a
//! checkout. What commands read there is the project's, what they write is gone afterwards.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    doubles::{Doubles, OUTPUTS},
    root,
    server::{self, Process},
};

pub struct World {
    system: System,
    checkout: tempfile::TempDir,
    /// Terraform's outputs, for the pages that ask for them.
    _doubles: Doubles,
    settings: Vec<(&'static str, String)>,
}

/// A one-machine system, and what it said when it started.
pub struct System {
    pub process: Process,
    pub banner: String,
}

impl System {
    /// Starts it, and waits until it is up. Its ports are to be zero: the banner tells which ones it got.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        let output = File::create(log).unwrap();
        let mut process = Process::start(command.stdout(output.try_clone().unwrap()).stderr(output));
        let begun = Instant::now();
        loop {
            let banner = fs::read_to_string(log).unwrap();
            // Its last line.
            if banner.contains(" simulate --url ") && server::is_up(port_of(&banner)) {
                return Ok(Self { process, banner });
            }
            if let Some(status) = process.ended() {
                return Err(format!("{status}\n{banner}"));
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("it is not up\n{banner}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn port(&self) -> u16 {
        port_of(&self.banner)
    }
}

/// More callbacks than a debug build should have in its way for the rest of a page: an erasure reads all of them.
pub const CROWD: &str = "--count 20000";

/// A debug build, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any command of a page takes, even on a machine that is slow.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Whoever tests has settings of their own, perhaps: data that is not to be touched, or services in Azure.
fn forget_settings(command: &mut Command) {
    const SETTINGS: &[&str] = &["SLUICE_", "FUNCTIONS_", "AzureWebJobs", "AZURE_", "OTEL_", "APPLICATIONINSIGHTS_"];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if SETTINGS.iter().any(|begin| text.starts_with(begin)) || text.contains("Connection") {
            command.env_remove(&name);
        }
    }
}

fn port_of(banner: &str) -> u16 {
    let rest = banner.split_once("http://127.0.0.1:").expect("the banner says where it listens").1;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().expect("a port")
}

/// Something at a port of its own that answers every request so.
fn answering(status: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 65536];
            if stream.read(&mut request).is_ok() {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).ok();
            }
        }
    });
    port
}

impl World {
    pub fn start() -> Self {
        let checkout = tempfile::tempdir().unwrap();
        let at = |path: &str| checkout.path().join(path);
        for name in ["host.json", "functions", "tests", "local.settings.json.example", "compose.yaml"] {
            symlink(root().join(name), at(name)).unwrap();
        }
        for folder in ["target/release", "bin", "terraform/modules/topology", "emulators", "home"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let program = Path::new(env!("CARGO_BIN_EXE_sluice"));
        symlink(program, at("target/release/sluice")).unwrap();
        symlink(program, at("bin/sluice")).unwrap();
        // Every event as a row, as the README says it is switched on.
        let shipped = fs::read_to_string(root().join("sluice.toml")).unwrap();
        let config = shipped.replace("\ndestinations = []\n", "\ndestinations = [\"sql\"]\n");
        assert!(config != shipped, "sluice.toml has other destinations");
        fs::write(at("sluice.toml"), config).unwrap();
        // By itself curl takes a refusal for a success, asks a proxy, and waits for ever.
        fs::write(at("home/.curlrc"), "fail\nnoproxy = *\nmax-time = 60\n").unwrap();
        captures(checkout.path());

        let mut command = Command::new(program);
        forget_settings(&mut command);
        command.arg0("target/release/sluice").args(["--port", "0"]).current_dir(&checkout).env("RUST_LOG", "warn");
        let system = System::start(&mut command, &at("log")).unwrap();
        let doubles = Doubles::terraform(OUTPUTS);
        let [(_, path), doubles_folder] = doubles.settings();
        let url = format!("http://127.0.0.1:{}", system.port());
        let settings = vec![
            ("PATH", format!("{}:{path}", at("bin").display())),
            doubles_folder,
            ("CURL_HOME", at("home").display().to_string()),
            ("SLUICE_ADMIN_URL", url),
            ("SLUICE_ADMIN_KEY", "demo-admin-key-not-a-secret".to_owned()),
        ];
        let mut world = Self { system, checkout, _doubles: doubles, settings };
        world.fill();
        world
    }

    /// Callbacks, a partner, and deliveries that it refused.
    fn fill(&mut self) {
        let endpoint = format!("http://127.0.0.1:{}/", answering("400 Bad Request"));
        self.line(&format!("sluice partners add contoso --endpoint {endpoint} --allow-internal"));
        self.fail_deliveries(10);
        let parked = self.parked()[0].clone();
        let text = |pointer: &str| parked.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let id = text("/id").expect("a parked record has an id");
        let key = text("/message_key").or_else(|| text("/key")).expect("a parked delivery tells its message");
        self.settings.extend([("ID", id), ("KEY", key), ("PARTNER", "contoso".to_owned())]);
    }

    fn fail_deliveries(&self, least: usize) {
        self.wait("something is parked", |world| {
            // More each time: a change of a partner takes a moment to be known everywhere.
            world.line(&format!("sluice simulate --url {} --vendor twilio --count 20 --verify", world.url()));
            world.parked().len() >= least
        });
    }

    fn parked(&self) -> Vec<Value> {
        let listed: Value = serde_json::from_str(&self.line("sluice parked list --json")).unwrap();
        let records = listed.get("records").unwrap_or(&listed);
        records.as_array().expect("a list").clone()
    }

    /// What the reader has done by the time of a command, and no command of the page says.
    pub fn prepare(&mut self, command: &str) {
        if command.contains(CROWD) {
            // The partner shall have nothing to do with them.
            self.line("sluice partners update contoso --vendor textly --channel voice");
        }
        if command.contains("partners test acme") {
            // There is no acme.example.com.
            let endpoint = format!("http://127.0.0.1:{}/", answering("200 OK"));
            self.line(&format!("sluice partners update acme --endpoint {endpoint} --allow-internal"));
        }
        if command.contains("\"$REPLAY\"") {
            // One that takes its time: longer than a command may need on a busy machine.
            self.fail_deliveries(40);
            let id = self.line("sluice parked replay --partner contoso --rate 1/s --yes --detach");
            self.settings.push(("REPLAY", id.trim().to_owned()));
        }
    }

    pub fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !done(self) {
            assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.system.port())
    }

    pub fn banner(&self) -> &str {
        &self.system.banner
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.checkout.path().join(name)
    }

    /// A shell that is about to run these lines.
    pub fn shell(&self, lines: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", lines]).current_dir(self.checkout.path()).stdin(Stdio::null());
        forget_settings(&mut command);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    fn line(&self, line: &str) -> String {
        let output = server::finished(&mut self.shell(line), LIMIT);
        assert!(output.status.success(), "{line}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Requests that the reader has captured: refused ones, since they were signed with other secrets than the shipped ones.
fn captures(folder: &Path) {
    let captured = |name: &str| root().join("tests/captures").join(name);
    fs::copy(captured("resend-genuine.raw"), folder.join("request.txt")).unwrap();
    fs::write(folder.join("body"), "MessageSid=SM1&MessageStatus=delivered").unwrap();
    let archives = ["resend-rewritten.har", "sendgrid-final-line-end-lost.har", "twilio-apostrophe-escaped.har"];
    let entries = archives.iter().flat_map(|name| {
        let archive: Value = serde_json::from_slice(&fs::read(captured(name)).unwrap()).unwrap();
        archive["log"]["entries"].as_array().unwrap().clone()
    });
    let entries: Vec<_> = entries.collect();
    fs::write(folder.join("inspector.har"), json!({ "log": { "entries": entries } }).to_string()).unwrap();
}

pub fn told(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
