//! The broker gone for 20 s under load: every vendor is answered in time, and everything is applied once it is back.

use std::{sync::Arc, time::Duration};

use sluice::{
    clock::{Clock, SystemClock},
    simulate::{Cast, LoadOptions, Outcome, Plan, Progress, Shape, VerifyOptions, send, verify},
};
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};

use crate::{
    support::config,
    world::{Kept, World},
};

/// What ingest may take in all: 800 ms for the broker, 700 ms for the spool.
const BUDGET: Duration = Duration::from_millis(1_500);

/// Callbacks at the fixed rate for so long, each sent once, whatever the answer.
async fn load(world: &World, what: &str, rate: u32, time: Duration) -> (Arc<Plan>, Outcome) {
    let cast = Cast::new(&config(&[]), &["twilio".to_owned()], &|_| None).unwrap();
    let shape = Shape {
        callbacks: rate * time.as_secs() as u32,
        duplicates: 0.0,
        shuffle: false,
        seed: rand::random(),
        started: SystemClock.now(),
    };
    let plan = Arc::new(Plan::new(cast.generators, shape));
    let options = LoadOptions { rate: Some(rate.into()), retries: 0, connections: 128, ..LoadOptions::default() };
    let (_stop, stopped) = watch::channel(false);
    let target = world.handler(0).parse().unwrap();
    let progress = Arc::new(Progress::default());
    let outcome = send(plan.clone(), &target, &options, Arc::new(SystemClock), progress, stopped).await.unwrap();
    let at = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "{what}: {} of {} acknowledged at {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        outcome.acked,
        outcome.planned,
        outcome.rate(),
        at(0.5),
        at(0.99),
        outcome.latency.max() as f64 / 1000.0,
    );
    assert_eq!(outcome.acked, outcome.planned, "refused {:?}, failed {:?}", outcome.refused, outcome.failed);
    let slowest = Duration::from_micros(outcome.latency.max());
    assert!(slowest < BUDGET, "{what}: {slowest:?}");
    (plan, outcome)
}

/// Puts an outage between two times without one; everything is in the ledger once in the end.
async fn survive(documents: Kept, rate: u32, outage: Duration) {
    let mut world = World::start(documents).await;
    let around = Duration::from_secs(3);
    let before = load(&world, "before the outage", rate, around).await;
    world.kill_broker();
    let during = load(&world, "while the broker is gone", rate, outage).await;
    let spooled = world.spooled().await;
    assert!(spooled + 10 >= during.1.acked, "{spooled} of {} are spooled", during.1.acked);
    world.start_broker().await;
    let back = Instant::now();
    let after = load(&world, "once it is back", rate, around).await;

    let documents = world.documents();
    for (what, (plan, outcome)) in [("before", before), ("during", during), ("after", after)] {
        let options = VerifyOptions::default();
        let verdict = verify(&plan, &outcome.obligations, documents.as_ref(), &options, &|_, _| {}).await.unwrap();
        let found: Vec<_> = verdict.findings().iter().map(|(name, found)| format!("{name} {}", found.count)).collect();
        println!("{what}: {} events owed, {} found, {}", verdict.owed, verdict.found, found.join(", "));
        assert!(verdict.is_clean(), "{verdict:?}");
    }
    println!(
        "{spooled} were spooled; everything is applied {:.1} s after the broker came back",
        back.elapsed().as_secs_f64()
    );
    assert_eq!(world.spooled().await, 0);
    world.nothing_is_left_in_the_broker().await;
}

/// One at a time: together they would measure each other.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_broker_gone_for_20_s_500_callbacks_a_second_are_answered_in_time_and_applied_once() {
    let _turn = TURN.lock().await;
    survive(Kept::Embedded, 500, Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_with_documents_in_cosmos_db_at_the_rate_that_its_emulator_bears() {
    let _turn = TURN.lock().await;
    survive(Kept::InCosmos, 50, Duration::from_secs(8)).await;
}
