//! Settling: complete, abandon, renew, and what happens to a lock that was lost.

use std::time::Duration;

use sluice::{clock::Clock, local::broker::Settlement};

use crate::test_broker::{LOCK, TestBroker, ids, sms};

#[tokio::test]
async fn a_completed_message_is_gone() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let received = test.receive_one().await;

    assert_eq!(test.complete(&received).await, Settlement::Done);

    test.clock.advance(2 * LOCK);
    assert!(test.receive(1).await.is_empty());
    assert!(test.broker.peek(&sms(), 0, 10).await.unwrap().is_empty());
    assert_eq!(test.complete(&received).await, Settlement::LockLost, "it was settled before");
    let depth = test.depth(&sms()).await;
    assert_eq!((depth.active, depth.locked, depth.dead_letters), (0, 0, 0));
}

#[tokio::test]
async fn an_abandoned_message_is_available_at_once_in_its_old_place() {
    let test = TestBroker::open();
    test.publish(&["a", "b"]).await;
    let first = test.receive_one().await;

    assert_eq!(test.abandon(&first).await, Settlement::Done);

    let again = test.receive(2).await;
    assert_eq!(ids(&again), ["a", "b"]);
    assert_eq!((again[0].delivery_count, again[1].delivery_count), (2, 1));
    assert_eq!(test.abandon(&first).await, Settlement::LockLost);
}

#[tokio::test]
async fn a_batch_is_settled_lock_by_lock() {
    let test = TestBroker::open();
    test.publish(&["a", "b", "c"]).await;
    let received = test.receive(3).await;
    test.complete(&received[1]).await;

    let locks: Vec<_> = received.iter().map(|received| received.lock.clone()).collect();
    let outcome = test.broker.complete(&locks).await.unwrap();

    assert_eq!(outcome, [Settlement::Done, Settlement::LockLost, Settlement::Done]);
    assert!(test.broker.complete(&[]).await.unwrap().is_empty());
    let twice = [locks[0].clone(), locks[0].clone()];
    assert_eq!(test.broker.complete(&twice).await.unwrap(), [Settlement::LockLost; 2]);
}

#[tokio::test]
async fn a_lost_lock_does_nothing_and_harms_no_other() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let lost = test.receive_one().await;
    test.clock.advance(LOCK);
    let other = test.receive_one().await;

    let lock = std::slice::from_ref(&lost.lock);
    assert_eq!(test.complete(&lost).await, Settlement::LockLost);
    assert_eq!(test.abandon(&lost).await, Settlement::LockLost);
    assert_eq!(test.broker.dead_letter(lock, "r", "d").await.unwrap(), [Settlement::LockLost]);
    assert_eq!(test.broker.renew(&lost.lock).await.unwrap(), Settlement::LockLost);

    assert!(test.receive(1).await.is_empty(), "the other receiver still holds it");
    assert!(test.dead_letters().await.is_empty());
    assert_eq!(other.lock.expires_at(), test.clock.now() + LOCK);
    assert_eq!(test.complete(&other).await, Settlement::Done);
}

#[tokio::test]
async fn a_lock_that_ran_out_still_settles_while_nobody_else_has_the_message() {
    let test = TestBroker::open();
    test.publish(&["a", "b"]).await;
    let received = test.receive(2).await;
    test.clock.advance(2 * LOCK);

    assert_eq!(test.complete(&received[0]).await, Settlement::Done);
    assert_eq!(test.broker.renew(&received[1].lock).await.unwrap(), Settlement::Done);
    assert!(test.receive(1).await.is_empty());
}

#[tokio::test]
async fn a_renewed_lock_lasts_another_lock_duration_for_all_its_clones() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let received = test.receive_one().await;
    let clone = received.lock.clone();
    for _ in 0..3 {
        test.clock.advance(LOCK - Duration::from_secs(1));
        assert_eq!(test.broker.renew(&received.lock).await.unwrap(), Settlement::Done);
        assert_eq!(clone.expires_at(), test.clock.now() + LOCK);
        assert!(test.receive(1).await.is_empty());
    }

    assert_eq!(test.broker.complete(&[clone]).await.unwrap(), [Settlement::Done]);
    assert_eq!(test.broker.renew(&received.lock).await.unwrap(), Settlement::LockLost);
}

#[tokio::test]
async fn a_renewal_counts_no_delivery_and_ends_like_any_lock() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let received = test.receive_one().await;
    test.broker.renew(&received.lock).await.unwrap();
    test.clock.advance(LOCK);
    let again = test.receive_one().await;
    assert_eq!(again.delivery_count, 2);
    assert_eq!(test.complete(&received).await, Settlement::LockLost);
}

#[tokio::test]
async fn a_lock_from_before_a_restart_settles_nothing() {
    let test = TestBroker::open();
    test.publish(&["a", "b"]).await;
    let old = test.receive(2).await;
    let test = test.reopen();

    assert_eq!(test.complete(&old[0]).await, Settlement::LockLost);
    let again = test.receive(2).await;
    assert_eq!(ids(&again), ["a", "b"]);
    assert_eq!(test.complete(&old[1]).await, Settlement::LockLost);
    assert_eq!(test.complete(&again[1]).await, Settlement::Done);
}

#[tokio::test]
async fn a_clock_that_jumps_back_hides_no_message_that_is_ready() {
    let test = TestBroker::open();
    test.publish(&["a", "b"]).await;
    let first = test.receive_one().await;
    test.clock.set_back(Duration::from_secs(86_400));

    assert_eq!(ids(&test.receive(2).await), ["b"]);
    assert_eq!(test.abandon(&first).await, Settlement::Done);
    let again = test.receive_one().await;
    assert_eq!(again.lock.expires_at(), test.clock.now() + LOCK);
    assert_eq!(test.complete(&again).await, Settlement::Done);
}
