//! No false alarm: a system at work, with repeats, late callbacks and a partner that fails now and then, is consistent
//! whenever somebody asks.

use std::{sync::Arc, time::Duration};

use axum::http::Method;
use serde_json::json;
use sluice::{
    clock::{Clock, SystemClock},
    local::host::{FunctionApp, HostOptions, OneMachineHost},
    simulate::{Cast, LoadOptions, Plan, Shape, send},
    verify::{
        CheckOptions, Checked, Report, check,
        queues::{self, Queue},
    },
};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    time::Instant,
};

use crate::{
    support::{
        TestApp, config,
        partner_double::{Act, PartnerDouble},
    },
    world::ask,
};

const SCHEDULE: &str = "[\"5s\", \"30s\", \"2m\", \"10m\", \"1h\", \"3h\", \"6h\", \"12h\", \"24h\"]";

/// As the command does: the documents, then the queues.
async fn verify(app: &TestApp, settle: Duration, since: Option<Duration>) -> Report {
    let now = SystemClock.now();
    let options = CheckOptions { settle, since: since.map(|ago| now - ago), ..CheckOptions::new(now) };
    let mut report = check(app.documents.as_ref(), &options, &|_| {}).await.unwrap();
    let queue = |depth: sluice::local::broker::Depth| Queue {
        name: depth.entity.to_string(),
        waiting: depth.active + depth.locked,
        scheduled: depth.scheduled,
        oldest: depth.oldest_enqueued_at,
        dead_letters: depth.dead_letters,
        is_deliveries: depth.entity.topic == "deliveries",
    };
    let queues: Vec<_> = app.broker.depths().await.unwrap().into_iter().map(queue).collect();
    queues::check(&queues, &options, &mut report);
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_at_work_is_consistent_whenever_somebody_asks() {
    let config = config(&[(SCHEDULE, "[\"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\"]")]);
    let app = TestApp::with_clock(config, Arc::new(SystemClock));
    let partner = PartnerDouble::start().await;
    for name in ["healthy", "flaky"] {
        let settings = json!({ "endpoint": format!("{}/{name}", partner.url), "allow_internal": true });
        let (status, answer) = ask(&app.handler, Method::PUT, &format!("partners/{name}"), settings).await;
        assert!(status.is_success(), "{answer}");
    }
    let topics = |name: &str| match name {
        "CALLBACKS_TOPIC" => Some("callbacks".to_owned()),
        "DELIVERIES_TOPIC" => Some("deliveries".to_owned()),
        _ => None,
    };
    let mut functions = FunctionApp::load(env!("CARGO_MANIFEST_DIR").as_ref(), &topics).unwrap();
    // It wants a database.
    functions.functions.retain(|function| function.name != "project-sql");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (broker, options) = (Arc::new(app.broker.clone()), HostOptions::from(&app.app.config));
    let host = OneMachineHost::new(functions, app.handler.clone(), broker, listener, &options, &app.app.clock).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let host = tokio::spawn(host.run(async move { drop(stopped.await) }));

    let cast = Cast::new(&app.app.config, &[], &|_| None).unwrap();
    let shape = Shape { callbacks: 1500, duplicates: 0.4, shuffle: true, seed: 7, started: SystemClock.now() };
    let load = LoadOptions { rate: Some(250.0), ..LoadOptions::default() };
    let (_go, going) = watch::channel(false);
    let plan = Arc::new(Plan::new(cast.generators, shape));
    let sending =
        tokio::spawn(async move { send(plan, &url, &load, Arc::new(SystemClock), Arc::default(), going).await });

    // Every third answer of the partner is a failure while the load lasts.
    let (mut looks, mut judged, mut in_flight) = (0, 0, 0);
    while !sending.is_finished() {
        partner.next([Act::Answer(200), Act::Answer(200), Act::Answer(503)].into_iter().cycle().take(60));
        let since = (looks % 2 == 1).then_some(Duration::from_secs(5));
        let report = verify(&app, Duration::from_secs(2), since).await;
        assert!(report.is_clean(), "look {looks}: {report}");
        (looks, judged) = (looks + 1, judged + report.checked.messages);
        in_flight += report.checked.in_flight;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let outcome = sending.await.unwrap().unwrap();
    println!("{looks} looks, {judged} messages judged, {in_flight} in flight, {} sent", outcome.sent);
    assert!(looks > 1 && judged > 0 && in_flight > 0, "it was judged while traffic ran");

    // Then it becomes quiet, and everything is judged. What is on the bus while it is asked has neither a record nor a
    // retry; and failures in a row may have opened a breaker, for a minute each time.
    let began = Instant::now();
    let report = loop {
        let report = verify(&app, Duration::ZERO, None).await;
        let Checked { owed, deliveries, retries, .. } = report.checked;
        let is_quiet = report.is_clean() && report.unjudged.is_empty() && retries == 0 && deliveries == owed;
        if is_quiet || began.elapsed() > Duration::from_secs(180) {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert!(report.is_clean() && report.unjudged.is_empty(), "{report}");
    assert_eq!(report.checked.owed, 2 * report.checked.events, "both partners are owed every event");
    assert_eq!(report.checked.deliveries, report.checked.owed);
    assert_eq!(report.checked.in_flight, 0);
    stop.send(()).unwrap();
    host.await.unwrap();
}
