//! What usually goes wrong between a vendor's signature and the door, each as one change that would undo it.
//!
//! A hypothesis is no guess in the end: only one under which the vendor's own verifier accepts is ever told.
//! [`header`] and [`url`] are about what proxies do, [`body`], [`json`] and [`form`] about bodies that were written anew,
//! [`key`] about secrets that were pasted or read wrongly.

mod body;
mod form;
mod header;
mod json;
mod key;
mod url;

use std::collections::BTreeMap;

use super::case::{Case, Change};
use crate::config::VendorConfig;

/// One change that may make the request genuine, and what that would mean.
#[derive(Clone)]
pub(super) struct Hypothesis {
    /// A stable word, for example `url.scheme`; before the dot what it is about.
    pub code: &'static str,
    pub change: Change,
    /// What happened, as a sentence.
    pub cause: String,
    /// What to do about it, as a sentence.
    pub advice: String,
}

impl Hypothesis {
    fn new(code: &'static str, change: Change, cause: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { code, change, cause: cause.into(), advice: advice.into() }
    }

    /// What it is about: `header`, `url`, `body` or `key`.
    pub fn area(&self) -> &'static str {
        self.code.split_once('.').map_or(self.code, |(area, _)| area)
    }
}

/// Every single change worth trying, the likelier first. `vendors` is the whole configuration: secrets get swapped.
pub(super) fn singles(case: &Case, vendors: &BTreeMap<String, VendorConfig>) -> Vec<Hypothesis> {
    let mut all = header::hypotheses(case);
    all.extend(url::hypotheses(case));
    all.extend(body::hypotheses(case));
    all.extend(form::hypotheses(case));
    all.extend(json::hypotheses(case));
    all.extend(key::hypotheses(case, vendors));
    all
}

/// Changes of the key alone: what may make a secret unusable.
pub(super) fn keys(case: &Case, vendors: &BTreeMap<String, VendorConfig>) -> Vec<Hypothesis> {
    key::hypotheses(case, vendors)
}

/// Pairs of changes that go together in practice: a proxy that changes the URL may change the body too.
pub(super) fn pairs(case: &Case) -> Vec<(Hypothesis, Hypothesis)> {
    let bodies: Vec<_> = body::hypotheses(case).into_iter().chain(form::hypotheses(case)).collect();
    let pair = |url: &Hypothesis| {
        let url = url.clone();
        bodies.iter().map(move |body| (url.clone(), body.clone())).collect::<Vec<_>>()
    };
    url::common(case).iter().flat_map(pair).collect()
}
