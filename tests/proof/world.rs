//! The world of a run: one or two instances of the program with the one-machine host, on one broker and one store, behind
//! one address; vendors who send a plan to it; partners on the loopback; and faults around every port.

pub mod door;
pub mod quiet;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::json;
use sluice::{
    app::{App, Ports},
    clock::{Clock, SharedClock},
    documents::Documents,
    event::{Channel, Event},
    functions,
    local::host::{FunctionApp, HostOptions, OneMachineHost, Trigger, schedule::Schedule},
    simulate::{Cast, LoadOptions, Outcome, Plan, Progress, Shape, send},
};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tower::ServiceExt;

use crate::{
    clock::JumpingClock,
    faults::{Faults, receiving::FaultySubscriptions},
    support::{TestApp, config, partner_double::PartnerDouble, text},
    wire::ground::{Wire, Wired},
};
use door::Door;

/// How a run is set up.
#[derive(Debug, Clone)]
pub struct Setting {
    pub seed: u64,
    /// Different callbacks. Repeats come on top.
    pub callbacks: u32,
    /// The share of all requests that repeat an earlier one.
    pub duplicates: f64,
    pub shuffle: bool,
    pub instances: usize,
    /// Envelopes larger than this go to a blob.
    pub claim_check_above: &'static str,
    /// An endpoint that fails for so long, by the run's clock, is disabled.
    pub disable_after: &'static str,
    /// Requests due per second; `None` sends as fast as answers come.
    pub rate: Option<f64>,
    /// What is reached over a wire that faults can meet.
    pub wired: Wired,
}

impl Setting {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            callbacks: 240,
            duplicates: 0.15,
            shuffle: true,
            instances: 1,
            claim_check_above: "192KiB",
            disable_after: "5d",
            rate: None,
            wired: Wired::default(),
        }
    }
}

/// A partner of the run, and what it is owed.
#[derive(Debug)]
pub struct Owed {
    pub name: &'static str,
    /// Only this channel.
    pub channel: Option<Channel>,
    /// Only this type of event.
    pub event_type: Option<&'static str>,
    pub double: PartnerDouble,
}

impl Owed {
    /// The filter, said once more: the judge does not ask the product.
    pub fn wants(&self, event: &Event) -> bool {
        self.channel.is_none_or(|channel| event.channel == channel)
            && self.event_type.is_none_or(|name| event.event_type.name() == name)
    }
}

/// A subscription of the deliveries topic that nothing reads: what it is owed can be counted.
pub const ARCHIVE: &str = "archive";

/// The partner that faults meet.
pub const FIRST_PARTNER: &str = "everything";

pub struct World {
    pub setting: Setting,
    pub test: TestApp,
    pub clock: Arc<JumpingClock>,
    pub faults: Faults,
    pub plan: Arc<Plan>,
    pub partners: Vec<Owed>,
    pub door: Door,
    pub progress: Arc<Progress>,
    pub wire: Wire,
    /// All that will be sent was sent.
    sent: AtomicBool,
    url: String,
    hosts: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl World {
    /// Starts instances and partners.
    pub async fn start(setting: Setting) -> Self {
        let claim_check = format!("claim_check_above = \"{}\"", setting.claim_check_above);
        let patience = format!("timeout = \"{}ms\"", setting.wired.patience().as_millis());
        let disable_after = format!("disable_after = \"{}\"", setting.disable_after);
        let config = config(&[
            (
                "[\"5s\", \"30s\", \"2m\", \"10m\", \"1h\", \"3h\", \"6h\", \"12h\", \"24h\"]",
                "[\"100ms\", \"200ms\", \"400ms\", \"800ms\", \"1s\", \"2s\", \"4s\", \"8s\", \"16s\", \"32s\", \"32s\", \"32s\"]",
            ),
            // Calls to dependencies, and exchanges with partners.
            ("timeout = \"10s\"", &patience),
            ("publish_timeout = \"800ms\"", "publish_timeout = \"300ms\""),
            ("max_delivery_count = 10 ", "max_delivery_count = 60 "),
            ("destinations = []", "destinations = [\"archive\"]"),
            ("claim_check_above = \"192KiB\"", &claim_check),
            ("disable_after = \"5d\"", &disable_after),
        ]);
        let clock = Arc::new(JumpingClock::default());
        let faults = Faults::new(setting.seed);
        let shape = Shape {
            callbacks: setting.callbacks,
            duplicates: setting.duplicates,
            shuffle: setting.shuffle,
            seed: setting.seed,
            started: clock.now(),
        };
        let plan = Arc::new(Plan::new(Cast::new(&config, &[], &|_| None).unwrap().generators, shape));
        let mut wire = Wire::default();
        let test =
            TestApp::on(config, clock.clone(), |broker, paths, clock| wire.ground(setting.wired, broker, paths, clock));
        let ports = [&test.documents.switch, &test.bus.switch, &test.blobs.switch, &test.dead_letters.switch];
        for switch in ports.into_iter().chain([&test.outbound.switch]) {
            let faults = faults.clone();
            switch.set(move |call| faults.draw(call));
        }
        let mut world = Self {
            door: Door::default(),
            progress: Arc::default(),
            sent: AtomicBool::default(),
            url: String::new(),
            hosts: Vec::new(),
            partners: Vec::new(),
            wire,
            setting,
            test,
            clock,
            faults,
            plan,
        };
        world.partner(FIRST_PARTNER, None, None).await;
        world.partner("receipts", Some(Channel::Sms), Some("message.delivered")).await;
        world.host().await;
        world
    }

    async fn partner(&mut self, name: &'static str, channel: Option<Channel>, event_type: Option<&'static str>) {
        let double = PartnerDouble::start().await;
        let endpoint = match (self.setting.wired.partner, name) {
            (true, FIRST_PARTNER) => self.wire.partner(&double.url),
            _ => double.url.clone(),
        };
        let settings = json!({
            "endpoint": endpoint,
            "allow_internal": true,
            "channels": channel.iter().map(|channel| channel.name()).collect::<Vec<_>>(),
            "events": event_type.iter().collect::<Vec<_>>(),
            "concurrency": 32,
        });
        let request = Request::put(format!("/manage/partners/{name}")).header("x-sluice-operator", "ana");
        let response = self.test.send(request.body(Body::from(settings.to_string())).unwrap()).await;
        let status = response.status();
        assert_eq!(status, StatusCode::CREATED, "{}", text(response).await);
        self.partners.push(Owed { name, channel, event_type, double });
    }

    /// Starts the hosts: the first takes what vendors send, and deals it out to all instances.
    async fn host(&mut self) {
        let mut handlers = vec![self.test.handler.clone()];
        while handlers.len() < self.setting.instances {
            let App { clock, bus, dead_letters, documents, blobs, outbound, config, .. } = self.test.app.as_ref();
            let ports = Ports {
                clock: clock.clone(),
                bus: bus.clone(),
                dead_letters: dead_letters.clone(),
                documents: documents.clone(),
                blobs: blobs.clone(),
                outbound: outbound.clone(),
            };
            handlers.push(functions::handler(App::new(config.clone(), ports).unwrap()));
        }
        let clock: SharedClock = self.clock.clone();
        for index in 0..handlers.len() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if index == 0 {
                self.url = format!("http://{}", listener.local_addr().unwrap());
            }
            let handler = self.dealer(index, &handlers);
            let options =
                HostOptions { drain_deadline: Duration::from_millis(500), ..HostOptions::from(&self.test.app.config) };
            let (stop, stopped) = oneshot::channel::<()>();
            let stopped = async move { drop(stopped.await) };
            let running = match self.wire.subscriptions(&clock) {
                Some(over_amqp) => {
                    let host = OneMachineHost::new(
                        function_app(self.setting.wired),
                        handler,
                        over_amqp,
                        listener,
                        &options,
                        &clock,
                    );
                    tokio::spawn(host.unwrap().run(stopped))
                }
                None => {
                    let subscriptions = FaultySubscriptions::new(self.test.broker.clone(), self.faults.clone());
                    let host = OneMachineHost::new(
                        function_app(self.setting.wired),
                        handler,
                        subscriptions,
                        listener,
                        &options,
                        &clock,
                    );
                    tokio::spawn(host.unwrap().run(stopped))
                }
            };
            self.hosts.push((stop, running));
        }
    }

    /// What an instance's host calls: its own handler, but vendors' requests are noted and go round.
    fn dealer(&self, own: usize, handlers: &[Router]) -> Router {
        let (door, clock, handlers) = (self.door.clone(), self.clock.clone(), handlers.to_vec());
        Router::new().fallback(move |request: Request<Body>| {
            let (door, clock, handlers) = (door.clone(), clock.clone(), handlers.clone());
            async move {
                match request.uri().path().starts_with("/incoming/") {
                    true => door.pass(request, &handlers, clock.as_ref()).await,
                    false => handlers[own].clone().oneshot(request).await.unwrap(),
                }
            }
        })
    }

    /// The store, as who judges asks it: no fault is in the way, and patience is.
    pub fn store(&self) -> &dyn Documents {
        self.wire.judge.as_deref().unwrap_or(self.test.documents.inner.as_ref())
    }

    /// The vendors send everything.
    pub async fn send(&self) -> Outcome {
        let options = LoadOptions {
            connections: 12,
            rate: self.setting.rate,
            retries: 3,
            backoff: Duration::from_millis(40),
            timeout: Duration::from_secs(5),
            patience: Duration::from_secs(5),
            ..LoadOptions::default()
        };
        let (_stop, stopped) = watch::channel(false);
        let (target, clock) = (self.url.parse().unwrap(), self.clock.clone());
        let sent = send(self.plan.clone(), &target, &options, clock, self.progress.clone(), stopped).await;
        self.sent.store(true, Ordering::SeqCst);
        sent.unwrap()
    }

    /// Waits until this share of the requests has ended, or no more will.
    pub async fn reached(&self, share: f64) {
        let wanted = (self.plan.requests() as f64 * share) as u64;
        while self.progress.done() < wanted && !self.sent.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// An operator looks at everything that waits, again and again while the vendors send. Says what was answered that an
    /// operator cannot make sense of.
    pub async fn look_on(&self) -> Option<String> {
        while !self.sent.load(Ordering::SeqCst) {
            for resource in ["parked", "retries", "dead-letters"] {
                let request = Request::post(format!("/manage/{resource}/search")).header("x-sluice-operator", "ana");
                let sent = self.test.send(request.body(Body::from("{}")).unwrap());
                let Ok(response) = tokio::time::timeout(Duration::from_secs(10), sent).await else {
                    return Some(format!("searching {resource}: no answer in 10 s"));
                };
                let status = response.status();
                if status != StatusCode::OK && status != StatusCode::SERVICE_UNAVAILABLE {
                    return Some(format!("searching {resource}: {status} {}", text(response).await));
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    /// Stops the hosts.
    pub async fn stop(&mut self) {
        for (stop, running) in self.hosts.drain(..) {
            // A host that is gone already panicked, and its task says so.
            let _ = stop.send(());
            running.await.unwrap();
        }
    }
}

/// The shipped functions, with timers that need not be waited for. The projection has no table here.
fn function_app(wired: Wired) -> FunctionApp {
    let settings = |name: &str| match name {
        "CALLBACKS_TOPIC" => Some("callbacks".to_owned()),
        "DELIVERIES_TOPIC" => Some("deliveries".to_owned()),
        _ => None,
    };
    let mut app = FunctionApp::load(env!("CARGO_MANIFEST_DIR").as_ref(), &settings).unwrap();
    assert!(app.refused.is_empty(), "{:?}", app.refused);
    app.functions.retain(|function| function.name != "project-sql");
    for function in &mut app.functions {
        match &mut function.trigger {
            Trigger::Timer(timer) => timer.schedule = Schedule::Every(wired.sweeps_every()),
            // Small batches, so that there are many.
            Trigger::ServiceBus(trigger) => trigger.max_batch = Some(24),
            _ => {}
        }
    }
    app
}
