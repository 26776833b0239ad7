//! `[delivery]`: what is common to all partners. Partners themselves are not configured here but with `sluice partners`.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{
    ConfigError, MissingSecret, Secret,
    secrets::{Resolver, SecretSource},
};

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

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeliveryTable {
    key: Option<Spanned<SecretSource>>,
    pub schedule: Vec<humantime_serde::Serde<Duration>>,
    pub jitter: f64,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    pub concurrency: u32,
    #[serde(with = "humantime_serde")]
    pub former_secret: Duration,
    #[serde(with = "humantime_serde")]
    pub disable_after: Duration,
    #[serde(with = "humantime_serde")]
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
