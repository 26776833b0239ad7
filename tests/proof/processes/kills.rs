//! SIGKILL, at moments that nobody chose.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use sluice::simulate::LoadOptions;
use tokio::time::{Instant, sleep};

use super::{documents, is_quiet, status};
use crate::support::{
    load::Vendors,
    server::{Process, Server, command, free_port, is_up},
};

const KILLS: u32 = 50;

/// Requests a second: more than a debug build on a busy machine can do is no better proof.
const RATE: f64 = 250.0;

fn load() -> LoadOptions {
    LoadOptions { rate: Some(RATE), ..LoadOptions::default() }
}

/// Waits for the server's first answer after each kill, for up to 0.8 s in which vendors send, and in the end until everything
/// that was acknowledged is in the ledger and nothing waits anywhere.
pub async fn killed_50_times(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let (data, port) = (folder.path().join("data"), free_port());
    let mut server = Server::start(&data, port, &[]);
    let vendors = Vendors::start(&server.url(), seed, load());
    let began = Instant::now();
    for _ in 0..KILLS {
        sleep(Duration::from_millis(random.random_range(20..800))).await;
        server.kill();
        server = Server::start(&data, port, &[]);
    }
    let took = began.elapsed();
    let sent = vendors.stop().await;
    println!("{KILLS} kills in {:.0} s, {} attempts repeated by vendors", took.as_secs_f64(), sent.outcome.retried);
    sent.judge(&documents(&data)).await;
    is_quiet(|| status(&data)).await;
}

/// A server that is killed or told to stop before it is up, many times in a row, opens its data every time; vendors send all
/// the while.
pub async fn killed_again_while_it_starts(seed: u64) {
    const STARTS: u32 = 30;
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let (data, port) = (folder.path().join("data"), free_port());
    drop(Server::start(&data, port, &[]));
    let vendors = Vendors::start(&format!("http://127.0.0.1:{port}"), seed, load());
    let mut came_up = 0;
    for start in 0..STARTS {
        let mut process = Process::start(&mut command(&data, port, &[]));
        let until = Instant::now() + Duration::from_millis(random.random_range(0..400));
        let mut up = false;
        while Instant::now() < until {
            up = up || is_up(port);
            sleep(Duration::from_millis(20)).await;
        }
        came_up += u32::from(up);
        assert!(process.ended().is_none(), "seed {seed}: start {start} ended by itself");
        if random.random() {
            // Also in the middle of the start: in order, and within its time.
            process.send(Signal::TERM);
            let status = process.end(Duration::from_secs(30));
            // Before the program could ask for the signal, the system's default ends it.
            let by_default = std::os::unix::process::ExitStatusExt::signal(&status) == Some(Signal::TERM.as_raw());
            assert!(status.success() || (by_default && !up), "seed {seed}: start {start} ended with {status}");
        } else {
            process.kill();
        }
        // Vendors give up on a target that has refused connections for 30 s: let them send every now and then.
        if start % 5 == 4 {
            let server = Server::start(&data, port, &[]);
            sleep(Duration::from_millis(random.random_range(100..600))).await;
            server.kill();
        }
    }
    let server = Server::start(&data, port, &[]);
    sleep(Duration::from_secs(1)).await;
    let sent = vendors.stop().await;
    println!("{STARTS} starts broken off, {came_up} of them after an answer");
    sent.judge(&documents(&data)).await;
    is_quiet(|| status(&data)).await;
    drop(server);
}
