//! Whether anybody is there: names, connections, and what an HTTP answer says about the time.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use tokio::{
    net::{TcpStream, lookup_host},
    time::Instant,
};
use url::Url;

use super::{
    patience::{Patience, STEP},
    report::Steps,
};

/// Why nobody is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreached {
    pub found: String,
    pub advice: String,
}

/// Looks the name up and connects; returns what is worth telling.
pub(super) async fn connect(host: &str, port: u16, patience: Patience) -> Result<String, Unreached> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let unknown = |problem: String| Unreached {
        found: format!("the name {host} does not resolve: {problem}"),
        advice: "Correct the name; for a private endpoint, link its private DNS zone to this network".to_owned(),
    };
    let addresses: Vec<SocketAddr> = match patience.wait(STEP, lookup_host((host, port))).await {
        Err(silence) => return Err(unknown(format!("the name server gave {silence}"))),
        Ok(Err(error)) => return Err(unknown(error.to_string())),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    let started = Instant::now();
    match patience.wait(STEP, TcpStream::connect(&addresses[..])).await {
        Err(silence) => Err(Unreached {
            found: format!("{host}:{port} gives {silence} to a connection"),
            advice: "A firewall or a network rule drops it: let this machine's network in".to_owned(),
        }),
        Ok(Err(error)) => Err(Unreached {
            found: format!("{host}:{port} refuses a connection: {error}"),
            advice: "Nothing listens there: start it, or correct host and port".to_owned(),
        }),
        Ok(Ok(_)) => Ok(format!("{host}:{port} connects in {:.0} ms", started.elapsed().as_secs_f64() * 1000.0)),
    }
}

/// Connects to what speaks HTTP and asks it, told in steps. `None`: it does not answer, and `rest` is not looked at.
pub(super) async fn over_http(
    url: &Url,
    any_certificate: bool,
    rest: &str,
    patience: Patience,
    steps: &mut Steps,
) -> Option<Answered> {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    let asked = match connect(host, port, patience).await {
        Ok(found) => {
            steps.ok("reach", found);
            ask(url, any_certificate, patience).await.map_err(|unreached| ("HTTP", unreached))
        }
        Err(unreached) => Err(("reach", unreached)),
    };
    match asked {
        Ok(answered) => {
            steps.ok("HTTP", "it answers");
            Some(answered)
        }
        Err((step, unreached)) => {
            steps.fail(step, unreached.found, unreached.advice);
            steps.skip(rest, "not looked at");
            None
        }
    }
}

/// What an answer told beside its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    /// How far this machine's clock is ahead of the service's, in seconds; an answer is precise to one.
    pub skew: Option<f64>,
}

/// Asks for anything at all, without credentials: every answer will do, also a refusal.
async fn ask(url: &Url, any_certificate: bool, patience: Patience) -> Result<Answered, Unreached> {
    let place = url.host_str().unwrap_or_default().to_owned();
    let failed = |problem: String| Unreached {
        found: format!("{place} takes the connection, but {problem}"),
        advice:
            "Something else listens there, a proxy is in between, or the service hangs: correct the address, or wait"
                .to_owned(),
    };
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // Emulators sign their certificates themselves.
        .tls_danger_accept_invalid_certs(any_certificate)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let before = Utc::now();
    match patience.wait(STEP, client.get(url.clone()).send()).await {
        Err(silence) => Err(failed(format!("gives {silence}"))),
        Ok(Err(error)) => Err(failed(format!("HTTP fails: {}", root(&error.without_url())))),
        Ok(Ok(response)) => {
            let date = response.headers().get("date").and_then(|value| value.to_str().ok());
            let date = date.and_then(|text| DateTime::parse_from_rfc2822(text).ok());
            let middle = before + (Utc::now() - before) / 2;
            let skew = |date: DateTime<_>| (middle - date.with_timezone(&Utc)).num_milliseconds() as f64 / 1000.0;
            Ok(Answered { skew: date.map(skew) })
        }
    }
}

/// The innermost cause: the outer ones only say that a request failed.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
