//! The port to vendors' own servers: the few things that verification and handshakes must fetch.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;

/// A vendor waits while this runs, and Amazon SNS waits 15 s at the most.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Why nothing was fetched. The caller tries again later.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// No connection, no TLS, no answer in time.
    #[error("{0}")]
    Failed(String),
    /// The server answered with something else than 2xx. Redirects are not followed.
    #[error("answered {0}")]
    Status(u16),
    #[error("the answer exceeds {0} bytes")]
    TooLarge(usize),
}

/// Fetches what a vendor publishes.
#[async_trait]
pub trait Outbound: Send + Sync + Debug {
    /// GET, without following redirects. The caller has checked the URL: what a request names is not to be trusted.
    async fn get(&self, url: &str, limit: usize) -> Result<Bytes, OutboundError>;
}

pub type SharedOutbound = Arc<dyn Outbound>;

/// The real one, over HTTPS.
#[derive(Debug, Clone)]
pub struct HttpsClient(reqwest::Client);

impl HttpsClient {
    /// A client with bounded patience.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, OutboundError> {
        let client = reqwest::Client::builder()
            .https_only(true)
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build();
        client.map(Self).map_err(|error| OutboundError::Failed(error.to_string()))
    }
}

#[async_trait]
impl Outbound for HttpsClient {
    async fn get(&self, url: &str, limit: usize) -> Result<Bytes, OutboundError> {
        // The URL may hold a token: it is kept out of the text.
        let failed = |error: reqwest::Error| OutboundError::Failed(error.without_url().to_string());
        let mut response = self.0.get(url).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(OutboundError::Status(response.status().as_u16()));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > limit {
                return Err(OutboundError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}
