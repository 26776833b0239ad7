//! A partner's endpoint: a real HTTP server on the loopback that does what a test says.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, Response, StatusCode},
};
use tokio::{net::TcpListener, time::Instant};

/// What the endpoint does with a request.
#[derive(Debug, Clone)]
pub enum Act {
    Answer(u16),
    /// With a header.
    With(u16, &'static str, String),
    /// With a body.
    Says(u16, String),
    /// Answers 200 after this long.
    Stall(Duration),
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub headers: HeaderMap,
    pub body: Bytes,
    pub at: Instant,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The endpoint.
#[derive(Debug, Clone)]
pub struct PartnerDouble {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    next: Arc<Mutex<VecDeque<Act>>>,
    usual: Arc<Mutex<Act>>,
}

impl PartnerDouble {
    /// Answers everything with 200 until it is told otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let double = Self {
            url: format!("http://{}/events", listener.local_addr().unwrap()),
            seen: Arc::default(),
            next: Arc::default(),
            usual: Arc::new(Mutex::new(Act::Answer(200))),
        };
        let answering = double.clone();
        let router = Router::new().fallback(move |request: Request| {
            let double = answering.clone();
            async move { double.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        double
    }

    async fn answer(self, request: Request) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        self.seen.lock().unwrap().push(Seen { headers: head.headers, body, at: Instant::now() });
        let next = self.next.lock().unwrap().pop_front();
        let act = next.unwrap_or_else(|| self.usual.lock().unwrap().clone());
        let mut response = Response::new(Body::empty());
        match act {
            Act::Answer(status) => *response.status_mut() = StatusCode::from_u16(status).unwrap(),
            Act::With(status, name, value) => {
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            Act::Says(status, text) => {
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                *response.body_mut() = Body::from(text);
            }
            Act::Stall(time) => tokio::time::sleep(time).await,
        }
        response
    }

    /// What it does from now on.
    pub fn usually(&self, act: Act) {
        *self.usual.lock().unwrap() = act;
    }

    /// What it does with the next requests, before it does what is usual.
    pub fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.next.lock().unwrap().extend(acts);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// `webhook-id` of every request.
    pub fn ids(&self) -> Vec<String> {
        self.seen().iter().map(|request| request.header("webhook-id").to_owned()).collect()
    }
}

/// An address where every connection breaks with a reset: what was sent stays unread.
pub async fn resetting() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            drop(stream);
        }
    });
    url
}

/// An address that answers 200 and then never gets to the end of its body.
pub async fn dripping() -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nok").await.unwrap();
                std::future::pending::<()>().await;
            });
        }
    });
    url
}

/// An address where nobody listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/events", listener.local_addr().unwrap())
}
