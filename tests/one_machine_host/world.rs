//! What the tests share: function folders on disk, a running host, a broker in memory.

use std::{
    collections::VecDeque,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sluice::{
    bus::{Message, Properties},
    clock::{Clock, SharedClock, SystemClock, Timestamp},
    local::host::{Delivery, FunctionApp, HostOptions, OneMachineHost, SubscriptionError, Subscriptions, Unsupported},
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// A script root.
pub struct Folders(pub TempDir);

impl Folders {
    /// With a `host.json` that the Functions host takes.
    pub fn new() -> Self {
        let folders = Self(tempfile::tempdir().unwrap());
        folders.host_json(&json!({
            "version": "2.0",
            "extensions": {"http": {"routePrefix": ""}},
            "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
            "customHandler": {
                "description": {"defaultExecutablePath": "sluice"},
                "enableForwardingHttpRequest": true
            }
        }));
        folders
    }

    pub fn host_json(&self, json: &Value) {
        fs::write(self.0.path().join("host.json"), json.to_string()).unwrap();
    }

    pub fn function(&self, name: &str, bindings: &Value) -> &Self {
        self.raw(name, &json!({"bindings": bindings}).to_string())
    }

    pub fn raw(&self, name: &str, text: &str) -> &Self {
        let folder = self.0.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("function.json"), text).unwrap();
        self
    }

    pub fn load(&self) -> FunctionApp {
        FunctionApp::load(self.0.path(), &|_| None).unwrap()
    }
}

pub fn http_function(route: &str, methods: &[&str]) -> Value {
    json!([
        {"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous", "route": route,
         "methods": methods},
        {"type": "http", "direction": "out", "name": "res"}
    ])
}

pub fn service_bus_function(subscription: &str) -> Value {
    json!([{
        "type": "serviceBusTrigger", "direction": "in", "name": "messages", "topicName": "callbacks",
        "subscriptionName": subscription, "cardinality": "many", "dataType": "binary", "maxMessageBatchSize": 8
    }])
}

pub fn timer_function(schedule: &str) -> Value {
    json!([{"type": "timerTrigger", "direction": "in", "name": "timer", "schedule": schedule}])
}

/// The repository itself.
pub fn shipped() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A host that runs until it is told to stop.
pub struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn start(app: FunctionApp, handler: Router, broker: &FakeBroker) -> Self {
        Self::start_with(app, handler, broker, &options(), Arc::new(SystemClock)).await.unwrap()
    }

    pub async fn start_with(
        app: FunctionApp,
        handler: Router,
        broker: &FakeBroker,
        options: &HostOptions,
        clock: SharedClock,
    ) -> Result<Self, Unsupported> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let host = OneMachineHost::new(app, handler, Arc::new(broker.clone()), listener, options, &clock)?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(host.run(async {
            stopped.await.ok();
        }));
        Ok(Self { address, stop: Some(stop), task })
    }

    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub async fn stopped(self) {
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("the host stops").unwrap();
    }
}

pub fn options() -> HostOptions {
    HostOptions {
        header_timeout: Duration::from_secs(3),
        body_timeout: Duration::from_secs(3),
        drain_deadline: Duration::from_secs(3),
        ..HostOptions::default()
    }
}

/// A clock that runs on from a moment of the test's choice, and that the test can put forward.
#[derive(Debug)]
pub struct TestClock {
    start: Timestamp,
    since: Instant,
    forward: AtomicI64,
}

impl TestClock {
    pub fn at(text: &str) -> Self {
        Self { start: text.parse().unwrap(), since: Instant::now(), forward: AtomicI64::new(0) }
    }

    pub fn advance(&self, milliseconds: i64) {
        self.forward.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let forward = TimeDelta::milliseconds(self.forward.load(Ordering::SeqCst));
        self.start + TimeDelta::from_std(self.since.elapsed()).unwrap() + forward
    }
}

/// One subscription, with Service Bus's delivery count and dead letters.
#[derive(Clone, Default)]
pub struct FakeBroker(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
pub struct State {
    pub ready: VecDeque<(u32, Message)>,
    pub locked: Vec<(u32, Message)>,
    pub completed: Vec<String>,
    pub dead: Vec<String>,
    pub receive_failures: u32,
}

pub const MAX_DELIVERY_COUNT: u32 = 3;

impl FakeBroker {
    pub fn send(&self, ids: &[&str]) {
        let mut state = self.state();
        for id in ids {
            state.ready.push_back((1, message(id)));
        }
        drop(state);
        self.0.arrived.notify_waiters();
    }

    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Waits until the broker is in the state that is asked for.
    pub async fn until(&self, reached: impl Fn(&State) -> bool) {
        let wait = async {
            while !reached(&self.state()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), wait).await.expect("the broker gets there");
    }

    fn settle(&self, locks: &[String], act: impl Fn(&mut State, u32, Message)) -> usize {
        let mut state = self.state();
        let mut lost = 0;
        for lock in locks {
            match state.locked.iter().position(|(_, message)| message.message_id == *lock) {
                Some(index) => {
                    let (count, message) = state.locked.remove(index);
                    act(&mut state, count, message);
                }
                None => lost += 1,
            }
        }
        drop(state);
        self.0.arrived.notify_waiters();
        lost
    }
}

impl Subscriptions for FakeBroker {
    type Lock = String;

    async fn receive(
        &self,
        topic: &str,
        _subscription: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery<String>>, SubscriptionError> {
        assert_eq!(topic, "callbacks");
        let deadline = Instant::now() + wait;
        loop {
            let arrived = self.0.arrived.notified();
            {
                let mut state = self.state();
                if state.receive_failures > 0 {
                    state.receive_failures -= 1;
                    return Err(SubscriptionError("the disk is full".into()));
                }
                let count = state.ready.len().min(max);
                if count > 0 {
                    let batch: Vec<_> = state.ready.drain(..count).collect();
                    state.locked.extend(batch.iter().cloned());
                    return Ok(batch.into_iter().map(delivery).collect());
                }
            }
            if tokio::time::timeout_at(deadline, arrived).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    async fn complete(&self, locks: &[String]) -> Result<usize, SubscriptionError> {
        Ok(self.settle(locks, |state, _, message| state.completed.push(message.message_id)))
    }

    async fn abandon(&self, locks: &[String]) -> Result<usize, SubscriptionError> {
        Ok(self.settle(locks, |state, count, message| {
            if count >= MAX_DELIVERY_COUNT {
                state.dead.push(message.message_id);
            } else {
                state.ready.push_back((count + 1, message));
            }
        }))
    }
}

fn delivery((delivery_count, message): (u32, Message)) -> Delivery<String> {
    Delivery {
        lock: message.message_id.clone(),
        delivery_count,
        sequence_number: 1,
        enqueued_at: Utc::now(),
        expires_at: None,
        message,
    }
}

fn message(id: &str) -> Message {
    Message {
        message_id: id.into(),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties: Properties::new(),
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: Bytes::from(format!("body of {id}")),
    }
}
