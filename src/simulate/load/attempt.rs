//! One request on the wire.

use std::time::Duration;

use http::Method;
use reqwest::{Body, redirect::Policy};
use url::Url;

use super::LoadOptions;
use crate::simulate::fact::SignedRequest;

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The answer came, and was read to its end.
    Answered(u16),
    /// No connection: nothing of the request has left.
    Unreachable,
    /// The connection broke or stayed silent: the target may have the request, or not.
    Broken(&'static str),
}

pub(super) struct Client {
    client: reqwest::Client,
    /// Without a trailing slash.
    base: String,
}

impl Client {
    pub fn new(target: &Url, options: &LoadOptions) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            // Vendors do not follow redirects, and Nagle's algorithm would put 40 ms into the latency.
            .redirect(Policy::none())
            .tcp_nodelay(true)
            .connect_timeout(options.timeout.min(Duration::from_secs(5)))
            .timeout(options.timeout)
            .pool_max_idle_per_host(options.connections)
            .http1_only()
            .build()?;
        Ok(Self { client, base: target.as_str().trim_end_matches('/').to_owned() })
    }

    pub async fn attempt(&self, request: &SignedRequest) -> Attempt {
        let builder = self
            .client
            .request(Method::POST, format!("{}{}", self.base, request.path))
            .headers(request.headers.clone())
            .body(Body::from(request.body.clone()));
        let answer = async {
            let response = builder.send().await?;
            let status = response.status().as_u16();
            // Only an answer that is complete is an answer: the body is read to its end.
            response.bytes().await?;
            Ok::<u16, reqwest::Error>(status)
        };
        match answer.await {
            Ok(status) => Attempt::Answered(status),
            Err(error) if error.is_connect() => Attempt::Unreachable,
            Err(error) if error.is_timeout() => Attempt::Broken("timeout"),
            Err(_) => Attempt::Broken("connection broken"),
        }
    }
}
