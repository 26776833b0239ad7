//! Handler and broker killed at random moments, while vendors send and Cosmos DB loses answers.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use axum::http::StatusCode;

use crate::{
    support::cosmos::{Emulator, Fault},
    world::{Kept, World},
};

const KILLS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_is_killed_nothing_acknowledged_is_lost_or_applied_twice() {
    let mut world = World::start(Kept::InCosmos).await;
    let seed = rand::random_range(0..u32::MAX);
    println!("seed {seed}");
    let simulation = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .envs(world.settings())
        .args(["simulate", "--url", &world.handler(0), "--root", env!("CARGO_MANIFEST_DIR")])
        .args(["--count", "1200", "--rate", "300", "--duplicates", "0.5", "--shuffle", "--seed", &seed.to_string()])
        .args(["--verify", "--verify-timeout", "90s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let simulation = tokio::task::spawn_blocking(|| simulation.wait_with_output().unwrap());
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(rand::random_range(300..1000))).await;
        // Each of them, and both at once.
        let (handler, broker) = [(true, false), (false, true), (true, true)][kill % 3];
        if handler {
            world.kill_handler(0);
        }
        if broker {
            world.kill_broker();
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..300))).await;
        if broker {
            world.start_broker().await;
        }
        if handler {
            world.start_handler(0).await;
        }
        lose_answers(world.emulator.as_ref().expect("the documents are in it"));
    }
    let output = simulation.await.unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    println!("{report}");
    assert!(output.status.success(), "seed {seed}\n{report}\n{}", String::from_utf8_lossy(&output.stderr));
    for zero in ["lost", "applied twice", "not sent by us", "events wrong", "statuses wrong"] {
        let line =
            report.lines().find(|line| line.starts_with(zero)).unwrap_or_else(|| panic!("no {zero:?}: {report}"));
        assert!(line.split_whitespace().any(|word| word == "0"), "{line}");
    }
    world.nothing_is_left_in_the_broker().await;
}

fn lose_answers(emulator: &Emulator) {
    for (status, after) in [
        (StatusCode::SERVICE_UNAVAILABLE, true),
        (StatusCode::TOO_MANY_REQUESTS, false),
        (StatusCode::REQUEST_TIMEOUT, true),
    ] {
        emulator.fail(Fault { path: "/docs", status, after, delay: Duration::ZERO, times: 10 });
    }
}
