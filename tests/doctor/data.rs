//! The data folder of what is embedded.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::http::StatusCode;

use crate::world::{ROOT, doctor};

#[tokio::test]
async fn a_new_folder_is_healthy_and_nothing_is_made_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let told = doctor(&[], folder.path()).await;
    told.is_healthy();
    told.has(&["ok", "data", "folder"], "can be written");
    told.has(&["ok", "data", "disk"], "free");
    told.has(&["ok", "functions", "folders"], "process-sms");
    told.has(&["warn", "config", "profile"], "public");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let told = doctor(&[], &folder.path().join("not/yet")).await;
    told.is_healthy();
    told.has(&["ok", "data", "folder"], "does not exist yet");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn it_runs_beside_a_server_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_sluice"));
    server.args(["--root", ROOT, "--port", "0", "--data"]).arg(folder.path()).env("RUST_LOG", "warn");
    let mut server = Server(server.env_remove("FUNCTIONS_CUSTOMHANDLER_PORT").stdout(Stdio::piped()).spawn().unwrap());
    // It prints where it listens once everything is in place.
    let mut line = String::new();
    let mut printed = BufReader::new(server.0.stdout.take().unwrap());
    printed.read_line(&mut line).unwrap();
    let url = line.split_whitespace().last().unwrap().to_owned();

    let told = doctor(&[], folder.path()).await;
    told.is_healthy();
    let owner = format!("in use by a running server (process {})", server.0.id());
    told.has(&["ok", "data", "broker.sqlite"], &owner);
    told.has(&["ok", "data", "documents.sqlite"], &owner);
    told.has(&["ok", "data", "broker"], "subscriptions, 0 messages wait");
    told.has(&["ok", "data", "documents"], "can be read");
    assert_eq!(reqwest::get(format!("{url}/health")).await.unwrap().status(), StatusCode::OK);

    drop((server, printed));
    let told = doctor(&[], folder.path()).await;
    told.is_healthy();
    told.has(&["ok", "data", "broker.sqlite"], "not in use");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told() {
    // Nobody can make a file there, not even root.
    let told = doctor(&[], Path::new("/proc")).await;
    told.is_ill();
    told.has(&["FAIL", "data", "folder"], "/proc cannot be written");
    told.has_advice("another folder with --data");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let told = doctor(&[], &file).await;
    told.is_ill();
    told.has(&["FAIL", "data", "folder"], "cannot be written");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("documents.sqlite"), "no database at all, but long enough to be one".repeat(40))
        .unwrap();
    let told = doctor(&[], folder.path()).await;
    told.is_ill();
    told.has(&["FAIL", "data", "documents"], "");
    told.has_advice("damaged, or from a newer version");
}

#[tokio::test]
async fn a_disk_that_hangs_is_told_in_time() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broker.sqlite"), "").unwrap();
    // Whoever opens it waits for a writer that never comes.
    let made = Command::new("mkfifo").arg(folder.path().join("broker.sqlite.lock")).status().unwrap();
    assert!(made.success());
    let started = Instant::now();
    let told = doctor(&[], folder.path()).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    told.is_ill();
    told.has(&["FAIL", "data", "folder"], "no answer within 4 s");
}
