//! `[delivery]`: what is common to all partners. Partners themselves are not configured here but with `sluice partners`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{
    ConfigError, MissingSecret, Secret,
    secrets::{Resolver, SecretSource},
};
use crate::openapi::DurationText;

/// How events are passed on.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What partners' secrets are derived from; `None` without the table `[delivery]`.
    pub key: Option<Result<Secret, MissingSecret>>,
    /// The wait before each attempt after the first, for partners without a schedule of their own.
    pub schedule: Vec<Duration>,
    /// Each wait is varied by up to this share of itself, both ways (0 to 1).
    pub jitter: f64,
    /// How long an answer may take, for partners without a time of their own.
    pub timeout: Duration,
    /// Requests that an instance has under way, for partners without a number of their own.
    pub concurrency: u32,
    /// How long a secret is valid beside the one that replaced it.
    pub former_secret: Duration,
    /// An endpoint that has failed for so long is disabled.
    pub disable_after: Duration,
    /// How long what became of a delivery can be looked up.
    pub keep_records: Duration,
}

impl Default for Delivery {
    fn default() -> Self {
        DeliveryTable::default().with_key(None)
    }
}

/// How events are passed on to partners, which are no part of this file: see `sluice partners --help`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeliveryTable {
    /// What partners' secrets are derived from: they are stored nowhere, and whoever changes it changes all of them. Without it
    /// no partner can be added.
    #[schemars(with = "Option<SecretSource>")]
    key: Option<Spanned<SecretSource>>,
    /// For partners without a schedule of their own: the wait before each attempt after the first. When they are used up, the
    /// delivery is parked.
    #[schemars(with = "Vec<DurationText>")]
    pub schedule: Vec<humantime_serde::Serde<Duration>>,
    /// Each wait is varied by up to this share of itself, both ways (0 to 1).
    pub jitter: f64,
    /// For partners without a time of their own: how long an exchange may take, at most 30 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// For partners without a number of their own: requests that an instance has under way.
    pub concurrency: u32,
    /// How long a secret is valid beside the one that replaced it: events carry both signatures.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub former_secret: Duration,
    /// An endpoint that has done nothing but fail for so long is disabled, and its deliveries are parked.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub disable_after: Duration,
    /// How long `sluice show` knows what became of a delivery.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub keep_records: Duration,
}

impl Default for DeliveryTable {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        let schedule = [5, 30, 120, 600, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR];
        Self {
            key: None,
            schedule: schedule.map(|seconds| Duration::from_secs(seconds).into()).to_vec(),
            jitter: 0.2,
            timeout: Duration::from_secs(10),
            concurrency: 8,
            former_secret: Duration::from_secs(24 * HOUR),
            disable_after: Duration::from_secs(5 * 24 * HOUR),
            keep_records: Duration::from_secs(30 * 24 * HOUR),
        }
    }
}

impl DeliveryTable {
    fn with_key(self, key: Option<Result<Secret, MissingSecret>>) -> Delivery {
        Delivery {
            key,
            schedule: self.schedule.into_iter().map(humantime_serde::Serde::into_inner).collect(),
            jitter: self.jitter,
            timeout: self.timeout,
            concurrency: self.concurrency,
            former_secret: self.former_secret,
            disable_after: self.disable_after,
            keep_records: self.keep_records,
        }
    }
}

/// The section, or what holds without one.
pub(super) fn resolve(table: Option<Spanned<DeliveryTable>>, secrets: &Resolver<'_>) -> Result<Delivery, ConfigError> {
    let table = table.map(Spanned::into_inner).unwrap_or_default();
    let key = table.key.as_ref().map(|key| secrets.resolve("delivery.key", key)).transpose()?;
    Ok(table.with_key(key))
}
