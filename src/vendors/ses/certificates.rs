//! The certificates that sign, as far as they are known: public keys by URL.
//!
//! Anybody may make this process fetch a genuine certificate of Amazon's that it has no use for: there are some for each
//! region. So a full store gives up those first that have never signed a message of an allowed topic.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256};
use x509_cert::{
    Certificate as X509,
    der::{DecodePem, Encode},
};

use super::address;
use crate::{clock::Timestamp, vendors::Refusal};

/// A region has one certificate at a time, and topics are mostly in one region.
const CAPACITY: usize = 64;

/// `SignatureVersion` 1 and 2, both RSA with PKCS #1 v1.5 padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha1,
    Sha256,
}

impl Algorithm {
    pub fn described(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "the signed fields, a line for each name and value (version 1: SHA-1)",
            Algorithm::Sha256 => "the signed fields, a line for each name and value (version 2: SHA-256)",
        }
    }
}

/// One certificate, as far as it matters here.
pub(super) struct Certificate {
    sha1: ParsedPublicKey,
    sha256: ParsedPublicKey,
    /// In seconds since 1970.
    validity: RangeInclusive<i64>,
    proven: AtomicBool,
}

impl Certificate {
    fn parse(pem: &[u8]) -> Option<Self> {
        let certificate = X509::from_pem(pem).ok()?;
        let certificate = certificate.tbs_certificate();
        let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).ok();
        let validity = certificate.validity();
        let key = certificate.subject_public_key_info().to_der().ok()?;
        Some(Self {
            // Any other kind of key is an error here.
            sha1: ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, &key).ok()?,
            sha256: ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key).ok()?,
            validity: seconds(validity.not_before)?..=seconds(validity.not_after)?,
            proven: AtomicBool::new(false),
        })
    }

    pub fn signed(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        let key = match algorithm {
            Algorithm::Sha1 => &self.sha1,
            Algorithm::Sha256 => &self.sha256,
        };
        key.verify_sig(text, signature).is_ok()
    }

    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.validity.contains(&now.timestamp())
    }

    /// It has signed a message that was accepted: no stranger's certificate takes its place any more.
    pub fn prove(&self) {
        // Written once: a line of memory that every request writes would be fought over by all threads.
        if !self.proven.load(Ordering::Relaxed) {
            self.proven.store(true, Ordering::Relaxed);
        }
    }
}

/// Certificates by URL, the oldest first.
#[derive(Default)]
pub(super) struct Certificates(RwLock<Vec<(String, Arc<Certificate>)>>);

impl Certificates {
    pub fn get(&self, url: &str) -> Option<Arc<Certificate>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(known, _)| known == url).map(|(_, certificate)| certificate.clone())
    }

    /// # Errors
    /// The URL is none of Amazon SNS, or what lay there is no certificate of an RSA key.
    pub fn learn(&self, url: &str, pem: &[u8]) -> Result<(), Refusal> {
        if !address::is_certificate(url) {
            return Err(Refusal::malformed("the certificate's URL"));
        }
        let certificate = Certificate::parse(pem).ok_or(Refusal::malformed("the certificate"))?;
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|(known, _)| known == url) {
            return Ok(());
        }
        if known.len() >= CAPACITY {
            let unproven = known.iter().position(|(_, certificate)| !certificate.proven.load(Ordering::Relaxed));
            known.remove(unproven.unwrap_or(0));
        }
        known.push((url.to_owned(), Arc::new(certificate)));
        Ok(())
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        formatter.debug_list().entries(known.iter().map(|(url, _)| url)).finish()
    }
}
