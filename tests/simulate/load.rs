//! The sender against servers that accept, refuse, stall and die.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::StatusCode};
use sluice::{
    clock::SystemClock,
    simulate::{LoadOptions, Outcome, Plan, Progress, Shape, Standing, send},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};
use url::Url;

use crate::{plan_of, shape};

/// What a server saw: how often each body came.
type Seen = Arc<Mutex<HashMap<Bytes, u32>>>;
/// Decides an answer by how often this body came before, and by the number of the request.
type Answer = fn(u32, u32) -> StatusCode;

/// A server on its own runtime: dropping that is as abrupt as a kill.
struct Server {
    runtime: Option<tokio::runtime::Runtime>,
    address: SocketAddr,
}

impl Server {
    fn start(address: SocketAddr, seen: Seen, answer: Answer) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::thread::scope(|scope| {
            scope.spawn(|| runtime.block_on(TcpListener::bind(address)).unwrap()).join().unwrap()
        });
        let address = listener.local_addr().unwrap();
        let number = Arc::new(AtomicU32::new(0));
        let app = Router::new().fallback(move |body: Bytes| async move {
            let before = {
                let mut seen = seen.lock().unwrap();
                let times = seen.entry(body).or_default();
                *times += 1;
                *times - 1
            };
            answer(before, number.fetch_add(1, Ordering::Relaxed))
        });
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { runtime: Some(runtime), address }
    }

    fn url(&self) -> Url {
        format!("http://{}/", self.address).parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn fast() -> LoadOptions {
    LoadOptions { connections: 8, backoff: Duration::from_millis(5), ..LoadOptions::default() }
}

async fn run(plan: &Arc<Plan>, url: &Url, options: &LoadOptions) -> Outcome {
    let (_stop, stopped) = watch::channel(false);
    send(plan.clone(), url, options, Arc::new(SystemClock), Arc::default(), stopped).await.unwrap()
}

fn standing(outcome: &Outcome, plan: &Plan, wanted: Standing) -> usize {
    (0..plan.callbacks()).filter(|&callback| outcome.obligations.standing(callback) == wanted).count()
}

#[tokio::test]
async fn every_callback_and_every_repeat_arrives() {
    let seen = Seen::default();
    let server = Server::start(anywhere(), seen.clone(), |_, _| StatusCode::ACCEPTED);
    let plan = plan_of(&["twilio", "sendgrid"], Shape { duplicates: 0.5, shuffle: true, ..shape(500, 1) });
    let outcome = run(&plan, &server.url(), &fast()).await;
    assert_eq!((outcome.sent, outcome.acked, outcome.retried), (1000, 1000, 0));
    assert_eq!(outcome.latency.len(), 1000);
    assert_eq!(standing(&outcome, &plan, Standing::Acked), 500);
    let seen = seen.lock().unwrap();
    assert_eq!((seen.len(), seen.values().sum::<u32>()), (500, 1000));
}

#[tokio::test]
async fn a_refusal_is_counted_by_its_status_and_not_repeated() {
    let seen = Seen::default();
    let server = Server::start(anywhere(), seen.clone(), |_, number| match number % 4 {
        0 => StatusCode::UNAUTHORIZED,
        1 => StatusCode::FOUND,
        _ => StatusCode::OK,
    });
    let plan = plan_of(&["twilio"], shape(400, 2));
    let outcome = run(&plan, &server.url(), &fast()).await;
    assert_eq!((outcome.sent, outcome.acked, outcome.retried), (400, 200, 0));
    assert_eq!(outcome.refused, [(401, 100), (302, 100)].into());
    assert_eq!(standing(&outcome, &plan, Standing::Tried), 200);
}

#[tokio::test]
async fn a_503_is_tried_again_with_the_same_bytes() {
    let seen = Seen::default();
    let server = Server::start(anywhere(), seen.clone(), |before, _| match before {
        0 | 1 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    });
    let plan = plan_of(&[], shape(60, 3));
    let outcome = run(&plan, &server.url(), &fast()).await;
    assert_eq!((outcome.sent, outcome.acked, outcome.retried), (60, 60, 120));
    assert!(seen.lock().unwrap().values().all(|times| *times == 3));

    let outcome = run(&plan_of(&[], shape(60, 4)), &server.url(), &LoadOptions { retries: 1, ..fast() }).await;
    assert_eq!((outcome.acked, outcome.refused), (0, [(503, 60)].into()));
}

#[tokio::test]
async fn a_server_that_dies_and_comes_back_is_survived() {
    let seen = Seen::default();
    let server = Server::start(anywhere(), seen.clone(), |_, _| StatusCode::OK);
    let (url, address) = (server.url(), server.address);
    let plan = plan_of(&["twilio"], shape(1000, 5));
    let restart = tokio::task::spawn_blocking({
        let seen = seen.clone();
        move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(server);
            std::thread::sleep(Duration::from_millis(500));
            Server::start(address, seen, |_, _| StatusCode::OK)
        }
    });
    let options = LoadOptions { rate: Some(1000.0), ..fast() };
    let outcome = run(&plan, &url, &options).await;
    let _server = restart.await.unwrap();
    assert_eq!(outcome.acked, 1000, "{:?} {:?}", outcome.refused, outcome.failed);
    assert!(outcome.paused >= Duration::from_millis(300), "{:?}", outcome.paused);
    // The schedule stood still: what was missed is not sent in a burst.
    let active = outcome.elapsed - outcome.paused;
    assert!(active >= Duration::from_millis(950), "{active:?}");
    assert!(!outcome.gave_up);
}

#[tokio::test]
async fn a_server_that_stays_away_ends_the_run() {
    let gone = Server::start(anywhere(), Seen::default(), |_, _| StatusCode::OK);
    let url = gone.url();
    drop(gone);
    let plan = plan_of(&["twilio"], shape(100, 6));
    let options = LoadOptions { patience: Duration::from_millis(300), ..fast() };
    let outcome = run(&plan, &url, &options).await;
    assert!(outcome.gave_up);
    assert_eq!(outcome.acked, 0);
    assert!(outcome.sent <= 8, "{} requests were given up on", outcome.sent);
    // Nothing has left: not even a trace of it may be found.
    assert_eq!(standing(&outcome, &plan, Standing::Unsent), 100);
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate() {
    let server = Server::start(anywhere(), Seen::default(), |_, _| StatusCode::OK);
    let plan = plan_of(&["twilio"], shape(2000, 7));
    let outcome = run(&plan, &server.url(), &LoadOptions { rate: Some(800.0), ..LoadOptions::default() }).await;
    assert_eq!(outcome.acked, 2000);
    // A busy machine may end late; nobody may send early.
    assert!((600.0..840.0).contains(&outcome.rate()), "{:.0}/s", outcome.rate());
}

#[tokio::test]
async fn a_stall_is_charged_for_every_request_it_kept_waiting() {
    let server = Server::start(anywhere(), Seen::default(), |_, number| {
        if number == 100 {
            // Blocks the server's only thread.
            std::thread::sleep(Duration::from_millis(400));
        }
        StatusCode::OK
    });
    let plan = plan_of(&["twilio"], shape(400, 8));
    let options = LoadOptions { rate: Some(500.0), connections: 4, ..LoadOptions::default() };
    let outcome = run(&plan, &server.url(), &options).await;
    // 200 requests were due during the stall, half of them waited for more than half of it.
    let slow = outcome.latency.count_between(150_000, 1_000_000);
    assert!((90..350).contains(&slow), "{slow} requests were slow");
}

#[tokio::test]
async fn silence_is_a_failure_that_promises_nothing() {
    // Accepts connections and never answers.
    let silent = TcpListener::bind(anywhere()).await.unwrap();
    let url: Url = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let plan = plan_of(&["twilio"], shape(4, 9));
    let options = LoadOptions { timeout: Duration::from_millis(100), retries: 1, ..fast() };
    let outcome = run(&plan, &url, &options).await;
    assert_eq!((outcome.sent, outcome.acked, outcome.retried), (4, 0, 4));
    assert_eq!(outcome.failed, [("timeout", 4)].into());
    assert_eq!(standing(&outcome, &plan, Standing::Tried), 4);
}

#[tokio::test]
async fn a_2xx_that_breaks_off_in_its_body_promises_nothing() {
    let cutting = TcpListener::bind(anywhere()).await.unwrap();
    let url: Url = format!("http://{}", cutting.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = cutting.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 16 << 10];
                let read = stream.read(&mut request).await.unwrap();
                assert!(read > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nonly").await.unwrap();
            });
        }
    });
    let plan = plan_of(&["twilio"], shape(4, 11));
    let outcome = run(&plan, &url, &LoadOptions { retries: 0, ..fast() }).await;
    assert_eq!((outcome.sent, outcome.acked), (4, 0));
    assert_eq!(outcome.failed, [("connection broken", 4)].into());
    assert_eq!(standing(&outcome, &plan, Standing::Tried), 4);
}

#[tokio::test]
async fn asking_to_stop_ends_a_run_after_the_answers_on_their_way() {
    let server = Server::start(anywhere(), Seen::default(), |_, _| StatusCode::OK);
    let plan = plan_of(&["twilio"], shape(100_000, 10));
    let url = server.url();
    let (stop, stopped) = watch::channel(false);
    let progress = Arc::new(Progress::default());
    let began = Instant::now();
    let options = LoadOptions { rate: Some(1000.0), ..fast() };
    let (outcome, ()) =
        tokio::join!(send(plan.clone(), &url, &options, Arc::new(SystemClock), progress.clone(), stopped), async {
            while progress.done() < 50 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stop.send_replace(true);
        });
    let outcome = outcome.unwrap();
    assert!(outcome.stopped && began.elapsed() < Duration::from_secs(10), "of 100 s");
    assert!((50..10_000).contains(&outcome.acked), "{}", outcome.acked);
    assert_eq!((outcome.sent, progress.done()), (outcome.acked, outcome.acked));
}

#[tokio::test]
async fn asking_to_stop_while_the_target_is_away_is_no_giving_up() {
    let nobody = TcpListener::bind(anywhere()).await.unwrap().local_addr().unwrap();
    let (url, plan) = (format!("http://{nobody}").parse().unwrap(), plan_of(&["twilio"], shape(100, 12)));
    let (stop, stopped) = watch::channel(false);
    let progress = Arc::new(Progress::default());
    let options = fast();
    let (outcome, ()) =
        tokio::join!(send(plan.clone(), &url, &options, Arc::new(SystemClock), progress, stopped), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stop.send_replace(true);
        });
    let outcome = outcome.unwrap();
    assert!(outcome.stopped && !outcome.gave_up);
    assert_eq!(outcome.acked, 0);
}
