//! What may be shown of an explanation, to be printed or written as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Explanation, diagnose::Diagnosis, redact::Redactor};
use crate::{
    clock::millis,
    config::Config,
    vendors::{Refusal, Step},
};

/// An explanation without secrets, whole signatures and long bodies.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub vendor: String,
    pub method: String,
    /// The URL that the signature is verified for.
    pub url: String,
    pub body_bytes: usize,
    /// The clock of verification.
    pub at: String,
    /// Whether that was chosen or told by the capture; else it is the time of this report.
    pub at_given: bool,
    pub notes: Vec<String>,
    pub steps: Vec<StepReport>,
    pub genuine: bool,
    /// Which secret matched; of a refused request, the one that matches once the causes are undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalReport>,
    /// Together they explain the refusal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<CauseReport>,
    /// Whether the request verifies once the causes are undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<bool>,
    /// Whether something is left that none of the tried changes explains.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unexplained: bool,
    /// How many changes were tried, by what they were about.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tried: BTreeMap<&'static str, usize>,
}

/// Why it was refused, in the words of counters and logs.
#[derive(Debug, Clone, Serialize)]
pub struct RefusalReport {
    /// `Refusal::code`.
    pub code: &'static str,
    pub what: String,
    /// What the door answers.
    pub status: u16,
}

#[derive(Debug, Clone, Serialize)]
pub struct CauseReport {
    pub code: &'static str,
    pub what: String,
    pub advice: String,
}

/// One step of the verifier.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum StepReport {
    Header {
        name: String,
        value: String,
    },
    Signed {
        what: String,
        #[serde(flatten)]
        bytes: Signed,
    },
    Tried {
        key: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<String>,
        received: String,
        matched: bool,
    },
    Said {
        what: String,
    },
}

/// Signed bytes, shortened: what cannot be seen as text is escaped.
#[derive(Debug, Clone, Serialize)]
pub struct Signed {
    pub length: usize,
    pub head: String,
    pub head_hex: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_hex: Option<String>,
}

impl Explanation {
    /// What may be shown. `full` shows signed bytes, and with them the body, in full; never a secret.
    pub fn report(&self, config: &Config, full: bool) -> Report {
        let redactor = Redactor::new(config, &self.case, full);
        let diagnosis = self.diagnosis.clone().unwrap_or_default();
        let Diagnosis { causes, proven, secret, unexplained, tried } = diagnosis;
        let cause = |cause: &super::Cause| CauseReport {
            code: cause.code,
            what: redactor.text(&cause.what),
            advice: redactor.text(&cause.advice),
        };
        Report {
            vendor: self.case.name.clone(),
            method: self.case.method.to_string(),
            url: redactor.url(&self.case.url),
            body_bytes: self.case.body.len(),
            at: millis::text(self.case.now),
            at_given: self.given_time,
            notes: self.notes.iter().map(|note| redactor.text(note)).collect(),
            steps: self.steps.iter().map(|step| shown(step, &redactor)).collect(),
            genuine: self.is_genuine(),
            secret: self.secret.clone().or(secret),
            refusal: self.verdict.as_ref().err().map(|refusal| RefusalReport {
                code: refusal.code(),
                what: redactor.text(&refusal.to_string()),
                status: if matches!(refusal, Refusal::NoKey(_) | Refusal::CertificateNeeded(_)) { 503 } else { 401 },
            }),
            causes: causes.iter().map(cause).collect(),
            proven: self.diagnosis.is_some().then_some(proven),
            unexplained,
            tried,
        }
    }
}

fn shown(step: &Step, redactor: &Redactor) -> StepReport {
    match step {
        Step::Header { name, value } => StepReport::Header { name: name.clone(), value: redactor.header(name, value) },
        Step::Signed { what, bytes } => {
            let (head, tail) = redactor.signed(bytes);
            let escaped = |bytes: &[u8]| bytes.escape_ascii().to_string();
            let bytes = Signed {
                length: bytes.len(),
                head: escaped(&head),
                head_hex: hex::encode(&head),
                tail: tail.as_deref().map(escaped),
                tail_hex: tail.as_deref().map(hex::encode),
            };
            StepReport::Signed { what: what.clone(), bytes }
        }
        Step::Tried { key, expected, received, matched } => StepReport::Tried {
            key: redactor.text(key),
            expected: expected.as_deref().map(|expected| redactor.signature(expected)),
            received: redactor.signature(received),
            matched: *matched,
        },
        Step::Said(text) => StepReport::Said { what: redactor.text(text) },
    }
}
