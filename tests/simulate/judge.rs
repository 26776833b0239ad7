//! The judge finds each kind of damage, and nothing where there is none.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sluice::{
    ledger::records::STATUS_ID,
    simulate::{Obligations, Plan, Shape, Standing, Verdict, VerifyOptions, verify},
};

use crate::{
    ledger::{FakeLedger, Stored},
    plan_of, shape,
};

fn acked(plan: &Plan) -> Obligations {
    let obligations = Obligations::new(plan.callbacks());
    (0..plan.callbacks()).for_each(|callback| obligations.note(callback, Standing::Acked));
    obligations
}

async fn judge(plan: &Plan, obligations: &Obligations, ledger: &FakeLedger) -> Verdict {
    let options = VerifyOptions {
        timeout: Duration::from_millis(600),
        interval: Duration::from_millis(10),
        ..VerifyOptions::default()
    };
    verify(plan, obligations, ledger, &options, &|_, _| {}).await.unwrap()
}

/// Judges a perfect ledger after a change to it, and gives the counts of all findings that are not zero.
async fn after(change: impl FnOnce(&mut Stored)) -> Vec<(&'static str, u64)> {
    let plan = plan_of(&["resend", "sendgrid", "twilio"], Shape { duplicates: 0.5, ..shape(400, 11) });
    let ledger = FakeLedger::default();
    ledger.apply_all(&plan);
    ledger.damage(change);
    let verdict = judge(&plan, &acked(&plan), &ledger).await;
    let findings = verdict.findings();
    assert!(findings.iter().all(|(_, finding)| finding.samples.len() == finding.count.min(5) as usize));
    findings.iter().filter(|(_, finding)| finding.count > 0).map(|(name, finding)| (*name, finding.count)).collect()
}

/// The message whose status is this one.
fn with_status(stored: &Stored, status: &str) -> String {
    let found = stored.iter().find(|((_, id), body)| id == STATUS_ID && body["status"] == status);
    found.unwrap_or_else(|| panic!("no message is {status}")).0.0.clone()
}

fn status<'a>(stored: &'a mut Stored, key: &str) -> &'a mut Value {
    stored.get_mut(&(key.to_owned(), STATUS_ID.to_owned())).unwrap()
}

/// The event of a message whose type is this one.
fn event(stored: &Stored, key: &str, event_type: &str) -> (String, String) {
    let found = stored.iter().find(|((partition, _), body)| partition == key && body["event"]["type"] == event_type);
    found.unwrap().0.clone()
}

#[tokio::test]
async fn a_perfect_ledger_is_clean() {
    assert_eq!(after(|_| {}).await, []);
}

#[tokio::test]
async fn a_lost_event_is_found() {
    let lost = after(|stored| {
        let key = with_status(stored, "message.delivered");
        let sent = event(stored, &key, "message.sent");
        stored.remove(&sent);
        status(stored, &key)["events"] = json!(status(stored, &key)["events"].as_u64().unwrap() - 1);
    });
    assert_eq!(lost.await, [("lost", 1)]);
}

#[tokio::test]
async fn a_message_that_is_lost_whole_is_found() {
    let lost = after(|stored| {
        let key = with_status(stored, "message.received");
        let events = status(stored, &key)["events"].as_u64().unwrap();
        stored.retain(|(partition, _), _| *partition != key);
        assert!(events >= 1);
    });
    let found = lost.await;
    assert!(matches!(found[..], [("lost", 1 | 2)]), "{found:?}");
}

#[tokio::test]
async fn an_event_that_nobody_sent_is_found() {
    let invented = after(|stored| {
        let key = with_status(stored, "message.delivered");
        let (_, id) = event(stored, &key, "message.delivered");
        let mut forged = stored[&(key.clone(), id)].clone();
        forged["event"]["dedupe_key"] = json!("twilio:forged");
        stored.insert((key.clone(), "evt:twilio:forged".into()), forged);
        status(stored, &key)["events"] = json!(status(stored, &key)["events"].as_u64().unwrap() + 1);
    });
    assert_eq!(invented.await, [("not sent by us", 1)]);
}

#[tokio::test]
async fn an_event_applied_under_two_ids_is_found() {
    let twice = after(|stored| {
        let key = with_status(stored, "message.delivered");
        let delivered = event(stored, &key, "message.delivered");
        let copy = stored[&delivered].clone();
        stored.insert((key.clone(), "evt:another-id".into()), copy);
        status(stored, &key)["events"] = json!(status(stored, &key)["events"].as_u64().unwrap() + 1);
    });
    assert_eq!(twice.await, [("applied twice", 1)]);
}

#[tokio::test]
async fn a_doubled_counter_is_found() {
    let doubled = after(|stored| {
        let key = with_status(stored, "call.completed");
        status(stored, &key)["events"] = json!(8);
    });
    assert_eq!(doubled.await, [("applied twice", 1)]);
    let opens = after(|stored| {
        let key = with_status(stored, "message.delivered");
        status(stored, &key)["opens"] = json!(9);
    });
    assert_eq!(opens.await, [("applied twice", 1)]);
}

#[tokio::test]
async fn a_status_that_went_backwards_is_found() {
    let backwards = after(|stored| {
        let key = with_status(stored, "message.delivered");
        status(stored, &key)["status"] = json!("message.sent");
    });
    assert_eq!(backwards.await, [("statuses wrong", 1)]);
}

#[tokio::test]
async fn a_missing_status_and_a_low_counter_are_found() {
    let wrong = after(|stored| {
        let missing = with_status(stored, "call.busy");
        stored.remove(&(missing, STATUS_ID.to_owned()));
        let low = with_status(stored, "call.no_answer");
        status(stored, &low)["events"] = json!(1);
    });
    assert_eq!(wrong.await, [("statuses wrong", 2)]);
}

#[tokio::test]
async fn an_event_of_the_wrong_type_is_found() {
    let wrong = after(|stored| {
        let key = with_status(stored, "message.delivered");
        let sent = event(stored, &key, "message.sent");
        stored.get_mut(&sent).unwrap()["event"]["type"] = json!("message.failed");
    });
    assert_eq!(wrong.await, [("events wrong", 1)]);
}

#[tokio::test]
async fn what_was_never_acknowledged_may_be_there_or_not() {
    let plan = plan_of(&[], shape(300, 12));
    let obligations = Obligations::new(plan.callbacks());
    let ledger = FakeLedger::default();
    for callback in 0..plan.callbacks() {
        let acked = callback % 3 == 0;
        obligations.note(callback, if acked { Standing::Acked } else { Standing::Tried });
        if callback % 3 != 1 {
            ledger.apply(&plan, callback);
        }
    }
    let verdict = judge(&plan, &obligations, &ledger).await;
    assert!(verdict.is_clean(), "{verdict:?}");
    assert!(verdict.found > verdict.owed);
}

#[tokio::test]
async fn what_never_left_must_not_be_there() {
    let plan = plan_of(&["twilio"], shape(50, 13));
    let story = (0..plan.stories()).find(|&story| plan.callbacks_of(story).len() == 4).unwrap();
    let callbacks: Vec<u32> = plan.callbacks_of(story).collect();
    let (obligations, ledger) = (Obligations::new(plan.callbacks()), FakeLedger::default());
    obligations.note(callbacks[0], Standing::Acked);
    ledger.apply(&plan, callbacks[0]);
    assert!(judge(&plan, &obligations, &ledger).await.is_clean());
    ledger.apply(&plan, callbacks[1]);
    assert_eq!(judge(&plan, &obligations, &ledger).await.not_sent_by_us.count, 1);
}

#[tokio::test]
async fn the_judge_waits_for_a_ledger_that_is_slow_or_away() {
    let plan = plan_of(&[], shape(200, 14));
    let ledger = Arc::new(FakeLedger::default());
    ledger.unavailable.store(30, Ordering::Relaxed);
    let slow = tokio::spawn({
        let (plan, ledger) = (plan.clone(), ledger.clone());
        async move {
            for callback in 0..plan.callbacks() {
                ledger.apply(&plan, callback);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let verdict = judge(&plan, &acked(&plan), &ledger).await;
    slow.await.unwrap();
    assert!(verdict.is_clean(), "{verdict:?}");
}

#[tokio::test]
async fn twenty_thousand_events_are_judged_in_seconds() {
    let plan = plan_of(&[], shape(14_000, 15));
    let ledger = FakeLedger::default();
    ledger.apply_all(&plan);
    let began = Instant::now();
    let verdict = judge(&plan, &acked(&plan), &ledger).await;
    assert!(verdict.is_clean() && verdict.owed == verdict.found && verdict.found > 20_000, "{verdict:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
