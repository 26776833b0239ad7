use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::post};
use bytes::Bytes;
use serde_json::Value;
use sluice::{
    clock::{Clock, Timestamp},
    host::{Invocation, InvocationFailure, InvocationResult, TimerInfo},
};

use crate::world::{FakeBroker, Folders, Running, TestClock, options, timer_function};

struct Run {
    at: Timestamp,
    info: TimerInfo,
    json: Value,
}

/// Starts a timer at `start`. Each run lasts as many milliseconds as `durations` say, on a clock that is put forward.
/// Returns as many runs, and checks that there was never more than one at a time.
async fn runs(bindings: &Value, start: &str, durations: &'static [i64]) -> Vec<Run> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let app = Folders::new().function("sweep-retries", bindings).load();
    // From here on every second of a busy machine counts.
    let clock = Arc::new(TestClock::at(start));
    let (runs, now, alone) = (seen.clone(), clock.clone(), Arc::new(tokio::sync::Mutex::new(())));
    let answer = async move |body: Bytes| {
        let _alone = alone.try_lock().expect("runs never overlap");
        let at = now.now();
        let info = Invocation::parse(&body).unwrap().timer("timer").unwrap();
        let index = {
            let mut runs = runs.lock().unwrap();
            runs.push(Run { at, info, json: serde_json::from_slice(&body).unwrap() });
            runs.len() - 1
        };
        now.advance(durations.get(index).copied().unwrap_or(0));
        tokio::task::yield_now().await;
        // A failure must not end the schedule.
        if index == 0 { Err(InvocationFailure::new("on purpose")) } else { Ok(InvocationResult::default()) }
    };
    let handler = Router::new().route("/sweep-retries", post(answer));
    let mut host =
        Running::start_with(app, handler, &FakeBroker::default(), &options(), clock).await.expect("the host starts");
    let all = async {
        while seen.lock().unwrap().len() < durations.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("the timer fires");
    host.stop();
    host.stopped().await;
    std::mem::take(&mut *seen.lock().unwrap())
}

fn seconds(runs: &[Run]) -> Vec<i64> {
    runs.iter().map(|run| run.at.timestamp() % 60).collect()
}

#[tokio::test]
async fn a_timer_fires_at_its_occurrences_even_after_a_failure() {
    let runs = runs(&timer_function("*/5 * * * * *"), "2024-02-28T10:00:04Z", &[4_000, 4_000, 0]).await;
    assert_eq!(seconds(&runs), [5, 10, 15]);
    assert!(runs.iter().all(|run| !run.info.is_past_due));
    // More often than once a minute: not monitored.
    assert_eq!(runs[0].json["Data"]["timer"]["ScheduleStatus"], Value::Null);
}

#[tokio::test]
async fn a_slow_run_is_followed_by_one_late_run_for_all_that_was_missed() {
    let runs = runs(&timer_function("*/5 * * * * *"), "2024-02-28T10:00:04Z", &[12_100, 1_900, 4_000, 0]).await;
    assert_eq!(seconds(&runs), [5, 17, 20, 25]);
    assert_eq!(runs.iter().map(|run| run.info.is_past_due).collect::<Vec<_>>(), [false, true, false, false]);
}

#[tokio::test]
async fn the_first_run_has_no_last_one_and_the_second_has() {
    let runs = runs(&timer_function("0 */2 * * * *"), "2024-02-28T10:01:59Z", &[119_000, 0]).await;
    let status = &runs[0].json["Data"]["timer"]["ScheduleStatus"];
    assert_eq!(status["Last"], "0001-01-01T00:00:00");
    assert_eq!(status["Next"], "2024-02-28T10:04:00+00:00");
    assert_eq!(runs[0].json["Data"]["timer"]["Schedule"]["AdjustForDST"], true);
    assert_eq!(runs[1].info.last, Some("2024-02-28T10:02:00Z".parse().unwrap()));
}

#[tokio::test]
async fn a_timer_can_run_at_the_start() {
    let mut bindings = timer_function("00:01:00");
    bindings[0]["runOnStartup"] = true.into();
    // The interval counts from the end of that run.
    let runs = runs(&bindings, "2024-02-28T10:00:30Z", &[0]).await;
    assert_eq!(seconds(&runs), [30]);
    assert_eq!(runs[0].info.next.map(|next| next.timestamp() % 60), Some(30));
    assert_eq!(runs[0].json["Data"]["timer"]["Schedule"]["AdjustForDST"], false);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_stop_a_timer() {
    let runs = runs(&timer_function("*/5 * * * * *"), "2024-02-28T10:00:04Z", &[-3_601_000, 4_000, 0]).await;
    assert_eq!(seconds(&runs), [5, 5, 10]);
    assert!(runs.iter().all(|run| !run.info.is_past_due));
}
