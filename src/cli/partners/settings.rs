//! A partner's settings as they are typed.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use humantime_serde::re::humantime;

use crate::{
    delivery::{changes::Changes, partner::Format},
    event::Channel,
};

#[derive(Debug, Clone, Args)]
pub(super) struct SettingsArgs {
    /// Where events are POSTed; https, unless --allow-internal
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Only these channels: sms, email, voice [default: all]
    #[arg(long = "channel", value_name = "CHANNEL", value_delimiter = ',')]
    channels: Option<Vec<String>>,
    /// Only these event types, for example message.delivered or 'message.*' [default: all]
    #[arg(long = "event", value_name = "TYPE", value_delimiter = ',')]
    events: Option<Vec<String>>,
    /// Only events of these vendors, by their names in sluice.toml [default: all]
    #[arg(long = "vendor", value_name = "NAME", value_delimiter = ',')]
    vendors: Option<Vec<String>>,
    /// standard-webhooks {"type","timestamp","data"}, cloudevents-binary (ce- headers), or cloudevents-structured
    /// [default: standard-webhooks]
    #[arg(long)]
    format: Option<String>,
    /// Sent with every event: 'name: value', or 'name: env:PARTNER_...' for a value from the server's environment. All of
    /// them at once: those that are not named are removed
    #[arg(long = "header", value_name = "HEADER")]
    headers: Option<Vec<String>>,
    /// Requests a second that an instance starts; 0: no limit [default: 0]
    #[arg(long)]
    rate: Option<u32>,
    /// Requests that an instance has under way, 1 to 64 [default: delivery.concurrency]
    #[arg(long)]
    concurrency: Option<u32>,
    /// For a whole exchange, 100ms to 30s [default: delivery.timeout]
    #[arg(long, value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// The waits between attempts, for example 5s,1m,1h; then the delivery is parked [default: delivery.schedule]
    #[arg(long, value_delimiter = ',')]
    schedule: Option<Vec<String>>,
    /// Internal networks and plain http are allowed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    allow_internal: Option<bool>,
}

impl SettingsArgs {
    pub fn changes(self) -> anyhow::Result<Changes> {
        let waits = |texts: Vec<String>| {
            let wait = |text: String| humantime::parse_duration(&text).map(Into::into).with_context(|| text.clone());
            filled(texts).map(wait).collect::<anyhow::Result<_>>().context("--schedule holds times like 5s,1m,1h")
        };
        let channel = |text: String| {
            Channel::from_name(&text).with_context(|| format!("--channel {text}: there are sms, email and voice"))
        };
        let format = |text: String| {
            let known = Format::ALL.map(Format::name);
            let found = Format::ALL.into_iter().find(|format| format.name() == text);
            found.with_context(|| format!("--format {text}: there are {}", known.join(", ")))
        };
        Ok(Changes {
            endpoint: self.endpoint,
            channels: self.channels.map(|texts| filled(texts).map(channel).collect()).transpose()?,
            events: self.events.map(|texts| filled(texts).collect()),
            vendors: self.vendors.map(|texts| filled(texts).collect()),
            format: self.format.map(format).transpose()?,
            headers: self.headers.map(headers).transpose()?,
            rate: self.rate,
            concurrency: self.concurrency,
            timeout: self.timeout.map(Into::into),
            schedule: self.schedule.map(waits).transpose()?,
            allow_internal: self.allow_internal,
        })
    }
}

/// `--event ""` means no filter.
fn filled(texts: Vec<String>) -> impl Iterator<Item = String> {
    texts.into_iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn headers(texts: Vec<String>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut headers = BTreeMap::new();
    for text in filled(texts) {
        // Not repeated in the error: it may be a secret.
        let Some((name, value)) = text.split_once(':') else { bail!("--header is like 'name: value'") };
        headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
    }
    Ok(headers)
}
