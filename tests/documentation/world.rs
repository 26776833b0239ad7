//! A one-machine system with something of everything in it, and a folder that looks like a checkout.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{commands, root};

/// Exits with 1 by design: the request that it explains is a refused one.
const REFUSED: &str = "tests/captures/twilio-signed-http.trace";

pub struct World {
    server: Child,
    /// Where commands run: what they read is the project's, what they write is gone afterwards.
    checkout: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A partner that wants nothing: what it is owed is parked.
fn partner() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 65536];
            if stream.read(&mut request).is_ok() {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok();
            }
        }
    });
    port
}

impl World {
    pub fn start() -> Self {
        let checkout = tempfile::tempdir().unwrap();
        let at = |path: &str| checkout.path().join(path);
        for name in ["host.json", "functions", "sluice.toml", "tests", "local.settings.json.example", "compose.yaml"] {
            symlink(root().join(name), at(name)).unwrap();
        }
        for folder in ["target/release", "bin", "terraform/modules/topology", "emulators"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        let program = Path::new(env!("CARGO_BIN_EXE_sluice"));
        symlink(program, at("target/release/sluice")).unwrap();
        symlink(program, at("bin/sluice")).unwrap();

        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let server = Command::new(program)
            .args(["--port", &port.to_string(), "--root"])
            .arg(root())
            .arg("--data")
            .arg(at(".sluice"))
            .env("RUST_LOG", "warn")
            .env_remove("FUNCTIONS_CUSTOMHANDLER_PORT")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
        let settings = vec![
            ("PATH", path),
            ("SLUICE_ADMIN_URL", url.clone()),
            ("SLUICE_ADMIN_KEY", "demo-admin-key-not-a-secret".to_owned()),
        ];
        let mut world = Self { server, checkout, settings };
        world.wait("the server", |world| world.try_line("sluice parked list").status.success());
        world.fill(&url);
        world
    }

    /// Callbacks, a partner, and deliveries that it refused.
    fn fill(&mut self, url: &str) {
        let add = format!("sluice partners add contoso --endpoint http://127.0.0.1:{}/ --allow-internal", partner());
        self.line(&add);
        self.line(&format!("sluice simulate --url {url} --vendor twilio --count 20 --verify"));
        self.wait("something is parked", |world| world.parked().is_some());
        let parked = self.parked().unwrap();
        let text = |pointer: &str| parked.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let id = text("/id").expect("a parked record has an id");
        let key = text("/message_key").or_else(|| text("/key")).expect("a parked delivery tells its message");
        self.settings.extend([("ID", id), ("KEY", key), ("PARTNER", "contoso".to_owned()), ("URL", url.to_owned())]);
    }

    fn parked(&self) -> Option<Value> {
        let listed: Value = serde_json::from_str(&self.line("sluice parked list --json")).unwrap();
        listed.pointer("/records/0").or_else(|| listed.pointer("/0")).cloned()
    }

    fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !done(self) {
            assert!(started.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn try_line(&self, line: &str) -> Output {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", line]).current_dir(self.checkout.path()).stdin(Stdio::null());
        command.env_remove("FUNCTIONS_CUSTOMHANDLER_PORT").env_remove("SLUICE_DATA").env_remove("SLUICE_CONFIG");
        command.envs(self.settings.iter().map(|(name, value)| (name, value))).output().unwrap()
    }

    fn line(&self, line: &str) -> String {
        let output = self.try_line(line);
        assert!(output.status.success(), "{line}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command as its reader would.
    ///
    /// # Errors
    /// It did not do what the page promises; with what it said.
    pub fn run(&self, command: &commands::Command) -> Result<(), String> {
        let output = self.try_line(&command.text);
        let expected = i32::from(command.text.contains(REFUSED));
        match output.status.code() == Some(expected) {
            true => Ok(()),
            false => Err(told(&output)),
        }
    }
}

fn told(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
