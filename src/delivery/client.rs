//! The HTTP client of deliveries: it posts, follows nothing, and connects to nothing inside unless a partner may be there.
//!
//! Addresses are checked where they are connected to: those that a name resolves to by [`Guard`], literal ones, which no
//! resolver is asked for, before each request.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderMap;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use tokio::time::timeout;
use url::{Host, Url};

use super::address::{self, Refused};

/// This much of an answer is kept; the rest is not read.
pub const KEPT: usize = 4 * 1024;
/// Shorter than servers keep idle connections, as a rule.
const IDLE: Duration = Duration::from_secs(20);
const AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub result: Result<Answer, Failed>,
    pub took: Duration,
}

/// What the endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    /// The first [`KEPT`] bytes of the body.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Nothing was sent.
    #[error(
        "the endpoint leads to a {0} address: correct it with `sluice partners update`, or --allow-internal if it is meant"
    )]
    Inside(&'static str),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke before the answer was there.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl Failed {
    /// A word for it, without values.
    pub fn code(&self) -> &'static str {
        match self {
            Failed::Inside(_) => "inside",
            Failed::Connect(_) => "connect",
            Failed::Timeout(_) => "timeout",
            Failed::Broken(_) => "broken",
        }
    }
}

/// The client. What it needs of TLS is loaded when it is first used.
pub struct Client {
    names: Arc<dyn Resolve>,
    /// For endpoints on the internet.
    public: OnceLock<Result<reqwest::Client, Failed>>,
    /// For those that may be anywhere.
    internal: OnceLock<Result<reqwest::Client, Failed>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client(..)")
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::resolving(Arc::new(System))
    }
}

impl Client {
    /// A client that asks `names` for addresses.
    pub fn resolving(names: Arc<dyn Resolve>) -> Self {
        Self { names, public: OnceLock::new(), internal: OnceLock::new() }
    }

    fn towards(&self, endpoint: &Url, allow_internal: bool) -> Result<reqwest::Client, Failed> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(AGENT)
                .redirect(Policy::none())
                .referer(false)
                .no_proxy()
                .pool_idle_timeout(IDLE)
                .tcp_nodelay(true)
        };
        let built = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| Failed::Broken(format!("the HTTP client cannot start: {error}")))
        };
        let names = Arc::clone(&self.names);
        let client = if allow_internal {
            self.internal.get_or_init(|| built(builder().dns_resolver(Unguarded(names))))
        } else {
            literal(endpoint).map_err(|Refused(kind)| Failed::Inside(kind))?;
            self.public.get_or_init(|| built(builder().https_only(true).dns_resolver(Guard(names))))
        };
        client.clone()
    }

    /// POSTs once. Never fails as such: what went wrong is in the exchange.
    pub async fn post(
        &self,
        endpoint: Url,
        allow_internal: bool,
        patience: Duration,
        headers: HeaderMap,
        body: Bytes,
    ) -> Exchange {
        let started = Instant::now();
        let client = match self.towards(&endpoint, allow_internal) {
            Ok(client) => client,
            Err(failed) => return Exchange { result: Err(failed), took: started.elapsed() },
        };
        let request = client.post(endpoint).headers(headers).body(body).send();
        let result = match timeout(patience, request).await {
            Err(_) => Err(Failed::Timeout(patience)),
            Ok(Err(error)) => Err(failed(&error)),
            Ok(Ok(response)) => {
                let left = patience.saturating_sub(started.elapsed());
                Ok(answer(response, left).await)
            }
        };
        Exchange { result, took: started.elapsed() }
    }
}

/// The status decides; a body that stalls or breaks off is as long as it came.
async fn answer(mut response: reqwest::Response, patience: Duration) -> Answer {
    let retry_after = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let (status, retry_after) = (response.status().as_u16(), retry_after.map(str::to_owned));
    let mut kept = Vec::new();
    let read = async {
        while kept.len() < KEPT
            && let Ok(Some(chunk)) = response.chunk().await
        {
            kept.extend_from_slice(&chunk[..chunk.len().min(KEPT - kept.len())]);
        }
    };
    timeout(patience, read).await.ok();
    Answer { status, retry_after, body: String::from_utf8_lossy(&kept).into_owned() }
}

fn literal(endpoint: &Url) -> Result<(), Refused> {
    match endpoint.host() {
        Some(Host::Ipv4(ip)) => address::check(ip.into()),
        Some(Host::Ipv6(ip)) => address::check(ip.into()),
        Some(Host::Domain(_)) | None => Ok(()),
    }
}

/// The URL may hold a token and stays out of the text.
fn failed(error: &reqwest::Error) -> Failed {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(Refused(kind)) = cause.downcast_ref() {
            return Failed::Inside(kind);
        }
        causes.push(cause.to_string());
        next = cause.source();
    }
    // The last cause says it; those before repeat that a request was sent.
    let text = causes.pop().unwrap_or_else(|| "no reason is told".to_owned());
    if error.is_connect() { Failed::Connect(text) } else { Failed::Broken(text) }
}

/// The operating system's resolver.
#[derive(Debug)]
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Lets only addresses of the internet through.
struct Guard(Arc<dyn Resolve>);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let resolving = self.0.resolve(name);
        Box::pin(async move {
            let mut refused = None;
            let mut allowed = Vec::new();
            for found in resolving.await? {
                match address::check(found.ip()) {
                    Ok(()) => allowed.push(found),
                    Err(reason) => refused = Some(reason),
                }
            }
            match refused {
                Some(reason) if allowed.is_empty() => Err(reason.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

struct Unguarded(Arc<dyn Resolve>);

impl Resolve for Unguarded {
    fn resolve(&self, name: Name) -> Resolving {
        self.0.resolve(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Names(Vec<SocketAddr>);

    impl Resolve for Names {
        fn resolve(&self, _: Name) -> Resolving {
            let found = self.0.clone();
            Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
        }
    }

    #[tokio::test]
    async fn of_several_addresses_only_those_outside_are_connected_to() {
        let found = ["127.0.0.1:0", "8.8.8.8:0", "[fd00:ec2::254]:0", "[2606:4700::1111]:0"];
        let names = Names(found.iter().map(|address| address.parse().unwrap()).collect());
        let left = Guard(Arc::new(names)).resolve("partner.example.com".parse().unwrap()).await.unwrap();
        let left: Vec<String> = left.map(|address| address.to_string()).collect();
        assert_eq!(left, ["8.8.8.8:0", "[2606:4700::1111]:0"]);
    }
}
