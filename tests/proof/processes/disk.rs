//! The disk is full while vendors send: they are told so, nothing that they were promised is missing, and everything goes on
//! when there is room again, without a restart.
//!
//! Two ways lead there. A limit on the size of files (`RLIMIT_FSIZE`) works for every user and meets single files: the write
//! fails with `EFBIG`, which SQLite reports as an I/O error. A small file system (tmpfs in a namespace of its own) is full as
//! a disk is: `ENOSPC`, for all files at once, the log among them.

mod door;
mod small;

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use sluice::simulate::LoadOptions;
use tokio::time::{Instant, sleep};

use self::{door::Door, small::SmallDisk};
use super::{documents, is_quiet, status};
use crate::support::{
    load::Vendors,
    server::{Process, ROOT, SLUICE, Server, answer, command, free_port},
};

pub use small::can_mount;

/// Lines about one trouble that somebody still reads.
const FEW: usize = 60;

/// Vendors that take no for an answer: each refusal is one, and is not hidden by an attempt that succeeds later.
fn load() -> LoadOptions {
    LoadOptions { rate: Some(150.0), retries: 0, ..LoadOptions::default() }
}

/// A server whose whole output is in a file.
fn start(data: &Path, log: &Path) -> Server {
    let port = free_port();
    let output = File::create(log).unwrap();
    let mut command = command(data, port, &[]);
    command.stdout(Stdio::from(output.try_clone().unwrap())).stderr(Stdio::from(output));
    let mut server = Server { process: Process::start(&mut command), port, data: data.to_owned() };
    server.wait_until_up();
    server
}

/// Waits until the server says that it is well.
async fn is_well(server: &mut Server) {
    let began = Instant::now();
    while !answer(server.port, "/health").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        assert!(server.process.ended().is_none(), "the server stopped by itself");
        assert!(began.elapsed() < Duration::from_secs(15), "it does not recover");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Both databases are whole, by SQLite's own judgement.
fn is_whole(data: &Path) {
    for file in ["broker.sqlite", "documents.sqlite"] {
        let connection = rusqlite::Connection::open(data.join(file)).unwrap();
        let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "ok", "{file}");
    }
}

pub async fn files_at_their_limit(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let mut server = start(&data, &log);
    let door = Door::new(&server.url());
    let vendors = Vendors::start(&server.url(), seed, load());
    let mut accepted = Vec::new();
    // Nothing at all; less than the files have, so that logs are cut off anywhere; and as far as they may just have got.
    let limits = [0, random.random_range(4096..100_000), random.random_range(100_000..1_500_000), 0];
    for (round, limit) in limits.into_iter().enumerate() {
        sleep(Duration::from_millis(random.random_range(300..1200))).await;
        server.process.limit_files(Some(limit));
        // What was under way when the limit came may have been written before it.
        sleep(Duration::from_millis(200)).await;
        let until = Instant::now() + Duration::from_millis(random.random_range(1500..3000));
        while Instant::now() < until {
            let large = random.random_bool(0.3);
            let sid = format!("SMlimit{round}x{}", accepted.len() + random.random_range(0..1_000_000) * 1000);
            match door.knock(&sid, large).await {
                true => {
                    assert_ne!(limit, 0, "seed {seed}: a 2xx while nothing can be written");
                    accepted.push(sid);
                }
                false => sleep(Duration::from_millis(20)).await,
            }
        }
        if limit == 0 {
            let health = answer(server.port, "/health").unwrap();
            assert!(health.starts_with("HTTP/1.1 503") && health.contains("cannot be written"), "{health}");
        }
        assert!(server.process.ended().is_none(), "seed {seed}: the server ended");
        server.process.limit_files(None);
        is_well(&mut server).await;
        for large in [false, true] {
            let sid = format!("SMwell{round}x{large}");
            assert!(door.knock(&sid, large).await, "seed {seed}: no normal work after round {round}");
            accepted.push(sid);
        }
    }
    let sent = vendors.stop().await;
    let refused = sent.outcome.refused.get(&503).copied().unwrap_or_default();
    println!("answered 503: {refused}, others: {:?} {:?}", sent.outcome.refused, sent.outcome.failed);
    assert!(refused > 0 && sent.outcome.refused.len() == 1 && sent.outcome.failed.is_empty());
    sent.judge(&documents(&data)).await;
    door::are_applied(&documents(&data), &accepted).await;
    is_quiet(|| status(&data)).await;

    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("a limit on the size of files is reached"), "it says what to look for: {log}");
    door::assert_few_lines(&log, FEW);
    server.kill();
    drop(start(&data, &folder.path().join("second")));
    is_whole(&data);
}

/// Everything is on the small disk, the server's output too.
struct OnSmallDisk {
    disk: SmallDisk,
    port: u16,
}

impl OnSmallDisk {
    const DATA: &str = "/mnt/data";

    fn command(&self) -> Command {
        self.disk.inside(&command(Path::new(Self::DATA), self.port, &[]))
    }

    fn start(&self) -> Server {
        let output = File::options().append(true).create(true).open(self.disk.outside("log")).unwrap();
        let mut command = self.command();
        command.stdout(Stdio::from(output.try_clone().unwrap())).stderr(Stdio::from(output));
        let mut server = Server { process: Process::start(&mut command), port: self.port, data: Self::DATA.into() };
        server.wait_until_up();
        server
    }

    /// What a command says about it, whatever its exit code is.
    fn say(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(SLUICE);
        command.args(arguments).args(["--root", ROOT, "--data", Self::DATA]);
        let output = self.disk.inside(&command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// What an operator who looks is told.
    fn is_told(&self) {
        for command in ["status", "doctor"] {
            let said = self.say(&[command]);
            assert!(said.contains("a full disk turns every callback away"), "sluice {command}: {said}");
        }
    }

    /// A server that finds a full disk when it starts works, or says why it does not.
    fn starts_or_says_why_not(&self) {
        let mut command = self.command();
        match small::starts(command.stderr(Stdio::piped()).stdout(Stdio::null()), self.port) {
            Ok(()) => println!("it starts on a full disk"),
            Err(said) => {
                println!("it does not start on a full disk: {said}");
                let why = ["make room", "the disk is full", "No space left on device"];
                assert!(why.iter().any(|why| said.contains(why)), "it does not say why it does not start: {said}");
            }
        }
    }
}

pub async fn disk_full(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let small = OnSmallDisk { disk: SmallDisk::mount(24 << 20), port: free_port() };
    let mut server = small.start();
    let door = Door::new(&server.url());
    let vendors = Vendors::start(&server.url(), seed, load());
    let mut accepted = Vec::new();
    for round in 0..3 {
        sleep(Duration::from_millis(random.random_range(300..1000))).await;
        small.disk.fill();
        // Files have room of their own, which is used up first.
        let (began, mut refused) = (Instant::now(), 0);
        while refused < 30 {
            assert!(began.elapsed() < Duration::from_secs(40), "seed {seed}: a full disk takes callbacks for ever");
            let sid = format!("SMfull{round}x{}", random.random_range(0..1_000_000_000_u32));
            match door.knock(&sid, random.random_bool(0.3)).await {
                true => accepted.push(sid),
                false => refused += 1,
            }
            sleep(Duration::from_millis(20)).await;
        }
        println!("round {round}: {:.1} s until the disk was full", began.elapsed().as_secs_f64());
        assert!(answer(server.port, "/health").is_some_and(|answer| answer.starts_with("HTTP/1.1 ")));
        assert!(server.process.ended().is_none(), "seed {seed}: the server ended");
        small.is_told();
        if round == 1 {
            server.kill();
            small.starts_or_says_why_not();
            small.disk.make_room();
            server = small.start();
        }
        small.disk.make_room();
        is_well(&mut server).await;
        for large in [false, true] {
            let sid = format!("SMwell{round}x{large}");
            assert!(door.knock(&sid, large).await, "seed {seed}: no normal work after round {round}");
            accepted.push(sid);
        }
    }
    let sent = vendors.stop().await;
    println!("refused {:?}, failed {:?}", sent.outcome.refused, sent.outcome.failed);
    assert!(sent.outcome.refused.keys().eq([&503]), "seed {seed}: {:?}", sent.outcome.refused);
    is_quiet(|| small.say(&["status", "--json"])).await;
    server.kill();
    let log = std::fs::read_to_string(small.disk.outside("log")).unwrap();
    assert!(log.contains("make room on the disk that the data folder is on"), "it says what to do: {log}");
    door::assert_few_lines(&log, FEW);
    let copy = tempfile::tempdir().unwrap();
    small.disk.copy("data", copy.path());
    is_whole(copy.path());
    sent.judge(&documents(copy.path())).await;
    door::are_applied(&documents(copy.path()), &accepted).await;
}
