//! Why a request was refused: each hypothesis is put to the vendor's own verifier, and what verifies is the cause.

mod clock;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    case::{Case, Change, Verdict},
    hypotheses::{self, Hypothesis},
};
use crate::{config::VendorConfig, vendors::Refusal};

/// The most pairs of changes that are tried; each is a verification.
const MOST_PAIRS: usize = 2_000;
/// Pairs are for small bodies: a large one makes each try slow.
const LARGEST_PAIRED: usize = 64 * 1024;

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
    /// Whether something is left that none of the tried changes explains.
    pub unexplained: bool,
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
        if hypothesis.code.starts_with("key.other") {
            // What matched there is a secret from elsewhere: the cause says which.
            self.secret = None;
        }
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
    let (case, refusal, keys_missing) = match refusal {
        Refusal::NoKey(problem) => {
            if of_another_key(case, vendors, &mut diagnosis) {
                return diagnosis;
            }
            let what = format!("A secret is missing or cannot be read on this side: {problem}.");
            let advice =
                "Set it in the environment of this command as where the door runs. The door answers 503 meanwhile.";
            diagnosis.add("config.no_key", what, advice);
            let Some((case, refusal)) = usable(case) else { return diagnosis };
            (case, refusal, true)
        }
        other => (case.clone(), other.clone(), false),
    };
    let Some((case, refusal)) = clock::settle(&case, &refusal, given_time, &mut diagnosis) else { return diagnosis };
    if let Refusal::MissingHeader(header) = &refusal {
        if !of_another_vendor(&case, vendors, &mut diagnosis) {
            missing_header(&case, header, &mut diagnosis);
        }
        return diagnosis;
    }
    let found = of_one_change(&case, vendors, &mut diagnosis)
        || of_another_vendor(&case, vendors, &mut diagnosis)
        || of_two_changes(&case, &mut diagnosis);
    diagnosis.unexplained = !found && !keys_missing && !not_of_the_form(&refusal, &mut diagnosis);
    if !found && keys_missing {
        diagnosis.causes[0].what +=
            " The secrets that are there verify it under no change, so that one may have signed it.";
    }
    if found && !given_time && diagnosis.causes[0].code.starts_with("clock.") {
        // Explained later than captured, every request is stale: that is not what went wrong.
        diagnosis.causes.rotate_left(1);
    }
    diagnosis
}

/// Tries one change of the key: it may be why a secret is unusable.
fn of_another_key(case: &Case, vendors: &BTreeMap<String, VendorConfig>, diagnosis: &mut Diagnosis) -> bool {
    let found = try_each(case, hypotheses::keys(case, vendors), &mut diagnosis.tried);
    if let Some((hypothesis, verdict)) = &found {
        diagnosis.found(hypothesis, verdict);
    }
    found.is_some()
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

fn of_two_changes(case: &Case, diagnosis: &mut Diagnosis) -> bool {
    if case.body.is_empty() || case.body.len() > LARGEST_PAIRED || !reads_url(case) {
        return false;
    }
    for (first, second) in hypotheses::pairs(case).into_iter().take(MOST_PAIRS) {
        let Some(changed) = case.with(&first.change).and_then(|case| case.with(&second.change)) else { continue };
        *diagnosis.tried.entry("url and body").or_default() += 1;
        let verdict = changed.verify();
        if verdict.is_genuine() {
            diagnosis.found(&first, &verdict);
            diagnosis.found(&second, &verdict);
            return true;
        }
    }
    false
}

/// Whether the verifier looks at the URL at all: another one leaves another trace.
fn reads_url(case: &Case) -> bool {
    let other = Change::Url(format!("{}/x", case.url));
    case.with(&other).is_some_and(|other| other.verify().steps != case.verify().steps)
}

/// A callback that came by another vendor's route.
fn of_another_vendor(case: &Case, vendors: &BTreeMap<String, VendorConfig>, diagnosis: &mut Diagnosis) -> bool {
    let of = &case.name;
    for (name, config) in vendors.iter().filter(|(name, _)| **name != case.name) {
        *diagnosis.tried.entry("vendor").or_default() += 1;
        let mut case = case.of_vendor(name, config.clone());
        if let Err(Refusal::Stale(away)) = case.verify().result {
            // Whose it is does not depend on its age.
            case = clock::signed_time(&case, away).map_or(case.clone(), |then| case.at(then));
        }
        let verdict = case.verify();
        // Vendors that check little accept much; only a secret that matched is evidence.
        if verdict.is_genuine() && verdict.secret().is_some() {
            diagnosis.add(
                "route.other_vendor",
                format!("It is a genuine callback of vendor {name}, and it was verified as one of {of}."),
                format!("Give the console of {name} the URL with /incoming/{name}/."),
            );
            diagnosis.settle(&verdict);
            return true;
        }
    }
    false
}

fn missing_header(case: &Case, header: &str, diagnosis: &mut Diagnosis) {
    let names: BTreeSet<_> = case.headers.keys().map(|name| name.as_str()).collect();
    let what = match (names.contains(header), names.is_empty()) {
        (true, _) => format!("The header {header} is empty."),
        (false, true) => format!("The header {header} is missing, and the capture has no headers at all."),
        (false, false) => {
            let names: Vec<_> = names.iter().copied().collect();
            format!("The header {header} is missing. The request has these: {}.", names.join(", "))
        }
    };
    let advice = match names.iter().any(|name| name.contains("signature") && *name != header) {
        true => {
            "There are signature headers, but not the one that this scheme reads: is it another scheme, or another vendor?"
        }
        false => {
            "Either the vendor does not sign (signing may have to be switched on in its console), or something on the \
             way drops the header."
        }
    };
    diagnosis.add("header.missing", what, advice);
}

/// A request that is not of the scheme's form says itself what is wrong.
fn not_of_the_form(refusal: &Refusal, diagnosis: &mut Diagnosis) -> bool {
    let code = match refusal {
        Refusal::Malformed(_) => "request.malformed",
        Refusal::Unknown(_) => "request.unknown",
        _ => return false,
    };
    diagnosis.add(
        code,
        format!("{}, and nothing that usually happens to a request mends that.", sentence(&refusal.to_string())),
        "Compare it with the vendor's documentation: is it this vendor's callback, in the form that this scheme reads?",
    );
    true
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
