//! The exporters' HTTP client: on this program's runtime, and with a token where one is wanted.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use tokio::runtime::Handle;

use super::ExportError;
use crate::azure::identity;

/// A batch that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// What Application Insights' ingestion is to Entra ID.
const SCOPE: &str = "https://monitor.azure.com//.default";
/// The exporter's path, which takes keys, and the one that takes tokens.
const WITH_KEY: &str = "/v2/track";
const WITH_TOKEN: &str = "/v2.1/track";

/// Sends batches. The SDK's threads wait for them without a runtime of their own, so the work is done on this one.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    identity: Option<Arc<dyn TokenCredential>>,
}

/// The identity that `APPLICATIONINSIGHTS_AUTHENTICATION_STRING` names: `Authorization=AAD`, and perhaps
/// `ClientId={the client id of a user-assigned identity}`.
pub(super) fn identity(text: &str) -> Result<Arc<dyn TokenCredential>, ExportError> {
    let field = |name: &str| {
        let fields = text.split(';').filter_map(|field| field.split_once('='));
        let found = fields.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    if !field("Authorization").is_some_and(|kind| kind.eq_ignore_ascii_case("AAD")) {
        return Err(ExportError::Identity("it must say Authorization=AAD".to_owned()));
    }
    identity::credential(field("ClientId")).map_err(|error| ExportError::Identity(error.to_string()))
}

impl Sender {
    /// To be called on a runtime.
    pub fn new(identity: Option<Arc<dyn TokenCredential>>) -> Result<Self, ExportError> {
        let client =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, runtime: Handle::current(), identity })
    }

    async fn send(self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if let Some(identity) = &self.identity {
            let token = identity.get_token(&[SCOPE], None).await?;
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.token.secret()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
            let uri = request.uri().to_string();
            if let Some(start) = uri.strip_suffix(WITH_KEY) {
                *request.uri_mut() = format!("{start}{WITH_TOKEN}").parse()?;
            }
        }
        let mut answer = self.client.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            *headers = std::mem::take(answer.headers_mut());
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.spawn(self.clone().send(request)).await?
    }
}
