//! The commands, as an operator types them.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    kill::parked,
    server::{Server, stderr, stdout},
};

#[tokio::test]
async fn a_dry_run_counts_shows_a_sample_and_changes_nothing() {
    let folder = parked(12).await;
    let server = Server::start(folder.path()).await;
    let said = stdout(&server.sluice(&["parked", "replay", "--vendor", "twilio", "--dry-run"]).await);
    assert_eq!(said.matches("gave up after 10 attempts").count(), 5, "{said}");
    assert!(said.contains("12 records would be touched by this replay; nothing is changed"), "{said}");
    assert!(
        stdout(&server.sluice(&["parked", "discard", "--vendor", "x", "--dry-run"]).await).contains("nothing matches")
    );
    let list = stdout(&server.sluice(&["parked", "list"]).await);
    assert_eq!(list.lines().count(), 2 * 12, "{list}");
    assert!(stdout(&server.sluice(&["replays", "list"]).await).contains("no jobs"));
}

#[tokio::test]
async fn a_replay_is_followed_to_its_end_and_written_down() {
    let folder = parked(40).await;
    let server = Server::start(folder.path()).await;
    let said = stdout(&server.sluice(&["parked", "replay", "--text", "MessageSid=SM7", "--rate", "100/s"]).await);
    assert!(said.contains("1 of 1 done"), "one record needs no confirmation: {said}");
    let refused = server.sluice(&["parked", "replay"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("replay 39 records of parked? Nobody is here to ask: say --yes"),
        "{}",
        stderr(&refused)
    );
    let said = stdout(&server.sluice(&["parked", "replay", "--yes", "--since", "2026-11-20"]).await);
    assert!(said.contains("39 of 39 done  by ana"), "{said}");
    assert_eq!(stdout(&server.sluice(&["parked", "list"]).await), "");
    let jobs = stdout(&server.sluice(&["replays", "list"]).await);
    assert_eq!(jobs.matches("done      parked replay").count(), 2, "{jobs}");
    let audit = stdout(&server.sluice(&["audit", "list"]).await);
    assert_eq!(audit.matches("  ana  parked.replay  replay:").count(), 2, "{audit}");
    assert!(audit.contains("\"matched\":39"), "{audit}");
}

#[tokio::test]
async fn one_record_is_shown_and_discarded_only_when_that_is_confirmed() {
    let folder = parked(2).await;
    let server = Server::start(folder.path()).await;
    let list = stdout(&server.sluice(&["parked", "list"]).await);
    let id = list.split_whitespace().nth(1).unwrap();
    let shown = stdout(&server.sluice(&["parked", "show", id]).await);
    assert!(shown.contains("message key   twilio:SM") && shown.contains("hidden: --reveal"), "{shown}");
    assert!(!shown.contains("12025550143"), "{shown}");
    assert!(stdout(&server.sluice(&["parked", "show", id, "--reveal"]).await).contains("12025550143"));
    let refused = server.sluice(&["parked", "discard", id]).await;
    assert!(stderr(&refused).contains("discard 1 record of parked? Nobody is here to ask"), "{}", stderr(&refused));
    assert!(stdout(&server.sluice(&["parked", "discard", id, "--yes"]).await).contains("1 of 1 done"));
    assert_eq!(stdout(&server.sluice(&["parked", "list"]).await).lines().count(), 2);
    assert!(stderr(&server.sluice(&["parked", "show", id]).await).contains("nothing of parked has the id"));
}

#[tokio::test]
async fn ctrl_c_leaves_the_job_alone_and_says_how_to_come_back() {
    let folder = parked(400).await;
    let server = Server::start(folder.path()).await;
    let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["parked", "replay", "--yes", "--rate", "10", "--url", &server.url, "--root", env!("CARGO_MANIFEST_DIR")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !stdout(&server.sluice(&["replays", "list"]).await).contains("running") {
        assert!(began.elapsed() < Duration::from_secs(30), "no job is running");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Until the command follows it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let said = stdout(&child.wait_with_output().await.unwrap());
    let id = said.split("sluice replays show ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(stdout(&server.sluice(&["replays", "show", id]).await).contains("running"));
    assert!(stdout(&server.sluice(&["replays", "pause", id]).await).contains("paused"));
    assert!(stdout(&server.sluice(&["replays", "resume", id]).await).contains("running"));
    let aborted = stdout(&server.sluice(&["replays", "abort", id]).await);
    assert!(aborted.contains("aborted") && !aborted.contains("400 of 400"), "{aborted}");
    let again = server.sluice(&["replays", "resume", id]).await;
    assert!(stderr(&again).contains("is aborted: it cannot be resumed"), "{}", stderr(&again));
    let followed = server.sluice(&["replays", "show", id, "--follow"]).await;
    assert_eq!(followed.status.code(), Some(1), "it did not come to its end");
}

#[tokio::test]
async fn json_is_for_scripts() {
    let folder = parked(3).await;
    let server = Server::start(folder.path()).await;
    for (arguments, field, count) in [
        (&["parked", "list", "--json"][..], "records", 3),
        (&["retries", "list", "--json"], "records", 0),
        (&["dead-letters", "list", "--json", "--subscription", "callbacks/sms"], "records", 0),
        (&["replays", "list", "--json"], "replays", 0),
        (&["audit", "list", "--json"], "entries", 0),
    ] {
        let said: serde_json::Value = serde_json::from_str(&stdout(&server.sluice(arguments).await)).unwrap();
        assert_eq!(said[field].as_array().unwrap().len(), count, "{said}");
    }
}
