//! The executable as the one-machine system, in a process of its own that can be killed, stopped and starved.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, kill_process_group, prlimit};

pub const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Variables of the executable's environment.
pub type Settings = [(&'static str, String)];

/// How long a start may take: a debug build on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(40);

/// A child that is killed with SIGKILL when it is dropped: no handler runs, nothing is flushed.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(command.env_remove("FUNCTIONS_CUSTOMHANDLER_PORT").spawn().unwrap())
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// How it ended, where it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn end(&mut self, limit: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(began.elapsed() < limit, "it does not stop");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Refuses to let any of its files grow beyond this size, as a full disk would; `None` gives the space back.
    pub fn limit_files(&self, bytes: Option<u64>) {
        prlimit(Some(self.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs a command to its end. One that does not end in time is killed with everything that it has started, which its status
/// tells: a test that waits for ever names no command.
pub fn finished(command: &mut Command, limit: Duration) -> Output {
    let child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let group = Pid::from_child(&child);
    let (done, end) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            kill_process_group(group, Signal::KILL).ok();
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    watch.join().unwrap();
    output
}

/// A running one-machine system.
pub struct Server {
    pub process: Process,
    pub port: u16,
    pub data: PathBuf,
}

impl Server {
    /// Starts it and waits for its first answer.
    pub fn start(data: &Path, port: u16, settings: &Settings) -> Self {
        let mut command = command(data, port, settings);
        let mut server = Self { process: Process::start(&mut command), port, data: data.to_owned() };
        server.wait_until_up();
        server
    }

    pub fn wait_until_up(&mut self) {
        let started = Instant::now();
        while !is_up(self.port) {
            assert!(self.process.ended().is_none(), "the server stopped by itself");
            assert!(started.elapsed() < PATIENCE, "the server does not listen");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// How the one-machine system is started.
pub fn command(data: &Path, port: u16, settings: &Settings) -> Command {
    let mut command = Command::new(SLUICE);
    command
        .args(["--root", ROOT, "--port", &port.to_string(), "--data"])
        .arg(data)
        .env("RUST_LOG", "warn")
        .envs(settings.iter().cloned())
        .stdout(Stdio::null());
    command
}

/// An answer, not a connection: the port is bound before everything is in place.
pub fn is_up(port: u16) -> bool {
    answer(port, "/health").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The whole answer to a GET, with its head; `None` where there is none.
pub fn answer(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut answer = String::new();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer)).ok()?;
    Some(answer)
}

/// A port that a killed server finds free again: below those that the system hands out by itself, where whoever connects in
/// the meantime could get it.
pub fn free_port() -> u16 {
    loop {
        let port = rand::random_range(10_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Runs the program to its end; returns what it printed.
pub fn run(settings: &Settings, arguments: &[&str]) -> String {
    let output =
        Command::new(SLUICE).envs(settings.iter().cloned()).args(arguments).args(["--root", ROOT]).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
