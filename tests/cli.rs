//! The command line, as somebody at a terminal meets it.

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use support::{
    TestApp, config,
    server::{Process, ROOT, SLUICE, Server, free_port},
};

fn sluice(app: &TestApp, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .args(arguments)
        .args(["--root", env!("CARGO_MANIFEST_DIR"), "--data"])
        .arg(app.folder.path())
        .env_remove("FUNCTIONS_CUSTOMHANDLER_PORT")
        .stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An app whose ledger has a bounce.
async fn bounced() -> TestApp {
    let app = TestApp::with(config(&[(
        "[vendors.resend]\nscheme = \"standard-webhooks\"",
        "[vendors.resend]\nscheme = \"none\"",
    )]));
    let body = r#"{"type":"email.bounced","data":{"email_id":"m1","to":["ana@example.com"],
                   "bounce":{"message":"550 5.1.1 <ana@example.com>: no such user"}}}"#;
    let request = Request::post("/incoming/resend/email/events").body(Body::from(body)).unwrap();
    assert_eq!(app.send(request).await.status(), StatusCode::OK);
    assert_eq!(app.process("email").await, 1);
    app
}

#[tokio::test]
async fn show_names_people_only_when_asked_to() {
    let app = bounced().await;
    let hidden = sluice(&app, &["show", "resend:m1"]).output().unwrap();
    let hidden = String::from_utf8(hidden.stdout).unwrap();
    assert!(hidden.contains("message.bounced") && hidden.contains("to tok_"), "{hidden}");
    assert!(!hidden.contains("ana@example.com"), "{hidden}");
    let revealed = sluice(&app, &["show", "resend:m1", "--reveal"]).output().unwrap();
    let revealed = String::from_utf8(revealed.stdout).unwrap();
    assert!(revealed.contains("to ana@example.com") && revealed.contains("no such user"), "{revealed}");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let app = bounced().await;
    for arguments in [&["show", "resend:m1"][..], &["status"], &["status", "--json"]] {
        let mut child = sluice(&app, arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{arguments:?}");
    }
}

#[tokio::test]
async fn a_port_that_is_none_is_told_instead_of_listening_where_nobody_calls() {
    let app = TestApp::start();
    let output = sluice(&app, &[]).env("FUNCTIONS_CUSTOMHANDLER_PORT", "http").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("FUNCTIONS_CUSTOMHANDLER_PORT is `http`"), "{}", stderr(&output));
}

#[tokio::test]
async fn check_tells_of_a_secret_that_is_no_key() {
    let app = TestApp::start();
    let check = |value: &str| {
        let output = sluice(&app, &["check"]).env("SENDGRID_PUBLIC_KEY", value).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = check("MFkw-half-a-key");
    assert_eq!(code, Some(1));
    assert!(told.contains("vendors.sendgrid.secrets[0] is not base64") && !told.contains("half-a-key"), "{told}");
    assert_eq!(check("").0, Some(0), "the demo profile's own");
}

#[tokio::test]
async fn vendors_tells_the_urls_the_rules_and_what_is_missing() {
    let app = TestApp::start();
    let output = sluice(&app, &["vendors"]).output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("http://127.0.0.1:7071/incoming/twilio/sms/"), "{report}");
    assert!(report.contains("#rc=5&rp=all") && report.contains("15 s in all"), "{report}");
    assert!(report.contains("not configured") && report.contains("telnyx"), "{report}");

    let output = sluice(&app, &["vendors", "--json"])
        .env("SLUICE_PROFILE", "production")
        .env("TWILIO_AUTH_TOKEN", "token")
        .output()
        .unwrap();
    let vendors: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| vendors.as_array().unwrap().iter().find(|vendor| vendor["vendor"] == name).unwrap().clone();
    assert_eq!([&of("twilio")["priority"], &of("sendgrid")["priority"]], ["high", "low"]);
    assert_eq!(of("twilio")["missing"], serde_json::json!([]));
    assert_eq!(of("sendgrid")["missing"], serde_json::json!(["SENDGRID_PUBLIC_KEY"]));
}

#[tokio::test]
async fn status_tells_of_the_documents_where_the_bus_is_service_bus() {
    let app = bounced().await;
    // No embedded broker is beside documents whose bus is elsewhere.
    std::fs::remove_file(app.folder.path().join("broker.sqlite")).unwrap();
    let status = |arguments: &[&str]| {
        let mut command = sluice(&app, arguments);
        let connection =
            "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=a2V5;UseDevelopmentEmulator=true";
        command.env("SLUICE_BUS", "service-bus").env("ServiceBusConnection", connection).output().unwrap()
    };
    let output = status(&["status"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(text.contains("subscriptions are in Service Bus") && text.contains("parked 0"), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&status(&["status", "--json"]).stdout).unwrap();
    assert_eq!((&json["subscriptions"], &json["spool"]), (&serde_json::Value::Null, &0.into()));
}

/// A run of `sluice bench` with its data in `folder`, and what it wrote as JSON.
fn bench(folder: &Path, data: &str, arguments: &[&str]) -> (Output, serde_json::Value) {
    let json = folder.join("bench.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args([
        "bench",
        "--vendor",
        "twilio",
        "--seconds",
        "1",
        "--seed",
        "1",
        "--root",
        env!("CARGO_MANIFEST_DIR"),
    ]);
    command.arg("--data").arg(folder.join(data)).arg("--json").arg(&json).args(arguments);
    // Set, it would make the server a handler that waits for its host.
    let output = command.env("FUNCTIONS_CUSTOMHANDLER_PORT", "1").output().unwrap();
    let report = std::fs::read(&json).unwrap_or_else(|_| panic!("no report: {}", stderr(&output)));
    (output, serde_json::from_slice(&report).unwrap())
}

#[test]
fn bench_measures_a_server_of_its_own_verifies_it_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (output, report) =
        bench(folder.path(), "data", &["--connections", "2", "--pattern", "storm,ramp", "--rate", "40"]);
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{table}{}", stderr(&output));
    let loads = report["loads"].as_array().unwrap();
    let names: Vec<_> = loads.iter().map(|load| load["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["c=2", "storm", "ramp"]);
    for load in loads {
        assert_eq!(load["kept"], true, "{load}");
        assert!(load["acked"].as_u64().unwrap() > 0 && load["verdict"]["found"].as_u64().unwrap() > 0, "{load}");
        assert!(load["cpu_us"].as_f64().unwrap() > 0.0 && load["rss_mb"].as_f64().unwrap() > 1.0, "{load}");
        assert!(table.contains(load["name"].as_str().unwrap()), "{table}");
    }
    // 14 of a storm's 40 requests are different ones, and by this seed one of them is a reply of STOP: two events.
    assert_eq!((&loads[1]["sent"], &loads[1]["verdict"]["owed"]), (&40.into(), &15.into()));
    assert_eq!((&loads[2]["asked"], &loads[2]["sent"]), (&100.0.into(), &100.into()));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["bench.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_finds_out_a_system_that_acknowledges_and_forgets() {
    let app = TestApp::start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, axum::Router::new().fallback(async || StatusCode::OK)).await });
    let run = move || {
        let folder = app.folder.path();
        bench(folder, "", &["--url", &url, "--pattern", "steady", "--rate", "20", "--verify-timeout", "1s"])
    };
    let (output, report) = tokio::task::spawn_blocking(run).await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    let load = &report["loads"][0];
    // A reply of STOP has two events, so more may be owed than the 20 that were sent.
    let owed = load["verdict"]["owed"].as_u64().unwrap();
    assert!(owed >= 20 && table.contains("NOT KEPT") && table.contains(&format!("lost: {owed}, ")), "{table}");
    assert_eq!((&load["kept"], &load["sent"], &load["cpu_us"]), (&false.into(), &20.into(), &serde_json::Value::Null));
}

#[test]
fn more_connections_are_served_than_the_shell_allows_files() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -Sn 128; exec \"$0\" \"$@\"", SLUICE, "--root", ROOT]);
    command.args(["--port", &port.to_string(), "--data"]).arg(folder.path()).stdout(Stdio::null());
    let process = Process::start(&mut command);
    let mut server = Server { process, port, data: folder.path().to_owned() };
    server.wait_until_up();
    let mut connections: Vec<_> =
        (0..300).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap()).collect();
    for stream in &mut connections {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }
}
