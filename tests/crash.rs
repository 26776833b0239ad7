//! The executable, killed at random moments while vendors send: nothing acknowledged is lost, nothing applied twice.

#[path = "support/cosmos.rs"]
mod cosmos_emulator;

#[path = "support/server.rs"]
mod server;

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use cosmos_emulator::{Emulator, Fault};
use rustix::process::Signal;
use server::{ROOT, SLUICE, Server, Settings, command, free_port, run};

/// What happens besides the kills, after each.
type Mischief<'a> = &'a dyn Fn();

/// Returns the server, which runs on, and its data folder.
fn kill_at_random_moments(
    settings: &Settings,
    count: u32,
    rate: u32,
    mischief: Mischief,
) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let port = free_port();
    let seed = rand::random_range(0..u32::MAX);
    println!("seed {seed}");

    let mut server = Server::start(&data, port, settings);
    let simulation = Command::new(SLUICE)
        .envs(settings.iter().cloned())
        .args(["simulate", "--count", &count.to_string(), "--rate", &rate.to_string()])
        .args(["--duplicates", "0.5", "--shuffle", "--verify"])
        .args(["--url", &format!("http://127.0.0.1:{port}"), "--seed", &seed.to_string(), "--verify-timeout", "120s"])
        .args(["--root", ROOT, "--data"])
        .arg(&data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(rand::random_range(150..700)));
        server.kill();
        server = Server::start(&data, port, settings);
        mischief();
    }
    let output = simulation.wait_with_output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    println!("{report}");
    assert!(output.status.success(), "seed {seed}\n{report}\n{}", String::from_utf8_lossy(&output.stderr));
    for zero in ["lost", "applied twice", "statuses wrong"] {
        let line =
            report.lines().find(|line| line.contains(zero)).unwrap_or_else(|| panic!("no {zero:?} in the report"));
        assert!(line.split_whitespace().any(|word| word == "0"), "{line}");
    }
    (server, folder)
}

#[test]
fn killed_at_random_moments_nothing_acknowledged_is_lost_or_applied_twice() {
    kill_at_random_moments(&[], 6000, 2500, &|| {});
}

#[test]
fn the_same_holds_with_documents_in_cosmos_db_whose_answers_get_lost() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let emulator = runtime.block_on(async { Emulator::http() });
    let settings = [("SLUICE_DOCUMENTS", "cosmos".to_owned()), ("CosmosConnection", emulator.connection_string())];
    let report = run(&settings, &["init-azure"]);
    assert!(report.contains("container ledger: created"), "{report}");
    kill_at_random_moments(&settings, 1200, 400, &|| {
        for (status, after) in [
            (StatusCode::SERVICE_UNAVAILABLE, true),
            (StatusCode::TOO_MANY_REQUESTS, false),
            (StatusCode::REQUEST_TIMEOUT, true),
        ] {
            emulator.fail(Fault { path: "/docs", status, after, delay: Duration::ZERO, times: 20 });
        }
    });
}

#[test]
fn the_same_holds_for_the_rows_of_the_sql_projection() {
    let configuration = tempfile::tempdir().unwrap();
    let path = configuration.path().join("sluice.toml");
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sluice.toml")).unwrap();
    // Locks that a killed server leaves behind run out sooner.
    let changed = shipped
        .replace("destinations = []", "destinations = [\"sql\"]")
        .replace("lock_duration = \"60s\"", "lock_duration = \"11s\"");
    std::fs::write(&path, changed).unwrap();
    let settings = [("SLUICE_CONFIG", path.to_str().unwrap().to_owned())];
    let (_server, folder) = kill_at_random_moments(&settings, 2000, 800, &|| {});

    let data = folder.path().join("data");
    let status = || {
        let text = run(&settings, &["status", "--json", "--data", data.to_str().unwrap()]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let rows = rusqlite::Connection::open(data.join("projection.sqlite")).unwrap();
    let ledger = rusqlite::Connection::open(data.join("documents.sqlite")).unwrap();
    let count = |connection: &rusqlite::Connection, query: &str| {
        connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let started = Instant::now();
    loop {
        let status = status();
        let entities = status["subscriptions"].as_array().unwrap();
        let sql = entities.iter().find(|entity| entity["subscription"] == "deliveries/sql").unwrap();
        assert_eq!(sql["dead_letters"], 0);
        let waiting = ["active", "locked", "scheduled"].iter().map(|name| sql[name].as_i64().unwrap()).sum::<i64>();
        let owed = count(&ledger, "SELECT COUNT(*) FROM document WHERE id LIKE 'out:%'");
        if waiting + owed + status["retries"]["total"].as_i64().unwrap() == 0 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(90), "{waiting} waiting, {owed} owed: {status}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let events = count(&ledger, "SELECT COUNT(*) FROM document WHERE id LIKE 'evt:%'");
    assert!(events > 1000);
    assert_eq!(count(&rows, "SELECT COUNT(*) FROM Events"), events);

    rows.execute("ATTACH ?1 AS ledger", [data.join("documents.sqlite").to_str().unwrap()]).unwrap();
    let messages = count(&ledger, "SELECT COUNT(*) FROM document WHERE id = 'status'");
    let agreeing =
        "SELECT COUNT(*) FROM CurrentStatus JOIN ledger.document ON partition = message_key AND id = 'status'
        WHERE json_extract(body, '$.status') = status AND json_extract(body, '$.events') = events
            AND json_extract(body, '$.opens') = opens AND json_extract(body, '$.clicks') = clicks";
    assert_eq!(count(&rows, agreeing), messages, "of {events} events");
    assert_eq!(count(&rows, "SELECT COUNT(*) FROM CurrentStatus"), messages);
}

#[test]
fn sigterm_finishes_what_is_in_hand_and_exits_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"), free_port(), &[]);
    server.process.send(Signal::TERM);
    let status = server.process.end(Duration::from_secs(15));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_second_server_on_the_same_data_folder_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start(&data, free_port(), &[]);
    let second = command(&data, free_port(), &[]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(error.contains("in use"), "{error}");
}
