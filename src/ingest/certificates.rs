//! Fetching the certificates that verification needs (Amazon SNS names one in each message).
//!
//! The URL comes from a request that nobody has verified yet. The vendor has checked its form; here it is bounded how
//! much such requests can make this process do: few fetches at a time, small answers, and no second try at once for what
//! failed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{
    clock::Timestamp,
    outbound::{Outbound, SharedOutbound},
    vendors::{Refusal, Request, Trace, Vendor},
};

const FETCHES: usize = 4;
/// The wait for one of them to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Amazon's certificates have 2 KB.
const LARGEST: usize = 64 * 1024;
/// A URL that failed is not asked again for so long.
const REST: Duration = Duration::from_secs(30);
const FAILURES: usize = 256;

/// Verifies, and fetches a certificate where that takes one.
#[derive(Debug)]
pub struct Certificates {
    outbound: SharedOutbound,
    permits: Semaphore,
    failed: Mutex<HashMap<String, Instant>>,
}

impl Certificates {
    pub fn new(outbound: SharedOutbound) -> Self {
        Self { outbound, permits: Semaphore::new(FETCHES), failed: Mutex::default() }
    }

    /// Whether the request is genuine.
    ///
    /// # Errors
    /// As [`Vendor::verify`]; [`Refusal::CertificateNeeded`] where the certificate could not be fetched now.
    pub async fn verify(&self, vendor: &dyn Vendor, request: &Request<'_>, now: Timestamp) -> Result<(), Refusal> {
        let verdict = vendor.verify(request, now, &mut Trace::off());
        let Err(Refusal::CertificateNeeded(url)) = verdict else { return verdict };
        // In a box: few requests come this far, and all of them would carry its size around.
        Box::pin(self.fetch(url, vendor, request, now)).await
    }

    /// Fetches a certificate, and verifies again.
    async fn fetch(
        &self,
        url: String,
        vendor: &dyn Vendor,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.failed_lately(&url) {
            return Err(Refusal::CertificateNeeded(url));
        }
        let Ok(Ok(_permit)) = timeout(PATIENCE, self.permits.acquire()).await else {
            return Err(Refusal::CertificateNeeded(url));
        };
        // Another request may have brought it meanwhile.
        let verdict = vendor.verify(request, now, &mut Trace::off());
        let Err(Refusal::CertificateNeeded(url)) = verdict else { return verdict };
        let outbound: &dyn Outbound = self.outbound.as_ref();
        // What lies there and is no certificate is the server's fault, not the request's.
        let learnt = match outbound.get(&url, LARGEST).await {
            Ok(pem) => vendor.learn_certificate(&url, &pem).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = learnt {
            tracing::warn!(url, error, "a signing certificate could not be fetched");
            self.note_failure(&url);
            return Err(Refusal::CertificateNeeded(url));
        }
        vendor.verify(request, now, &mut Trace::off())
    }

    fn failed_lately(&self, url: &str) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(url).is_some_and(|at| at.elapsed() < REST)
    }

    fn note_failure(&self, url: &str) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() >= FAILURES {
            failed.retain(|_, at| at.elapsed() < REST);
        }
        if failed.len() < FAILURES {
            failed.insert(url.to_owned(), Instant::now());
        }
    }
}
