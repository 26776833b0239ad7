//! `sluice verify` at a terminal.

use std::process::{Command, Output};

use serde_json::{Value, json};
use sluice::documents::Container;

use crate::{
    edit, put,
    support::{TestApp, receipt},
    world::PATH,
};

fn verify(app: &TestApp, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluice"))
        .arg("verify")
        .args(arguments)
        .args(["--root", env!("CARGO_MANIFEST_DIR"), "--data"])
        .arg(app.folder.path())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn the_exit_code_tells_consistent_from_different_from_not_judged() {
    let app = TestApp::start();
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(app.process("sms").await, 1);
    let output = verify(&app, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("\nconsistent; took"), "{}", stdout(&output));
    assert!(output.stderr.is_empty(), "{output:?}");

    edit(&app, Container::Ledger, "twilio:SM1", "status", |status| status["status"] = json!("message.sent")).await;
    let output = verify(&app, &["--settle", "1s"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = stdout(&output);
    assert!(text.contains("1 × a status that does not follow from the events"), "{text}");
    assert!(text.contains("sluice show twilio:SM1") && text.contains("\n1 difference;"), "{text}");
    assert!(!text.contains("2025550143"), "{text}");

    let json: Value = serde_json::from_slice(&verify(&app, &["--json", "--settle", "1s"]).stdout).unwrap();
    assert_eq!(json["findings"]["status_wrong"]["count"], 1, "{json}");
    assert_eq!(json["checked"]["messages"], 1);

    // The test's clock stands in the past: nothing was changed in the last hour.
    let output = verify(&app, &["--since", "1h"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let nowhere = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["verify", "--root", env!("CARGO_MANIFEST_DIR"), "--data"])
        .arg(nowhere.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("sluice: not judged: "), "{output:?}");
}

#[tokio::test]
async fn messages_that_nobody_takes_are_told_from_the_embedded_broker() {
    let app = TestApp::start();
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    let output = verify(&app, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout(&output).contains("callbacks/sms: 1 messages, the oldest since 2026-11-20T"), "{output:?}");
    put(&app, Container::Parked, "bucket-0", "0", &json!({})).await;
    assert!(stdout(&verify(&app, &[])).contains("sluice parked show 0"));
}
