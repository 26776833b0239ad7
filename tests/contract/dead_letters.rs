//! Dead letters as operators' tools get them: looked at, taken out one by one, or put back as they were.

use std::time::Duration;

use sluice::dead_letters::{DeadLetter, DeadLetterQueue, DeadLettersError, Receiver, SharedDeadLetters};

use crate::adapters::{Exchange, on_every_exchange};

/// How long a message may take that is there; disks have slow moments.
const WAIT: Duration = Duration::from_secs(10);
/// How long nothing must come.
const SILENCE: Duration = Duration::from_millis(300);

on_every_exchange!(
    a_dead_letter_is_as_it_was_published_with_the_reason_of_its_death,
    peeking_goes_on_from_a_number_and_locks_nothing,
    what_is_completed_is_gone_and_what_was_held_comes_again,
    what_one_receiver_holds_no_other_gets,
    more_than_one_answer_holds_is_peeked_in_order,
    there_is_no_unknown_subscription,
);

fn queue() -> DeadLetterQueue {
    DeadLetterQueue { topic: "callbacks".into(), subscription: "sms".into() }
}

async fn open(dead_letters: &SharedDeadLetters) -> Box<dyn Receiver> {
    dead_letters.open(&queue()).await.unwrap()
}

fn ids(letters: &[DeadLetter]) -> Vec<&str> {
    letters.iter().map(|letter| letter.message.message_id.as_str()).collect()
}

async fn a_dead_letter_is_as_it_was_published_with_the_reason_of_its_death(exchange: &impl Exchange) {
    exchange.bury(&["a"]).await;
    let mut receiver = open(&exchange.dead_letters()).await;
    let peeked = receiver.peek(0, 10).await.unwrap();
    let received = receiver.receive(10, WAIT).await.unwrap();
    for letters in [peeked, received] {
        assert_eq!(ids(&letters), ["a"]);
        let letter = &letters[0];
        assert_eq!(letter.reason.as_deref(), Some("Unreadable"));
        assert_eq!(letter.description.as_deref(), Some("no JSON"));
        assert_eq!(letter.message.body, "a");
        let properties: Vec<_> = letter.message.properties.keys().map(|name| name.as_ref()).collect();
        assert_eq!(properties, ["channel"], "nothing of its death is in it");
    }
    receiver.close().await.unwrap();
}

async fn peeking_goes_on_from_a_number_and_locks_nothing(exchange: &impl Exchange) {
    exchange.bury(&["a", "b", "c"]).await;
    let mut receiver = open(&exchange.dead_letters()).await;
    let first = receiver.peek(0, 2).await.unwrap();
    assert_eq!(ids(&first), ["a", "b"]);
    let rest = receiver.peek(first[1].sequence_number + 1, 2).await.unwrap();
    assert_eq!(ids(&rest), ["c"]);
    assert!(receiver.peek(rest[0].sequence_number + 1, 2).await.unwrap().is_empty());
    assert_eq!(ids(&receiver.receive(10, WAIT).await.unwrap()), ["a", "b", "c"]);
    assert_eq!(ids(&receiver.peek(0, 10).await.unwrap()), ["a", "b", "c"], "locked ones are seen, too");
    receiver.close().await.unwrap();
}

async fn what_is_completed_is_gone_and_what_was_held_comes_again(exchange: &impl Exchange) {
    exchange.bury(&["a", "b", "c"]).await;
    let dead_letters = exchange.dead_letters();
    let mut receiver = open(&dead_letters).await;
    let received = receiver.receive(10, WAIT).await.unwrap();
    assert_eq!(ids(&received), ["a", "b", "c"]);
    assert!(receiver.receive(10, SILENCE).await.unwrap().is_empty(), "what is held does not come again");
    receiver.complete(received[1].sequence_number).await.unwrap();
    receiver.close().await.unwrap();

    for _ in 0..20 {
        let mut receiver = open(&dead_letters).await;
        assert_eq!(ids(&receiver.receive(10, WAIT).await.unwrap()), ["a", "c"]);
        receiver.close().await.unwrap();
    }
}

async fn what_one_receiver_holds_no_other_gets(exchange: &impl Exchange) {
    exchange.bury(&["a", "b"]).await;
    let dead_letters = exchange.dead_letters();
    let (mut one, mut other) = (open(&dead_letters).await, open(&dead_letters).await);
    assert_eq!(ids(&one.receive(1, WAIT).await.unwrap()), ["a"]);
    assert_eq!(ids(&other.receive(10, WAIT).await.unwrap()), ["b"]);
    one.close().await.unwrap();
    assert_eq!(ids(&other.receive(10, WAIT).await.unwrap()), ["a"]);
    other.close().await.unwrap();
}

async fn more_than_one_answer_holds_is_peeked_in_order(exchange: &impl Exchange) {
    let all: Vec<String> = (0..600).map(|number| format!("{number:03}")).collect();
    exchange.bury(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut receiver = open(&exchange.dead_letters()).await;
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let letters = receiver.peek(from, 500).await.unwrap();
        let Some(last) = letters.last() else { break };
        from = last.sequence_number + 1;
        found.extend(letters.into_iter().map(|letter| letter.message.message_id));
    }
    assert_eq!(found, all);
    receiver.close().await.unwrap();
}

async fn there_is_no_unknown_subscription(exchange: &impl Exchange) {
    let unknown = DeadLetterQueue { topic: "callbacks".into(), subscription: "nobody".into() };
    // One adapter knows at once, the other when it connects.
    let error = match exchange.dead_letters().open(&unknown).await {
        Ok(mut receiver) => receiver.peek(0, 1).await.err(),
        Err(error) => Some(error),
    };
    assert!(matches!(error, Some(DeadLettersError::UnknownQueue(_))), "{error:?}");
}
