//! Duplicate detection: an id is known to its topic for the window, and at most an eighth of it longer.

use std::time::Duration;

use sluice::bus::{Bus, Message};

use crate::test_broker::{TestBroker, WINDOW, deliver, message, properties, sms};

const MOMENT: Duration = Duration::from_micros(1);

/// Publishes an id again and tells whether it was taken for a new one. What arrives is completed.
async fn is_new(test: &TestBroker, id: &str) -> bool {
    test.publish(&[id]).await;
    let received = test.receive(10).await;
    for received in &received {
        assert_eq!(received.message.message_id, id);
        test.complete(received).await;
    }
    received.len() == 1
}

#[tokio::test]
async fn an_id_is_known_for_the_whole_window() {
    let test = TestBroker::open();
    assert!(is_new(&test, "a").await);
    for _ in 0..9 {
        assert!(!is_new(&test, "a").await);
        test.clock.advance(WINDOW / 10);
    }
    test.clock.advance(WINDOW / 10 - MOMENT);
    assert!(!is_new(&test, "a").await);
}

#[tokio::test]
async fn an_id_is_forgotten_after_the_window() {
    let test = TestBroker::open();
    assert!(is_new(&test, "a").await);
    test.clock.advance(WINDOW);
    assert!(is_new(&test, "a").await);
    assert!(!is_new(&test, "a").await);
}

#[tokio::test]
async fn ids_are_forgotten_one_by_one_while_others_keep_coming() {
    let test = TestBroker::open();
    let step = WINDOW / 40;
    for n in 0..100 {
        assert!(is_new(&test, &format!("{n}")).await);
        if n >= 39 {
            assert!(!is_new(&test, &format!("{}", n - 39)).await, "{n}: within the window");
        }
        if n >= 46 {
            // A window and an eighth: 45 steps.
            assert!(is_new(&test, &format!("{}", n - 46)).await, "{n}: long after it");
        }
        test.clock.advance(step);
    }
}

#[tokio::test]
async fn a_duplicate_is_dropped_whatever_it_holds() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let other =
        Message { body: "other".into(), properties: properties(&[("channel", "email".into())]), ..message("a") };
    test.broker.publish("callbacks", other).await.unwrap();
    let depths = test.broker.depths().await.unwrap();
    assert_eq!(depths.iter().map(|depth| depth.active).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_message_that_nobody_wanted_is_remembered_too() {
    let test = TestBroker::open();
    let unwanted = Message { properties: properties(&[]), ..message("a") };
    test.broker.publish("callbacks", unwanted).await.unwrap();
    assert!(!is_new(&test, "a").await);
}

#[tokio::test]
async fn topics_know_their_own_ids_only() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    for _ in 0..2 {
        test.broker.publish("deliveries", message("a")).await.unwrap();
    }
    assert_eq!(test.receive_from(&deliver(), 10).await.len(), 1);
}

#[tokio::test]
async fn a_duplicate_of_a_scheduled_message_is_dropped() {
    let test = TestBroker::open();
    let later = sluice::clock::Clock::now(&*test.clock) + WINDOW / 2;
    let scheduled = Message { scheduled_enqueue_time: Some(later), ..message("a") };
    test.broker.publish("callbacks", scheduled).await.unwrap();
    assert!(!is_new(&test, "a").await);
    test.clock.advance(WINDOW / 2);
    assert_eq!(test.receive(10).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_publish_one_id_at_once_one_is_heard() {
    let test = TestBroker::open();
    let publishers = (0..256).map(|n| {
        let broker = test.broker.clone();
        tokio::spawn(async move { broker.publish("callbacks", message(&format!("{}", n % 8))).await.unwrap() })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    assert_eq!(test.receive(1_000).await.len(), 8);
}

#[tokio::test]
async fn ids_survive_a_restart_and_are_forgotten_in_their_time() {
    let mut test = TestBroker::open();
    assert!(is_new(&test, "a").await);
    for _ in 0..4 {
        test = test.reopen();
        assert!(!is_new(&test, "a").await);
        test.clock.advance(WINDOW / 4);
    }
    test = test.reopen();
    assert!(is_new(&test, "a").await);
}

#[tokio::test]
async fn a_clock_that_jumps_back_forgets_no_id_and_remembers_none_for_ever() {
    for jump in [WINDOW / 2, 3 * WINDOW, 1_000 * WINDOW] {
        for restart in [false, true] {
            let mut test = TestBroker::open();
            assert!(is_new(&test, "a").await);
            test.clock.set_back(jump);
            if restart {
                test = test.reopen();
            }
            assert!(!is_new(&test, "a").await, "{jump:?} back, restarted: {restart}");
            assert!(is_new(&test, "b").await);
            test.clock.advance(WINDOW - MOMENT);
            assert!(!is_new(&test, "b").await);
            test.clock.advance(WINDOW / 8 + 2 * MOMENT);
            assert!(is_new(&test, "a").await, "{jump:?} back, restarted: {restart}");
            assert!(is_new(&test, "b").await);
        }
    }
}

#[tokio::test]
async fn what_is_forgotten_leaves_the_file() {
    let test = TestBroker::open();
    for n in 0..300 {
        test.publish(&[&format!("{n}")]).await;
    }
    test.clock.set_back(100 * WINDOW);
    for round in 0..20 {
        test.publish(&[&format!("later {round}")]).await;
        test.clock.advance(WINDOW / 4);
    }
    let folder = test.close();
    let file = rusqlite::Connection::open(folder.path().join("broker.sqlite")).unwrap();
    let rows: i64 = file.query_row("SELECT count(*) FROM seen", [], |row| row.get(0)).unwrap();
    assert!(rows < 20, "{rows} rows of ids");
}

#[tokio::test]
async fn ids_of_many_small_transactions_are_merged_on_disk_and_known_after_a_restart() {
    const IDS: i64 = 5_000;
    let mut test = TestBroker::open();
    for n in 0..IDS {
        test.publish(&[&format!("{n}")]).await;
        test.clock.advance(Duration::from_millis(2));
    }
    test = test.reopen();
    let file = rusqlite::Connection::open(test.path()).unwrap();
    let rows: i64 = file.query_row("SELECT count(*) FROM seen", [], |row| row.get(0)).unwrap();
    assert!(rows < IDS / 3, "{rows} rows of ids");
    let before = test.depth(&sms()).await.active;
    for n in 0..IDS {
        test.publish(&[&format!("{n}")]).await;
    }
    assert_eq!(test.depth(&sms()).await.active, before, "ids were forgotten");
    test.clock.advance(WINDOW + WINDOW / 100);
    test.publish(&["0"]).await;
    assert_eq!(test.depth(&sms()).await.active, before + 1, "an id was remembered for too long");
}
