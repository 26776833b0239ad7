//! The sweep: fair to everybody who waits, safe when two run, bounded in what it does and what it holds.
//!
//! What is published is counted at the bus port, before duplicate detection could drop anything. The sizes are for every
//! day; the full ones are SLUICE_SWEEP_BACKLOG=200000 and SLUICE_SWEEP_SECONDS=60.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::http::{Request, StatusCode};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use sluice::{
    app::{App, Ports},
    bus::{Bus, Message, Properties, Property, PublishError},
    clock::{Clock, SharedClock, SystemClock, Timestamp, millis},
    config::Config,
    delivery::{
        breaker::{Breaker, State},
        breakers::BreakerRecord,
    },
    documents::{
        CommitError, Comparison, Container, Document, Documents, DocumentsError, Etag, Operation, Page, Query,
        SharedDocuments,
    },
    retry::{
        Failure,
        records::{Class, RetryRecord, StoredMessage, retry_partition},
        sweep::{self, Swept},
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, sleep},
};

use crate::support::{TestApp, config};

/// A size that the environment may set.
fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The bus, and everything that was handed to it.
#[derive(Debug)]
struct WatchedBus {
    inner: Arc<dyn Bus>,
    published: Mutex<Vec<(String, Timestamp)>>,
    takes: Duration,
    /// Hears of every message.
    consumer: Option<mpsc::UnboundedSender<Message>>,
}

#[async_trait]
impl Bus for WatchedBus {
    async fn publish(&self, topic: &str, message: Message) -> Result<(), PublishError> {
        self.published.lock().unwrap().push((message.message_id.clone(), SystemClock.now()));
        sleep(self.takes).await;
        self.inner.publish(topic, message.clone()).await?;
        if let Some(consumer) = &self.consumer {
            consumer.send(message).ok();
        }
        Ok(())
    }
}

/// Documents, and the largest page that was read.
#[derive(Debug)]
struct WatchedDocuments {
    inner: SharedDocuments,
    largest: AtomicUsize,
}

#[async_trait]
impl Documents for WatchedDocuments {
    async fn read(&self, container: Container, partition: &str, id: &str) -> Result<Option<Document>, DocumentsError> {
        self.inner.read(container, partition, id).await
    }

    async fn query(&self, container: Container, query: &Query) -> Result<Page, DocumentsError> {
        let page = self.inner.query(container, query).await?;
        let bytes = page.documents.iter().map(|document| document.body.len()).sum();
        self.largest.fetch_max(bytes, Ordering::SeqCst);
        Ok(page)
    }

    async fn count(&self, container: Container, query: &Query) -> Result<u64, DocumentsError> {
        self.inner.count(container, query).await
    }

    async fn commit(
        &self,
        container: Container,
        partition: &str,
        operations: Vec<Operation>,
    ) -> Result<Vec<Option<Etag>>, CommitError> {
        self.inner.commit(container, partition, operations).await
    }
}

/// Instances of the program on one store and one bus.
struct World {
    app: TestApp,
    bus: Arc<WatchedBus>,
    documents: Arc<WatchedDocuments>,
    clock: SharedClock,
}

impl World {
    fn new(config: Config) -> Self {
        Self::with(config, Duration::ZERO, None)
    }

    fn with(config: Config, takes: Duration, consumer: Option<mpsc::UnboundedSender<Message>>) -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        let app = TestApp::with_clock(config, clock.clone());
        let bus = WatchedBus { inner: app.bus.clone(), published: Mutex::default(), takes, consumer };
        let documents = WatchedDocuments { inner: app.documents.clone(), largest: AtomicUsize::default() };
        Self { app, bus: Arc::new(bus), documents: Arc::new(documents), clock }
    }

    fn instance(&self) -> Arc<App> {
        let ports = Ports {
            clock: self.clock.clone(),
            bus: self.bus.clone(),
            dead_letters: self.app.app.dead_letters.clone(),
            documents: self.documents.clone(),
            blobs: self.app.app.blobs.clone(),
            outbound: self.app.outbound.clone(),
        };
        App::new(self.app.app.config.clone(), ports).unwrap()
    }

    /// Stores records in large commits.
    async fn store(&self, records: impl Iterator<Item = RetryRecord>) {
        let mut by_partition: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
        for record in records {
            by_partition.entry(record.bucket.clone()).or_default().push(Operation::create(record.id.clone(), &record));
        }
        let commits = by_partition.into_iter().flat_map(|(partition, operations)| {
            let chunks: Vec<_> = operations.chunks(90).map(<[Operation]>::to_vec).collect();
            chunks.into_iter().map(move |chunk| (partition.clone(), chunk))
        });
        let commits = stream::iter(commits).map(|(partition, chunk)| async move {
            self.app.documents.commit(Container::Retries, &partition, chunk).await
        });
        commits.buffer_unordered(16).try_for_each(|_| async { Ok(()) }).await.unwrap();
    }

    /// A partner that an operator has added: nobody else's breaker protects anything.
    async fn partner(&self, name: &str) {
        let request = Request::put(format!("/manage/partners/{name}")).header("x-sluice-operator", "ana");
        let request = request.body(r#"{"endpoint":"https://example.com/"}"#.into()).unwrap();
        let response = self.app.send(request).await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }

    async fn breaker(&self, partner: &str, state: State) {
        let breaker = Breaker { state, failing_since: None };
        let updated_at = self.clock.now();
        let record = BreakerRecord { id: partner.into(), key: "breakers".into(), breaker, updated_at };
        let write = Operation::upsert(partner, &record);
        self.app.documents.commit(Container::Registry, "breakers", vec![write]).await.unwrap();
    }

    async fn left(&self) -> u64 {
        self.app.documents.count(Container::Retries, &Query::all()).await.unwrap()
    }

    async fn leases(&self) -> u64 {
        self.app.documents.count(Container::Registry, &Query::partition("leases")).await.unwrap()
    }

    fn published(&self, prefix: &str) -> usize {
        self.bus.published.lock().unwrap().iter().filter(|(id, _)| id.starts_with(prefix)).count()
    }

    /// How often each message id was handed to the bus.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (id, _) in self.bus.published.lock().unwrap().iter() {
            *counts.entry(id.clone()).or_default() += 1;
        }
        counts
    }
}

async fn swept(app: &App) -> Swept {
    let ports = sweep::Ports {
        bus: app.bus.as_ref(),
        documents: app.documents.as_ref(),
        blobs: app.blobs.as_ref(),
        clock: app.clock.as_ref(),
        leases: &app.leases,
    };
    sweep::sweep(ports, &app.config).await.unwrap()
}

/// A retry of a delivery, or of a callback, with the message id of its second attempt.
fn record(id: &str, partner: Option<&str>, due_at: Timestamp) -> RetryRecord {
    let mut properties = Properties::from([
        ("attempt".into(), Property::Integer(2)),
        ("delivery".into(), Property::from(id.to_owned())),
        ("channel".into(), "sms".into()),
    ]);
    if let Some(partner) = partner {
        properties.insert("destination".into(), "partner".into());
        properties.insert("partner".into(), Property::from(partner.to_owned()));
    }
    let body = json!({ "type": "message.delivered", "subject": "twilio:SM1", "data": { "text": "x".repeat(300) } });
    let message = Message {
        message_id: format!("{id}:2"),
        content_type: Some("application/cloudevents+json".into()),
        correlation_id: None,
        subject: Some("twilio:SM1".into()),
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: body.to_string().into(),
    };
    RetryRecord {
        id: id.to_owned(),
        bucket: retry_partition(id, partner),
        due_at,
        attempt: 2,
        class: Class::Transient,
        topic: if partner.is_some() { "deliveries" } else { "callbacks" }.into(),
        message_key: None,
        last_error: "503".into(),
        vendor: None,
        channel: None,
        partner: partner.map(str::to_owned),
        message: StoredMessage::from_message(&message),
    }
}

fn records(count: usize, name: &str, partner: Option<&str>, due_at: Timestamp) -> impl Iterator<Item = RetryRecord> {
    (0..count).map(move |index| record(&format!("{name}-{index:06x}"), partner, due_at))
}

/// What the healthy partner's p99 may be.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Fills a dead partner's backlog, lets a healthy partner's hundred records come due while it is swept every 2 s as the
/// timer does, and returns the healthy ones' p99 delay and how many of the dead one's were moved meanwhile.
async fn delay_beside_a_dead_partner(world: &World) -> (Duration, usize) {
    let backlog = size("SLUICE_SWEEP_BACKLOG", 20_000);
    let began = Instant::now();
    world.store(records(backlog, "dead", Some("dead"), world.clock.now() - Duration::from_secs(3600))).await;
    println!("{backlog} records stored in {:?}", began.elapsed());

    // As long as the backlog lasts at the default rate, but no longer than half a minute.
    let window = Duration::from_secs_f64((backlog as f64 / 4_000.0 * 0.8).clamp(1.0, 30.0));
    let start = world.clock.now();
    let due = |index: u32| start + window * index / 100;
    world.store((0..100).map(|index| record(&format!("healthy-{index:03}"), Some("healthy"), due(index)))).await;

    let instance = world.instance();
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    // An occurrence that was missed during a run is not made up for, which is the worse of the two hosts.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let began = Instant::now();
    while world.published("healthy") < 100 {
        assert!(began.elapsed() < window * 3 + Duration::from_secs(30), "{} of 100", world.published("healthy"));
        ticks.tick().await;
        swept(&instance).await;
    }
    let mut delays: Vec<Duration> = Vec::new();
    for (id, at) in world.bus.published.lock().unwrap().iter() {
        if let Some(number) = id.strip_prefix("healthy-").and_then(|rest| rest.strip_suffix(":2")) {
            delays.push((*at - due(number.parse().unwrap())).to_std().unwrap());
        }
    }
    delays.sort();
    assert_eq!(delays.len(), 100);
    let moved = world.published("dead");
    println!(
        "due to published: p50 {:?}, p99 {:?}; {moved} of the dead partner's records were moved in {:?}",
        delays[50],
        delays[98],
        began.elapsed()
    );
    (delays[98], moved)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_partners_backlog_does_not_delay_another_partner_though_all_of_it_may_be_sent() {
    let world = World::new(config(&[]));
    let (p99, moved) = delay_beside_a_dead_partner(&world).await;
    assert!(p99 < LONGEST_DELAY, "{p99:?}");
    assert!(moved > 0, "the backlog is swept, too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_an_open_breaker_a_backlog_is_not_touched_and_delays_nobody() {
    let world = World::new(config(&[]));
    world.partner("dead").await;
    world.breaker("dead", State::Open { until: world.clock.now() + Duration::from_secs(3600) }).await;
    let (p99, moved) = delay_beside_a_dead_partner(&world).await;
    assert!(p99 < LONGEST_DELAY, "{p99:?}");
    assert_eq!(moved, 0);
}

#[tokio::test]
async fn an_open_breaker_lets_one_record_through_when_its_probe_is_due_and_all_once_it_is_closed() {
    let world = World::new(config(&[]));
    let instance = world.instance();
    let now = world.clock.now();
    world.partner("dead").await;
    world.store(records(300, "d", Some("dead"), now)).await;
    // The first in line can never be published: it must not use up the probe.
    let unreadable = Operation::create("u", &json!({ "due_at": millis::text(now - Duration::from_secs(9)) }));
    world.app.documents.commit(Container::Retries, "partner:dead", vec![unreadable]).await.unwrap();

    world.breaker("dead", State::Probing { by: "another".into(), until: now + Duration::from_secs(60) }).await;
    assert_eq!(swept(&instance).await.retries, 0);
    world.breaker("dead", State::Open { until: now }).await;
    assert_eq!(swept(&instance).await.retries, 1);
    world.breaker("dead", State::Closed).await;
    assert_eq!(swept(&instance).await.retries, 299);
    assert_eq!(world.left().await, 1);
}

#[tokio::test]
async fn records_of_partners_that_nobody_knows_any_more_are_found_behind_a_backlog() {
    let world = World::new(config(&[]));
    let past = world.clock.now() - Duration::from_secs(60);
    world.store(records(250, "c", None, past)).await;
    let removed = ["a-1", "long-gone", "zz"];
    for partner in removed {
        world.store(records(3, partner, Some(partner), world.clock.now())).await;
    }
    world.store(records(5, "later", Some("later"), world.clock.now() + Duration::from_secs(600))).await;
    assert_eq!(swept(&world.instance()).await.retries, 259);
    assert_eq!((world.left().await, world.leases().await), (5, 0));
    assert!(world.counts().values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_sweep_keeps_to_its_rate_and_its_limit_and_gives_everybody_a_share() {
    let world =
        World::new(config(&[("sweep_limit = 20000", "sweep_limit = 90"), ("sweep_rate = 4000", "sweep_rate = 60")]));
    for partner in ["a", "b", "c"] {
        world.store(records(200, partner, Some(partner), world.clock.now())).await;
    }
    let began = Instant::now();
    assert_eq!(swept(&world.instance()).await.retries, 90);
    // The last page goes when those before it have had their time.
    assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());
    for partner in ["a", "b", "c"] {
        assert_eq!(world.published(partner), 30, "{partner}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_partners_with_a_little_each_do_not_wait_for_one_with_much() {
    let world = World::new(config(&[]));
    let past = world.clock.now() - Duration::from_secs(60);
    world.store(records(10_000, "dead", Some("dead"), past)).await;
    let partners: Vec<_> = (0..1_000).map(|index| format!("{index:x}-partner")).collect();
    let due = world.clock.now();
    for partner in &partners {
        world.store(records(2, &format!("few-{partner}"), Some(partner), due)).await;
    }
    let began = world.clock.now();
    let moved = swept(&world.instance()).await.retries;
    let published = world.bus.published.lock().unwrap().clone();
    let last = published.iter().filter(|(id, _)| id.starts_with("few")).map(|(_, at)| *at - began).max().unwrap();
    let few = world.published("few");
    println!("{few} records of {} partners went within {last}, of {moved} in all", partners.len());
    assert_eq!(few, partners.len() * 2);
    assert!(last.to_std().unwrap() < LONGEST_DELAY, "{last}");
}

#[tokio::test]
async fn what_a_sweep_holds_in_memory_is_bounded_in_bytes() {
    let world = World::new(config(&[]));
    let large = |partner: &'static str| {
        records(40, partner, Some(partner), world.clock.now()).map(|mut record| {
            let message = Message { body: vec![b'x'; 190 * 1024].into(), ..record.message.into_message() };
            record.message = StoredMessage::from_message(&message);
            record
        })
    };
    for partner in ["a", "b", "c", "d", "e", "f"] {
        for record in large(partner) {
            let write = Operation::create(record.id.clone(), &record);
            world.app.documents.commit(Container::Retries, &record.bucket, vec![write]).await.unwrap();
        }
    }
    assert_eq!(swept(&world.instance()).await.retries, 240);
    let largest = world.documents.largest.load(Ordering::SeqCst);
    println!("45 MB were swept, the largest page had {largest} bytes");
    assert!(largest < (4 << 20) + 200 * 1024, "{largest}");
}

/// Gives up on nothing: what it receives fails until its fourth attempt.
async fn fail_until_the_fourth_attempt(app: Arc<App>, mut received: mpsc::UnboundedReceiver<Message>) {
    let app = &app;
    let messages = stream::poll_fn(|context| received.poll_recv(context));
    messages
        .for_each_concurrent(64, |message| async move {
            let message = StoredMessage::from_message(&message);
            if message.attempt() < 4 {
                let topic = if message.partner().is_some() { "deliveries" } else { "callbacks" };
                let failure = Failure { class: Class::Transient, error: "503".into(), vendor: None, channel: None };
                app.retries.keep(topic, message, failure).await.unwrap();
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sweeps_at_once_hand_each_attempt_to_the_bus_once() {
    let time = Duration::from_secs(size("SLUICE_SWEEP_SECONDS", 4) as u64);
    let a_second = 600;
    let schedule = "[\"5s\", \"30s\", \"2m\", \"10m\", \"1h\", \"3h\", \"6h\", \"12h\", \"24h\"]";
    let (consumer, received) = mpsc::unbounded_channel();
    let config = config(&[(schedule, "[\"50ms\", \"50ms\", \"50ms\", \"50ms\"]")]);
    let world = Arc::new(World::with(config, Duration::ZERO, Some(consumer)));
    let failing = tokio::spawn(fail_until_the_fourth_attempt(world.instance(), received));

    let stop = Arc::new(AtomicBool::new(false));
    let sweeping: Vec<_> = (0..2)
        .map(|_| {
            let (instance, stop) = (world.instance(), stop.clone());
            tokio::spawn(async move {
                let mut moved = 0;
                while !stop.load(Ordering::SeqCst) {
                    moved += swept(&instance).await.retries;
                    tokio::task::yield_now().await;
                }
                moved
            })
        })
        .collect();

    let partners = [None, Some("a"), Some("b"), Some("c"), Some("d")];
    let mut stored = 0;
    let began = Instant::now();
    while began.elapsed() < time {
        for partner in partners {
            let count = (a_second / 10 / partners.len()).max(1);
            let name = format!("{}-{stored:06}", partner.unwrap_or("callback"));
            world.store(records(count, &name, partner, world.clock.now())).await;
            stored += count;
        }
        sleep(Duration::from_millis(100)).await;
    }
    // Every record is published three times: as attempt 2, 3 and 4.
    let began = Instant::now();
    while world.published("") < stored * 3 || world.left().await > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "{} of {}", world.published(""), stored * 3);
        sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut moved = Vec::new();
    for sweep in sweeping {
        moved.push(sweep.await.unwrap());
    }
    failing.abort();
    println!("{stored} records, 3 attempts each: one sweep moved {}, the other {}", moved[0], moved[1]);
    let counts = world.counts();
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{} were dispatched twice, for example {:?}", twice.len(), &twice[..twice.len().min(3)]);
    assert_eq!(counts.len(), stored * 3);
    assert!(moved.iter().all(|moved| *moved > 0), "the two share the scopes: {moved:?}");
}

/// Leases last three times as long as a call may take, and are taken over after a quarter more.
fn calls_take_at_most(seconds: u32) -> Config {
    config(&[("timeout = \"10s\"                # a call", &format!("timeout = \"{seconds}s\"  # a call"))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_sweep_held_another_takes_over_when_its_lease_has_run_out_and_nothing_is_lost() {
    let world = Arc::new(World::with(calls_take_at_most(2), Duration::from_millis(20), None));
    let count = 2_000;
    world.store(records(count, "p", Some("p"), world.clock.now())).await;
    let (doomed, other) = (world.instance(), world.instance());
    let killed = tokio::spawn(async move { swept(&doomed).await });
    while world.published("p") < 100 {
        assert!(!killed.is_finished());
        sleep(Duration::from_millis(1)).await;
    }
    killed.abort();
    assert!(killed.await.is_err(), "killed in the middle");
    let before = world.published("p");
    let began = Instant::now();
    assert_eq!(swept(&other).await.retries, 0, "the dead one's lease still holds");
    while world.left().await > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "{} are left", world.left().await);
        if world.published("p") > before {
            assert!(began.elapsed() > Duration::from_secs(6), "taken over after {:?}", began.elapsed());
        }
        swept(&other).await;
        sleep(Duration::from_millis(50)).await;
    }
    let counts = world.counts();
    assert_eq!(counts.len(), count, "nothing is lost");
    let twice = counts.values().filter(|count| **count > 1).count();
    println!("{before} were published before the kill, {twice} of them again, under the same message id");
    assert!(twice <= 64, "{twice}: more than were on their way");
    assert_eq!(world.leases().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_lost_its_lease_stops() {
    let world = Arc::new(World::with(calls_take_at_most(3), Duration::from_millis(400), None));
    let count = 800;
    world.store(records(count, "p", Some("p"), world.clock.now())).await;
    let instance = world.instance();
    let sweeping = tokio::spawn(async move { swept(&instance).await });
    while world.published("p") < 100 {
        assert!(!sweeping.is_finished());
        sleep(Duration::from_millis(1)).await;
    }
    // As if this sweep had been frozen for long enough, and another had taken over.
    let lease =
        world.app.documents.read(Container::Registry, "leases", "lease:sweep:partner:p").await.unwrap().unwrap();
    let mut record: serde_json::Value = lease.parse().unwrap();
    record["owner"] = json!(uuid::Uuid::now_v7());
    let write = Operation::upsert(lease.id, &record);
    world.app.documents.commit(Container::Registry, "leases", vec![write]).await.unwrap();
    let moved = sweeping.await.unwrap().retries;
    println!("{moved} of {count} were moved before the loss was noticed");
    assert!(moved < count);
    assert_eq!(world.left().await, (count - moved) as u64);
    assert_eq!(world.leases().await, 1, "the other's lease is left alone");
    assert!(world.counts().values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_partner_whose_records_cannot_be_read_delays_no_other() {
    let world = World::new(config(&[]));
    let torn = json!({ "due_at": "2020-01-01T00:00:00.000Z" });
    for page in 0..6 {
        let write = (0..90).map(|index| Operation::create(format!("u{page}-{index}"), &torn)).collect();
        world.app.documents.commit(Container::Retries, "partner:torn", write).await.unwrap();
    }
    world.store(records(20, "p", Some("p"), world.clock.now())).await;
    let instance = world.instance();
    assert_eq!(swept(&instance).await.retries, 20);
    assert_eq!(swept(&instance).await, Swept::default());
    let due = Query::partition("partner:torn").filter("due_at", Comparison::LessOrEqual, "2026").order_by("due_at");
    assert_eq!(world.app.documents.count(Container::Retries, &due).await.unwrap(), 540);
}
