//! Requests whose signed time is too far from now. The verifier tells how far, so the signed time is known; with the
//! clock there, whatever else is wrong shows.

use chrono::TimeDelta;

use super::{Case, Diagnosis, Verdict};
use crate::{
    clock::{Timestamp, millis},
    vendors::Refusal,
};

/// From here on a "second" counts milliseconds: the year 5138.
const FIRST_MILLISECOND: i64 = 100_000_000_000;
const UNIT: &str = "The sender probably writes milliseconds where seconds belong: it has to change.";

/// Sets the clock to the signed time where the request is stale, and tells it as a cause. What is then left to explain;
/// `None` where the clock was all.
pub(super) fn settle(
    case: &Case,
    refusal: &Refusal,
    given_time: bool,
    diagnosis: &mut Diagnosis,
) -> Option<(Case, Refusal)> {
    let Refusal::Stale(away) = *refusal else { return Some((case.clone(), refusal.clone())) };
    let Some(signed_time) = signed_time(case, away) else {
        diagnosis.add("clock.unit", "The signed time is beyond every calendar, read as seconds since 1970.", UNIT);
        return None;
    };
    // Where a time is one that a token expires at, it is the moment before that counts.
    let nearby = [0, -1, 1].map(|more| case.at(signed_time + TimeDelta::seconds(more)));
    let verdicts = nearby.map(|case| {
        *diagnosis.tried.entry("clock").or_default() += 1;
        let verdict = case.verify();
        (case, verdict)
    });
    let fresh = verdicts.iter().position(|(_, verdict)| !matches!(verdict.result, Err(Refusal::Stale(_))));
    let (then, verdict) = verdicts.into_iter().nth(fresh.unwrap_or(0)).expect("the position is one of three");
    let seconds = away.unsigned_abs();
    let limit = tolerance(&then, &verdict, away).map_or_else(String::new, |limit| format!(" (tolerance {limit} s)"));
    let signed = millis::text(then.now);
    let advice = match (given_time, away > 0) {
        _ if then.now.timestamp() > FIRST_MILLISECOND => UNIT,
        (true, true) => {
            "Set the clock of the machine that is wrong. If both are right it is an old request that was sent or \
             captured again: refusing it is the purpose of the tolerance."
        }
        (false, true) => {
            "The time of the capture is not known: repeat with --at TIME to judge it as the door did. Without --at the \
             clock is now, so that every old capture is stale."
        }
        (_, false) => "Set the clock of the machine that is wrong.",
    };
    match away > 0 {
        true => diagnosis.add(
            "clock.late",
            format!("The callback is {seconds} s old{limit}: the time signed in it is {signed}. Or the clock here is ahead."),
            advice,
        ),
        false => diagnosis.add(
            "clock.early",
            format!(
                "The callback is from {seconds} s in the future{limit}: the time signed in it is {signed}. The clock here \
                 is behind, or the sender's ahead."
            ),
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

/// When a request was signed that is this many seconds away from the case's clock.
pub(super) fn signed_time(case: &Case, away: i64) -> Option<Timestamp> {
    TimeDelta::try_seconds(away).and_then(|away| case.now.checked_sub_signed(away))
}

/// The greatest age (or earliness) that the verifier accepts, in seconds, found by asking it.
fn tolerance(signed: &Case, verdict: &Verdict, away: i64) -> Option<i64> {
    if !verdict.is_genuine() {
        return None;
    }
    let accepts = |age: i64| signed.at(signed.now + TimeDelta::seconds(age * away.signum())).verify().is_genuine();
    let (mut accepted, mut refused) = (0, away.checked_abs()?);
    while refused - accepted > 1 {
        let middle = accepted + (refused - accepted) / 2;
        if accepts(middle) { accepted = middle } else { refused = middle }
    }
    Some(accepted)
}
