//! The official Python library, which shares no code with anything here, and PyNaCl for the algorithm that it does not know.
//! Ignored unless asked for, because they are installed from a package index: `.ci/python-webhooks` runs it.

use std::{path::Path, process::Command};

use axum::http::Method;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sluice::clock::SystemClock;

use crate::{
    support::partner_double::PartnerDouble,
    support::{TestApp, config},
    world::World,
};

const PACKAGES: [&str; 2] = ["standardwebhooks==1.1.0", "pynacl==1.6.2"];

/// Python with the packages, made once.
fn python() -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python-webhooks");
    let python = folder.join("bin/python");
    let has_them = || {
        let check = "import importlib.metadata as m, sys; \
                     sys.exit([f'{p.split(\"==\")[0]}=={m.version(p.split(\"==\")[0])}' for p in sys.argv[1:]] != sys.argv[1:])";
        Command::new(&python).args(["-c", check]).args(PACKAGES).output().is_ok_and(|output| output.status.success())
    };
    if !has_them() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES));
        assert!(has_them(), "{PACKAGES:?} are not there after their installation");
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    print!("{}", text(&output.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "installs the Python library: run .ci/python-webhooks"]
async fn python_verifies_every_form_and_both_secrets_during_a_rotation() {
    let python = tokio::task::spawn_blocking(python).await.unwrap();
    let world = World { app: TestApp::with_clock(config(&[]), std::sync::Arc::new(SystemClock)) };
    let partner = PartnerDouble::start().await;
    let mut captured = Vec::new();
    for format in ["standard-webhooks", "cloudevents-binary", "cloudevents-structured"] {
        let name = format.replace("standard-", "");
        let first = world.partner(&name, &partner.url, json!({ "format": format })).await;
        let (_, shown) = world.ask(Method::GET, &format!("partners/{name}"), Value::Null).await;
        let mut good = vec![first.clone(), shown["public_key"].as_str().unwrap().to_owned()];
        let (_, rotated) = world.ask(Method::POST, &format!("partners/{name}/rotate-secret"), json!({})).await;
        good.extend(["secret", "public_key"].map(|key| rotated[key].as_str().unwrap().to_owned()));
        world.ask(Method::POST, &format!("partners/{name}/test"), json!({})).await;
        let request = partner.seen().pop().unwrap();
        let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers: serde_json::Map<_, _> =
            headers.map(|header| (header.to_owned(), json!(request.header(header)))).into_iter().collect();
        captured.push(json!({ "body": BASE64_STANDARD.encode(&request.body), "headers": headers, "good": good }));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!(captured).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/delivery/python/verify.py");
    let path = file.path().to_owned();
    tokio::task::spawn_blocking(move || run(Command::new(python).arg(script).arg(path))).await.unwrap();
}
