//! `sluice erase`, as an operator types it, beside a server at work.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::io::AsyncWriteExt;

use crate::{
    find::{Needles, in_files},
    seed::{MAIL, PHONE, ana, app, everywhere},
    server::{Server, stderr, stdout},
    support::{TestApp, receipt},
    world::PATH,
};

/// A data folder that a killed server left, with Ana everywhere.
async fn left_behind() -> tempfile::TempDir {
    let app = app();
    everywhere(&app).await;
    for index in 0..300 {
        app.twilio(PATH, &receipt(&format!("SX{index}"), "delivered")).await;
    }
    app.process("sms").await;
    let TestApp { folder, .. } = app;
    folder
}

fn remains(folder: &Path, needles: &[Needles]) -> Vec<std::path::PathBuf> {
    in_files(folder, needles)
}

#[tokio::test]
async fn it_counts_asks_erases_and_reports_while_the_server_works_and_after_it_was_killed() {
    let folder = left_behind().await;
    let server = Server::start(folder.path()).await;
    let dry = stdout(&server.sluice(&["erase", "--recipient", PHONE, "--dry-run"]).await);
    assert!(dry.contains("nothing is changed") && dry.contains("ledger") && dry.starts_with("tok_"), "{dry}");
    let unasked = server.sluice(&["erase", "--recipient", PHONE]).await;
    assert_eq!(unasked.status.code(), Some(1));
    assert!(
        stderr(&unasked).contains("This cannot be undone. Nobody is here to ask: say --yes"),
        "{}",
        stderr(&unasked)
    );
    let wrong = server.sluice(&["erase", "--recipient", "12345", "--yes"]).await;
    assert!(stderr(&wrong).contains("must be an e-mail address, or a phone number"), "{}", stderr(&wrong));
    assert!(!remains(folder.path(), &ana()).is_empty());

    // Cut off by SIGKILL some time after it has begun, several times, while vendors send.
    let load = ["simulate", "--vendor", "twilio", "--count", "400", "--rate", "100"];
    let url = server.url.clone();
    let sending = tokio::spawn(async move { simulate(&url, &load).await });
    let mut server = server;
    for pause in [2_600, 3_000, 3_400] {
        let (url, folder_path) = (server.url.clone(), folder.path().to_owned());
        let erasing =
            tokio::spawn(async move { crate::server::sluice(&url, &["erase", "--recipient", PHONE, "--yes"]).await });
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.kill();
        drop(erasing.await);
        server = Server::start(&folder_path).await;
    }
    drop(sending.await);

    let report = stdout(&server.sluice(&["erase", "--recipient", PHONE, "--yes"]).await);
    assert!(report.contains("documents.sqlite is rewritten") && report.contains("Out of reach:"), "{report}");
    let json = stdout(&erase_from_stdin(&server.url, MAIL).await);
    let erasure: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(erasure["state"], "done", "{json}");
    let audit = stdout(&server.sluice(&["audit", "list"]).await);
    assert!(audit.contains("  ana  people.erase  tok_") && audit.contains("done"), "{audit}");
    for said in [&dry, &report, &json, &audit] {
        assert!(!ana().iter().any(|needles| needles.are_in(said.as_bytes())), "{said}");
    }
    let found = remains(folder.path(), &ana());
    assert!(found.is_empty(), "while it runs: {found:?}");
    server.kill();
    let found = remains(folder.path(), &ana());
    assert!(found.is_empty(), "after it: {found:?}");
}

/// `--recipient -`, so that the address is in no process list.
async fn erase_from_stdin(url: &str, address: &str) -> std::process::Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sluice"));
    let root = env!("CARGO_MANIFEST_DIR");
    command.args(["erase", "--recipient", "-", "--yes", "--json", "--url", url, "--as", "ana", "--root", root]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{address}\n").as_bytes()).await.unwrap();
    child.wait_with_output().await.unwrap()
}

/// Vendors that find nobody at home try again, or give up: what they say is not looked at.
async fn simulate(url: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).args(["--url", url, "--root", env!("CARGO_MANIFEST_DIR")]).stdin(Stdio::null());
    command.output().await.unwrap()
}
