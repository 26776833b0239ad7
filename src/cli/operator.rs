//! The operators' side of `/manage`: a client, and the arguments that every such command has.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use url::Host;

use super::Places;
use crate::{admin::OPERATOR_HEADER, host::key::KEY_HEADER};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(60);

/// Whom to ask, and who asks.
#[derive(Debug, Clone, Args)]
pub(super) struct Operator {
    /// Where the system is: the one-machine system, or the Function App with the function `operate`. Its key is taken
    /// from SLUICE_ADMIN_KEY
    #[arg(long, env = "SLUICE_ADMIN_URL", default_value = "http://127.0.0.1:7071")]
    url: Url,
    /// Your name, which is written into the audit log with what you do
    #[arg(long = "as", value_name = "NAME", env = "USER", default_value = "unknown")]
    who: String,
    #[command(flatten)]
    places: Places,
}

/// A client of `/manage`.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    key: String,
    who: String,
}

impl Operator {
    pub fn client(&self) -> anyhow::Result<Client> {
        let is_here = match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if self.url.scheme() != "https" && !(self.url.scheme() == "http" && is_here) {
            bail!("{} is neither https nor on this machine: the key would travel unprotected", self.url);
        }
        let key = match std::env::var("SLUICE_ADMIN_KEY").ok().filter(|key| !key.trim().is_empty()) {
            Some(key) => key,
            None => {
                let config = self.places.load_config();
                let known = config.ok().and_then(|config| config.admin_key().map(str::to_owned));
                known.context("there is no key: set SLUICE_ADMIN_KEY (in Azure: a key of the function `operate`)")?
            }
        };
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT).no_proxy().build()?;
        Ok(Client { http, base: self.url.clone(), key, who: self.who.clone() })
    }
}

/// What a refusal holds (RFC 9457).
#[derive(Debug, Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: Option<String>,
}

impl Client {
    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, query, None).await
    }

    pub async fn post(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, &[], Some(body)).await
    }

    /// Asks `/manage/{path...}`.
    ///
    /// # Errors
    /// Nobody listens, the key is refused, or the server's own words for what is wrong.
    pub async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow!("{} is no URL of a server", self.base))?
            .pop_if_empty()
            .push("manage")
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request =
            self.http.request(method, url).header(KEY_HEADER, &self.key).header(OPERATOR_HEADER, &self.who);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        // Without the URL: its query is nobody's business in a log.
        let response = request.send().await.map_err(|error| self.unreachable(&error.without_url()))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error.without_url()))?;
        match status {
            status if status.is_success() => serde_json::from_slice(&body)
                .with_context(|| format!("{} answered what is no JSON: is it Sluice, of this version?", self.base)),
            StatusCode::UNAUTHORIZED => bail!("{} does not accept the key: set SLUICE_ADMIN_KEY to its own", self.base),
            status => match serde_json::from_slice::<Problem>(&body) {
                Ok(problem) => bail!("{}", problem.detail.unwrap_or(problem.title)),
                Err(_) if status == StatusCode::NOT_FOUND => {
                    bail!(
                        "{} has no /manage: is it the system, and is the function `operate` deployed there?",
                        self.base
                    )
                }
                Err(_) => bail!("{} answered {status}", self.base),
            },
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let base = &self.base;
        if error.is_connect() {
            return anyhow!(
                "nobody listens at {base}: start the one-machine system with `sluice`, or name the Function App with --url"
            );
        }
        if error.is_timeout() {
            return anyhow!("{base} did not answer within {TIMEOUT:?}; what was asked may still happen");
        }
        anyhow!("{base} broke off: {error}; what was asked may still happen")
    }
}

/// Prints JSON for scripts.
pub(super) fn print_json(value: &Value) -> anyhow::Result<ExitCode> {
    super::print(&format!("{}\n", serde_json::to_string_pretty(value)?))?;
    Ok(ExitCode::SUCCESS)
}
