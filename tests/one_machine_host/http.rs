use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
    routing::{any, get, post},
};
use http::StatusCode;
use sluice::{clock::SystemClock, local::host::HostOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use crate::world::{FakeBroker, Folders, Running, http_function, options, service_bus_function};

/// Tells what reached it.
async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let seen = format!(
        "{} {} host={} encoding={} version={} id={}",
        head.method,
        head.uri,
        header("host"),
        header("content-encoding"),
        header("x-azure-functions-hostversion"),
        header("x-azure-functions-invocationid"),
    );
    match to_bytes(body, 64 * 1024 * 1024).await {
        Ok(body) => Response::builder().header("x-seen", seen).body(Body::from(body)).unwrap(),
        Err(_) => Response::builder().status(StatusCode::BAD_REQUEST).body(Body::empty()).unwrap(),
    }
}

async fn start() -> Running {
    start_with(&options()).await
}

/// With little patience.
fn hasty() -> HostOptions {
    HostOptions { header_timeout: Duration::from_millis(300), body_timeout: Duration::from_millis(300), ..options() }
}

async fn start_with(options: &HostOptions) -> Running {
    let folders = Folders::new();
    folders
        .function("ingest", &http_function("incoming/{vendor}/{servicetype}/{*requesttype}", &["get", "post"]))
        .function("panics", &http_function("panics", &[]))
        .function("process-sms", &service_bus_function("sms"));
    let handler = Router::new()
        .route("/panics", get(async || -> &'static str { panic!("on purpose") }))
        .route("/process-sms", post(async || "{}"))
        .fallback(any(echo));
    let broker = FakeBroker::default();
    Running::start_with(folders.load(), handler, &broker, options, Arc::new(SystemClock)).await.unwrap()
}

/// Sends bytes and reads until the server closes the connection.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    match tokio::time::timeout(Duration::from_secs(20), read).await.expect("the server closes the connection") {
        // The server may reset a connection whose request it has not read to its end.
        Ok(_) | Err(_) => String::from_utf8_lossy(&answer).into_owned(),
    }
}

async fn get_status(address: SocketAddr, method: &str, path: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    exchange(address, &request).await.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_request_passes_through_unchanged_but_for_two_headers() {
    let host = start().await;
    let answer = exchange(
        host.address,
        "POST /Incoming/a%2Fb/sms?x=1&x=2&flag&q=%41 HTTP/1.1\r\nHost: callbacks.example\r\nContent-Encoding: gzip\r\n\
         X-Azure-Functions-InvocationId: forged\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    let seen = answer.lines().find_map(|line| line.strip_prefix("x-seen: ")).unwrap();
    let expected = "POST /Incoming/a%2Fb/sms?x=1&x=2&flag&q=%41 host=callbacks.example encoding=gzip version=4.0.0 id=";
    let id = seen.strip_prefix(expected).unwrap_or_else(|| panic!("{seen}"));
    assert!(uuid::Uuid::try_parse(id).is_ok(), "{id}");
}

#[tokio::test]
async fn g13_the_handler_sees_path_and_query_as_the_client_sent_them() {
    let golden = include_str!("../golden/g13_forwarded_request.txt").trim();
    let folders = Folders::new();
    folders.function("HttpTrigger", &http_function("api/HttpTrigger", &[]));
    let handler = Router::new().fallback(any(echo));
    let host = Running::start(folders.load(), handler, &FakeBroker::default()).await;
    let answer = exchange(host.address, &format!("{golden} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.contains(&format!("x-seen: {golden} host=x")), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_reaches_the_handler() {
    let host = start().await;
    let answer = exchange(
        host.address,
        "POST /incoming/a/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
    )
    .await;
    assert!(answer.ends_with("\r\n\r\nabcdefg"), "{answer}");
}

#[tokio::test]
async fn a_large_body_that_arrives_in_pieces_reaches_the_handler() {
    let host = start().await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let size = 3 * 1024 * 1024;
    let head = format!("POST /incoming/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let send = async {
        for _ in 0..3 {
            writer.write_all(&vec![b'x'; 1024 * 1024]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = Vec::new();
    let (_, read) = tokio::join!(send, reader.read_to_end(&mut answer));
    read.unwrap();
    assert!(answer.len() > size, "{}", answer.len());
}

#[tokio::test]
async fn requests_without_a_route_never_reach_the_handler() {
    let host = start().await;
    for (method, path, status) in [
        ("GET", "/", "200"),
        ("GET", "/incoming/a", "404"),
        ("DELETE", "/incoming/a/b", "404"),
        ("GET", "/nothing", "404"),
        // The handler would answer this one, but only the host may call it.
        ("POST", "/process-sms", "404"),
        ("GET", "/admin/host/status", "404"),
        ("OPTIONS", "*", "404"),
    ] {
        assert_eq!(get_status(host.address, method, path).await, status, "{method} {path}");
    }
}

#[tokio::test]
async fn the_home_page_can_be_switched_off() {
    let host = start_with(&HostOptions { has_home_page: false, ..options() }).await;
    assert_eq!(get_status(host.address, "GET", "/").await, "204");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_lives_on() {
    let host = start().await;
    let answer = exchange(
        host.address,
        "GET /panics HTTP/1.1\r\nHost: x\r\n\r\nGET /incoming/a/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(answer.contains("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn headers_that_do_not_arrive_in_time_cost_the_connection() {
    let host = start_with(&hasty()).await;
    let started = Instant::now();
    let answer = exchange(host.address, "POST /incoming/a/b HTTP/1.1\r\nHost: x\r\nX-Slow").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(started.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_answered_503() {
    let host = start_with(&hasty()).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(b"POST /incoming/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n").await.unwrap();
    let (mut reader, mut writer) = stream.split();
    // A byte now and then keeps no connection alive: the limit is for the whole body.
    let drip = async {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        read = reader.read_to_end(&mut answer) => drop(read),
        () = drip => {}
        () = tokio::time::sleep(Duration::from_secs(3)) => panic!("the body may drip for ever"),
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

/// When an idle connection is closed.
const IDLE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn more_clients_than_allowed_get_one_request_each_and_still_more_wait_their_turn() {
    let host = start_with(&HostOptions { max_connections: 1, header_timeout: IDLE, ..hasty() }).await;
    let idle = TcpStream::connect(host.address).await.unwrap();
    let mut beyond = TcpStream::connect(host.address).await.unwrap();
    beyond.write_all(b"GET /incoming/a/b HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let began = Instant::now();
    let answer = read_all(&mut beyond).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert!(began.elapsed() < IDLE, "it need not wait for the idle one: {:?}", began.elapsed());

    let also_idle = TcpStream::connect(host.address).await.unwrap();
    // Served once an idle connection has run into its timeout.
    assert_eq!(get_status(host.address, "GET", "/incoming/a/b").await, "200");
    drop((idle, also_idle));
}

#[tokio::test]
async fn a_stopping_host_finishes_the_request_at_hand() {
    let folders = Folders::new();
    folders.function("slow", &http_function("slow", &[]));
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at_work, may_end) = (entered.clone(), leave.clone());
    let slow = async move || {
        at_work.notify_one();
        may_end.notified().await;
        "done"
    };
    let mut host =
        Running::start(folders.load(), Router::new().route("/slow", get(slow)), &FakeBroker::default()).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    entered.notified().await;
    host.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(host.address).await.is_err(), "nothing new is taken");
    leave.notify_one();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    host.stopped().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_stop() {
    let patient = Duration::from_secs(7);
    let mut host = start_with(&HostOptions { header_timeout: patient, drain_deadline: patient, ..options() }).await;
    let unused = TcpStream::connect(host.address).await.unwrap();
    let mut kept_alive = TcpStream::connect(host.address).await.unwrap();
    kept_alive.write_all(b"GET /incoming/a/b HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(kept_alive.read(&mut [0; 1024]).await.unwrap() > 0);
    host.stop();
    let started = Instant::now();
    host.stopped().await;
    // The Service Bus trigger's wait for messages is the longest that remains.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    drop(unused);
}
