//! SIGKILL: a second process of this test binary works on a folder as fast as it can, tells which writes were answered,
//! and is killed at a random moment. Everything it told of must be there.

use std::{
    collections::{HashMap, HashSet},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use sluice::{
    bus::Bus,
    clock::SystemClock,
    documents::{Container, Documents, Operation, Query, query_all},
    local::{
        broker::{Broker, OpenError},
        documents::LocalDocuments,
    },
};

use crate::test_broker::{ids, message, sms, topology};

/// Tells the second process where to work; the value after the colon says what to do.
const WORK: &str = "SLUICE_CONTRACT_WORK";
const THIS: &str = "durability_kill::the_process_that_is_killed";
const ROUNDS: u32 = 4;

fn open(folder: &Path) -> Result<(Broker, LocalDocuments), OpenError> {
    let clock = Arc::new(SystemClock);
    let broker = Broker::open(&folder.join("broker.sqlite"), &topology(), clock.clone())?;
    Ok((broker, LocalDocuments::open(&folder.join("documents.sqlite"), clock)?))
}

/// One write, so that a line arrives whole or is the last.
fn tell(what: &str) {
    std::io::stdout().lock().write_all(format!("\n>{what}\n").as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the other tests, as a process of its own"]
async fn the_process_that_is_killed() {
    let Ok(work) = std::env::var(WORK) else { return };
    let (work, folder) = work.split_once(':').unwrap();
    let (broker, documents) = open(Path::new(folder)).unwrap();
    if work == "hold" {
        let received = broker.receive(&sms(), 3, Duration::from_secs(10)).await.unwrap();
        tell(&format!("held {}", ids(&received).join(" ")));
    } else {
        for task in 0..16 {
            let (broker, documents) = (broker.clone(), documents.clone());
            let id = format!("{work}-{task}");
            tokio::spawn(async move { publish(&broker, &id).await });
            let id = format!("{work}-{task}");
            tokio::spawn(async move { commit(&documents, &id).await });
        }
    }
    std::future::pending().await
}

async fn publish(broker: &Broker, task: &str) {
    for n in 0.. {
        let id = format!("{task}-{n}");
        broker.publish("callbacks", message(&id)).await.unwrap();
        tell(&format!("published {id}"));
    }
}

async fn commit(documents: &LocalDocuments, task: &str) {
    for n in 0.. {
        let id = format!("{task}-{n}");
        let operations = ["evt", "out"].map(|kind| Operation::create(format!("{kind}:{id}"), &json!({"id": id})));
        documents.commit(Container::Ledger, &id, operations.to_vec()).await.unwrap();
        tell(&format!("committed {id}"));
    }
}

struct Worker {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Worker {
    fn start(folder: &Path, work: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([THIS, "--exact", "--ignored", "--nocapture"])
            .env(WORK, format!("{work}:{}", folder.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    /// The next thing it tells; `None` at its end. A line that was cut off by its end does not count.
    fn next(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            match line.strip_suffix('\n') {
                None => return None,
                Some(line) => {
                    if let Some(told) = line.strip_prefix('>') {
                        return Some(told.to_owned());
                    }
                }
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Lets a worker write, kills it at a random moment, and returns all it had told.
fn write_and_die(folder: PathBuf, round: u32) -> Vec<String> {
    let mut worker = Worker::start(&folder, &round.to_string());
    let mut told = vec![worker.next().expect("it writes")];
    assert!(matches!(open(&folder), Err(OpenError::InUse { owner, .. }) if owner == Some(worker.process.id())));
    std::thread::scope(|scope| {
        let id = worker.process.id();
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(rand::random_range(20..300)));
            Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap();
        });
        while let Some(line) = worker.next() {
            told.push(line);
        }
    });
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_a_kill_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut published, mut committed) = (HashSet::new(), HashSet::new());
    let mut found = HashMap::new();
    for round in 0..ROUNDS {
        let path = folder.path().to_owned();
        let told = tokio::task::spawn_blocking(move || write_and_die(path, round)).await.unwrap();
        for line in told {
            match line.split_once(' ') {
                Some(("published", id)) => assert!(published.insert(id.to_owned())),
                Some(("committed", id)) => assert!(committed.insert(id.to_owned())),
                _ => panic!("{line:?}"),
            }
        }
        let (broker, documents) = open(folder.path()).unwrap();
        loop {
            let received = broker.receive(&sms(), 500, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                break;
            }
            let locks: Vec<_> = received.iter().map(|received| received.lock.clone()).collect();
            broker.complete(&locks).await.unwrap();
            for received in received {
                let before = found.insert(received.sequence_number, received.message.message_id);
                assert_eq!(before, None, "sequence number {} was used before", received.sequence_number);
            }
        }
        // All at once: every document, whole commits only.
        let stored = query_all(&documents, Container::Ledger, Query::all().page_size(1_000)).await.unwrap();
        let stored: HashSet<_> = stored.into_iter().map(|document| document.id).collect();
        for id in &committed {
            assert!(stored.contains(&format!("evt:{id}")), "{id} was answered and is not there");
        }
        for id in stored.iter().filter_map(|id| id.strip_prefix("evt:")) {
            assert!(stored.contains(&format!("out:{id}")), "half of a commit is there: {id}");
        }
        assert_eq!(stored.len() % 2, 0);
    }
    let delivered: HashSet<_> = found.values().collect();
    assert_eq!(delivered.len(), found.len(), "a message came twice");
    let lost: Vec<_> = published.iter().filter(|id| !delivered.contains(id)).collect();
    assert!(lost.is_empty(), "answered and not there: {lost:?}");
    // More than one a round: a kill between the commit and the answer may leave some that nobody was told of.
    assert!(published.len() > ROUNDS as usize && committed.len() > ROUNDS as usize);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_a_killed_process_held_are_available_at_once_and_stay_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, documents) = open(folder.path()).unwrap();
    for id in ["a", "b", "c", "d"] {
        broker.publish("callbacks", message(id)).await.unwrap();
    }
    drop((broker, documents));
    let path = folder.path().to_owned();
    let held = tokio::task::spawn_blocking(move || Worker::start(&path, "hold").next()).await.unwrap();
    assert_eq!(held.as_deref(), Some("held a b c"));

    let (broker, _documents) = open(folder.path()).unwrap();

    let received = broker.receive(&sms(), 10, Duration::ZERO).await.unwrap();
    assert_eq!(ids(&received), ["a", "b", "c", "d"]);
    assert_eq!(received.iter().map(|received| received.delivery_count).collect::<Vec<_>>(), [2, 2, 2, 1]);
}
