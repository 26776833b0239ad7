//! Why a request was refused: each hypothesis is put to the vendor's own verifier, and what verifies is the cause.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::TimeDelta;

use super::{
    case::{Case, Change, Verdict},
    hypotheses::{self, Hypothesis},
};
use crate::{config::VendorConfig, vendors::Refusal};

/// The most pairs of changes that are tried; each is a verification.
const MOST_PAIRS: usize = 2_000;
/// Pairs are for small bodies: a large one makes each try slow.
const LARGEST_PAIRED: usize = 64 * 1024;
/// From here on a "second" counts milliseconds: the year 5138.
const FIRST_MILLISECOND: i64 = 100_000_000_000;

/// One cause, found or plain to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// A stable word, for example `url.scheme`.
    pub code: &'static str,
    pub what: String,
    pub advice: String,
}

/// What was found out about a refusal.
#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    /// All of them together explain the refusal; none were found where it is empty.
    pub causes: Vec<Cause>,
    /// Whether the request verifies once the causes are undone.
    pub proven: bool,
    /// Where the secret that then matches is configured.
    pub secret: Option<String>,
    /// How many changes were tried, by what they were about.
    pub tried: BTreeMap<&'static str, usize>,
}

impl Diagnosis {
    fn add(&mut self, code: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        self.causes.push(Cause { code, what: what.into(), advice: advice.into() });
    }

    fn found(&mut self, hypothesis: &Hypothesis, verdict: &Verdict) {
        self.add(hypothesis.code, hypothesis.cause.clone(), hypothesis.advice.clone());
        self.settle(verdict);
    }

    fn settle(&mut self, verdict: &Verdict) {
        self.proven = true;
        self.secret = verdict.secret().map(str::to_owned);
    }
}

/// Finds out why `case` was refused with `refusal`. `given_time` tells whether `case.now` was chosen, or is simply now.
pub(super) fn diagnose(
    case: &Case,
    refusal: &Refusal,
    vendors: &BTreeMap<String, VendorConfig>,
    given_time: bool,
) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    if let Refusal::CertificateNeeded(url) = refusal {
        diagnosis.add(
            "certificate.needed",
            format!("The signing certificate is not at hand. The door would fetch it from {url}."),
            "Fetch it with curl, and repeat with --certificate FILE.",
        );
        return diagnosis;
    }
    let (case, refusal) = match refusal {
        Refusal::NoKey(problem) => {
            if let Some(found) = of_another_key(case, vendors, &mut diagnosis) {
                return found;
            }
            diagnosis.add(
                "config.no_key",
                format!("A secret is missing or cannot be read on this side: {problem}."),
                "Set it in the environment of this command as it is set where the door runs. The door answers 503 meanwhile.",
            );
            match usable(case) {
                Some((case, refusal)) => (case, refusal),
                None => return diagnosis,
            }
        }
        other => (case.clone(), other.clone()),
    };
    let (case, refusal) = match of_the_clock(&case, &refusal, given_time, &mut diagnosis) {
        Some(rest) => rest,
        None => return diagnosis,
    };
    if let Refusal::MissingHeader(_) = refusal {
        if !of_another_vendor(&case, vendors, &mut diagnosis) {
            missing_header(&case, &refusal, &mut diagnosis);
        }
        return diagnosis;
    }
    if !of_one_change(&case, vendors, &mut diagnosis) && !of_another_vendor(&case, vendors, &mut diagnosis) {
        of_two_changes(&case, &mut diagnosis);
    }
    diagnosis
}

/// Tries one change of the key: it may be why a secret is unusable.
fn of_another_key(
    case: &Case,
    vendors: &BTreeMap<String, VendorConfig>,
    diagnosis: &mut Diagnosis,
) -> Option<Diagnosis> {
    let found = try_each(case, hypotheses::keys(case, vendors), &mut diagnosis.tried);
    let (hypothesis, verdict) = found?;
    diagnosis.found(&hypothesis, &verdict);
    Some(std::mem::take(diagnosis))
}

fn of_one_change(case: &Case, vendors: &BTreeMap<String, VendorConfig>, diagnosis: &mut Diagnosis) -> bool {
    let found = try_each(case, hypotheses::singles(case, vendors), &mut diagnosis.tried);
    if let Some((hypothesis, verdict)) = &found {
        diagnosis.found(hypothesis, verdict);
    }
    found.is_some()
}

fn try_each(
    case: &Case,
    hypotheses: Vec<Hypothesis>,
    tried: &mut BTreeMap<&'static str, usize>,
) -> Option<(Hypothesis, Verdict)> {
    let mut seen: HashSet<Change> = HashSet::new();
    hypotheses.into_iter().find_map(|hypothesis| {
        let changed = case.with(&hypothesis.change)?;
        if !seen.insert(hypothesis.change.clone()) {
            return None;
        }
        *tried.entry(hypothesis.area()).or_default() += 1;
        let verdict = changed.verify();
        verdict.is_genuine().then_some((hypothesis, verdict))
    })
}

fn of_two_changes(case: &Case, diagnosis: &mut Diagnosis) {
    if case.body.is_empty() || case.body.len() > LARGEST_PAIRED || !reads_url(case) {
        return;
    }
    for (first, second) in hypotheses::pairs(case).into_iter().take(MOST_PAIRS) {
        let Some(changed) = case.with(&first.change).and_then(|case| case.with(&second.change)) else { continue };
        *diagnosis.tried.entry("url and body").or_default() += 1;
        let verdict = changed.verify();
        if verdict.is_genuine() {
            diagnosis.found(&first, &verdict);
            diagnosis.found(&second, &verdict);
            return;
        }
    }
}

/// Whether the verifier looks at the URL at all: another one leaves another trace.
fn reads_url(case: &Case) -> bool {
    let other = Change::Url(format!("{}/x", case.url));
    case.with(&other).is_some_and(|other| other.verify().steps != case.verify().steps)
}

/// A callback that came by another vendor's route.
fn of_another_vendor(case: &Case, vendors: &BTreeMap<String, VendorConfig>, diagnosis: &mut Diagnosis) -> bool {
    for (name, config) in vendors.iter().filter(|(name, _)| **name != case.name) {
        *diagnosis.tried.entry("vendor").or_default() += 1;
        let verdict = case.of_vendor(name, config.clone()).verify();
        // Vendors that check little accept much; only a secret that matched is evidence.
        if verdict.is_genuine() && verdict.secret().is_some() {
            diagnosis.add(
                "route.other_vendor",
                format!("It is a genuine callback of vendor {name}, sent to a URL of {}.", case.name),
                format!("Give the console of {name} the URL with /incoming/{name}/."),
            );
            diagnosis.settle(&verdict);
            return true;
        }
    }
    false
}

fn missing_header(case: &Case, refusal: &Refusal, diagnosis: &mut Diagnosis) {
    let names: BTreeSet<_> = case.headers.keys().map(|name| name.as_str()).collect();
    let names: Vec<_> = names.into_iter().collect();
    let related = names.iter().any(|name| name.contains("signature"));
    let what = match related {
        true => {
            "There are signature headers, but not the one that this scheme reads: is it another scheme, or another vendor?"
        }
        false => {
            "Either the vendor does not sign (signing may have to be switched on in its console), \
                  or something on the way drops the header."
        }
    };
    diagnosis.add(
        "header.missing",
        format!("{}. The request has these: {}.", sentence(&refusal.to_string()), names.join(", ")),
        what,
    );
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

/// The case without the secrets that cannot be used, and why the others refuse; `None` where none is left.
fn usable(case: &Case) -> Option<(Case, Refusal)> {
    let mut config = case.config.clone();
    config.secrets.retain(Result::is_ok);
    config.shared_keys.retain(|_, secret| secret.is_ok());
    config.accounts.values_mut().for_each(|secrets| secrets.retain(Result::is_ok));
    config.accounts.retain(|_, secrets| !secrets.is_empty());
    let alone = |secret: &_| {
        let config = VendorConfig { secrets: vec![Clone::clone(secret)], ..config.clone() };
        !matches!(case.of_vendor(&case.name, config).verify().result, Err(Refusal::NoKey(_)))
    };
    let secrets: Vec<_> = config.secrets.iter().filter(|secret| alone(secret)).cloned().collect();
    let case = case.of_vendor(&case.name, VendorConfig { secrets, ..config.clone() });
    match case.verify().result {
        Err(refusal) if !matches!(refusal, Refusal::NoKey(_)) => Some((case, refusal)),
        _ => None,
    }
}

/// Sets the clock to the signed time where the request is stale, and tells it as a cause. What is then left to explain;
/// `None` where the clock was all.
fn of_the_clock(
    case: &Case,
    refusal: &Refusal,
    given_time: bool,
    diagnosis: &mut Diagnosis,
) -> Option<(Case, Refusal)> {
    let Refusal::Stale(away) = *refusal else { return Some((case.clone(), refusal.clone())) };
    let mut then = case.clone();
    then.now = TimeDelta::try_seconds(away).and_then(|away| case.now.checked_sub_signed(away)).unwrap_or(case.now);
    *diagnosis.tried.entry("clock").or_default() += 1;
    let verdict = then.verify();
    if away == i64::MIN || then.now == case.now {
        return Some((case.clone(), refusal.clone()));
    }
    let seconds = away.unsigned_abs();
    let limit = tolerance(&then, &verdict, away).map_or_else(String::new, |limit| format!(" (tolerance {limit} s)"));
    let signed = crate::clock::millis::text(then.now);
    let advice = match (given_time, away > 0) {
        _ if then.now.timestamp() > FIRST_MILLISECOND => {
            "The sender writes milliseconds where seconds belong, or far from it: it has to change."
        }
        (true, true) => {
            "Set the clock of the machine that is wrong. If both are right it is an old request that was sent or \
             captured again: refusing it is the purpose of the tolerance."
        }
        (false, true) => {
            "The time of the capture is not known: repeat with --at TIME to judge it as the door did. Without --at the \
             clock is now, so that every old capture is stale."
        }
        (_, false) => {
            "Set the clock of the machine that is wrong: a request from the future is signed by a clock ahead of this one."
        }
    };
    match away > 0 {
        true => diagnosis.add(
            "clock.late",
            format!("The callback is {seconds} s old{limit}: it was signed at {signed}, or the clock here is {seconds} s ahead."),
            advice,
        ),
        false => diagnosis.add(
            "clock.early",
            format!("The callback is signed {seconds} s in the future{limit}, at {signed}: the clock here is {seconds} s behind, or the sender's is ahead."),
            advice,
        ),
    }
    match &verdict.result {
        Ok(()) => {
            diagnosis.settle(&verdict);
            None
        }
        Err(refusal) => Some((then, refusal.clone())),
    }
}

/// The greatest age (or earliness) that the verifier accepts, in seconds, found by asking it.
fn tolerance(signed: &Case, verdict: &Verdict, away: i64) -> Option<i64> {
    if !verdict.is_genuine() {
        return None;
    }
    let accepts = |age: i64| {
        let mut case = signed.clone();
        case.now += TimeDelta::seconds(age * away.signum());
        case.verify().is_genuine()
    };
    let (mut accepted, mut refused) = (0, away.checked_abs()?);
    while refused - accepted > 1 {
        let middle = accepted + (refused - accepted) / 2;
        if accepts(middle) { accepted = middle } else { refused = middle }
    }
    Some(accepted)
}
